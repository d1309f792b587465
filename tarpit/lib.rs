// SPDX-License-Identifier: GPL-2.0

//! The core of xt_TARPIT as a crate of the host, for its tests. The kernel module includes the same
//! files as `mod tarpit` of `xt_TARPIT.rs`.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[path = "mod.rs"]
mod core_files;

pub use core_files::*;
