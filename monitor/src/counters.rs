// SPDX-License-Identifier: GPL-2.0

//! The module's counters of the network namespace that the program runs in.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use crate::Result;

/// The file with the counters.
pub const PATH: &str = "/proc/net/stat/xt_TARPIT";

/// The counters that are totals over all segment classes; each of the others counts one class.
pub const TOTALS: [&str; 7] = [
    "replies",
    "limited",
    "failed",
    "refused",
    "bytes_in",
    "bytes_out",
    "trapped_ms",
];

/// The counters, summed over all CPUs.
#[derive(Debug, PartialEq, Eq)]
pub struct Counters {
    /// The names in the kernel's order. The index of a segment class is its number in the
    /// tracepoint.
    pub names: Vec<String>,
    /// The sum of each counter, by name.
    pub sums: BTreeMap<String, u64>,
}

impl Counters {
    /// Reads the counters from [`PATH`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its format is unknown.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(PATH).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!(
                    "{PATH} does not exist: xt_TARPIT is not loaded, run \"modprobe xt_TARPIT\""
                )
            }
            _ => format!("{PATH}: {error}"),
        })?;
        Self::parse(&text).ok_or_else(|| format!("unexpected format in {PATH}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let names: Vec<_> = lines
            .next()?
            .split_ascii_whitespace()
            .map(String::from)
            .collect();
        let mut sums: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), 0)).collect();
        for line in lines {
            let values: Vec<_> = line.split_ascii_whitespace().collect();
            if values.len() != names.len() {
                return None;
            }
            for (name, value) in names.iter().zip(values) {
                let sum: &mut u64 = sums.get_mut(name)?;
                *sum = sum.wrapping_add(u64::from_str_radix(value, 16).ok()?);
            }
        }
        Some(Self { names, sums })
    }
}

/// The names of the counters in the module's sources, in their order.
#[cfg(test)]
pub fn of_module() -> (Vec<&'static str>, Vec<&'static str>) {
    let lists = |lists: [&'static str; 2]| {
        let words = include_str!("../../xt_TARPIT_helpers.h").split_whitespace();
        let names = words.filter_map(move |word| {
            let name = lists.iter().find_map(|list| word.strip_prefix(list))?;
            name.strip_prefix('(')?.strip_suffix(')')
        });
        names.collect()
    };
    (lists(["class", "last"]), lists(["column", "column"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentClass;

    #[test]
    fn names_are_those_of_the_module() {
        let (classes, others) = of_module();
        assert_eq!(others, TOTALS);
        for class in SegmentClass::ALL {
            assert!(classes.contains(&class.name()), "{class:?}");
        }
    }

    #[test]
    fn docs_have_the_counters_of_the_module_in_their_order() {
        let page = include_str!("../../docs/monitoring.md");
        let (counters, tracepoint) = page.split_once("\n## Tracepoint").unwrap();
        let rows = |after: &str| -> Vec<_> {
            let (_, table) = counters.split_once(after).unwrap();
            let rows = table.trim_start().lines().skip(1);
            let rows = rows.map_while(|row| row.strip_prefix("| `")?.split('`').next());
            rows.collect()
        };
        let (classes, others) = of_module();
        assert_eq!(rows("| column | counts packets that are |"), classes);
        assert_eq!(rows("| column | counts |"), others);

        // The examples have classes by their numbers.
        let number = |name: &str| classes.iter().position(|class| *class == name).unwrap();
        let (first, last) = (number("established"), number("midstream"));
        assert!(tracepoint.contains(&format!("'class >= {first} && class <= {last}'")));
        assert!(tracepoint.contains(&format!("/args.class == {first}/")));
    }

    #[test]
    fn sums_over_cpus() {
        let counters = Counters::parse("syn data\n00000010 ff\n00000001 1\n").unwrap();
        assert_eq!(counters.sums["syn"], 0x11);
        assert_eq!(counters.sums["data"], 0x100);
        assert_eq!(counters.names, ["syn", "data"]);
    }

    #[test]
    fn rejects_unexpected_format() {
        for text in ["", "syn data\n1\n", "syn\nx\n"] {
            assert_eq!(Counters::parse(text), None, "{text}");
        }
    }
}
