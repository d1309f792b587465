// SPDX-License-Identifier: GPL-2.0

//! The x_tables target: registration, the judgement of a rule, and the way of a packet.

use super::{
    abi::{self, Call, Facts, SkBuff},
    limit::{
        self,
        LimitVerdict, //
    },
    skb::Incoming, //
};
use crate::tarpit::{
    Addresses,
    DropReason,
    Env,
    Packet,
    Policy,
    Rule,
    SegmentClass,
    V4,
    V6, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The targets are registered with x_tables for as long as this lives.
///
/// # Invariants
///
/// `xt_tarpit_register` has succeeded, and `xt_tarpit_unregister` has not been called since.
pub(crate) struct Registration(());

impl Registration {
    /// Checks the module's parameters and registers the targets.
    pub(crate) fn new() -> Result<Self> {
        limit::check_parameters()?;
        // SAFETY: xt_TARPIT.rs makes the only `Registration`, in the module's init: process context, and
        // nothing is registered yet.
        to_result(unsafe { abi::xt_tarpit_register() })?;
        // INVARIANT: the registration has just succeeded.
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: by the type invariant the targets are registered. No rule uses them, since each
        // holds a reference to the module.
        unsafe { abi::xt_tarpit_unregister() };
    }
}

/// The judgement of a rule: xt_target::checkentry.
#[no_mangle]
extern "C" fn xt_tarpit_checkentry(rule: &Rule) -> c_int {
    match Policy::from_rule(rule) {
        Some(_) => 0,
        None => EINVAL.to_errno(),
    }
}

/// The way of a packet: xt_target::target.
///
/// # Safety
///
/// - `skb` is the packet, with its IP header at the start of its linear part; until the return it is
///   used by nobody else, as far as `skb_shared()` and `skb_cloned()` do not say so.
/// - `call` describes this call, and is valid until the return.
/// - `facts` describes `skb`; it, the rule, the state and, if it is not null, the `wire` that it points
///   to are valid until the return. All accesses to the tables of the state are atomic, and its key is
///   not written to.
/// - The caller is within an RCU read-side critical section.
#[no_mangle]
unsafe extern "C" fn xt_tarpit_target(
    skb: NonNull<SkBuff>,
    call: NonNull<Call>,
    facts: &Facts,
) -> c_uint {
    // SAFETY: the first three facts of the contract above; it is the only one of this call.
    let incoming = unsafe { Incoming::new(skb, call, facts) };

    match facts.family {
        abi::NFPROTO_IPV4 => take::<V4>(incoming, facts),
        _ => take::<V6>(incoming, facts),
    }
}

/// Answers a packet of one family, or does not; the verdict for it.
#[inline(always)]
fn take<A: Addresses>(incoming: Incoming<'_>, facts: &Facts) -> c_uint {
    // CAST: widening.
    match Packet::<A>::parse(incoming.headers(), facts.len as usize) {
        Ok(packet) => answer(incoming, facts, &packet),
        Err(DropReason::Truncated) if incoming.is_nonlinear() => {
            take_scattered::<A>(incoming, facts)
        }
        Err(reason) => refuse(&incoming, reason),
    }
}

/// The same for a packet whose headers are not in one piece: a copy is looked at.
#[cold]
#[inline(never)]
fn take_scattered<A: Addresses>(incoming: Incoming<'_>, facts: &Facts) -> c_uint {
    let mut buffer = [0; MAX_HEADERS];
    let packet = match incoming.copy(&mut buffer) {
        // CAST: widening.
        Some(headers) => Packet::<A>::parse(headers, facts.len as usize),
        None => Err(DropReason::Truncated),
    };
    match packet {
        Ok(packet) => answer(incoming, facts, &packet),
        Err(reason) => refuse(&incoming, reason),
    }
}

/// Counts a packet that holds no TCP segment, and drops it.
fn refuse(incoming: &Incoming<'_>, reason: DropReason) -> c_uint {
    incoming.count(reason.class());
    abi::NF_DROP
}

/// The headers of a packet: IPv6 with a handful of extension headers, then TCP with its options.
const MAX_HEADERS: usize = 256;

/// Asks the core, counts the segment, checks what only the kernel can, the checksum and the rate limits,
/// turns the packet into the reply and sends it; the verdict for what is left of the packet.
#[inline]
fn answer<A: Addresses>(incoming: Incoming<'_>, facts: &Facts, packet: &Packet<A>) -> c_uint {
    // SAFETY: the contract of `xt_tarpit_target`: `rule` is valid until the target returns. It is a rule's
    // data, which x_tables aligns to 8 bytes, or a `struct` on the caller's stack; any bytes are a `Rule`.
    let Some(policy) = Policy::from_rule(unsafe { &*facts.rule }) else {
        return abi::NF_DROP;
    };
    // SAFETY: the contract of `xt_tarpit_target`: `state` is valid until the target returns; other CPUs
    // use its tables through the same atomic type, and its key is constant.
    let state = unsafe { &*facts.state };
    let env = Env {
        key: &state.key,
        now_ms: facts.now_ms,
        // SAFETY: the contract of `xt_tarpit_target`: null, or valid until the target returns.
        wire: unsafe { facts.wire.as_ref() },
    };
    // By reference, so that the large value is not moved.
    let mut decision = packet.respond(&policy, &env);
    let (class, offset) = (packet.class(&decision), packet.transport_offset());
    let Ok(reply) = &mut decision else {
        incoming.saw(class, offset, 0);
        return abi::NF_DROP;
    };
    if !incoming.checksum_is_right(offset) {
        incoming.saw(SegmentClass::Checksum, offset, 0);
        return abi::NF_DROP;
    }
    incoming.saw(class, offset, reply.trapped_ms);
    let source_bucket = || packet.source_bucket(env.key);
    match limit::check_limits(reply, source_bucket, state, &incoming, facts.now_ms) {
        LimitVerdict::Send => {}
        LimitVerdict::RecordedOnly => return abi::NF_DROP,
        LimitVerdict::Exceeded => {
            incoming.count_limited();
            return abi::NF_DROP;
        }
    }
    let (len, tcp_len) = (packet.reply_len(reply), reply.tcp_len());
    let Some(mut outgoing) = incoming.turn(packet.ports(), len, tcp_len, reply.needs_mss()) else {
        return abi::NF_DROP;
    };
    let (verdict, mss) = (outgoing.verdict(), outgoing.mss());
    if packet
        .write_reply(reply, mss, outgoing.headers_mut())
        .is_some()
    {
        outgoing.send();
    }
    verdict
}
