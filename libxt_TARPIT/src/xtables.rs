// SPDX-License-Identifier: GPL-2.0

//! The border to libxtables and libc, and the only unsafe code of this extension.
//!
//! Owns the tables that libxtables reads and the functions that it calls; each is a few lines
//! that fetch or store rule data and leave the rest to `options`.
//!
//! There is no `xlate` on purpose: nftables has no statement for this target. Without it
//! `iptables-translate` prints the rule as a comment and `nft list ruleset` shows
//! `xt target "TARPIT"`; any statement that we could name instead would be another rule.
//!
//! # Revisions
//!
//! libxtables makes every rule with the highest revision that plugin and kernel have, a rule
//! without our new options too. It cannot be talked into a lower one rule by rule: what
//! `iptables-legacy -v -A` then looks for in a copy of the target is not there, and it looks for
//! ever (`xtables_find_target_revision`). The text that is saved does not name the revision, so it
//! restores with any plugin and module that has the options in it.
//!
//! A rule that is there already is listed, by the legacy variant, with the target of its very
//! revision, else as `[unsupported revision]`, which does not restore. Since 1.8.8 libxtables keeps
//! only the highest revision, so [`Targets::register`] sees to it that it keeps both. The nft
//! variant reads any rule with the highest one, for which both revisions begin with the variant
//! and are padded to one size. With these two, rules of revision 0 are listed, saved, compared and
//! deleted as they always were.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_uint, c_void, CStr};
use core::fmt;
use core::mem::{offset_of, MaybeUninit};
use core::ptr;

use crate::options::{self, Rule, Sets, OPTIONS, PROFILES};
use crate::sys::{
    self, xt_entry_target, xt_option_call, xt_option_entry, xt_tarpit_tginfo, xtables_target,
};

const NAME: &CStr = c"TARPIT";

// What is said above of the two revisions. It does not hold on 32-bit x86, which pads to 4 bytes.
const _: () = assert!(sys::TARPIT_TGINFO_SIZE == sys::TARPIT_TGINFO_V1_SIZE);
const _: () = assert!(offset_of!(xt_tarpit_tginfo, variant) == offset_of!(Rule, variant));
const _: () = assert!(size_of::<Rule>() == sys::TARPIT_TGINFO_V1_SIZE as usize);

/// A revision of the target, for IPv4 and IPv6.
const fn revision(revision: u8) -> xtables_target {
    // Zero first: the structure grows members with the versions of iptables.
    // SAFETY: all its members are integers, raw pointers and `Option`s of function pointers, for
    // which zero is a value.
    let mut target: xtables_target = unsafe { MaybeUninit::zeroed().assume_init() };
    target.version = sys::XTABLES_VERSION.as_ptr();
    target.name = NAME.as_ptr();
    target.revision = revision;
    target.family = sys::NFPROTO_UNSPEC as u16; // CAST: 0
    target.size = size_of::<Rule>(); // of both
    target.userspacesize = target.size;
    target.help = Some(help);
    target.x6_parse = Some(parse);
    target.x6_options = ENTRIES.0.as_ptr();
    target.print = Some(print);
    target.save = Some(save);
    target
}

/// Ends the program with a message of printf's form, as the program does for such a problem.
///
/// The caller proves that the values fit the format, and that libxtables has been initialised, as
/// it is when it opens a plugin.
macro_rules! refuse {
    ($problem:expr, $format:literal $(, $value:expr)*) => {
        if let Some(exit) = (*sys::xt_params).exit_err {
            exit($problem, $format.as_ptr() $(, $value)*)
        }
    };
}

/// What libxtables is given, by revision; it writes into it from then on (list, parser state).
pub struct Targets(UnsafeCell<[xtables_target; 2]>);

// SAFETY: after `new` the content is reached by libxtables alone, which has no threads, and by
// `register`, which libxtables waits for.
unsafe impl Sync for Targets {}

impl Targets {
    /// Made at compile time, to be a `static`.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([revision(0), revision(1)]))
    }

    /// Hands the targets over. libxtables ends the program when it does not like one.
    ///
    /// Revision 0 is taken into libxtables' list before it hears of revision 1, which then comes
    /// to stand before it: had it both at once, it would drop the lower one. And revision 1 is kept
    /// back if the kernel lacks it: libxtables would warn with each rule that TARPIT is missing.
    pub fn register(&'static self) {
        if !option_table_fits() {
            // SAFETY: no conversion, no value; libxtables is opening this plugin.
            unsafe {
                refuse!(
                    sys::OTHER_PROBLEM,
                    c"libxt_TARPIT.so was built for another version of iptables; build it again"
                )
            };
            return;
        }
        let revision_0 = self.0.get().cast::<xtables_target>();
        // SAFETY: `self.0` is two initialised targets that stay in place as long as the plugin is
        // loaded. `UnsafeCell` lets them be written, and no reference to them exists. Looking for
        // a target is what libxtables itself does next when it opens a plugin, and the `used` that
        // it sets (print the help) is for the one which that finds.
        unsafe {
            sys::xtables_register_target(revision_0);
            if kernel_has(1) {
                sys::xtables_find_target(NAME.as_ptr(), sys::XTF_DONT_LOAD);
                (*revision_0).used = 0;
                sys::xtables_register_target(revision_0.add(1));
            }
        }
    }
}

/// Returns true if libxtables reads option tables as they are laid out here.
///
/// Their entries grew between iptables 1.8.9 and 1.8.11 under the same soname; read with the wrong
/// size, the second one is a wild pointer. A function that came with it tells the two apart.
fn option_table_fits() -> bool {
    const GREW: bool =
        size_of::<xt_option_entry>() > offset_of!(xt_option_entry, max) + size_of::<c_uint>();
    // SAFETY: null (RTLD_DEFAULT) stands for all that is loaded, and the name is a C string.
    let grew = unsafe { sys::dlsym(ptr::null_mut(), c"xtables_strtoul_base".as_ptr()) };
    grew.is_null() != GREW
}

/// Returns true if the kernel has this revision of the target, asked as libxtables does.
///
/// # Safety
///
/// libxtables has been initialised, as it is when it opens a plugin.
unsafe fn kernel_has(revision: u8) -> bool {
    // SAFETY: both point to structures of libxtables or the program once it is initialised.
    let (ask, option) = unsafe { ((*sys::xt_params).compat_rev, (*sys::afinfo).so_rev_target) };
    // SAFETY: the name is a C string, and the option is the one for targets.
    ask.is_some_and(|ask| unsafe { ask(NAME.as_ptr(), revision, option) } != 0)
}

/// libxtables' option table: [`OPTIONS`] and the entry without a name that ends it.
struct Entries([xt_option_entry; OPTIONS.len() + 1]);

// SAFETY: the pointers inside are to constants, and neither side writes to the table.
unsafe impl Sync for Entries {}

/// One for both revisions, so that `parse` can say what is wrong with an option of a later one.
static ENTRIES: Entries = {
    // SAFETY: all members are integers and a raw pointer, for which zero is a value.
    let none: xt_option_entry = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut table = [none; OPTIONS.len() + 1];
    let mut i = 0;
    while i < OPTIONS.len() {
        table[i].name = OPTIONS[i].name.c.as_ptr();
        (table[i].type_, table[i].min) = match OPTIONS[i].sets {
            Sets::Variant(_) | Sets::Flag(_) => (sys::XTTYPE_NONE, 0),
            Sets::Profile => (sys::XTTYPE_STRING, 0),
            Sets::Ttl => (sys::XTTYPE_UINT8, 1),
            Sets::Window => (sys::XTTYPE_UINT16, 1),
        };
        table[i].id = i as c_uint; // CAST: below 32
        let mut other = 0;
        while other < OPTIONS.len() {
            if OPTIONS[i].excludes(&OPTIONS[other]) {
                table[i].excl |= 1 << other;
            }
            other += 1;
        }
        i += 1;
    }
    Entries(table)
};

/// What is written goes where iptables writes, through the same buffer.
struct Stdout;

impl fmt::Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: putchar asks for nothing. Its result is left aside: C's stream remembers a
            // failure, which is for the program to report.
            unsafe { sys::putchar(c_int::from(byte)) };
        }
        Ok(())
    }
}

/// Called as `xtables_target::help`.
extern "C" fn help() {
    let _ = options::help(&mut Stdout); // Stdout does not fail
}

/// Called as `xtables_target::x6_parse`, once for each option of ours on the command line.
///
/// # Safety
///
/// - `call` points to a call that nobody else uses until we return;
/// - its `entry` points into the option table of the target being parsed, which is ours;
/// - its `target` points to the pointer to that target's header, which tells its revision;
/// - its `data` points to that target's `size` bytes of rule data;
/// - its `arg` points to a C string if the option takes a value.
unsafe extern "C" fn parse(call: *mut xt_option_call) {
    // SAFETY: `call` and `call->entry` are valid by the contract. This returns only if the option
    // is allowed, else it ends the program; no value with a destructor is alive here.
    unsafe { sys::xtables_option_parse(call) };
    // SAFETY: as before; the parser changes none of these.
    let (id, target) = unsafe { ((*(*call).entry).id, *(*call).__bindgen_anon_1.target) };
    let Some(option) = OPTIONS.get(id as usize) else {
        return; // not by the contract
    };
    // SAFETY: `target` is valid by the contract, and libxtables has written its name and revision.
    if unsafe { revision_of(target) } < option.revision() {
        // SAFETY: one %s and one %u, for a C string and an int.
        unsafe {
            refuse!(
                sys::PARAMETER_PROBLEM,
                c"TARPIT: option \"--%s\" needs revision %u of the target, which the kernel does not have: \
                  its xt_TARPIT is missing, older than this plugin, or that of xtables-addons",
                option.name.c.as_ptr(),
                c_uint::from(option.revision())
            )
        };
        return;
    }
    // SAFETY: `data` is the bytes of a `Rule` by the contract and `revision`; they are our own, and aligned, as
    // they follow a header of 32 bytes in memory of calloc's.
    let rule = unsafe { &mut *(*call).data.cast::<Rule>() };
    match option.sets {
        Sets::Variant(variant) => rule.variant = variant,
        Sets::Flag(flag) => rule.flags |= flag,
        // SAFETY: the parser has written this member of the union, by the option's type.
        Sets::Ttl => rule.ttl = unsafe { (*call).val.u8_ },
        // SAFETY: the same.
        Sets::Window => rule.window = unsafe { (*call).val.u16_ },
        Sets::Profile => {
            // SAFETY: the option takes a value, so this is a C string by the contract.
            let arg = unsafe { (*call).arg };
            // SAFETY: as before.
            if let Some(profile) = options::profile(unsafe { bytes(arg) }) {
                rule.profile = profile;
                return;
            }
            let [(hold, _), (linux, _)] = &PROFILES;
            // SAFETY: three times %s, for three C strings.
            unsafe {
                refuse!(
                    sys::PARAMETER_PROBLEM,
                    c"TARPIT: unknown profile \"%s\"; it can be \"%s\" or \"%s\"",
                    arg,
                    hold.c.as_ptr(),
                    linux.c.as_ptr()
                )
            };
        }
    }
}

/// The bytes of a C string.
///
/// # Safety
///
/// `next` points to a C string, which does not change while the bytes are read.
unsafe fn bytes(mut next: *const c_char) -> impl Iterator<Item = u8> + Clone {
    core::iter::from_fn(move || {
        // SAFETY: `next` starts in the string and does not get past its NUL.
        let byte = unsafe { *next } as u8; // CAST: the same bits
        (byte != 0).then(|| {
            // SAFETY: the NUL at the latest follows.
            next = unsafe { next.add(1) };
            byte
        })
    })
}

/// Called as `xtables_target::print`, for `iptables -L`.
///
/// # Safety
///
/// As [`rule`].
unsafe extern "C" fn print(_ip: *const c_void, target: *const xt_entry_target, _numeric: c_int) {
    // SAFETY: the caller keeps the contract of `rule`.
    let rule = unsafe { rule(target) };
    let _ = options::print(&mut Stdout, &rule); // Stdout does not fail
}

/// Called as `xtables_target::save`, for `iptables-save` and `iptables -S`.
///
/// # Safety
///
/// As [`rule`].
unsafe extern "C" fn save(_ip: *const c_void, target: *const xt_entry_target) {
    // SAFETY: the caller keeps the contract of `rule`.
    let rule = unsafe { rule(target) };
    let _ = options::save(&mut Stdout, &rule); // Stdout does not fail
}

/// Reads the rule data of a rule. What revision 0 does not have is zero in it: libxtables and the
/// kernel clear what pads rule data.
///
/// # Safety
///
/// `target` points to a target of name TARPIT and revision 0 or 1, followed by its rule data. The
/// kernel takes and returns such a rule only with the padded size, which is that of `Rule`, and both lie where
/// XT_ALIGN puts them, at multiples of 8.
unsafe fn rule(target: *const xt_entry_target) -> Rule {
    // SAFETY: `data` marks the end of the header, where the rule data begins, aligned, by the contract.
    // No reference is made that would end at the header.
    unsafe { (&raw const (*target).data).cast::<Rule>().read() }
}

/// Reads the revision of a rule.
///
/// # Safety
///
/// `target` points to a target as user space sees it.
unsafe fn revision_of(target: *const xt_entry_target) -> u8 {
    // SAFETY: user space's is the member of the union that is written.
    unsafe { (*target).u.user.revision }
}

/// Cannot be reached: `check-so` refuses a build that refers to `abort`.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort asks for nothing.
    unsafe { sys::abort() }
}

#[cfg(test)]
mod same_rules;

#[cfg(test)]
mod tests;
