// SPDX-License-Identifier: GPL-2.0

//! The parts that the tests of the core share.
//!
//! [`packet`](self::packet()) and its neighbours write packets, [`Host`] has the fixtures, [`client`]
//! is the peer that the properties drive. [`ask`] gets the reply of the core, [`ask_oracle`] also
//! compares it with tests/oracle.

// Each test file is a crate of its own and uses its part of this.
#![allow(dead_code, unused_imports)]

pub mod client;
mod fixture;
pub mod linux;
mod packet;

use std::net::IpAddr;

use oracle::{Echo, Expected, Known, Limit, Reply, Rule, Segment};
use tarpit::isn::Flow;
use tarpit::policy::{Mode, Profile};
use tarpit::seq::Seq;
use tarpit::{Addresses, DropReason, Env, Key, Packet, Policy, Ports, RateLimit, V4, V6};

pub use fixture::{Host, BOTH, CLOCK};
pub use packet::{checksum, client_packet, dump, hex, packet, summed, Fields, Look, OURS, THEIRS};

/// The key of every fixture: the bytes 00 to 0f, as in the SipHash paper.
pub const KEY: Key = Key([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);

/// The MSS that the link gives; no fixture offers the same, so a copied one shows.
pub const MSS: u16 = 1360;

/// A plain `-j TARPIT`.
pub const PLAIN: Policy = policy(Profile::Hold, false);
/// With `--profile linux`.
pub const LINUX: Policy = policy(Profile::Linux, false);
/// With `--drip`.
pub const DRIP: Policy = policy(Profile::Hold, true);
/// Every way to hold.
pub const POLICIES: [Policy; 3] = [PLAIN, LINUX, DRIP];
/// With `--honeypot`.
pub const HONEYPOT: Policy = mode(Mode::Honeypot);
/// With `--reset`.
pub const RESET: Policy = mode(Mode::Reset);
/// Every mode, and every way to hold.
pub const MODES: [Policy; 5] = [PLAIN, LINUX, DRIP, HONEYPOT, RESET];

const fn policy(profile: Profile, drip: bool) -> Policy {
    mode(Mode::Tarpit { profile, drip })
}

const fn mode(mode: Mode) -> Policy {
    Policy {
        mode,
        hop_limit: 0,
        window: 0,
    }
}

/// A reply of the core: the packet, and what the core says of it besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyPacket {
    /// The packet, from the IP header on.
    pub packet: Vec<u8>,
    /// The rate limit that it is subject to.
    pub limit: RateLimit,
    /// How long the peer was held since the previous reply, in milliseconds.
    pub trapped_ms: u32,
}

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Shows the core a packet of `len` bytes of which `headers` can be read, and lets it write its
/// answer into a buffer full of 0xa5.
pub fn ask(
    policy: Policy,
    family: Family,
    headers: &[u8],
    len: usize,
    key: &Key,
    now_ms: u32,
) -> Result<ReplyPacket, DropReason> {
    let env = Env {
        key,
        now_ms,
        wire: None,
    };
    ask_in(&env, MSS, policy, family, headers, len)
}

/// The same in any world, where the way back carries `mss` bytes.
pub fn ask_in(
    env: &Env<'_>,
    mss: u16,
    policy: Policy,
    family: Family,
    headers: &[u8],
    len: usize,
) -> Result<ReplyPacket, DropReason> {
    let (reply, _, packet) = hear(env, mss, policy, family, headers, len)?;
    sent_packet(&policy, family, &reply, packet)
}

/// Returns the packet of a reply, unless its segment is recorded only.
fn sent_packet(
    policy: &Policy,
    family: Family,
    reply: &tarpit::Reply,
    packet: Vec<u8>,
) -> Result<ReplyPacket, DropReason> {
    limit(reply).ok_or(DropReason::NotOurs)?;
    // The rule's, or the route's to fill in.
    let hop_limit = match family {
        Family::V4 => packet[8],
        Family::V6 => packet[7],
    };
    assert_eq!(hop_limit, policy.hop_limit, "{reply:?}");
    Ok(ReplyPacket {
        packet,
        limit: reply.rate_limit,
        trapped_ms: reply.trapped_ms,
    })
}

/// What the core says in this world, the budget that it draws from, and the packet.
pub fn hear(
    env: &Env<'_>,
    mss: u16,
    policy: Policy,
    family: Family,
    headers: &[u8],
    len: usize,
) -> Result<(tarpit::Reply, RateLimit, Vec<u8>), DropReason> {
    match family {
        Family::V4 => hear_as::<V4>(env, mss, policy, headers, len),
        Family::V6 => hear_as::<V6>(env, mss, policy, headers, len),
    }
}

/// Fills in the header checksum of an IPv4 packet, as the kernel does.
pub fn fill_in_header_checksum(packet: &mut [u8]) {
    assert_eq!(packet[10..12], [0, 0]);
    let sum = checksum(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn hear_as<A: Addresses>(
    env: &Env<'_>,
    mss: u16,
    policy: Policy,
    headers: &[u8],
    len: usize,
) -> Result<(tarpit::Reply, RateLimit, Vec<u8>), DropReason> {
    let packet = Packet::<A>::parse(headers, len)?;
    let said = packet.respond(&policy, env)?;
    let mut buffer = vec![0xa5; packet.reply_len(&said)];
    assert_eq!(
        packet.write_reply(&said, mss, &mut buffer),
        Some(()),
        "{said:?}"
    );
    if A::HEADER_LEN == 20 {
        fill_in_header_checksum(&mut buffer);
    }
    Ok((said, said.rate_limit, buffer))
}

/// The family of an address.
pub fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// Returns what another parser reads in a reply.
///
/// # Panics
///
/// If the packet is not one that the module sends.
#[track_caller]
pub fn read_reply(packet: &[u8]) -> Reply {
    Reply::read(packet).unwrap_or_else(|why| panic!("{why}: {}", dump(packet)))
}

/// Returns the rule of a policy, for the oracle.
pub fn rule(policy: &Policy) -> Rule {
    Rule {
        mode: match policy.mode {
            Mode::Tarpit { drip: true, .. } => oracle::Mode::Drip,
            Mode::Tarpit { profile, .. } => match profile {
                Profile::Hold => oracle::Mode::Tarpit,
                Profile::Linux => oracle::Mode::Linux,
            },
            Mode::Honeypot => oracle::Mode::Honeypot,
            Mode::Reset => oracle::Mode::Reset,
        },
        window: policy.window,
        hop_limit: policy.hop_limit,
    }
}

/// Returns the flow of a segment.
pub fn flow_of(key: &Key, sent: &Segment) -> Flow {
    let ports = Ports {
        source: sent.source_port,
        destination: sent.destination_port,
    };
    match (sent.source, sent.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Flow::new(key, &V4::new(source.octets(), destination.octets()), ports)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Flow::new(key, &V6::new(source.octets(), destination.octets()), ports)
        }
        ends => panic!("{ends:?} are of two families"),
    }
}

/// Returns where the stream begins by this SEG.ACK, and how many bytes of a banner it acknowledges.
/// The core's permutation gives it, which has tests of its own.
pub fn stream_of(flow: Flow, policy: &Policy, timestamps: bool, ack: u32) -> (u32, u16) {
    if policy.mode == DRIP.mode && timestamps {
        let (first, sent) = flow.decode_ack(Seq(ack));
        (first.0, sent)
    } else {
        (flow.client_isn(Seq(ack).before()).after(1).0, 0)
    }
}

/// Returns what the numbers of a segment say to a rule whose host has this key and clock.
pub fn known(key: &Key, now_ms: u32, policy: &Policy, sent: &Segment) -> Known {
    let flow = flow_of(key, sent);
    let timestamps = sent.options.timestamps;
    let (first, banner) = stream_of(flow, policy, timestamps.is_some(), sent.ack);
    let echo = timestamps.map(|(_, echo)| {
        let stamp = echo.wrapping_sub(flow.ts_offset());
        Echo::read(rule(policy).mode, stamp, now_ms)
    });
    Known {
        first,
        sent: banner,
        echo,
    }
}

/// Shows the core a packet as [`ask_in`] does, and asserts that the oracle expects what comes of it.
pub fn ask_oracle(
    env: &Env<'_>,
    mss: u16,
    policy: Policy,
    family: Family,
    headers: &[u8],
    len: usize,
) -> Result<ReplyPacket, DropReason> {
    use DropReason::{Fragment, Malformed, NotTcp, NotUnicast, Truncated};

    let given = hear(env, mss, policy, family, headers, len);
    if let Err(reason @ (Fragment | Malformed | NotTcp | NotUnicast | Truncated)) = given {
        // The oracle has no opinion on packets without a segment.
        return Err(reason);
    }
    let sent = Segment::read_as(family == Family::V6, headers, len).unwrap();
    let known = known(env.key, env.now_ms, &policy, &sent);
    let expected = Expected::reply(&rule(&policy), mss, &sent, &known);
    let given = given.and_then(|(reply, _, packet)| {
        let limit = limit(&reply);
        Ok((limit, sent_packet(&policy, family, &reply, packet)?))
    });
    let reply = given.as_ref().ok().map(|(limit, given)| {
        let reply = read_reply(&given.packet);
        let checked = oracle::check(&rule(&policy), mss, &sent, &reply)
            .and_then(|_| oracle::check_acknowledgment(&sent, &reply));
        if let Err(why) = checked {
            panic!("{why}: {reply:?} to {sent:?}, {policy:?}");
        }
        let longest_ms = if rule(&policy).holds() { 86_400_000 } else { 0 };
        assert!(given.trapped_ms <= longest_ms, "{given:?}");
        Expected::of_reply(&reply, limit.unwrap())
    });
    // Its positions in a stream are below 2^31.
    if sent.payload < 1 << 31 {
        assert_eq!(reply, expected, "{given:?} to {sent:?}, {policy:?}");
    }
    given.map(|(_, given)| given)
}

/// Returns the oracle's word for the rate limit of a reply, or `None` if the segment is recorded only
/// and gets no reply.
pub fn limit(reply: &tarpit::Reply) -> Option<Limit> {
    match (reply.rate_limit, reply.freeze) {
        (RateLimit::None, None) => Some(Limit::None),
        (RateLimit::Shared, None) => Some(Limit::Shared),
        (RateLimit::Source, None) => Some(Limit::Source),
        (RateLimit::Source, Some(freeze)) => (!freeze.record_only).then_some(Limit::Freeze),
        other => panic!("{other:?}"),
    }
}
