// SPDX-License-Identifier: GPL-2.0

//! The module's counters, of the network namespace that we are in.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use crate::Result;

/// Where they are.
pub const PATH: &str = "/proc/net/stat/xt_TARPIT";

/// Those that do not count segments, each of which is of one kind.
pub const OTHERS: [&str; 7] = [
    "replies",
    "limited",
    "failed",
    "refused",
    "bytes_in",
    "bytes_out",
    "trapped_ms",
];

/// The sums over all processors, by name, and the names in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Counters {
    /// The names, in the kernel's order; the number of a kind in the tracepoint is its place here.
    pub names: Vec<String>,
    /// The sums.
    pub sums: BTreeMap<String, u64>,
}

impl Counters {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// The module is not loaded, or what is there is something else.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(PATH).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!("{PATH} is not there: xt_TARPIT is not loaded (modprobe xt_TARPIT), or has no counters")
            }
            _ => format!("{PATH}: {error}"),
        })?;
        Self::parse(&text).ok_or_else(|| format!("{PATH} has another form than expected"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_summed_up() {
        let counters = Counters::parse("syn data\n00000010 ff\n00000001 1\n").unwrap();
        assert_eq!(counters.sums["syn"], 0x11);
        assert_eq!(counters.sums["data"], 0x100);
        assert_eq!(counters.names, ["syn", "data"]);
    }

    #[test]
    fn another_form_is_refused() {
        for text in ["", "syn data\n1\n", "syn\nx\n"] {
            assert_eq!(Counters::parse(text), None, "{text}");
        }
    }
}
