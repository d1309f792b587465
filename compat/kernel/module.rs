// SPDX-License-Identifier: GPL-2.0

//! What makes a module of a crate.

use crate::{
    error::Result,
    ffi::c_int,
    ThisModule, //
};
use core::mem::MaybeUninit;

/// A loaded module: it is dropped when the module is unloaded.
pub trait Module: Sized + Sync + Send {
    /// Loads the module, or refuses.
    fn init(module: &'static ThisModule) -> Result<Self>;
}

/// Loads the module; 0 or a negative errno.
///
/// # Safety
///
/// `instance` is valid for writes, and nothing else uses it meanwhile.
#[doc(hidden)]
#[inline(always)]
pub unsafe fn load<T: Module>(instance: *mut MaybeUninit<T>) -> c_int {
    match T::init(&ThisModule(())) {
        Ok(module) => {
            // SAFETY: valid for writes by the contract of this function.
            unsafe { instance.write(MaybeUninit::new(module)) };
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// Unloads the module.
///
/// # Safety
///
/// [`load`] has succeeded with `instance`, which nothing else uses meanwhile or afterwards.
#[doc(hidden)]
#[inline(always)]
pub unsafe fn unload<T: Module>(instance: *mut MaybeUninit<T>) {
    // SAFETY: `load` has initialised it, and by the contract of this function nothing else uses it.
    unsafe { instance.cast::<T>().drop_in_place() };
}

/// Makes a module of a crate: what it says about itself, its parameters, and the functions that
/// `compat/module.c` calls when it is loaded and unloaded.
#[macro_export]
macro_rules! module {
    (
        type: $type:ty,
        name: $name:literal,
        $(authors: [$($author:literal),* $(,)?],)?
        $(description: $description:literal,)?
        license: $license:literal,
        $(alias: [$($alias:literal),* $(,)?],)?
        $(params: {
            $($param:ident: $param_type:ty {
                default: $default:expr,
                description: $param_description:literal $(,)?
            }),* $(,)?
        },)?
    ) => {
        $($($crate::__modinfo!("author=", $author);)*)?
        $($crate::__modinfo!("description=", $description);)?
        $crate::__modinfo!("license=", $license);
        $($($crate::__modinfo!("alias=", $alias);)*)?
        $($($crate::__modinfo!("parm=", stringify!($param), ":", $param_description);)*)?

        /// The values of the parameters, by names that `compat/module.c` knows.
        pub(crate) mod module_parameters {
            $($(
                #[allow(non_upper_case_globals)]
                #[no_mangle]
                pub(crate) static $param: $crate::module_param::ModuleParamAccess<$param_type> =
                    $crate::module_param::ModuleParamAccess::new($default);
            )*)?
        }

        const _: () = {
            static mut INSTANCE: ::core::mem::MaybeUninit<$type> =
                ::core::mem::MaybeUninit::uninit();

            #[no_mangle]
            extern "C" fn xt_tarpit_load() -> $crate::ffi::c_int {
                // SAFETY: the kernel calls this once, before anything else of the module runs.
                unsafe { $crate::module::load(&raw mut INSTANCE) }
            }

            #[no_mangle]
            extern "C" fn xt_tarpit_unload() {
                // SAFETY: the kernel calls this once, after `xt_tarpit_load` has returned 0.
                unsafe { $crate::module::unload(&raw mut INSTANCE) }
            }
        };
    };
}

/// Says something about the module in the section that modinfo reads.
#[doc(hidden)]
#[macro_export]
macro_rules! __modinfo {
    ($($text:expr),*) => {
        const _: () = {
            const TEXT: &str = concat!($($text,)* "\0");
            // With plain `used`, some compilers ask linkers for a section of its own.
            #[used(compiler)]
            #[link_section = ".modinfo"]
            static INFO: [u8; TEXT.len()] = match TEXT.as_bytes().first_chunk() {
                Some(text) => *text,
                None => panic!("as long as itself"),
            };
        };
    };
}
