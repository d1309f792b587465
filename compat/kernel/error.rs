// SPDX-License-Identifier: GPL-2.0

//! The kernel's errors.

use crate::ffi::c_int;
use core::num::NonZeroI32;

/// A negative errno.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(NonZeroI32);

/// A result whose error is the kernel's.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

impl Error {
    /// Makes an error of a negative errno; `EINVAL` of anything else.
    #[inline(always)]
    pub fn from_errno(errno: c_int) -> Self {
        match NonZeroI32::new(errno) {
            Some(errno) if (-MAX_ERRNO..0).contains(&errno.get()) => Self(errno),
            _ => code::EINVAL,
        }
    }

    /// The negative errno.
    #[inline(always)]
    pub fn to_errno(self) -> c_int {
        self.0.get()
    }
}

/// `MAX_ERRNO`, `include/linux/err.h`.
const MAX_ERRNO: c_int = 4095;

/// An error of what a C function returns if that is negative.
#[inline(always)]
pub fn to_result(returned: c_int) -> Result {
    if returned < 0 {
        Err(Error::from_errno(returned))
    } else {
        Ok(())
    }
}

/// The errors by their names, `include/uapi/asm-generic/errno-base.h`.
pub mod code {
    use super::Error;
    use core::num::NonZeroI32;

    macro_rules! errors {
        ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
            $(
                $(#[$doc])*
                pub const $name: Error = match NonZeroI32::new(-$number) {
                    Some(errno) => Error(errno),
                    None => panic!("0 is no error"),
                };
            )*
        };
    }

    errors! {
        /// Operation not permitted.
        EPERM = 1,
        /// No such file or directory.
        ENOENT = 2,
        /// Try again.
        EAGAIN = 11,
        /// Out of memory.
        ENOMEM = 12,
        /// Device or resource busy.
        EBUSY = 16,
        /// File exists.
        EEXIST = 17,
        /// Invalid argument.
        EINVAL = 22,
        /// Math result not representable.
        ERANGE = 34,
    }
}
