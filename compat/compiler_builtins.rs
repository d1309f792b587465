// SPDX-License-Identifier: GPL-2.0

//! The functions that compiled code may call by itself: none, the kernel has its own `memset` and so on.

#![feature(compiler_builtins)]
#![allow(internal_features)]
#![compiler_builtins]
#![no_builtins]
#![no_std]
