// SPDX-License-Identifier: GPL-2.0

//! Assertions that the compiler decides.

/// Stops the build unless the condition holds.
#[macro_export]
#[doc(hidden)]
macro_rules! __static_assert {
    ($condition:expr $(, $message:literal)? $(,)?) => {
        const _: () = ::core::assert!($condition $(, $message)?);
    };
}

pub use crate::__static_assert as static_assert;
