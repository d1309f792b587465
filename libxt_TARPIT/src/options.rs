// SPDX-License-Identifier: GPL-2.0

//! The options of the target: one table, and all that is read or written by it.
//!
//! Pure: numbers in, text out, no libxtables and no unsafe code. What libxtables does on its own
//! (repeated, contradicting and negated options) is declared in `xtables.rs`, from the same table.

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt::{Result, Write};

use crate::xtables::sys::{XT_TARPIT_HONEYPOT, XT_TARPIT_RESET, XT_TARPIT_TARPIT};

/// A way to answer, and the option that selects it.
pub struct Mode {
    /// The option without its dashes.
    pub name: &'static str,
    /// The same for libxtables.
    pub c_name: &'static CStr,
    /// The value in the rule, and the option's id in libxtables' table.
    pub variant: u8,
    help: &'static str,
}

/// Every mode. The rule data of a rule without options is zero, which is the first one.
pub const MODES: [Mode; 3] = [
    Mode::new(
        c"tarpit",
        XT_TARPIT_TARPIT,
        "hold: the window closes and stays closed (default)",
    ),
    Mode::new(c"honeypot", XT_TARPIT_HONEYPOT, "take all data, send none"),
    Mode::new(c"reset", XT_TARPIT_RESET, "answer with a TCP reset"),
];

const _: () = assert!(MODES[0].variant == 0);

impl Mode {
    /// Only for [`MODES`], at compile time: what does not fit is a build error.
    const fn new(c_name: &'static CStr, variant: u32, help: &'static str) -> Self {
        let Ok(name) = c_name.to_str() else {
            panic!("an option has a name that cannot be typed");
        };
        assert!(variant < u32::BITS, "libxtables has no such option id");
        Self {
            name,
            c_name,
            variant: variant as u8, // CAST: below 32
            help,
        }
    }
}

/// The variant that the option with this id selects.
pub fn parse(id: u32) -> Option<u8> {
    MODES
        .iter()
        .map(|mode| mode.variant)
        .find(|&variant| u32::from(variant) == id)
}

/// Writes what `iptables -j TARPIT -h` adds to the general help.
pub fn help(out: &mut impl Write) -> Result {
    out.write_str("TARPIT target options (at most one):\n")?;
    for mode in &MODES {
        // Two tabs end in the same column for every name of 4 to 11 letters.
        writeln!(out, "  --{}\t\t{}", mode.name, mode.help)?;
    }
    Ok(())
}

/// Writes the rule's mode as `iptables -L` shows it, behind the target's name.
pub fn print(out: &mut impl Write, variant: u8) -> Result {
    match name(variant) {
        Some(name) => write!(out, " {name}"),
        None => write!(out, " unknown-variant({variant})"),
    }
}

/// Writes the rule's mode as an option, the default too: this is how xtables-addons saves rules.
///
/// A variant that this version does not know is written as something that cannot be restored:
/// to write nothing would make another rule of it.
pub fn save(out: &mut impl Write, variant: u8) -> Result {
    match name(variant) {
        Some(name) => write!(out, " --{name}"),
        None => write!(out, " --unknown-variant={variant}"),
    }
}

fn name(variant: u8) -> Option<&'static str> {
    MODES
        .iter()
        .find(|mode| mode.variant == variant)
        .map(|mode| mode.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut String) -> Result) -> String {
        let mut out = String::new();
        write(&mut out).unwrap();
        out
    }

    #[test]
    fn variants_are_those_of_xtables_addons() {
        let table = MODES.map(|mode| (mode.name, mode.variant));
        assert_eq!(table, [("tarpit", 0), ("honeypot", 1), ("reset", 2)]);
    }

    #[test]
    fn help_has_one_aligned_line_for_each_mode() {
        let help = text(help);
        let mut lines = help.lines();
        assert_eq!(lines.next(), Some("TARPIT target options (at most one):"));
        for mode in &MODES {
            let line = lines.next().unwrap();
            assert!(
                line.starts_with(&format!("  --{}\t\t", mode.name)),
                "{line}"
            );
            assert!((4..=11).contains(&mode.name.len()), "{line}");
        }
        assert_eq!(lines.next(), None);
        assert!(help.ends_with('\n'));
    }

    #[test]
    fn list_shows_the_mode_behind_one_space() {
        let shown = MODES.map(|mode| text(|out| print(out, mode.variant)));
        assert_eq!(shown, [" tarpit", " honeypot", " reset"]);
    }

    #[test]
    fn saved_option_selects_the_variant_that_it_was_saved_from() {
        for mode in &MODES {
            let saved = text(|out| save(out, mode.variant));
            let option = saved.strip_prefix(" --").unwrap();
            let selected = MODES.iter().find(|mode| mode.name == option).unwrap();
            assert_eq!(parse(selected.variant.into()), Some(mode.variant));
        }
    }

    #[test]
    fn unknown_variant_is_named_and_cannot_be_restored() {
        for variant in 3..=u8::MAX {
            assert_eq!(
                text(|out| print(out, variant)),
                format!(" unknown-variant({variant})")
            );
            assert_eq!(
                text(|out| save(out, variant)),
                format!(" --unknown-variant={variant}")
            );
            assert_eq!(parse(variant.into()), None);
        }
        assert!(MODES
            .iter()
            .all(|mode| !"unknown-variant".starts_with(mode.name)));
    }

    #[test]
    fn ids_beyond_a_byte_select_nothing() {
        assert_eq!(parse(256), None);
        assert_eq!(parse(u32::MAX), None);
    }
}
