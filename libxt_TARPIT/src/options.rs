// SPDX-License-Identifier: GPL-2.0

//! The options of the target: one table, and all that is read or written by it.
//!
//! Pure: numbers in, text out, no libxtables and no unsafe code. What libxtables does on its own
//! (repeated, contradicting and negated options) is declared in `xtables.rs`, from the same table.

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt::{Result, Write};

use crate::sys::{
    xt_tarpit_tginfo_v1, XT_TARPIT_DRIP, XT_TARPIT_HAIRPIN, XT_TARPIT_HONEYPOT,
    XT_TARPIT_PROFILE_HOLD, XT_TARPIT_PROFILE_LINUX, XT_TARPIT_RESET, XT_TARPIT_TARPIT,
};

/// The rule data. A rule of revision 0 has the variant only, and is this with zero for the rest.
pub type Rule = xt_tarpit_tginfo_v1;

/// A word on the command line: as text, and for C.
pub struct Word {
    /// An option's is without its dashes.
    pub text: &'static str,
    /// The same, ended by NUL.
    pub c: &'static CStr,
}

impl Word {
    /// Only for the tables, at compile time: what does not fit is a build error.
    const fn new(c: &'static CStr) -> Self {
        let Ok(text) = c.to_str() else {
            panic!("a word that cannot be typed");
        };
        Self { text, c }
    }
}

/// What an option does to the rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    /// Selects this way to answer.
    Variant(u8),
    /// Selects the one of [`PROFILES`] that is named behind it.
    Profile,
    /// Sets this flag.
    Flag(u8),
    /// Sets the hop limit to the number behind it; 0 is the default and cannot be given.
    Ttl,
    /// Sets the first window to the number behind it, likewise.
    Window,
}

/// An option; its place in [`OPTIONS`] is its id in libxtables' table.
pub struct Entry {
    /// Its name.
    pub name: Word,
    /// What it does.
    pub sets: Sets,
    help: &'static str,
}

/// Every option. The rule data of a rule without options is zero, which is the first one.
pub const OPTIONS: [Entry; 8] = [
    Entry::new(
        c"tarpit",
        Sets::Variant(TARPIT),
        "hold: the window closes and stays closed (default)",
    ),
    Entry::new(
        c"honeypot",
        Sets::Variant(byte(XT_TARPIT_HONEYPOT)),
        "take all data, send none",
    ),
    Entry::new(c"reset", Sets::Variant(RESET), "answer with a TCP reset"),
    Entry::new(
        c"profile",
        Sets::Profile,
        "with --tarpit: what the host looks like (default: hold)",
    ),
    Entry::new(
        c"drip",
        Sets::Flag(DRIP),
        "with --tarpit: send a byte of a banner now and then",
    ),
    Entry::new(
        c"ttl",
        Sets::Ttl,
        "hop limit of the answers, 1-255 (default: the route's)",
    ),
    Entry::new(
        c"window",
        Sets::Window,
        "first window in bytes, 1-65535; not with --drip, --reset",
    ),
    Entry::new(
        c"hairpin",
        Sets::Flag(byte(XT_TARPIT_HAIRPIN)),
        "answer by the link that the packet came from",
    ),
];

/// What `--profile` can be: the word and the value in the rule. The first is the default.
pub const PROFILES: [(Word, u8); 2] = [
    (Word::new(c"hold"), byte(XT_TARPIT_PROFILE_HOLD)),
    (Word::new(c"linux"), byte(XT_TARPIT_PROFILE_LINUX)),
];

const TARPIT: u8 = byte(XT_TARPIT_TARPIT);
const RESET: u8 = byte(XT_TARPIT_RESET);
const DRIP: u8 = byte(XT_TARPIT_DRIP);
const _: () = assert!(TARPIT == 0 && PROFILES[0].1 == 0);
const _: () = assert!(OPTIONS.len() < u32::BITS as usize); // ids are bits of a mask

/// A value of `xt_TARPIT.h` as it is in the rule.
const fn byte(value: u32) -> u8 {
    assert!(value <= u8::MAX as u32);
    value as u8 // CAST: checked
}

impl Entry {
    const fn new(name: &'static CStr, sets: Sets, help: &'static str) -> Self {
        Self {
            name: Word::new(name),
            sets,
            help,
        }
    }

    /// Returns true if the two cannot be in one rule.
    pub const fn excludes(&self, other: &Self) -> bool {
        match (self.sets, other.sets) {
            (Sets::Variant(variant), sets) | (sets, Sets::Variant(variant)) => {
                !sets.goes_with(variant)
            }
            // It goes with the first window of the default profile only.
            (Sets::Profile | Sets::Window, Sets::Flag(DRIP))
            | (Sets::Flag(DRIP), Sets::Profile | Sets::Window) => true,
            _ => false,
        }
    }

    /// The first revision of the target with this option.
    pub const fn revision(&self) -> u8 {
        !matches!(self.sets, Sets::Variant(_)) as u8 // CAST: of a bool
    }
}

impl Sets {
    const fn goes_with(self, variant: u8) -> bool {
        match self {
            Self::Variant(own) => own == variant,
            Self::Profile | Self::Flag(DRIP) => variant == TARPIT,
            Self::Window => variant != RESET,
            Self::Ttl | Self::Flag(_) => true,
        }
    }
}

/// The value of the profile that is spelled like this.
pub fn profile(name: impl Iterator<Item = u8> + Clone) -> Option<u8> {
    PROFILES
        .iter()
        .find(|(word, _)| word.text.bytes().eq(name.clone()))
        .map(|&(_, value)| value)
}

/// Writes what `iptables -j TARPIT -h` adds to the general help.
pub fn help(out: &mut impl Write) -> Result {
    out.write_str("TARPIT target options (at most one of the first three):\n")?;
    for option in &OPTIONS {
        write!(out, "  --{}", option.name.text)?;
        // The texts begin in one column, behind the third tab.
        let tabs = match option.sets {
            Sets::Variant(_) | Sets::Flag(_) => "\t\t",
            Sets::Ttl | Sets::Window => " N\t\t",
            Sets::Profile => {
                let mut between = ' ';
                for (word, _) in &PROFILES {
                    write!(out, "{between}{}", word.text)?;
                    between = '|';
                }
                "\t"
            }
        };
        writeln!(out, "{tabs}{}", option.help)?;
    }
    Ok(())
}

/// Writes the rule as `iptables -L` shows it, behind the target's name.
pub fn print(out: &mut impl Write, rule: &Rule) -> Result {
    show(out, rule, " ", ("(", ")"))
}

/// Writes the rule as options, the default mode too: this is how xtables-addons saves rules.
pub fn save(out: &mut impl Write, rule: &Rule) -> Result {
    show(out, rule, " --", ("=", ""))
}

/// What this version does not know, from a newer kernel module, is written as something that
/// cannot be restored: to write nothing would make another rule of it.
fn show(out: &mut impl Write, rule: &Rule, dash: &str, (open, close): (&str, &str)) -> Result {
    let mut unknown = *rule;
    for option in &OPTIONS {
        let name = option.name.text;
        match option.sets {
            Sets::Variant(variant) if variant == rule.variant => {
                unknown.variant = 0;
                write!(out, "{dash}{name}")?;
            }
            Sets::Flag(flag) if rule.flags & flag != 0 => {
                unknown.flags &= !flag;
                write!(out, "{dash}{name}")?;
            }
            Sets::Profile if rule.profile != 0 => {
                if let Some((word, _)) = PROFILES.iter().find(|(_, value)| *value == rule.profile) {
                    unknown.profile = 0;
                    write!(out, "{dash}{name} {}", word.text)?;
                }
            }
            Sets::Ttl if rule.ttl != 0 => write!(out, "{dash}{name} {}", rule.ttl)?,
            Sets::Window if rule.window != 0 => write!(out, "{dash}{name} {}", rule.window)?,
            _ => {}
        }
    }
    for (what, value) in [
        ("variant", unknown.variant),
        ("profile", unknown.profile),
        ("flags", unknown.flags),
        (
            "reserved",
            unknown.reserved.iter().fold(0, |all, byte| all | byte),
        ),
    ] {
        if value != 0 {
            write!(out, "{dash}unknown-{what}{open}{value}{close}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
