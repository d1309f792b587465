// SPDX-License-Identifier: GPL-2.0

//! Plugin and kernel accept the same rules. [`Policy::from_rule`] is what the kernel asks about a
//! rule before it loads it.

use super::{parse, sys, ENTRIES};
use crate::options::{self, Rule, Sets, OPTIONS, PROFILES};
use core::ffi::{c_char, CStr};
use core::mem::offset_of;
use core::ptr;
use std::collections::BTreeSet;
use std::ffi::CString;
use tarpit::policy::{Mode, Policy, Profile};

const _: () = assert!(size_of::<Rule>() == size_of::<tarpit::Rule>());
const _: () = assert!(offset_of!(Rule, variant) == offset_of!(tarpit::Rule, variant));
const _: () = assert!(offset_of!(Rule, profile) == offset_of!(tarpit::Rule, profile));
const _: () = assert!(offset_of!(Rule, flags) == offset_of!(tarpit::Rule, flags));
const _: () = assert!(offset_of!(Rule, ttl) == offset_of!(tarpit::Rule, ttl));
const _: () = assert!(offset_of!(Rule, window) == offset_of!(tarpit::Rule, window));
const _: () = assert!(offset_of!(Rule, reserved) == offset_of!(tarpit::Rule, reserved));

/// The members of a rule, in their order.
type Members = (u8, u8, u8, u8, u16, [u8; 2]);

const TTLS: [u8; 3] = [0, 1, u8::MAX];
const WINDOWS: [u16; 3] = [0, 1, u16::MAX];

/// Each member is named, so a new one does not build until it is here.
fn members(rule: &Rule) -> Members {
    let &Rule {
        variant,
        profile,
        flags,
        ttl,
        window,
        reserved,
    } = rule;
    (variant, profile, flags, ttl, window, reserved)
}

fn rule((variant, profile, flags, ttl, window, reserved): Members) -> Rule {
    Rule {
        variant,
        profile,
        flags,
        ttl,
        window,
        reserved,
    }
}

/// The policy of the kernel for a rule, or `None` if it refuses the rule.
fn policy((variant, profile, flags, ttl, window, reserved): Members) -> Option<Policy> {
    Policy::from_rule(&tarpit::Rule {
        variant,
        profile,
        flags,
        ttl,
        window,
        reserved,
    })
}

/// What the plugin makes of a command line.
enum Made {
    /// A rule.
    Rule(Members),
    /// libxtables refuses two of the options together. It writes to the rule data before it does.
    Refused(Members),
}

extern "C" {
    /// getopt's, which libxtables looks at to see whether there is a value.
    static mut optarg: *const c_char;
}

/// Gives the words of a command line to libxtables and the plugin. Returns `None` if one of them is
/// no option.
fn made(line: &str) -> Option<Made> {
    #[repr(C)]
    struct Target {
        header: sys::xt_entry_target,
        data: Rule,
    }
    // SAFETY: integers, arrays and raw pointers, for which zero is a value.
    let (mut made, mut call): (Target, sys::xt_option_call) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    made.header.u.user.revision = 1;
    let mut target = (&raw mut made).cast::<sys::xt_entry_target>();
    call.__bindgen_anon_1.target = &mut target;
    call.data = (&raw mut made.data).cast();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--")?;
        let id = OPTIONS.iter().position(|option| option.name.text == name)?;
        let value = match OPTIONS[id].sets {
            Sets::Variant(_) | Sets::Flag(_) => None,
            Sets::Profile | Sets::Ttl | Sets::Window => CString::new(words.next()?).ok(),
        };
        call.entry = &ENTRIES.0[id];
        call.arg = value.as_deref().map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: `call` has what `parse` asks for, `optarg` of libxtables included. It is used once
        // for each option, with a value in its range, so libxtables does not end the program.
        unsafe {
            optarg = call.arg;
            parse(&mut call);
        }
    }
    let given = |id: usize| call.xflags >> id & 1 == 1;
    // As xtables_options_fcheck() does when all options are parsed.
    let is_refused =
        (0..OPTIONS.len()).any(|id| given(id) && ENTRIES.0[id].excl & call.xflags != 0);
    let members = members(&made.data);
    Some(match is_refused {
        true => Made::Refused(members),
        false => Made::Rule(members),
    })
}

/// Each combination of options, with each value at an edge, in both orders.
fn command_lines() -> Vec<String> {
    let mut lines = vec![Vec::new()];
    for option in &OPTIONS {
        let name = option.name.text;
        let words: Vec<_> = match option.sets {
            Sets::Variant(_) | Sets::Flag(_) => vec![format!("--{name}")],
            Sets::Profile => PROFILES
                .iter()
                .map(|(word, _)| format!("--{name} {}", word.text))
                .collect(),
            Sets::Ttl => TTLS[1..].iter().map(|n| format!("--{name} {n}")).collect(),
            Sets::Window => WINDOWS[1..]
                .iter()
                .map(|n| format!("--{name} {n}"))
                .collect(),
        };
        let longer: Vec<_> = lines
            .iter()
            .flat_map(|line| {
                words
                    .iter()
                    .map(|word| [line.as_slice(), &[word.clone()]].concat())
            })
            .collect();
        lines.extend(longer);
    }
    let reversed = lines
        .iter()
        .map(|line| line.iter().rev().cloned().collect());
    let reversed: Vec<Vec<_>> = reversed.collect();
    lines.extend(reversed);
    lines.iter().map(|line| line.join(" ")).collect()
}

/// The rules of all command lines that the plugin accepts.
fn rules_of_plugin() -> BTreeSet<Members> {
    command_lines()
        .iter()
        .filter_map(|line| match made(line) {
            Some(Made::Rule(members)) => Some(members),
            _ => None,
        })
        .collect()
}

#[test]
fn kernel_does_what_the_options_say() {
    let lines = command_lines();
    assert_eq!(lines.len(), 2 * 2_usize.pow(5) * 3_usize.pow(3));
    for line in &lines {
        let Some(Made::Rule(members)) = made(line) else {
            continue;
        };
        let mode = if line.contains("--honeypot") {
            Mode::Honeypot
        } else if line.contains("--reset") {
            Mode::Reset
        } else {
            Mode::Tarpit {
                profile: match line.contains("--profile linux") {
                    true => Profile::Linux,
                    false => Profile::Hold,
                },
                drip: line.contains("--drip"),
            }
        };
        let number = |option: &str| {
            let mut words = line.split_whitespace();
            words.find(|&word| word == option)?;
            words.next()?.parse::<u16>().ok()
        };
        let policy = policy(members);
        assert_eq!(policy.map(|policy| policy.mode), Some(mode), "{line}");
        let hop_limit = policy.map(|policy| u16::from(policy.hop_limit));
        assert_eq!(hop_limit, number("--ttl").or(Some(0)), "{line}");
        let window = policy.map(|policy| policy.window);
        assert_eq!(window, number("--window").or(Some(0)), "{line}");
    }
}

#[test]
fn kernel_refuses_what_the_plugin_refuses() {
    let mut refused = 0;
    for line in command_lines() {
        let Some(Made::Refused(members)) = made(&line) else {
            continue;
        };
        // Two modes make no rule. The default profile leaves no trace in a rule.
        let modes = ["--tarpit", "--honeypot", "--reset"].map(|mode| line.contains(mode));
        let is_other_rule = modes.into_iter().filter(|&is_given| is_given).count() > 1
            || line.contains("--profile hold");
        if !is_other_rule {
            assert_eq!(policy(members), None, "{line}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn kernel_accepts_the_rules_of_the_plugin_and_no_other() {
    let all = |number: u32| number.to_be_bytes();
    let mut accepted = BTreeSet::new();
    for [_, variant, profile, flags] in (0..1 << 24).map(all) {
        for window in WINDOWS {
            for ttl in TTLS {
                let rule = (variant, profile, flags, ttl, window, [0; 2]);
                if policy(rule).is_some() {
                    accepted.insert(rule);
                }
            }
        }
    }
    assert_eq!(accepted, rules_of_plugin());
    for (variant, profile, flags, ttl, window, _) in accepted {
        for reserved in [[0, 1], [1, 0], [u8::MAX; 2]] {
            let rule = (variant, profile, flags, ttl, window, reserved);
            assert_eq!(policy(rule), None, "{rule:?}");
        }
    }
}

#[test]
fn rules_of_the_kernel_are_saved_and_restored_and_others_are_not() {
    let bytes = [0, 1, 2, 3, 4, 0x7f, 0x80, u8::MAX];
    let mut restored = 0;
    for number in 0..bytes.len().pow(3) {
        let digit = |place: u32| bytes[number / bytes.len().pow(place) % bytes.len()];
        let (variant, profile, flags) = (digit(0), digit(1), digit(2));
        for (ttl, window) in TTLS
            .into_iter()
            .flat_map(|ttl| WINDOWS.map(|window| (ttl, window)))
        {
            for reserved in [[0, 0], [0, 7], [u8::MAX; 2]] {
                let members = (variant, profile, flags, ttl, window, reserved);
                let mut line = String::new();
                options::save(&mut line, &rule(members)).unwrap();
                match (made(&line), policy(members)) {
                    (Some(Made::Rule(back)), Some(_)) => {
                        assert_eq!(back, members, "{line}");
                        restored += 1;
                    }
                    (Some(Made::Refused(_)) | None, None) => {}
                    _ => panic!("{members:?} is saved as{line}"),
                }
            }
        }
    }
    // Two profiles and two other modes with three windows, or without one; drip without one; each
    // with hairpin or not, and three values of the hop limit.
    assert_eq!(restored, (3 * 3 + 1 + 1) * 2 * 3);
    assert_eq!(restored, rules_of_plugin().len());
}
