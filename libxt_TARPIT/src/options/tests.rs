// SPDX-License-Identifier: GPL-2.0

use super::*;

const PLAIN: Rule = Rule {
    variant: 0,
    profile: 0,
    flags: 0,
    ttl: 0,
    window: 0,
    reserved: [0; 2],
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
        let value = match option.name.text {
            "profile" => " hold|linux",
            "ttl" | "window" => " N",
            _ => "",
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
    let rule = |variant, profile, flags, ttl, window| Rule {
        variant,
        profile,
        flags,
        ttl,
        window,
        ..PLAIN
    };
    for (rule, shown) in [
        (PLAIN, " tarpit"),
        (rule(1, 0, 0, 0, 0), " honeypot"),
        (rule(2, 0, 0, 0, 0), " reset"),
        (rule(0, 1, 0, 0, 0), " tarpit profile linux"),
        (rule(0, 0, 1, 0, 0), " tarpit drip"),
        (rule(0, 1, 1, 0, 0), " tarpit profile linux drip"),
        (rule(1, 0, 0, 1, 65535), " honeypot ttl 1 window 65535"),
        (rule(2, 0, 2, 255, 0), " reset ttl 255 hairpin"),
        (rule(0, 0, 3, 64, 1), " tarpit drip ttl 64 window 1 hairpin"),
    ] {
        assert_eq!(printed(&rule), shown);
    }
    assert_eq!(
        saved(&rule(0, 1, 2, 64, 100)),
        " --tarpit --profile linux --ttl 64 --window 100 --hairpin"
    );
    assert_eq!(saved(&PLAIN), " --tarpit");
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
        (
            Rule { flags: 7, ..PLAIN },
            " tarpit drip hairpin unknown-flags(4)",
        ),
        (
            Rule {
                reserved: [1, 2],
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
fn each_value_of_the_header_belongs_to_the_option_of_its_name() {
    let mut words = include_str!("../../../xt_TARPIT.h")
        .split_whitespace()
        .peekable();
    let mut of_header = Vec::new();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("XT_TARPIT_") else {
            continue;
        };
        words.next_if_eq(&"=");
        let value = words.peek().map_or("", |value| value.trim_end_matches(','));
        let value = match value.strip_prefix("0x") {
            Some(digits) => u8::from_str_radix(digits, 16),
            None => value.parse(),
        };
        if let Ok(value) = value {
            of_header.push((name.to_lowercase(), value));
        }
    }
    let mut of_options = Vec::new();
    for option in &OPTIONS {
        match option.sets {
            Sets::Variant(value) | Sets::Flag(value) => {
                of_options.push((option.name.text.to_string(), value));
            }
            Sets::Profile => of_options.extend(
                PROFILES
                    .iter()
                    .map(|(word, value)| (format!("profile_{}", word.text), *value)),
            ),
            Sets::Ttl | Sets::Window => {}
        }
    }
    assert_eq!(of_options.len(), 7);
    of_header.sort_unstable();
    of_options.sort_unstable();
    assert_eq!(of_header, of_options);
}

#[test]
fn the_man_page_has_each_option() {
    let page = include_str!("../../libxt_TARPIT.man");
    let described: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix(r"\fB\-\-"))
        .collect();
    let expected = OPTIONS.iter().map(|option| {
        let name = option.name.text;
        match option.sets {
            Sets::Variant(_) | Sets::Flag(_) => format!(r"{name}\fP"),
            Sets::Ttl | Sets::Window => format!(r"{name}\fP \fIn\fP"),
            Sets::Profile => {
                let values = PROFILES.map(|(word, _)| format!(r"\fB{}\fP", word.text));
                format!(r"{name}\fP {{{}}}", values.join("|"))
            }
        }
    });
    assert_eq!(described, expected.collect::<Vec<_>>());
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
