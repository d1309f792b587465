// SPDX-License-Identifier: GPL-2.0

//! Parameters of the module.

use crate::sync::atomic::{
    Atomic,
    AtomicType,
    Relaxed, //
};

/// The value of a parameter, which `compat/module.c` lets the kernel set when the module is loaded.
#[repr(transparent)]
pub struct ModuleParamAccess<T: AtomicType>(Atomic<T>);

impl<T: AtomicType> ModuleParamAccess<T> {
    #[doc(hidden)]
    pub const fn new(default: T) -> Self {
        Self(Atomic::new(default))
    }

    /// The value that the module was loaded with, or the default.
    #[inline(always)]
    pub fn value(&self) -> T {
        self.0.load(Relaxed)
    }
}
