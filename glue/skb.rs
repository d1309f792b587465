// SPDX-License-Identifier: GPL-2.0

//! A packet on its way in and a reply on its way out.
//!
//! An [`Incoming`] is looked at, and dropped or turned around. What [`Incoming::turn`] gives is an
//! [`Outgoing`], which is sent, or freed when it goes out of scope: there is no third way.

use super::abi::{self, Call, Facts, Reply, SkBuff};
use crate::tarpit::{
    Ports, //
    SegmentClass,
};
use core::{
    mem::ManuallyDrop,
    ptr::NonNull,
    slice, //
};
use kernel::ffi::c_uint;

/// A packet that a rule has matched, owned by the hook's caller until it is turned around.
///
/// # Invariants
///
/// `skb` is what x_tables called the target with, `call` describes that call, which has not returned;
/// nobody else reads or writes the linear part of `skb` through them, and `facts.readable` bytes of it
/// are valid for reads at `facts.headers`.
pub(super) struct Incoming<'a> {
    skb: NonNull<SkBuff>,
    call: NonNull<Call>,
    facts: &'a Facts,
}

impl<'a> Incoming<'a> {
    /// Wraps what x_tables calls a target with.
    ///
    /// # Safety
    ///
    /// - `skb` and `call` belong to the call of an x_tables target that has not returned yet.
    /// - `facts` was filled in for this `skb`, whose linear part has not changed since.
    /// - This is the only `Incoming` of that call.
    pub(super) unsafe fn new(skb: NonNull<SkBuff>, call: NonNull<Call>, facts: &'a Facts) -> Self {
        // INVARIANT: the safety contract says just that.
        Self { skb, call, facts }
    }

    /// The packet from its IP header, as far as it is linear.
    pub(super) fn headers(&self) -> &[u8] {
        // SAFETY: by the type invariant `readable` bytes are valid for reads. Nobody writes them while
        // `self` is borrowed: `turn`, which hands the memory out, consumes it, and whoever shares the
        // linear part (a tap, a clone) copies it before writing (skb_ensure_writable(), skb_cow_data()).
        // CAST: widening.
        unsafe { slice::from_raw_parts(self.facts.headers, self.facts.readable as usize) }
    }

    /// Returns true if there is more of the packet than [`Incoming::headers`] shows.
    pub(super) fn is_nonlinear(&self) -> bool {
        self.facts.readable < self.facts.len
    }

    /// The first bytes of the packet, wherever they are, as many as there are or fit.
    pub(super) fn copy<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        // CAST: widening.
        let len = buffer.len().min(self.facts.len as usize);
        let part = buffer.get_mut(..len)?;
        // SAFETY: `skb` is valid by the type invariant; `part` is valid for writes of `len` bytes.
        // CAST: `len` is at most `facts.len`, a `u32`.
        let copied =
            unsafe { abi::xt_tarpit_copy(self.skb.as_ptr(), part.as_mut_ptr().cast(), len as u32) };
        copied.then_some(part)
    }

    /// Counts a packet of this class, which holds no TCP segment.
    pub(super) fn count(&self, class: SegmentClass) {
        // CAST: the number of a class is its column.
        self.count_in(class as u32);
    }

    /// Counts an answer to an unverified segment. Returns how many this CPU has given in `second`, a
    /// number that changes once in a second, with this one.
    pub(super) fn unverified_in(&self, second: u32) -> u32 {
        // SAFETY: `call` is valid by the type invariant. The callee disables preemption itself.
        unsafe { abi::xt_tarpit_unverified(self.call.as_ptr(), second) }
    }

    /// Counts an answer that is not given, as its rate limit is exceeded.
    pub(super) fn count_limited(&self) {
        self.count_in(abi::LIMITED);
    }

    fn count_in(&self, column: u32) {
        // SAFETY: `call` is valid by the type invariant.
        unsafe { abi::xt_tarpit_count(self.call.as_ptr(), column) };
    }

    /// Counts the segment `offset` bytes into the packet, and shows it to who traces; its client was held for
    /// `age_ms` since the answer before.
    pub(super) fn saw(&self, class: SegmentClass, offset: usize, age_ms: u32) {
        // SAFETY: `skb` and `call` are valid by the type invariant; the callee only reads.
        // CAST: the number of a class is its column; an offset into the packet, whose length is a
        // `u32`.
        unsafe {
            abi::xt_tarpit_saw(
                self.skb.as_ptr(),
                self.call.as_ptr(),
                class as u32,
                offset as u32,
                age_ms,
            )
        };
    }

    /// Returns true if the checksum of the TCP segment `offset` bytes into the packet is right.
    pub(super) fn checksum_is_right(&self, offset: usize) -> bool {
        // SAFETY: `skb` and `call` are valid by the type invariant. Of `skb` only the notes on its checksum are
        // changed (csum, ip_summed, csum_valid: __skb_checksum_complete()), which no reference of ours
        // covers; no data are moved.
        // CAST: an offset into the packet, whose length is a `u32`.
        unsafe { abi::xt_tarpit_checksum(self.skb.as_ptr(), self.call.as_ptr(), offset as u32) }
    }

    /// Finds the way back, and turns the packet, which has these ports, into one of `len` bytes, the last
    /// `tcp_len` of them TCP's.
    ///
    /// `None` when there is no route or no memory; the packet is then to be dropped.
    pub(super) fn turn(
        self,
        ports: Ports,
        len: usize,
        tcp_len: usize,
        needs_mss: bool,
    ) -> Option<Outgoing> {
        // CAST: a reply has at most 80 bytes.
        let mut to = Reply {
            headers: NonNull::dangling(),
            len: len as u32,
            tcp_len: tcp_len as u32,
            source_port: ports.source.to_be_bytes(),
            destination_port: ports.destination.to_be_bytes(),
            mss: 0,
            needs_mss,
        };
        // SAFETY: `skb` and `call` are valid by the type invariant, and no reference to the packet's
        // bytes outlives `self`; `to` is valid for reads and writes.
        let reply = unsafe { abi::xt_tarpit_turn(self.skb.as_ptr(), self.call.as_ptr(), &mut to) };
        let reply = NonNull::new(reply)?;
        // INVARIANT: the contract of `xt_tarpit_turn`: the result is the caller's own, with `len`
        // linear, initialised bytes at `headers`. `call` is valid as before, and stays so as it is only used
        // within the same call of the target.
        Some(Outgoing {
            in_place: reply == self.skb,
            reply,
            call: self.call,
            headers: to.headers,
            len,
            mss: to.mss,
        })
    }
}

/// A reply that is ours to send.
///
/// # Invariants
///
/// `reply` is owned, `len` initialised bytes at `headers` are its linear part and nobody else's; `call` is that of
/// the target's call in which it was made, and that call has not returned.
pub(super) struct Outgoing {
    reply: NonNull<SkBuff>,
    call: NonNull<Call>,
    headers: NonNull<u8>,
    len: usize,
    mss: u16,
    in_place: bool,
}

impl Outgoing {
    /// What the hook's caller is to do with the original: nothing, if it became the reply.
    pub(super) fn verdict(&self) -> c_uint {
        if self.in_place {
            abi::NF_STOLEN
        } else {
            abi::NF_DROP
        }
    }

    /// What the way back carries in a segment, in bytes; 0 if it was not asked for.
    pub(super) fn mss(&self) -> u16 {
        self.mss
    }

    /// Where the reply is to be written.
    pub(super) fn headers_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the type invariant these bytes are valid, initialised (skb_put_zero(), or bytes of the
        // packet), and ours alone (reusable(): nobody else needs them).
        unsafe { slice::from_raw_parts_mut(self.headers.as_ptr(), self.len) }
    }

    /// Sends the reply, whose headers have been written.
    pub(super) fn send(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: by the type invariant `reply` is owned and `call` valid. The callee consumes the
        // reply, and `ManuallyDrop` keeps it from being freed again.
        unsafe { abi::xt_tarpit_send(this.reply.as_ptr(), this.call.as_ptr()) };
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // SAFETY: by the type invariant `reply` is owned and `call` valid, and `send` has not consumed it.
        unsafe { abi::xt_tarpit_free(self.reply.as_ptr(), self.call.as_ptr()) };
    }
}
