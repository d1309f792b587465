// SPDX-License-Identifier: GPL-2.0

//! The shell around the core: it turns packets into decisions and decisions into packets.
//!
//! All `unsafe` of the module is in this folder. It knows how to take, send and free a packet and
//! when the kernel calls, and nothing of what a segment means.

mod abi;
mod limit;
mod skb;
mod target;

pub(crate) use target::Registration;
