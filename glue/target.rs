// SPDX-License-Identifier: GPL-2.0

//! The x_tables target: registration, the check of a rule, and the way of a packet.

use super::{
    abi::{
        self,
        Ctx,
        NotSent,
        Pkt,
        SkBuff, //
    },
    frozen::set_rcv_nxt,
    limit::{
        check_parameters,
        is_within_limit, //
    },
    skb::{
        Incoming,
        ReplyBuffer, //
    },
};
use crate::tarpit::{
    Addresses,
    DropReason,
    Env,
    Packet,
    Policy,
    Rule,
    MAX_REPLY_LEN,
    V4,
    V6, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The targets are registered with x_tables as long as this value exists.
///
/// # Invariants
///
/// `xt_tarpit_register` has succeeded, and `xt_tarpit_unregister` has not been called since.
pub(crate) struct Registration(());

impl Registration {
    /// Checks the module's parameters and registers the targets.
    pub(crate) fn new() -> Result<Self> {
        check_parameters()?;
        // SAFETY: xt_TARPIT.rs makes the only `Registration`, in the module's init: process
        // context, and nothing is registered yet.
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

/// Checks a rule: xt_target::checkentry.
#[no_mangle]
extern "C" fn xt_tarpit_checkentry(rule: &Rule) -> c_int {
    match Policy::from_rule(rule) {
        Some(_) => 0,
        None => EINVAL.to_errno(),
    }
}

/// Handles a packet: xt_target::target.
///
/// # Safety
///
/// - `skb` is the packet, with its IP header at the start of its linear part. Until the return it
///   has no other user, unless `skb_shared()` or `skb_cloned()` say so.
/// - `ctx` describes this call, and is valid until the return.
/// - `pkt` describes `skb`; it, the rule, the state and, if it is not null, the `wire` that it
///   points to are valid until the return. All accesses to the tables of the state are atomic, and
///   its key is not written to.
/// - The caller is within an RCU read-side critical section.
#[no_mangle]
unsafe extern "C" fn xt_tarpit_target(
    skb: NonNull<SkBuff>,
    ctx: NonNull<Ctx>,
    pkt: &Pkt,
) -> c_uint {
    // SAFETY: the first three facts of the contract above; it is the only one of this call.
    let incoming = unsafe { Incoming::new(skb, ctx, pkt) };

    if !pkt.is_unicast {
        return drop_with(&incoming, DropReason::NotUnicast);
    }
    match pkt.family {
        abi::NFPROTO_IPV4 => handle::<V4>(incoming, pkt),
        _ => handle::<V6>(incoming, pkt),
    }
}

/// Handles a packet of one family. Returns the verdict.
#[inline(always)]
fn handle<A: Addresses>(incoming: Incoming<'_>, pkt: &Pkt) -> c_uint {
    // CAST: widening.
    match Packet::<A>::parse(incoming.headers(), pkt.len as usize) {
        Ok(packet) => respond(incoming, pkt, &packet),
        Err(DropReason::Truncated) if incoming.is_nonlinear() => {
            handle_nonlinear::<A>(incoming, pkt)
        }
        Err(reason) => drop_with(&incoming, reason),
    }
}

/// The same for a packet whose headers are not linear: a copy is read.
#[cold]
#[inline(never)]
fn handle_nonlinear<A: Addresses>(incoming: Incoming<'_>, pkt: &Pkt) -> c_uint {
    let mut buffer = [0; MAX_HEADERS];
    let packet = match incoming.copy(&mut buffer) {
        // CAST: widening.
        Some(headers) => Packet::<A>::parse(headers, pkt.len as usize),
        None => Err(DropReason::Truncated),
    };
    match packet {
        Ok(packet) => respond(incoming, pkt, &packet),
        Err(reason) => drop_with(&incoming, reason),
    }
}

/// Counts a packet that holds no TCP segment for one host, and drops it.
fn drop_with(incoming: &Incoming<'_>, reason: DropReason) -> c_uint {
    incoming.account(reason.class(), 0, 0);
    abi::NF_DROP
}

/// The headers of a packet: IPv6 with a handful of extension headers, then TCP with its options.
const MAX_HEADERS: usize = 256;

/// Sends the reply that the core decides on. The kernel's part comes in between: it counts the
/// segment, verifies its checksum, records it if its connection is frozen, and checks the rate
/// limit. Returns the verdict for the packet.
#[inline]
fn respond<A: Addresses>(incoming: Incoming<'_>, pkt: &Pkt, packet: &Packet<A>) -> c_uint {
    // SAFETY: the contract of `xt_tarpit_target`: `rule` is valid until the target returns. It is a
    // rule's data, which x_tables aligns to 8 bytes, or a `struct` on the caller's stack; any bytes
    // are a `Rule`.
    let Some(policy) = Policy::from_rule(unsafe { &*pkt.rule }) else {
        // `xt_tarpit_checkentry` has refused such a rule.
        return abi::NF_DROP;
    };
    // SAFETY: the contract of `xt_tarpit_target`: `state` is valid until the target returns; other
    // CPUs use its tables through the same atomic type, and its key is constant.
    let state = unsafe { &*pkt.state };
    let env = Env {
        key: &state.key,
        now_ms: pkt.now_ms,
        // SAFETY: the contract of `xt_tarpit_target`: null, or valid until the target returns.
        wire: unsafe { pkt.wire.as_ref() },
    };
    // By reference, so that the large value is not moved.
    let mut decision = packet.respond(&policy, &env);
    let (class, offset) = (packet.class(&decision), packet.transport_offset());
    let Ok(reply) = &mut decision else {
        incoming.account(class, offset, 0);
        return abi::NF_DROP;
    };
    if !incoming.verify(class, offset, reply.trapped_ms) {
        return abi::NF_DROP;
    }
    let mut may_send = true;
    if let Some(freeze) = reply.freeze {
        may_send = set_rcv_nxt(reply, freeze, state, pkt.now_ms);
        if freeze.record_only {
            return abi::NF_DROP;
        }
    }
    let source_bucket = || packet.source_bucket(env.key);
    may_send = may_send
        && is_within_limit(
            reply.rate_limit,
            source_bucket,
            state,
            &incoming,
            pkt.now_ms,
        );
    if !may_send {
        incoming.count(NotSent::Limited);
        return abi::NF_DROP;
    }
    let mut mss = 0;
    if reply.needs_mss() {
        let Some(path) = incoming.path(packet.ports()) else {
            return abi::NF_DROP;
        };
        mss = packet.mss(path);
    }
    let mut buffer = ReplyBuffer([0; MAX_REPLY_LEN]);
    let len = packet.reply_len(reply);
    let written = buffer
        .0
        .get_mut(..len)
        .and_then(|bytes| packet.write_reply(reply, mss, bytes));
    if written.is_none() {
        incoming.count(NotSent::Failed);
        return abi::NF_DROP;
    }
    incoming.reply(&buffer, len)
}
