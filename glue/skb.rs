// SPDX-License-Identifier: GPL-2.0

//! A packet that a rule has matched: what can be read of it, its counters, and the reply to it.

use super::abi::{
    self,
    Ctx,
    NotSent,
    Pkt,
    SkBuff, //
};
use crate::tarpit::{
    c_header::helpers_value,
    Path,
    Ports,
    SegmentClass,
    MAX_REPLY_LEN, //
};
use core::{
    ptr::NonNull,
    slice, //
};
use kernel::ffi::c_uint;

/// The length of the shortest reply in bytes: two headers of IPv4 and TCP without options.
const MIN_REPLY_LEN: usize = helpers_value("XT_TARPIT_MIN_REPLY_LEN");

/// Where a reply is written, aligned for its headers.
#[repr(align(8))]
pub(super) struct ReplyBuffer(pub(super) [u8; MAX_REPLY_LEN]);

/// A packet that a rule has matched. It belongs to the caller of the hook until it gets a reply.
///
/// # Invariants
///
/// `skb` is the packet that x_tables called the target with, and `ctx` describes that call, which
/// has not returned. The linear part of `skb` is not written to until `reply`, and `pkt.readable`
/// bytes of it are valid for reads at `pkt.headers`.
pub(super) struct Incoming<'a> {
    skb: NonNull<SkBuff>,
    ctx: NonNull<Ctx>,
    pkt: &'a Pkt,
}

impl<'a> Incoming<'a> {
    /// Wraps the arguments of the target.
    ///
    /// # Safety
    ///
    /// - `skb` and `ctx` belong to the call of an x_tables target that has not returned yet.
    /// - `pkt` was filled in for this `skb`, whose linear part has not changed since.
    /// - This is the only `Incoming` of that call.
    pub(super) unsafe fn new(skb: NonNull<SkBuff>, ctx: NonNull<Ctx>, pkt: &'a Pkt) -> Self {
        // INVARIANT: the safety contract requires the same.
        Self { skb, ctx, pkt }
    }

    /// Returns the packet from its IP header, as far as it is linear.
    pub(super) fn headers(&self) -> &[u8] {
        // SAFETY: by the type invariant `readable` bytes are valid for reads. They do not change
        // while `self` is borrowed: `reply`, which overwrites them, consumes it, and other users of
        // the linear part (a tap, a clone) copy it before they write (skb_ensure_writable(),
        // skb_cow_data()).
        // CAST: widening.
        unsafe { slice::from_raw_parts(self.pkt.headers, self.pkt.readable as usize) }
    }

    /// Returns true if [`Incoming::headers`] is not all of the packet.
    pub(super) fn is_nonlinear(&self) -> bool {
        self.pkt.readable < self.pkt.len
    }

    /// Copies the first bytes of the packet, as many as it has and `buffer` holds. Returns `None`
    /// if they cannot be read.
    pub(super) fn copy<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        // CAST: widening.
        let len = buffer.len().min(self.pkt.len as usize);
        let part = buffer.get_mut(..len)?;
        // SAFETY: `skb` is valid by the type invariant; `part` is valid for writes of `len` bytes.
        // CAST: `len` is at most `pkt.len`, a `u32`.
        let copied =
            unsafe { abi::xt_tarpit_copy(self.skb.as_ptr(), part.as_mut_ptr().cast(), len as u32) };
        copied.then_some(part)
    }

    /// Counts and traces the packet. `offset` is that of its TCP header, or 0 if it has none; its
    /// client was held for `age_ms` since the previous reply.
    ///
    /// Either this or [`Incoming::verify`] is called once for each packet, before
    /// [`Incoming::reply`].
    pub(super) fn account(&self, class: SegmentClass, offset: usize, age_ms: u32) {
        // SAFETY: `skb` and `ctx` are valid by the type invariant; the callee only reads `skb`.
        // CAST: the number of a class is its column; an offset into the packet, whose length is a
        // `u32`.
        unsafe {
            abi::xt_tarpit_account(
                self.skb.as_ptr(),
                self.ctx.as_ptr(),
                class as u32,
                offset as u32,
                age_ms,
            )
        };
    }

    /// The same for a segment that is to get a reply, after its checksum has been verified. Returns
    /// false if that is wrong.
    pub(super) fn verify(&self, class: SegmentClass, offset: usize, age_ms: u32) -> bool {
        // SAFETY: `skb` and `ctx` are valid by the type invariant. Of `skb` only the fields on its
        // checksum are changed (csum, ip_summed, csum_valid: __skb_checksum_complete()), which no
        // reference of ours covers; no data is moved. `offset` is that of a TCP header which was
        // read, so it lies within the packet.
        // CAST: as in `account`.
        unsafe {
            abi::xt_tarpit_verify(
                self.skb.as_ptr(),
                self.ctx.as_ptr(),
                class as u32,
                offset as u32,
                age_ms,
            )
        }
    }

    /// Counts a reply that is not sent.
    pub(super) fn count(&self, column: NotSent) {
        // SAFETY: `ctx` is valid by the type invariant; each `NotSent` is a column.
        unsafe { abi::xt_tarpit_count(self.ctx.as_ptr(), column) };
    }

    /// Counts a reply to an unverified segment. Returns how many this CPU has given in `second`, a
    /// number that changes once in a second, including this one.
    pub(super) fn unverified_in(&self, second: u32) -> u32 {
        // SAFETY: `ctx` is valid by the type invariant. The callee disables preemption itself.
        unsafe { abi::xt_tarpit_unverified(self.ctx.as_ptr(), second) }
    }

    /// Returns what the way out of a reply to a packet with these ports carries. Returns `None`,
    /// and counts the reply, if there is no way out.
    pub(super) fn path(&self, ports: Ports) -> Option<Path> {
        // SAFETY: `skb` and `ctx` are valid by the type invariant; the callee reads the addresses
        // of the packet and changes only `ctx`.
        let path = unsafe {
            abi::xt_tarpit_path(
                self.skb.as_ptr(),
                self.ctx.as_ptr(),
                ports.destination.to_be(),
                ports.source.to_be(),
            )
        };
        (path.advmss | path.mtu != 0).then_some(path)
    }

    /// Sends the first `len` bytes of `buffer`, which [`crate::tarpit::Packet::write_reply`] has
    /// written, and counts whether they were sent. Returns the verdict for the packet.
    pub(super) fn reply(self, buffer: &ReplyBuffer, len: usize) -> c_uint {
        if !(MIN_REPLY_LEN..=MAX_REPLY_LEN).contains(&len) {
            self.count(NotSent::Failed);
            return abi::NF_DROP;
        }
        // SAFETY: `skb` and `ctx` are valid by the type invariant, and no reference to the packet's
        // bytes outlives `self`. `buffer` is aligned, valid for reads of MAX_REPLY_LEN bytes and
        // not part of the packet; `len` is in the range of the contract.
        // CAST: it is at most MAX_REPLY_LEN.
        unsafe {
            abi::xt_tarpit_reply(
                self.skb.as_ptr(),
                self.ctx.as_ptr(),
                buffer.0.as_ptr(),
                len as u32,
            )
        }
    }
}
