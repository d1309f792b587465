// SPDX-License-Identifier: GPL-2.0

//! The options of the target: one table, and all that is read or written by it.
//!
//! Pure: numbers in, text out, no libxtables and no unsafe code. What libxtables does on its own
//! (repeated, contradicting and negated options) is declared in `xtables.rs`, from the same table.

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt::{Result, Write};

use crate::xtables::sys::{
    xt_tarpit_tginfo_v1, XT_TARPIT_DRIP, XT_TARPIT_HONEYPOT, XT_TARPIT_PROFILE_HOLD,
    XT_TARPIT_PROFILE_LINUX, XT_TARPIT_RESET, XT_TARPIT_TARPIT,
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
pub const OPTIONS: [Entry; 5] = [
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
    Entry::new(
        c"reset",
        Sets::Variant(byte(XT_TARPIT_RESET)),
        "answer with a TCP reset",
    ),
    Entry::new(
        c"profile",
        Sets::Profile,
        "with --tarpit: what the host looks like (default: hold)",
    ),
    Entry::new(
        c"drip",
        Sets::Flag(byte(XT_TARPIT_DRIP)),
        "with --tarpit: send a byte of a banner now and then",
    ),
];

/// What `--profile` can be: the word and the value in the rule. The first is the default.
pub const PROFILES: [(Word, u8); 2] = [
    (Word::new(c"hold"), byte(XT_TARPIT_PROFILE_HOLD)),
    (Word::new(c"linux"), byte(XT_TARPIT_PROFILE_LINUX)),
];

const TARPIT: u8 = byte(XT_TARPIT_TARPIT);
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

    /// Whether a value follows.
    pub const fn takes_value(&self) -> bool {
        matches!(self.sets, Sets::Profile)
    }

    /// Whether the two cannot be in one rule: ways to answer, and what goes with one of them only.
    pub const fn excludes(&self, other: &Self) -> bool {
        match (self.sets, other.sets) {
            (Sets::Variant(one), Sets::Variant(other)) => one != other,
            (Sets::Variant(variant), _) | (_, Sets::Variant(variant)) => variant != TARPIT,
            // It goes with the default profile only, which need not be named then.
            (Sets::Profile, Sets::Flag(_)) | (Sets::Flag(_), Sets::Profile) => true,
            _ => false,
        }
    }

    /// The first revision of the target with this option.
    pub const fn revision(&self) -> u8 {
        match self.sets {
            Sets::Variant(_) => 0,
            Sets::Profile | Sets::Flag(_) => 1,
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
        let mut between = ' ';
        if option.takes_value() {
            for (word, _) in &PROFILES {
                write!(out, "{between}{}", word.text)?;
                between = '|';
            }
            out.write_str("\t")?;
        } else {
            // Two tabs end in the same column for every name of 4 to 11 letters.
            out.write_str("\t\t")?;
        }
        writeln!(out, "{}", option.help)?;
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
mod tests {
    use super::*;

    const PLAIN: Rule = Rule {
        variant: 0,
        profile: 0,
        flags: 0,
        reserved: [0; 5],
    };

    fn text(write: impl FnOnce(&mut String) -> Result) -> String {
        let mut out = String::new();
        write(&mut out).unwrap();
        out
    }

    fn printed(rule: &Rule) -> String {
        text(|out| print(out, rule))
    }

    fn saved(rule: &Rule) -> String {
        text(|out| save(out, rule))
    }

    /// The rule that these words make, as libxtables reads them; nothing if it refuses one.
    fn restored(words: &str) -> Option<Rule> {
        let mut rule = PLAIN;
        let mut used: Vec<&Entry> = Vec::new();
        let mut words = words.split_whitespace();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--")?;
            let option = OPTIONS.iter().find(|option| option.name.text == name)?;
            if used.iter().any(|other| other.excludes(option)) {
                return None;
            }
            used.push(option);
            match option.sets {
                Sets::Variant(variant) => rule.variant = variant,
                Sets::Profile => rule.profile = profile(words.next()?.bytes())?,
                Sets::Flag(flag) => rule.flags |= flag,
            }
        }
        Some(rule)
    }

    fn same(one: &Rule, other: &Rule) -> bool {
        (one.variant, one.profile, one.flags, one.reserved)
            == (other.variant, other.profile, other.flags, other.reserved)
    }

    #[test]
    fn variants_are_those_of_xtables_addons() {
        let table: Vec<_> = OPTIONS
            .iter()
            .filter_map(|option| match option.sets {
                Sets::Variant(variant) => Some((option.name.text, variant)),
                _ => None,
            })
            .collect();
        assert_eq!(table, [("tarpit", 0), ("honeypot", 1), ("reset", 2)]);
    }

    #[test]
    fn revision_0_has_the_options_of_xtables_addons() {
        for option in &OPTIONS {
            let theirs = ["tarpit", "honeypot", "reset"].contains(&option.name.text);
            assert_eq!(option.revision(), u8::from(!theirs), "{}", option.name.text);
        }
    }

    #[test]
    fn help_has_one_aligned_line_for_each_option() {
        let help = text(help);
        let mut lines = help.lines();
        assert_eq!(
            lines.next(),
            Some("TARPIT target options (at most one of the first three):")
        );
        for option in &OPTIONS {
            let line = lines.next().unwrap();
            let value = if option.takes_value() {
                " hold|linux"
            } else {
                ""
            };
            let left = format!("  --{}{value}", option.name.text);
            let tabs = if left.len() < 16 { "\t\t" } else { "\t" };
            assert_eq!(line, format!("{left}{tabs}{}", option.help));
            assert!((8..24).contains(&left.len()), "{line}");
        }
        assert_eq!(lines.next(), None);
        assert!(help.ends_with('\n'));
    }

    #[test]
    fn list_shows_what_is_not_the_default_behind_the_mode() {
        let linux = Rule {
            profile: 1,
            ..PLAIN
        };
        let all = Rule {
            profile: 1,
            flags: 1,
            ..PLAIN
        };
        assert_eq!(printed(&PLAIN), " tarpit");
        assert_eq!(
            printed(&Rule {
                variant: 1,
                ..PLAIN
            }),
            " honeypot"
        );
        assert_eq!(
            printed(&Rule {
                variant: 2,
                ..PLAIN
            }),
            " reset"
        );
        assert_eq!(printed(&linux), " tarpit profile linux");
        assert_eq!(printed(&Rule { flags: 1, ..PLAIN }), " tarpit drip");
        assert_eq!(printed(&all), " tarpit profile linux drip");
        assert_eq!(saved(&all), " --tarpit --profile linux --drip");
        assert_eq!(saved(&PLAIN), " --tarpit");
    }

    #[test]
    fn what_is_saved_restores_the_very_rule_or_nothing() {
        let mut restorable = 0;
        for variant in 0..=u8::MAX {
            for profile in [0, 1, 2, u8::MAX] {
                for flags in [0, 1, 2, 3, 0x80, 0xff] {
                    for reserved in [[0; 5], [0, 0, 7, 0, 0]] {
                        let rule = Rule {
                            variant,
                            profile,
                            flags,
                            reserved,
                        };
                        let words = saved(&rule);
                        if let Some(back) = restored(&words) {
                            assert!(same(&back, &rule), "{words}");
                            restorable += 1;
                        }
                    }
                }
            }
        }
        // Two profiles, drip, and the two other modes.
        assert_eq!(restorable, 2 + 1 + 2);
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (rule, shown) in [
            (
                Rule {
                    variant: 3,
                    ..PLAIN
                },
                " unknown-variant(3)",
            ),
            (
                Rule {
                    variant: 255,
                    ..PLAIN
                },
                " unknown-variant(255)",
            ),
            (
                Rule {
                    profile: 2,
                    ..PLAIN
                },
                " tarpit unknown-profile(2)",
            ),
            (Rule { flags: 7, ..PLAIN }, " tarpit drip unknown-flags(6)"),
            (
                Rule {
                    reserved: [1, 0, 0, 0, 2],
                    ..PLAIN
                },
                " tarpit unknown-reserved(3)",
            ),
        ] {
            assert_eq!(printed(&rule), shown);
            let words = shown.replace(' ', " --").replace('(', "=").replace(')', "");
            assert_eq!(saved(&rule), words);
        }
        assert!(OPTIONS
            .iter()
            .all(|option| !"unknown-".starts_with(option.name.text)));
    }

    #[test]
    fn profile_is_the_whole_word() {
        for (word, value) in &PROFILES {
            assert_eq!(profile(word.text.bytes()), Some(*value));
        }
        for word in ["", "lin", "linuxx", "LINUX", "hold ", "hol", "\u{fffd}"] {
            assert_eq!(profile(word.bytes()), None, "{word}");
        }
    }
}
