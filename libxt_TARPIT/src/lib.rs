// SPDX-License-Identifier: GPL-2.0

//! `libxt_TARPIT.so`: what `iptables -j TARPIT` and `ip6tables -j TARPIT` know about the target.
//!
//! This file owns what is registered and when. `options` says what the options mean, `xtables`
//! speaks with libxtables. Nothing here panics, allocates or unwinds.

#![cfg_attr(not(test), no_std)]
#![allow(non_snake_case, reason = "libxtables asks for libxt_<TARGET>.so")]

mod options;
mod sys;
mod xtables;

static TARGETS: xtables::Targets = xtables::Targets::new();

/// The loader runs what it finds in this section when libxtables opens the plugin; a test program
/// has no libxtables that is ready for it.
#[used]
#[cfg_attr(not(test), link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    TARGETS.register();
}
