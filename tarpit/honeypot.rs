// SPDX-License-Identifier: GPL-2.0

//! A connection of which all is taken: RFC 9293 with an application that reads at once, never writes, and
//! closes when the peer does.
//!
//! Nothing is kept of what has come, so each segment is acknowledged as if none before it were missing.
//! What was lost on the way stays lost; the peer goes on.

use super::decide::{Policy, Silence};
use super::hold::echoed;
use super::isn::Flow;
use super::kind::Kind;
use super::reply::{Answer, Budget};
use super::stamp;
use super::tcp::{Flags, Options, Segment, Timestamps};
use super::Env;

/// How far into its stream a segment may lie, in octets, to pass as one of ours. Without an echo of ours,
/// a blind guess passes with odds of 2^-8 ...
const REACH: i32 = 1 << 24;

/// ... and with one, with odds of 2^-2 times those of a recent echo ([`stamp::is_recent`]).
const ECHOED_REACH: i32 = 1 << 30;

/// The ACK for a segment of such a connection: of all that is in it, with the window of the SYN-ACK.
pub(super) fn take(
    segment: &Segment,
    flow: Flow,
    fin: bool,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Answer, Silence> {
    // We send no data, so up to our FIN SEG.ACK is our ISN + 1.
    let first_octet = flow.client_isn(segment.ack.before()).after(1);
    let start = segment.seq.since(first_octet);
    let offset = flow.stamp_offset();
    let echo = echoed(segment, offset);
    let reach = match echo {
        Some(echo) if stamp::is_recent(env.now_ms, echo) => ECHOED_REACH,
        _ => REACH,
    };
    if !(-1..=reach).contains(&start) {
        return Err(Silence::NotOurs);
    }
    let (kind, len, budget) = match segment.octets() {
        0 if !fin && !is_keep_alive(start, echo, env.now_ms) => {
            return Err(match start {
                0 => Silence::Handshake,
                _ => Silence::BareAck,
            })
        }
        // It starts one octet before RCV.NXT (RFC 9293, 3.8.4). If this is none, BSD answers the acknowledgment of
        // an octet that it has not sent: the budget ends it.
        0 if !fin => (Kind::KeepAlive, 1, Budget::Source),
        octets if fin => (Kind::Fin, octets.wrapping_add(1), Budget::None),
        1 if start < 0 => (Kind::KeepAlive, 1, Budget::None),
        octets => (Kind::Data, octets, Budget::None),
    };
    Ok(Answer {
        kind,
        seq: segment.ack,
        ack: segment.seq.after(len),
        flags: if fin { Flags::FIN_ACK } else { Flags::ACK },
        window: policy.first_window(segment),
        options: Options::only(segment.options.timestamps().map(|theirs| Timestamps {
            value: stamp::clock(env.now_ms, echo).wrapping_add(offset),
            echo: theirs.value,
        })),
        ordinal: Some(env.ordinal()),
        budget,
        ..Answer::EMPTY
    })
}

/// Whether an empty segment is a keep-alive, which comes when nothing has for a while. An acknowledgment
/// of a peer that gets no data comes at once, after an answer of ours.
const fn is_keep_alive(start: i32, echo: Option<u32>, now_ms: u32) -> bool {
    match echo {
        Some(echo) => stamp::age_ms(now_ms, echo) >= KEEP_ALIVE_MS,
        // Only one before all data surely is.
        None => start < 0,
    }
}

/// From what age of the last answer on an empty segment is a keep-alive: more than a round trip.
const KEEP_ALIVE_MS: u32 = 2_000;
