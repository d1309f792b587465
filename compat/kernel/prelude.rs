// SPDX-License-Identifier: GPL-2.0

//! What each file imports.

pub use crate::{
    build_assert::static_assert,
    error::{
        code::*,
        Error,
        Result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    module,
    pr_err,
    pr_info,
    pr_warn,
    ThisModule, //
};
