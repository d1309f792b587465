// SPDX-License-Identifier: GPL-2.0

//! What is known of a segment when it is sent, and whether its reply is right.
//!
//! [`expect`] follows docs/hooks.md: whether the bytes that are sent reach the rule. What the rule
//! then replies is the oracle's (tests/oracle). [`check`] reads a reply and compares it with that.
//! Nothing of the module is used.

use crate::case::{Ack, Fault, Seq, Stamp, Step, Twist};
use crate::render::{Parcel, Vnet};
use crate::world::{Hook, Target, Way, MTU, VLAN};
use etherparse::checksum::Sum16BitWords;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use oracle::{checksum_is_right, transport_offset_v6, Expected, Kind, Limit, Reply, Segment};
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Silent(&'static str),
    May,
    Must,
}

/// What a reply is compared with.
#[derive(Clone, Debug)]
pub struct Facts {
    pub target: Target,
    pub sent: Segment,
    /// The first data of a connection of ours.
    is_honest: bool,
}

/// What happened in a visit so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Nothing.
    #[default]
    Nothing,
    /// A SYN that nothing is odd about was answered; whether it had timestamps.
    Connected(bool),
    Anything,
}

/// Whether fragments are put together before all hooks (conntrack wants that), or in INPUT of IPv4 only.
pub fn expect(
    parcel: &Parcel,
    way: Way,
    step: &Step,
    past: Past,
    defrag: bool,
) -> (Verdict, Option<Facts>) {
    match read(parcel, way, defrag) {
        Err(why) => (Verdict::Silent(why), None),
        Ok((mut facts, sure)) => {
            let verdict = match by_flags(&facts, step, past) {
                Verdict::Must if !sure || !step.twists.iter().all(is_harmless) => Verdict::May,
                verdict => verdict,
            };
            facts.is_honest = verdict == Verdict::Must && matches!(past, Past::Connected(_));
            (verdict, Some(facts))
        }
    }
}

/// What neither the stack nor the module minds.
fn is_harmless(twist: &Twist) -> bool {
    match twist {
        Twist::Window(_) | Twist::Urgent(_) | Twist::Tos(_) | Twist::Partial(0, 0) => true,
        Twist::Ttl(hops) => *hops > 1,
        _ => false,
    }
}

fn by_flags(facts: &Facts, step: &Step, past: Past) -> Verdict {
    let (rule, sent) = (facts.target.rule(), &facts.sent);
    match Expected::regardless(&rule, mss(sent), sent) {
        Some(None) => return Verdict::Silent("flags that get no reply"),
        // The rate limit of the source may be used up.
        Some(Some(reply)) if reply.limit == Limit::Source => return Verdict::May,
        Some(Some(_)) => return Verdict::Must,
        None => {}
    }
    match past {
        Past::Connected(stamps) if in_order(step, stamps) && step.odd.is_empty() => {
            match sent.payload {
                0 if !sent.is_empty() || !rule.holds() || rule.mode == oracle::Mode::Drip => {
                    Verdict::May
                }
                0 => Verdict::Silent("the ACK that ends the handshake"),
                _ => Verdict::Must,
            }
        }
        _ => Verdict::May,
    }
}

/// Whether this is what an honest client sends after its handshake.
fn in_order(step: &Step, stamps: bool) -> bool {
    let stamp = if stamps { Stamp::Echo(0) } else { Stamp::None };
    let numbers = matches!(step.seq, Seq::Stream(0) | Seq::Next(0)) && step.ack == Ack::Theirs(0);
    numbers && step.stamp == stamp && step.twists.iter().all(is_harmless)
}

type Why = &'static str;

/// Reads what is sent; whether it surely reaches the rule.
fn read(parcel: &Parcel, way: Way, defrag: bool) -> Result<(Facts, bool), Why> {
    let mut sure = true;
    let packet = &parcel.packet[..];
    let version = packet.first().ok_or("no packet")? >> 4;
    if way.is_ethernet() {
        sure &= frame(&parcel.link, way, version)?;
    }
    let is_gso = parcel.vnet.gso_type != 0;
    let packet = match version {
        4 => v4(packet, is_gso)?,
        6 => v6(packet, is_gso)?,
        _ => return Err("no IP version"),
    };
    let destination = packet.destination();
    let to = Target::at(destination).ok_or("to an address that no rule is for")?;
    let (from, body, ecn) = match packet {
        Ip::V4 { packet, header_len } => {
            let hops = packet[8];
            if to.hook == Hook::Forward && hops <= 1 {
                return Err("at the end of its hops");
            }
            let from: [u8; 4] = packet[12..16].try_into().unwrap();
            let from = IpAddr::from(from);
            sources(from, way)?;
            let field = u16::from_be_bytes([packet[6], packet[7]]);
            let reassembled = defrag || to.hook == Hook::Input;
            if field & 0x3fff != 0 {
                // A fragment with nothing around it.
                return Err("a fragment");
            }
            pieces(parcel, reassembled)?;
            if packet[9] != 6 {
                return Err("not TCP");
            }
            (from, &packet[header_len..], packet[1] & 3)
        }
        Ip::V6 { packet } => {
            if to.hook == Hook::Forward && packet[7] <= 1 {
                return Err("at the end of its hops");
            }
            let from: [u8; 16] = packet[8..24].try_into().unwrap();
            let from = IpAddr::from(from);
            sources(from, way)?;
            pieces(parcel, defrag)?;
            (
                from,
                &packet[transport_offset_v6(packet)?..],
                packet[1] >> 4 & 3,
            )
        }
    };
    if from == destination && to.hook == Hook::Input {
        return Err("from an address of the server");
    }
    let packet_len = match packet {
        Ip::V4 { packet, .. } | Ip::V6 { packet } => packet.len(),
    };
    let sent = Segment::of_tcp((from, destination), ecn, body, body.len(), packet_len)?;
    let vouched = parcel.vnet.flags & (Vnet::NEEDS_CSUM | Vnet::DATA_VALID) != 0;
    if !vouched && !checksum_is_right(from, destination, body) {
        return Err("a wrong TCP checksum");
    }
    // What is longer stays on the other side.
    sure &= parcel.packet.len() <= MTU.into();
    let facts = Facts {
        target: to,
        sent,
        is_honest: false,
    };
    Ok((facts, sure))
}

/// Whether a frame comes to the IP stack: surely, or maybe.
fn frame(link: &[u8], way: Way, version: u8) -> Result<bool, Why> {
    if link[..6] != way.server_mac() {
        return Err("a frame to others");
    }
    let ether_type = if version == 4 {
        [0x08, 0x00]
    } else {
        [0x86, 0xdd]
    };
    if link[link.len() - 2..] != ether_type {
        return Err("a frame of another type");
    }
    match link
        .get(14..16)
        .map(|tag| u16::from_be_bytes([tag[0], tag[1]]) & 0xfff)
    {
        None => Ok(true),
        Some(0 | VLAN) => Ok(false),
        Some(_) => Err("another VLAN"),
    }
}

#[derive(Clone, Copy)]
enum Ip<'a> {
    V4 { packet: &'a [u8], header_len: usize },
    V6 { packet: &'a [u8] },
}

impl Ip<'_> {
    fn destination(self) -> IpAddr {
        match self {
            Self::V4 { packet, .. } => <[u8; 4]>::try_from(&packet[16..20]).unwrap().into(),
            Self::V6 { packet } => <[u8; 16]>::try_from(&packet[24..40]).unwrap().into(),
        }
    }
}

/// The stack's own look comes before all hooks; it cuts off what follows the packet.
fn v4(packet: &[u8], is_gso: bool) -> Result<Ip<'_>, Why> {
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| "a broken IPv4 header")?;
    if Sum16BitWords::new()
        .add_slice(header.slice())
        .ones_complement()
        != 0
    {
        return Err("a wrong IPv4 header checksum");
    }
    let header_len = header.slice().len();
    let total = match usize::from(header.total_len()) {
        // A packet that a card is to cut may be too long to say so.
        0 if is_gso && packet.len() > 0xffff => packet.len(),
        total => total,
    };
    if total < header_len {
        return Err("an IPv4 length below its header's");
    }
    let packet = packet
        .get(..total)
        .ok_or("an IPv4 packet that is cut off")?;
    // Source routes are refused where the stack looks at options; it does so at the latest in INPUT and FORWARD.
    Ok(Ip::V4 { packet, header_len })
}

fn v6(packet: &[u8], is_gso: bool) -> Result<Ip<'_>, Why> {
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|_| "a broken IPv6 header")?;
    let total = match usize::from(header.payload_length()) {
        0 if is_gso && packet.len() > 40 + 0xffff => packet.len(),
        // A jumbogram: the option has the length, which is beyond 64 K.
        0 if packet[6] == 0 => {
            let len = match packet.get(40..48) {
                Some([_, 0, 0xc2, 4, a, b, c, d]) => u32::from_be_bytes([*a, *b, *c, *d]) as usize,
                _ => return Err("no IPv6 length"),
            };
            if len <= 0xffff {
                return Err("a small jumbogram");
            }
            40 + len
        }
        len => 40 + len,
    };
    Ok(Ip::V6 {
        packet: packet
            .get(..total)
            .ok_or("an IPv6 packet that is cut off")?,
    })
}

/// Whether the pieces of a packet are put together again.
fn pieces(parcel: &Parcel, reassembled: bool) -> Result<(), Why> {
    let Some(cut) = parcel.cut else { return Ok(()) };
    // The only piece is no fragment, or a missing one.
    match (cut.fault, parcel.pieces.len()) {
        (_, 0) => Err("nothing at all"),
        (Fault::Missing(_), _) => Err("a fragment is missing"),
        (_, 1) => Ok(()),
        _ if !reassembled => Err("fragments"),
        _ => Ok(()),
    }
}

/// Sources that are no peer's.
fn sources(from: IpAddr, way: Way) -> Result<(), Why> {
    if from == way.server(from.is_ipv6()) {
        return Err("from the server's address");
    }
    match from {
        IpAddr::V4(from) => match from.octets() {
            [0, ..] => Err("from nobody"),
            [127, ..] => Err("from a loopback address"),
            [224..=255, ..] => Err("from a multicast or broadcast address, or none"),
            _ if from == way.broadcast() => Err("from a subnet's broadcast address"),
            _ => Ok(()),
        },
        IpAddr::V6(from) if from.is_unspecified() => Err("from nobody"),
        IpAddr::V6(from) if from.is_loopback() => Err("from a loopback address"),
        IpAddr::V6(from) if from.is_multicast() => Err("from a multicast address"),
        IpAddr::V6(_) => Ok(()),
    }
}

/// Where an answer comes from and goes to; `None` for what is not TCP, which the kernel sends.
pub fn address(packet: &[u8]) -> Option<(IpAddr, u16, IpAddr, u16)> {
    let (from, to, body) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => {
            let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (IpAddr::from(from), IpAddr::from(to), &packet[20..])
        }
        6 if packet.get(6) == Some(&6) => {
            let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::from(from), IpAddr::from(to), &packet[40..])
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    Some((from, port(0)?, to, port(2)?))
}

/// Reads a reply, and compares it with the segment that caused it.
pub fn check(packet: &[u8], facts: &Facts) -> Result<(Kind, Reply), String> {
    let reply = Reply::read(packet)?;
    let sent = &facts.sent;
    let kind = oracle::check(&facts.target.rule(), mss(sent), sent, &reply)?;
    // Other numbers may be those of a connection that is frozen, wherever it was then.
    if facts.is_honest {
        oracle::check_acknowledgment(sent, &reply)?;
    }
    Ok((kind, reply))
}

/// Returns what a segment can carry on the way back.
fn mss(sent: &Segment) -> u16 {
    MTU - if sent.source.is_ipv6() { 60 } else { 40 }
}
