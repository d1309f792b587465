// SPDX-License-Identifier: GPL-2.0

//! The table of frozen connections: RCV.NXT of each ([`crate::tarpit::frozen`]).
//!
//! Each network namespace has one, of fixed size. There is no allocation and no lock: an entry is
//! one word.

use super::abi::{
    State,
    TABLE_SIZE, //
};
use crate::tarpit::{
    frozen::track_rcv_nxt,
    Freeze,
    Reply, //
};
use kernel::sync::atomic::Relaxed;

/// Records the segment of `reply`, and sets the acknowledgment of the reply to RCV.NXT of its
/// connection. Returns false if RCV.NXT is not known, as another CPU has changed the entry.
#[inline(never)]
pub(super) fn set_rcv_nxt(reply: &mut Reply, freeze: Freeze, state: &State, now_ms: u32) -> bool {
    let flow = reply.flow.hash();
    // CAST: the remainder is an index of the table.
    let Some(entry) = state.frozen.get(flow as usize % TABLE_SIZE) else {
        return false;
    };
    let seen = entry.load(Relaxed);
    let (new, rcv_nxt) = track_rcv_nxt(seen, flow, reply.ack, freeze, now_ms);
    reply.ack = rcv_nxt;
    // Another CPU's segment may have been the first one.
    new == seen || entry.cmpxchg(seen, new, Relaxed).is_ok()
}
