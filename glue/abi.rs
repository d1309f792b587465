// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `xt_TARPIT_helpers.h`, which says what each item means and who may call it.

use crate::tarpit::{
    Key,
    Rule,
    SegmentClass,
    Wire, //
};
use core::ptr::NonNull;
use kernel::{
    build_assert::static_assert,
    ffi::{c_int, c_uint, c_void},
    sync::atomic::Atomic,
};

/// `struct sk_buff`.
#[repr(C)]
pub(super) struct SkBuff {
    _opaque: [u8; 0],
}

/// `struct xt_tarpit_call`.
#[repr(C)]
pub(super) struct Call {
    _opaque: [u8; 0],
}

/// `XT_TARPIT_TABLE_SIZE`: of 10,000 sources at a time, two or three share a rate limit.
pub(super) const TABLE_SIZE: usize = 4096;

/// `struct xt_tarpit_state`.
#[repr(C)]
pub(super) struct State {
    pub(super) key: Key,
    /// The frozen connections ([`crate::tarpit::freeze::track_rcv_nxt`]). A connection takes over the
    /// entry of another one.
    pub(super) frozen: [Atomic<u64>; TABLE_SIZE],
    /// The token buckets of the sources ([`crate::tarpit::rate_limit::token_bucket_take`]).
    pub(super) sources: [Atomic<u32>; TABLE_SIZE],
}

/// `struct xt_tarpit_facts`.
#[repr(C)]
pub(super) struct Facts {
    pub(super) headers: *const u8,
    pub(super) rule: *const Rule,
    pub(super) state: *const State,
    pub(super) wire: *const Wire,
    pub(super) readable: u32,
    pub(super) len: u32,
    pub(super) now_ms: u32,
    pub(super) family: u8,
}

/// `struct xt_tarpit_reply`.
#[repr(C)]
pub(super) struct Reply {
    pub(super) headers: NonNull<u8>,
    pub(super) len: u32,
    pub(super) tcp_len: u32,
    pub(super) source_port: [u8; 2],
    pub(super) destination_port: [u8; 2],
    pub(super) mss: u16,
    pub(super) needs_mss: bool,
}

static_assert!(size_of::<Facts>() == 48);
static_assert!(core::mem::offset_of!(Facts, readable) == 32);
static_assert!(core::mem::offset_of!(Facts, len) == 36);
static_assert!(core::mem::offset_of!(Facts, now_ms) == 40);
static_assert!(size_of::<Reply>() == 24);
static_assert!(core::mem::offset_of!(Reply, source_port) == 16);
static_assert!(core::mem::offset_of!(Reply, mss) == 20);
static_assert!(size_of::<Wire>() == 36);
static_assert!(core::mem::offset_of!(State, sources) == 16 + 8 * TABLE_SIZE);
static_assert!(size_of::<Key>() == 16);
static_assert!(size_of::<Rule>() == 8);
static_assert!(SegmentClass::Checksum as u32 == 17);

/// `NFPROTO_IPV4`, `include/uapi/linux/netfilter.h`; the other family is `NFPROTO_IPV6`.
pub(super) const NFPROTO_IPV4: u8 = 2;

/// `XT_TARPIT_limited`: the columns of the classes come first.
pub(super) const LIMITED: u32 = 19;

/// `NF_DROP`: the caller frees the packet.
pub(super) const NF_DROP: c_uint = 0;
/// `NF_STOLEN`: the packet is ours.
pub(super) const NF_STOLEN: c_uint = 2;

extern "C" {
    pub(super) fn xt_tarpit_register() -> c_int;
    pub(super) fn xt_tarpit_unregister();

    pub(super) fn xt_tarpit_count(call: *const Call, column: u32);
    pub(super) fn xt_tarpit_saw(
        skb: *const SkBuff,
        call: *const Call,
        kind: u32,
        thoff: u32,
        age_ms: u32,
    );
    pub(super) fn xt_tarpit_copy(skb: *const SkBuff, to: *mut c_void, len: u32) -> bool;
    pub(super) fn xt_tarpit_checksum(skb: *mut SkBuff, call: *const Call, thoff: u32) -> bool;
    pub(super) fn xt_tarpit_unverified(call: *const Call, second: u32) -> u32;
    pub(super) fn xt_tarpit_turn(
        skb: *mut SkBuff,
        call: *const Call,
        to: *mut Reply,
    ) -> *mut SkBuff;
    pub(super) fn xt_tarpit_send(reply: *mut SkBuff, call: *const Call);
    pub(super) fn xt_tarpit_free(reply: *mut SkBuff, call: *const Call);
}
