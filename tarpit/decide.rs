// SPDX-License-Identifier: GPL-2.0

//! The decision table: which reply a segment gets, and why.
//!
//! All rules that hold follow from one sentence: *reply as an RFC 9293 receiver whose application
//! reads a byte now and then.* The first data closes the window of the SYN-ACK. A peer in the
//! persist state probes indefinitely (RFC 9293, 3.8.6.1) as long as its probes get replies with the
//! right numbers. An orphan is given up unless it can send a byte from time to time.

use super::drop_reason::DropReason;
use super::env::Env;
use super::hold::{reply_held, HoldParams};
use super::honeypot::reply_honeypot;
use super::ip::Ecn;
use super::isn::Flow;
use super::policy::{Mode, Policy, Profile, FIRST_WINDOW};
use super::rate_limit::RateLimit;
use super::reply::Reply;
use super::segment_class::SegmentClass;
use super::seq::Seq;
use super::tcp::{Control, Flags, Segment, HEADER_LEN};
use super::tcp_options::Timestamps;
use super::ts_cookie::{TsCookie, WindowOffer};

/// Decides which reply a segment gets.
///
/// # Errors
///
/// The reason for which it gets none.
#[inline(never)]
pub(super) fn decide(
    control: Control,
    segment: &Segment,
    flow: Flow,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    let mut reply = match (policy.mode, control) {
        // RFC 9293, 3.10.7.1: there is no connection.
        (Mode::Reset, _) => reset(
            segment,
            class_by_control(control, segment),
            RateLimit::Shared,
        ),
        // 3.10.7.2: the peer opens a connection.
        (_, Control::Syn) => syn_ack(segment, flow, policy, env),
        // 3.10.7.1: the peer has received a SYN with our address that we did not send.
        (_, Control::SynAck) => reset(segment, SegmentClass::SynAck, RateLimit::Source),
        // 3.10.7.4: a segment of a connection of ours, unless its numbers fit none.
        (Mode::Tarpit { profile, drip }, Control::Ack { fin }) => {
            let params = HoldParams {
                profile,
                drip: drip && segment.options.has_timestamps(),
                first_window: match policy.window {
                    0 => FIRST_WINDOW,
                    window => window,
                },
            };
            reply_held(segment, flow, fin, &params, env)?
        }
        (Mode::Honeypot, Control::Ack { fin }) => reply_honeypot(segment, flow, fin, policy, env)?,
        // 3.10.7.4 would drop it in any state.
        (_, Control::Other) => return Err(DropReason::BadFlags),
    };
    // A reply to an unverified segment must not amplify it. A banner byte goes to verified peers
    // only.
    if reply.tcp_len() > segment.len.saturating_add(reply.payload_len()) {
        return Err(DropReason::WouldAmplify(reply.class));
    }
    reply.flow = flow;
    reply.hop_limit = policy.hop_limit;
    Ok(reply)
}

/// Returns the SYN-ACK: our ISN, the options that were offered, and the first window.
fn syn_ack(syn: &Segment, flow: Flow, policy: &Policy, env: &Env<'_>) -> Reply {
    let offered = syn.options;
    let (profile, drip) = match policy.mode {
        // Without timestamps there is no record of which byte the peer waits for.
        Mode::Tarpit { profile, drip } => (profile, drip && offered.has_timestamps()),
        _ => (Profile::Hold, false),
    };
    let (isn, received) = if drip {
        // Counted from the peer's ISN with zeros as its lower half, which is all that later
        // segments give back.
        (flow.isn_with_counter(syn.seq), (syn.seq.0 & 0xffff) + 1)
    } else {
        (flow.isn(syn.seq), 0)
    };
    let cookie = TsCookie {
        received,
        offer: WindowOffer::Initial,
    };
    let timestamps = Timestamps {
        value: cookie
            .encode(env.now_ms, None)
            .wrapping_add(flow.ts_offset()),
        // Linux resets a SYN-ACK whose echo is not a timestamp that it has sent.
        echo: offered.timestamps().map_or(0, |theirs| theirs.value),
    };
    // Linux agrees to ECN if the SYN asks for it (RFC 3168, 6.1.1; tcp_ecn_create_request).
    let ecn = profile == Profile::Linux
        && syn.flags.0 & Flags::ECN_SETUP.0 == Flags::ECN_SETUP.0
        && syn.ecn == Ecn::NOT_ECT;
    Reply {
        class: SegmentClass::Syn,
        seq: isn,
        ack: syn.seq.after(1),
        flags: if ecn {
            Flags::ECN_SYN_ACK
        } else {
            Flags::SYN_ACK
        },
        window: policy.first_window(offered.has_timestamps()),
        options: offered.accept(
            profile.window_scale(),
            timestamps,
            syn.len.saturating_sub(HEADER_LEN),
        ),
        rate_limit: RateLimit::Shared,
        ..Reply::EMPTY
    }
}

/// Returns the RST of a host that has no such connection (RFC 9293, 3.10.7.1).
fn reset(segment: &Segment, class: SegmentClass, rate_limit: RateLimit) -> Reply {
    let (seq, ack, flags) = if segment.flags.has(Flags::ACK) {
        (segment.ack, Seq(0), Flags::RST)
    } else {
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let fin = u32::from(segment.flags.has(Flags::FIN));
        let next = segment
            .seq
            .after(segment.payload_bytes())
            .after(syn)
            .after(fin);
        (Seq(0), next, Flags::RST_ACK)
    };
    Reply {
        class,
        seq,
        ack,
        flags,
        rate_limit,
        ..Reply::EMPTY
    }
}

/// Returns the class of a segment whose numbers the rule does not read.
const fn class_by_control(control: Control, segment: &Segment) -> SegmentClass {
    match control {
        Control::Syn => SegmentClass::Syn,
        Control::SynAck => SegmentClass::SynAck,
        Control::Ack { fin: true } => SegmentClass::Fin,
        Control::Ack { fin: false } if segment.payload_len == 0 => SegmentClass::Ack,
        Control::Ack { fin: false } => SegmentClass::Data,
        Control::Other => SegmentClass::BadFlags,
    }
}
