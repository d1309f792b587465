// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the kernel's own crate `kernel`, for a kernel that has none.
//!
//! It has what this module uses, by the same paths and with the same meaning. Everything in it is
//! inline or generic, so that no symbol of it is left over in the module's object. What only the
//! kernel's headers can say is in `compat/module.c`.

#![no_std]

pub mod build_assert;
pub mod error;
pub mod module_param;
pub mod prelude;
#[doc(hidden)]
pub mod print;
pub mod sync;

/// C's types, as the kernel has them on 64-bit processors.
#[allow(non_camel_case_types)]
pub mod ffi {
    pub use core::ffi::c_void;

    /// `int`.
    pub type c_int = i32;
    /// `unsigned int`.
    pub type c_uint = u32;
}

#[doc(hidden)]
pub mod module;

pub use module::Module;

/// The module that is being loaded.
pub struct ThisModule(());
