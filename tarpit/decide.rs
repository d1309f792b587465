// SPDX-License-Identifier: GPL-2.0

//! The table: what is answered to which segment, and why.
//!
//! All rules follow from one sentence: *answer as an RFC 9293 receiver whose application never
//! reads.* The window of the SYN-ACK is the only one that is ever open; what the peer sends into it
//! is acknowledged, and from then on the window is closed. A peer in that state probes for ever
//! (RFC 9293, 3.8.6.1), as long as its probes are answered with the right numbers.

use super::ip::Packet;
use super::isn::{Flow, Key, Ports};
use super::reply::{Limit, Reply};
use super::seq::Seq;
use super::stamp::Told;
use super::tcp::{Flags, Options, Segment, Timestamps, HEADER_LEN};
use super::Env;

/// How a rule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Hold: complete the handshake, then keep the window closed.
    Tarpit,
}

impl Policy {
    /// Reads the variant of a rule (`enum xt_tarpit_variant`, xt_TARPIT.h); `None` for one that
    /// this version does not have.
    pub const fn from_variant(variant: u8) -> Option<Self> {
        match variant {
            0 => Some(Self::Tarpit),
            _ => None,
        }
    }
}

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The headers are not all there, or not all readable.
    Truncated,
    /// A header contradicts itself or the packet's length.
    Malformed,
    /// A fragment; what the stack has reassembled is none.
    Fragment,
    /// Another protocol, or one hidden behind headers that are not looked behind.
    NotTcp,
    /// An address that is not one host's.
    NotUnicast,
    /// A reset is never answered.
    Reset,
    /// Control bits that no connection ever sends: NULL, Xmas, SYN with FIN.
    BadFlags,
    /// A segment whose numbers do not fit any answer of ours.
    NotOurs,
    /// An acknowledgment that expects no answer.
    BareAck,
    /// The checksum is wrong, says the caller.
    BadChecksum,
    /// The reply's budget is spent, says the caller.
    Limited,
    /// The answer would be longer than the packet; only a packet that lies about itself can be so.
    TooShort,
}

/// The window of the SYN-ACK, in octets.
///
/// Small, since what the peer gets rid of no longer holds it; above 20, since tools that look for
/// tarpits take less for a sign of one (Degreaser, notarpit).
pub const FIRST_WINDOW: u16 = 24;

/// How far into its stream a peer's segment may lie, in octets, to pass as one of ours.
///
/// A peer that respects the window stays within [`FIRST_WINDOW`]. The rest is room for those that do
/// not; each doubling doubles the odds, now 2^-15, that a blind guess passes.
const REACH: i32 = 1 << 17;

/// Decides what to answer to a segment.
///
/// # Errors
///
/// The reason to be silent.
#[inline]
pub fn decide(
    packet: &Packet<'_>,
    segment: &Segment,
    policy: &Policy,
    env: &Env<'_>,
) -> Result<Reply, Silence> {
    let Policy::Tarpit = policy;
    let flow = Flow::new(env.key, &packet.addresses, segment.ports);
    let has = |flag| segment.flags.has(flag);
    let reply = match (
        has(Flags::RST),
        has(Flags::SYN),
        has(Flags::ACK),
        has(Flags::FIN),
    ) {
        // RFC 9293, 3.10.7.1: a reset is discarded, whatever else it claims to be.
        (true, _, _, _) => return Err(Silence::Reset),
        // 3.10.7.2: a connection is wanted.
        (false, true, false, false) => syn_ack(packet, segment, flow, env),
        // 3.10.7.1: somebody uses our address; the one who answers him is told so.
        (false, true, true, false) => reset(packet, segment, env.key),
        // 3.10.7.4: a segment of a connection that we hold, if its numbers say so. FIN lies behind
        // the data and the closed window: it is not acceptable, and not acknowledged.
        (false, false, true, fin) => hold(packet, segment, flow, fin, env)?,
        // 3.10.7.4 would drop the rest in any state.
        (false, true, _, true) | (false, false, false, _) => return Err(Silence::BadFlags),
    };
    // What is not verified must not be amplified, and the reply must fit where the packet was.
    if reply.packet_len() > packet.len {
        return Err(Silence::TooShort);
    }
    Ok(reply)
}

/// The SYN-ACK: our ISN, the options that were offered, a small window without scale.
fn syn_ack(packet: &Packet<'_>, syn: &Segment, flow: Flow, env: &Env<'_>) -> Reply {
    let offered = syn.options;
    let mut options = Options {
        mss: None,
        // With a shift, the smallest window would be more than one octet.
        window_scale: offered.window_scale.map(|_| 0),
        sack_permitted: offered.sack_permitted,
        timestamps: offered.timestamps.map(|theirs| Timestamps {
            value: NOTHING_YET.tsval(clock_ms(flow, env), None),
            // Linux resets a SYN-ACK whose echo is none of what it has sent.
            echo: theirs.value,
        }),
    };
    // The reply must not have more bytes than the SYN. What was offered fits, since padding takes no
    // more here than it took there. MSS, which answers no offer, comes with others if it fits too.
    let room = packet
        .transport_len
        .saturating_sub(HEADER_LEN + Options::MSS_LEN);
    if offered.mss.is_some() || (options != Options::default() && options.len() <= room) {
        options.mss = Some(env.mss);
    }
    Reply {
        seq: flow.isn(syn.seq),
        ack: syn.seq.after(1),
        flags: Flags::SYN_ACK,
        window: FIRST_WINDOW,
        options,
        ..back(packet, syn)
    }
}

/// What the SYN-ACK tells.
const NOTHING_YET: Told = Told {
    received: 0,
    closed: false,
};

/// The RST for a SYN-ACK that answers a SYN which we did not send.
fn reset(packet: &Packet<'_>, segment: &Segment, key: &Key) -> Reply {
    Reply {
        seq: segment.ack,
        ack: Seq(0),
        flags: Flags::RST,
        limit: Limit::Source(Flow::source_bucket(key, &packet.addresses)),
        ..back(packet, segment)
    }
}

/// The ACK with a closed window for a segment of a held connection.
fn hold(
    packet: &Packet<'_>,
    segment: &Segment,
    flow: Flow,
    fin: bool,
    env: &Env<'_>,
) -> Result<Reply, Silence> {
    // We never send data, so SEG.ACK is always our ISN + 1.
    let first_octet = flow.client_isn(segment.ack.before()).after(1);
    let start = segment.seq.since(first_octet);
    if !(-1..=REACH).contains(&start) {
        return Err(Silence::NotOurs);
    }
    let told = segment
        .options
        .timestamps
        .and_then(|timestamps| Told::from_tsecr(timestamps.echo, start))
        // More than we ever acknowledge is no echo of ours.
        .filter(|told| told.received <= u32::from(FIRST_WINDOW));

    let mut limit = Limit::None;
    let mut known = told.map_or(0, |told| told.received);
    if segment.payload_len == 0 && !fin {
        match told {
            // A probe or a keep-alive starts one octet before RCV.NXT (tcp_xmit_probe_skb;
            // RFC 9293, 3.8.4), an acknowledgment at SND.NXT, which is never before RCV.NXT.
            Some(told) if start >= told.received as i32 => return Err(Silence::BareAck),
            Some(_) => {}
            // Without timestamps the two look alike, but for where they cannot be: nothing
            // comes before the stream but a probe, nothing past the first window but an
            // acknowledgment, and at its start the end of the handshake is to be expected.
            // Between, a probe is more likely; if it is an acknowledgment after all, ours
            // provokes the next one, so there must be an end to it.
            None if start == 0 || start >= i32::from(FIRST_WINDOW) => {
                return Err(Silence::BareAck);
            }
            None => {
                // CAST: -1 becomes 0, and what is not negative stays what it is.
                known = start.wrapping_add(1) as u32;
                if start > 0 {
                    limit = Limit::Flow(flow.bucket());
                }
            }
        }
    }

    // RCV.NXT: what was acknowledged is never taken back, and what was sent into the first window is
    // taken, even after it was closed (RFC 9293, 3.8.6: it should not have been shrunk). A segment
    // that is missing before this one is not missed, as nothing is delivered.
    // CAST: a payload is at most what the network layer can carry, far below 2^31; the octet before
    // the stream, which a keep-alive may carry, is none of it.
    let end = start
        .saturating_add_unsigned(segment.payload_len as u32)
        .max(0) as u32;
    let received = known.max(end.min(u32::from(FIRST_WINDOW)));

    Ok(Reply {
        seq: segment.ack,
        ack: first_octet.after(received),
        flags: Flags::ACK,
        window: 0,
        options: Options {
            timestamps: segment.options.timestamps.map(|theirs| Timestamps {
                value: Told {
                    received,
                    closed: true,
                }
                .tsval(clock_ms(flow, env), Some(theirs.echo)),
                echo: theirs.value,
            }),
            ..Options::default()
        },
        limit,
        ..back(packet, segment)
    })
}

/// The flow's timestamp clock.
fn clock_ms(flow: Flow, env: &Env<'_>) -> u32 {
    env.now_ms.wrapping_add(flow.clock_offset())
}

/// An empty segment on the way back.
fn back(packet: &Packet<'_>, segment: &Segment) -> Reply {
    Reply {
        addresses: packet.addresses.reversed(),
        ports: Ports {
            source: segment.ports.destination,
            destination: segment.ports.source,
        },
        seq: Seq(0),
        ack: Seq(0),
        flags: Flags(0),
        window: 0,
        options: Options {
            mss: None,
            window_scale: None,
            sack_permitted: false,
            timestamps: None,
        },
        limit: Limit::None,
    }
}
