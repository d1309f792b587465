// SPDX-License-Identifier: GPL-2.0

//! The table: what is answered to which segment, and why.
//!
//! All rules that hold follow from one sentence: *answer as an RFC 9293 receiver whose application reads but
//! an octet now and then.* The window of the SYN-ACK is closed by the first data. A peer in that state
//! probes for ever (RFC 9293, 3.8.6.1), as long as its probes are answered with the right numbers; one
//! that was closed wants to get rid of an octet from time to time.

use super::drop_reason::DropReason;
use super::env::Env;
use super::hold::{hold, Manner};
use super::honeypot::take;
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

/// Decides what to answer to a segment.
///
/// # Errors
///
/// The reason to be silent.
#[inline(never)]
pub(super) fn decide(
    control: Control,
    segment: &Segment,
    flow: Flow,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, DropReason> {
    let mut reply = match (policy.mode, control) {
        // RFC 9293, 3.10.7.1: nobody is here.
        (Mode::Reset, _) => reset(
            segment,
            class_by_control(control, segment),
            RateLimit::Shared,
        ),
        // 3.10.7.2: a connection is wanted.
        (_, Control::Syn) => syn_ack(segment, flow, policy, env),
        // 3.10.7.1: somebody uses our address; the one who answers him is told so.
        (_, Control::SynAck) => reset(segment, SegmentClass::SynAck, RateLimit::Source),
        // 3.10.7.4: a segment of a connection of ours, if its numbers say so.
        (Mode::Tarpit { profile, drip }, Control::Ack { fin }) => {
            let manner = Manner {
                profile,
                drip: drip && segment.options.has_timestamps(),
                first_window: match policy.window {
                    0 => FIRST_WINDOW,
                    window => window,
                },
            };
            hold(segment, flow, fin, &manner, env)?
        }
        (Mode::Honeypot, Control::Ack { fin }) => take(segment, flow, fin, policy, env)?,
        // 3.10.7.4 would drop it in any state.
        (_, Control::Other) => return Err(DropReason::BadFlags),
    };
    // What is not verified must not be amplified. The octet that we send goes to verified peers only.
    if reply.tcp_len() > segment.len.saturating_add(reply.payload_len()) {
        return Err(DropReason::WouldAmplify(reply.class));
    }
    reply.flow = flow;
    reply.hop_limit = policy.hop_limit;
    Ok(reply)
}

/// The SYN-ACK: our ISN, the options that were offered, and the first window.
fn syn_ack(syn: &Segment, flow: Flow, policy: &Policy, env: &Env<'_>) -> Reply {
    let offered = syn.options;
    let (profile, drip) = match policy.mode {
        // Without timestamps nothing would tell which octet the peer waits for.
        Mode::Tarpit { profile, drip } => (profile, drip && offered.has_timestamps()),
        _ => (Profile::Hold, false),
    };
    let (isn, received) = if drip {
        // Counted from where the peer's ISN, as far as it is known later, would begin.
        (flow.isn_with_counter(syn.seq), (syn.seq.0 & 0xffff) + 1)
    } else {
        (flow.isn(syn.seq), 0)
    };
    let told = TsCookie {
        received,
        offer: WindowOffer::Initial,
    };
    let timestamps = Timestamps {
        value: told.encode(env.now_ms, None).wrapping_add(flow.ts_offset()),
        // Linux resets a SYN-ACK whose echo is none of what it has sent.
        echo: offered.timestamps().map_or(0, |theirs| theirs.value),
    };
    // Linux takes part in ECN when it is asked to (RFC 3168, 6.1.1; tcp_ecn_create_request).
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

/// The RST of a host that knows of no connection (RFC 9293, 3.10.7.1).
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

/// What a segment is where nobody looks at its numbers.
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
