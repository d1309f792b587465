// SPDX-License-Identifier: GPL-2.0

use super::*;

#[test]
fn rule_data_has_the_size_of_xtables_addons() {
    for number in 0..2 {
        let target = revision(number);
        assert_eq!(target.size, align_of::<u64>());
        assert_eq!(target.userspacesize, target.size);
        assert_eq!(target.revision, number);
    }
}

#[test]
fn option_table_fits_where_it_was_built() {
    assert!(option_table_fits());
}

#[test]
fn option_table_is_the_table_of_options() {
    let (end, entries) = ENTRIES.0.split_last().unwrap();
    assert!(end.name.is_null());
    assert_eq!(entries.len(), OPTIONS.len());
    for (i, (entry, option)) in entries.iter().zip(&OPTIONS).enumerate() {
        // SAFETY: all names but the last entry's come from `OPTIONS`, where they are C strings.
        let name = unsafe { CStr::from_ptr(entry.name) };
        assert_eq!(name.to_str(), Ok(option.name.text));
        assert_eq!(entry.id as usize, i);
        assert_eq!(entry.flags, 0, "once, not inverted, not mandatory");
        let (kind, min) = match option.name.text {
            "profile" => (sys::XTTYPE_STRING, 0),
            "ttl" => (sys::XTTYPE_UINT8, 1),
            "window" => (sys::XTTYPE_UINT16, 1),
            _ => (sys::XTTYPE_NONE, 0),
        };
        assert_eq!((entry.type_, entry.min, entry.max), (kind, min, 0));
    }
}

#[test]
fn option_table_excludes_other_modes_and_what_goes_with_tarpit_only() {
    let pairs = |with: &str| -> Vec<&str> {
        let at = OPTIONS.iter().position(|option| option.name.text == with);
        let excl = ENTRIES.0[at.unwrap()].excl;
        OPTIONS
            .iter()
            .enumerate()
            .filter(|(id, _)| (excl >> id) & 1 == 1)
            .map(|(_, option)| option.name.text)
            .collect()
    };
    assert_eq!(pairs("tarpit"), ["honeypot", "reset"]);
    assert_eq!(pairs("honeypot"), ["tarpit", "reset", "profile", "drip"]);
    assert_eq!(
        pairs("reset"),
        ["tarpit", "honeypot", "profile", "drip", "window"]
    );
    assert_eq!(pairs("profile"), ["honeypot", "reset", "drip"]);
    assert_eq!(pairs("drip"), ["honeypot", "reset", "profile", "window"]);
    assert_eq!(pairs("window"), ["reset", "drip"]);
    for free in ["ttl", "hairpin"] {
        assert!(pairs(free).is_empty(), "{free}");
    }
}

#[test]
fn parsed_option_is_read_back_from_the_rule() {
    #[repr(C)]
    struct Entry {
        target: xt_entry_target,
        data: [u8; size_of::<Rule>()],
    }
    for (entry, option) in ENTRIES.0.iter().zip(&OPTIONS) {
        // SAFETY: integers, arrays and raw pointers, for which zero is a value.
        let (mut made, mut call): (Entry, xt_option_call) =
            unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
        made.target.u.user.revision = option.revision();
        let mut target = (&raw mut made).cast::<xt_entry_target>();
        call.entry = entry;
        let arg = match option.sets {
            Sets::Ttl | Sets::Window => c"0xfe",
            _ => c"linux",
        };
        call.arg = arg.as_ptr();
        call.__bindgen_anon_1.target = &mut target;
        // SAFETY: `target` points to a live rule, which has the data behind the header that
        // `rule` asks for. `call` has what `parse` asks for, libxtables' `optarg` included.
        let rule = unsafe {
            call.data = (&raw mut (*target.cast::<Entry>()).data).cast();
            optarg = call.arg;
            parse(&mut call);
            rule(target)
        };
        let expected = match option.sets {
            Sets::Variant(variant) => (variant, 0, 0, 0, 0),
            Sets::Profile => (0, 1, 0, 0, 0),
            Sets::Flag(flag) => (0, 0, flag, 0, 0),
            Sets::Ttl => (0, 0, 0, 0xfe, 0),
            Sets::Window => (0, 0, 0, 0, 0xfe),
        };
        let Rule {
            variant,
            profile,
            flags,
            ttl,
            window,
            reserved,
        } = rule;
        assert_eq!((variant, profile, flags, ttl, window), expected);
        assert_eq!(reserved, [0; 2], "rules are compared by bytes");
    }
}

extern "C" {
    /// getopt's, which libxtables looks at to see whether there is a value.
    static mut optarg: *const c_char;
}

#[test]
fn bytes_end_before_nul() {
    for text in [c"", c"a", c"linux", c"\xff\x80"] {
        // SAFETY: a C string.
        let all: Vec<u8> = unsafe { bytes(text.as_ptr()) }.collect();
        assert_eq!(all, text.to_bytes());
    }
}
