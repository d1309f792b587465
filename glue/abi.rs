// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `xt_TARPIT_helpers.h`, which says what each item means and who may call it.

use crate::tarpit::{
    c_header::{column, helpers_value},
    Key,
    Path,
    Rule,
    Wire, //
};
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

/// `struct xt_tarpit_ctx`.
#[repr(C)]
pub(super) struct Ctx {
    _opaque: [u8; 0],
}

/// `XT_TARPIT_TABLE_SIZE`: of 10,000 sources at a time, two or three share a rate limit.
pub(super) const TABLE_SIZE: usize = helpers_value("XT_TARPIT_TABLE_SIZE");

/// `struct xt_tarpit_state`.
#[repr(C)]
pub(super) struct State {
    pub(super) key: Key,
    /// The frozen connections ([`crate::tarpit::frozen::track_rcv_nxt`]). A connection takes over
    /// the entry of another one.
    pub(super) frozen: [Atomic<u64>; TABLE_SIZE],
    /// The token buckets of the sources ([`crate::tarpit::rate_limit::token_bucket_take`]).
    pub(super) sources: [Atomic<u32>; TABLE_SIZE],
}

/// `struct xt_tarpit_pkt`.
#[repr(C)]
pub(super) struct Pkt {
    pub(super) headers: *const u8,
    pub(super) rule: *const Rule,
    pub(super) state: *const State,
    pub(super) wire: *const Wire,
    pub(super) readable: u32,
    pub(super) len: u32,
    pub(super) now_ms: u32,
    pub(super) family: u8,
    pub(super) is_unicast: bool,
}

static_assert!(size_of::<Pkt>() == 48);
static_assert!(core::mem::offset_of!(Pkt, readable) == 32);
static_assert!(core::mem::offset_of!(Pkt, len) == 36);
static_assert!(core::mem::offset_of!(Pkt, now_ms) == 40);
static_assert!(core::mem::offset_of!(Pkt, is_unicast) == 45);
static_assert!(core::mem::offset_of!(Pkt, family) == 44);
static_assert!(size_of::<Path>() == 8);
static_assert!(core::mem::offset_of!(Path, mtu) == 4);
static_assert!(size_of::<Wire>() == 36);
static_assert!(core::mem::offset_of!(State, sources) == 16 + 8 * TABLE_SIZE);
static_assert!(size_of::<Key>() == 16);
static_assert!(size_of::<Rule>() == 8);

/// `NFPROTO_IPV4`, `include/uapi/linux/netfilter.h`; the other family is `NFPROTO_IPV6`.
pub(super) const NFPROTO_IPV4: u8 = 2;

/// The counter of a reply that is not sent.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum NotSent {
    /// `XT_TARPIT_limited`.
    Limited = column("limited") as u32, // CAST: widening
    /// `XT_TARPIT_failed`.
    Failed = column("failed") as u32, // CAST: widening
}

/// `NF_DROP`: the caller frees the packet.
pub(super) const NF_DROP: c_uint = 0;

extern "C" {
    pub(super) fn xt_tarpit_register() -> c_int;
    pub(super) fn xt_tarpit_unregister();

    pub(super) fn xt_tarpit_account(
        skb: *const SkBuff,
        ctx: *const Ctx,
        class: u32,
        thoff: u32,
        age_ms: u32,
    );
    pub(super) fn xt_tarpit_verify(
        skb: *mut SkBuff,
        ctx: *const Ctx,
        class: u32,
        thoff: u32,
        age_ms: u32,
    ) -> bool;
    pub(super) fn xt_tarpit_count(ctx: *const Ctx, column: NotSent);
    pub(super) fn xt_tarpit_copy(skb: *const SkBuff, to: *mut c_void, len: u32) -> bool;
    pub(super) fn xt_tarpit_unverified(ctx: *const Ctx, second: u32) -> u32;
    pub(super) fn xt_tarpit_path(skb: *mut SkBuff, ctx: *mut Ctx, source: u16, dest: u16) -> Path;
    pub(super) fn xt_tarpit_reply(
        skb: *mut SkBuff,
        ctx: *mut Ctx,
        bytes: *const u8,
        len: u32,
    ) -> c_uint;
}
