// SPDX-License-Identifier: GPL-2.0

//! Between the kernel and the core: packets become decisions, and decisions become packets.
//!
//! All `unsafe` of the module is in this folder.

mod abi;
mod frozen;
mod limit;
mod skb;
mod target;

pub(crate) use target::Registration;
