// SPDX-License-Identifier: GPL-2.0

//! The judge: what docs/wire-behaviour.md and docs/hooks.md promise, written down once more.
//!
//! [`expect`] reads the bytes that are sent and says whether there may, must or must not be an answer;
//! [`check`] reads an answer with etherparse and compares it with what it answers. Nothing of the module is used.

use crate::case::{Ack, Fault, Seq, Stamp, Step, Twist, ACK, CWR, ECE, FIN, PSH, RST, SYN};
use crate::render::{Parcel, Vnet};
use crate::world::{Hook, Mode, Target, Way, MTU, VLAN};
use etherparse::checksum::Sum16BitWords;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, TcpOptionElement};
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Silent(&'static str),
    May,
    Must,
}

/// What an answer is compared with.
#[derive(Clone, Debug)]
pub struct Facts {
    pub target: Target,
    pub from: IpAddr,
    pub to: IpAddr,
    pub from_port: u16,
    pub to_port: u16,
    seq: u32,
    ack: u32,
    flags: u16,
    payload: u32,
    /// Of the whole packet.
    len: usize,
    ecn: u8,
    options: Option<Options>,
    /// The first data of a connection of ours.
    is_honest: bool,
}

/// The options of a segment, if all of them can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    mss: Option<u16>,
    scale: Option<u8>,
    sack: bool,
    stamps: Option<(u32, u32)>,
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
    let mode = facts.target.rule().mode;
    let has = |flag| facts.flags & flag != 0;
    if has(RST) {
        return Verdict::Silent("a reset");
    }
    if mode == Mode::Reset {
        return Verdict::Must;
    }
    match (has(SYN), has(ACK), has(FIN)) {
        (true, false, false) => Verdict::Must,
        (true, true, false) => Verdict::May,
        (true, _, true) => Verdict::Silent("SYN with FIN"),
        (false, false, _) => Verdict::Silent("neither SYN nor ACK"),
        (false, true, _) => match past {
            Past::Connected(stamps) if in_order(step, stamps) && step.odd.is_empty() => {
                let holds = matches!(mode, Mode::Tarpit | Mode::Linux);
                match facts.payload {
                    0 if has(FIN) || !holds => Verdict::May,
                    0 => Verdict::Silent("the ACK that ends the handshake"),
                    _ => Verdict::Must,
                }
            }
            _ => Verdict::May,
        },
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
            (from, behind_extensions(packet, defrag)?, packet[1] >> 4 & 3)
        }
    };
    if from == destination && to.hook == Hook::Input {
        return Err("from an address of the server");
    }
    let header = body.get(..20).ok_or("TCP's header is cut off")?;
    let doff = usize::from(header[12] >> 4) * 4;
    if doff < 20 || doff > body.len() {
        return Err("TCP's header has no such length");
    }
    let vouched = parcel.vnet.flags & (Vnet::NEEDS_CSUM | Vnet::DATA_VALID) != 0;
    if !vouched && !sums_up(from, destination, body) {
        return Err("a wrong TCP checksum");
    }
    let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
    // What is longer stays on the other side.
    sure &= parcel.packet.len() <= MTU.into();
    let facts = Facts {
        target: to,
        from,
        to: destination,
        from_port: (word(0) >> 16) as u16,
        to_port: word(0) as u16,
        seq: word(4),
        ack: word(8),
        flags: (word(12) >> 16 & 0xfff) as u16,
        payload: (body.len() - doff) as u32,
        len: match packet {
            Ip::V4 { packet, .. } | Ip::V6 { packet } => packet.len(),
        },
        ecn,
        options: read_options(&body[20..doff]),
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

/// The TCP segment behind headers that do not hide it.
fn behind_extensions(packet: &[u8], defrag: bool) -> Result<&[u8], Why> {
    let (mut next, mut at) = (packet[6], 40);
    while next != 6 {
        let Some(&[following, len, third, fourth]) = packet.get(at..at + 4) else {
            return Err("an extension header is cut off");
        };
        at += match next {
            0 | 60 => usize::from(len) * 8 + 8,
            43 if fourth == 0 => usize::from(len) * 8 + 8,
            43 => return Err("a routing header that is not at its end"),
            44 if u16::from_be_bytes([third, fourth]) & 0xfff9 == 0 => 8,
            // With other fragments of its kind it could become whole; there are none.
            44 if defrag => return Err("a fragment, alone"),
            44 => return Err("a fragment"),
            _ => return Err("not TCP, or hidden"),
        };
        next = following;
    }
    packet
        .get(at..)
        .ok_or("an extension header is longer than the packet")
}

/// Whether the checksum of a segment is right.
fn sums_up(from: IpAddr, to: IpAddr, tcp: &[u8]) -> bool {
    let mut ends = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Sum16BitWords::new()
            .add_4bytes(from.octets())
            .add_4bytes(to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => Sum16BitWords::new()
            .add_16bytes(from.octets())
            .add_16bytes(to.octets()),
        _ => return false,
    };
    let pseudo = ends
        .add_4bytes((tcp.len() as u32).to_be_bytes())
        .add_2bytes([0, 6]);
    pseudo.add_slice(tcp).ones_complement() == 0
}

fn read_options(bytes: &[u8]) -> Option<Options> {
    let mut options = Options::default();
    for element in etherparse::TcpOptionsIterator::from_slice(bytes) {
        match element.ok()? {
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack = true,
            TcpOptionElement::Timestamp(value, echo) => options.stamps = Some((value, echo)),
            _ => {}
        }
    }
    Some(options)
}

/// An answer, as far as it is used later.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub kind: &'static str,
    pub seq: u32,
    pub ack: u32,
    pub octets: u32,
    pub stamp: Option<u32>,
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

macro_rules! rule {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}

/// Reads an answer, and compares it with what it answers.
pub fn check(packet: &[u8], facts: &Facts) -> Result<Answer, String> {
    let to = facts.target;
    let rule = to.rule();
    let (body, hops, id) = ip_header(packet)?;
    rule!(hops == rule.ttl, "hop limit {hops}, not {}", rule.ttl);

    let tcp = TcpHeaderSlice::from_slice(body).map_err(|error| format!("TCP header: {error}"))?;
    let payload = &body[tcp.slice().len()..];
    rule!(
        (tcp.source_port(), tcp.destination_port()) == (facts.to_port, facts.from_port),
        "the ports are not turned around"
    );
    rule!(sums_up(facts.to, facts.from, body), "a wrong TCP checksum");
    let flags = u16::from_be_bytes([body[12], body[13]]) & 0xfff;
    rule!(flags & 0xf00 == 0, "reserved bits {flags:#x}");
    rule!(tcp.urgent_pointer() == 0, "an urgent pointer");
    rule!(
        packet.len() - payload.len() <= facts.len,
        "{} octets for {}",
        packet.len(),
        facts.len
    );
    let mut options = Options::default();
    for element in tcp.options_iterator() {
        match element.map_err(|error| format!("TCP option: {error}"))? {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack = true,
            TcpOptionElement::Timestamp(value, echo) => options.stamps = Some((value, echo)),
            other => return Err(format!("the option {other:?}")),
        }
    }
    rule!(
        tcp.options_iterator().rest().is_empty() || options_end(tcp.options()),
        "options end before the header does"
    );

    let asks = |bits| facts.flags & bits == bits;
    let (window, ack) = (tcp.window_size(), tcp.acknowledgment_number());
    let linux = rule.mode == Mode::Linux;
    let stamps = facts.options.map(|offered| offered.stamps);
    let kind = match flags {
        _ if flags & !ECE == SYN | ACK => {
            rule!(
                facts.flags & (SYN | ACK | FIN | RST) == SYN && rule.mode != Mode::Reset,
                "a SYN-ACK for that"
            );
            rule!(
                ack == facts.seq.wrapping_add(1),
                "the SYN-ACK acknowledges {ack}"
            );
            let ecn = linux && asks(ECE | CWR) && facts.ecn == 0;
            rule!((flags & ECE != 0) == ecn, "ECE in a SYN-ACK");
            rule!(id == 0, "identification {id} in a SYN-ACK");
            syn_ack_options(options, window, to, facts)?;
            "SYN-ACK"
        }
        _ if flags & !ACK == RST => {
            rule!(
                rule.mode == Mode::Reset || facts.flags & (SYN | ACK | FIN) == SYN | ACK,
                "a reset for that"
            );
            let right = if asks(ACK) {
                (RST, facts.ack, 0)
            } else {
                let more = u32::from(asks(SYN)) + u32::from(asks(FIN));
                (
                    RST | ACK,
                    0,
                    facts.seq.wrapping_add(facts.payload).wrapping_add(more),
                )
            };
            rule!(
                (flags, tcp.sequence_number(), ack) == right,
                "a reset with {flags:#x}, {}, {ack}",
                tcp.sequence_number()
            );
            rule!(
                options == Options::default() && window == 0,
                "a reset with {options:?}, {window}"
            );
            rule!(id == 0, "identification {id} in a reset");
            "RST"
        }
        _ if flags & !(PSH | FIN | ECE) == ACK => {
            rule!(
                facts.flags & (SYN | ACK | RST) == ACK && rule.mode != Mode::Reset,
                "an ACK for that"
            );
            let fin = rule.mode == Mode::Honeypot && asks(FIN);
            rule!((flags & FIN != 0) == fin, "FIN {flags:#x}");
            rule!(
                flags & ECE == 0 || linux && facts.ecn == 3 && (facts.payload != 0 || asks(FIN)),
                "ECE in an ACK"
            );
            rule!(
                (flags & PSH != 0) == (payload.len() == 1)
                    && (payload.is_empty() || rule.mode == Mode::Drip),
                "PSH and {} octets",
                payload.len()
            );
            rule!(
                payload.iter().all(|octet| octet.is_ascii()),
                "octets that are none of the banner's"
            );
            rule!(
                tcp.sequence_number() == facts.ack,
                "SEG.SEQ is not what was acknowledged"
            );
            held(options, window, ack, to, facts)?;
            if fin {
                "FIN-ACK"
            } else if flags & PSH != 0 {
                "octet"
            } else {
                "ACK"
            }
        }
        _ => return Err(format!("the flags {flags:#x}")),
    };
    if kind != "octet" {
        rule!(payload.is_empty(), "{} octets of payload", payload.len());
    }
    if let (Some(theirs), false) = (stamps, kind == "RST") {
        rule!(
            options.stamps.is_some() == theirs.is_some(),
            "timestamps {:?} for {theirs:?}",
            options.stamps
        );
    }
    Ok(Answer {
        kind,
        seq: tcp.sequence_number(),
        ack,
        octets: payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0),
        stamp: options.stamps.map(|(value, _)| value),
    })
}

/// An IP header as it must be; what follows it, its hop limit and identification.
fn ip_header(packet: &[u8]) -> Result<(&[u8], u8, u16), String> {
    if packet[0] >> 4 == 4 {
        let header =
            Ipv4HeaderSlice::from_slice(packet).map_err(|error| format!("IPv4 header: {error}"))?;
        rule!(header.ihl() == 5, "IPv4 options");
        rule!(
            usize::from(header.total_len()) == packet.len(),
            "the IPv4 length is wrong"
        );
        rule!(
            header.header_checksum() == header.to_header().calc_header_checksum(),
            "a wrong IPv4 header checksum"
        );
        rule!(packet[1] == 0, "TOS {:#x}", packet[1]);
        rule!(packet[6..8] == [0x40, 0], "not DF alone");
        Ok((&packet[20..], header.ttl(), header.identification()))
    } else {
        let header =
            Ipv6HeaderSlice::from_slice(packet).map_err(|error| format!("IPv6 header: {error}"))?;
        rule!(
            usize::from(header.payload_length()) + 40 == packet.len(),
            "the IPv6 length is wrong"
        );
        rule!(
            header.traffic_class() == 0,
            "traffic class {:#x}",
            header.traffic_class()
        );
        Ok((&packet[40..], header.hop_limit(), 0))
    }
}

/// Whether options fill the header: no end of the list in the middle.
fn options_end(mut bytes: &[u8]) -> bool {
    while let [kind, rest @ ..] = bytes {
        bytes = match (kind, rest) {
            (0, _) => return false,
            (1, _) => rest,
            (_, [len, ..]) => bytes.get(usize::from(*len)..).unwrap_or_default(),
            _ => return false,
        };
    }
    true
}

fn mss(facts: &Facts) -> u16 {
    MTU - if facts.from.is_ipv6() { 60 } else { 40 }
}

fn wide_window(facts: &Facts, stamps: bool) -> u16 {
    u16::MAX - u16::MAX % (mss(facts) - 12 * u16::from(stamps))
}

fn syn_ack_options(options: Options, window: u16, to: Target, facts: &Facts) -> Result<(), String> {
    let rule = to.rule();
    let stamps = options.stamps.is_some();
    let wide = wide_window(facts, stamps);
    let right = match (rule.window, rule.mode) {
        (Some(window), _) => window,
        (None, Mode::Tarpit | Mode::Drip) if stamps => 24,
        _ => wide,
    };
    rule!(window == right, "a window of {window}, not {right}");
    rule!(
        options.mss.is_none_or(|found| found == mss(facts)),
        "an MSS of {:?}",
        options.mss
    );
    let scale = if rule.mode == Mode::Linux { 7 } else { 0 };
    rule!(
        options.scale.is_none_or(|found| found == scale),
        "a scale of {:?}",
        options.scale
    );
    if let Some(offered) = facts.options {
        rule!(
            options.sack == offered.sack,
            "SACK-permitted is {}",
            options.sack
        );
        rule!(
            options.scale.is_some() == offered.scale.is_some(),
            "the scale is {:?}",
            options.scale
        );
        rule!(
            options.stamps.map(|(_, echo)| echo) == offered.stamps.map(|(value, _)| value),
            "timestamps {:?} for {:?}",
            options.stamps,
            offered.stamps
        );
        rule!(offered.mss.is_none() || options.mss.is_some(), "no MSS");
        rule!(
            offered != Options::default() || options.mss.is_none(),
            "an MSS that was not asked for"
        );
    }
    Ok(())
}

fn held(options: Options, window: u16, ack: u32, to: Target, facts: &Facts) -> Result<(), String> {
    rule!(
        options.mss.is_none() && options.scale.is_none() && !options.sack,
        "options of a SYN: {options:?}"
    );
    let rule = to.rule();
    let end = facts.seq.wrapping_add(facts.payload);
    if rule.mode == Mode::Honeypot {
        let right = rule
            .window
            .unwrap_or(wide_window(facts, options.stamps.is_some()));
        rule!(window == right, "a window of {window}, not {right}");
        let fin = u32::from(facts.flags & FIN != 0);
        let probe = u32::from(facts.payload == 0 && fin == 0);
        rule!(
            ack == end.wrapping_add(fin + probe),
            "{ack} is acknowledged, not all"
        );
        return Ok(());
    }
    let wide = if rule.mode == Mode::Linux {
        (mss(facts) >> 7) + 1
    } else {
        36
    };
    rule!([0, 1, wide].contains(&window), "a window of {window}");
    // What was made up may be that of a connection that is frozen, wherever it was then.
    rule!(
        !facts.is_honest || ack.wrapping_sub(facts.seq) <= facts.payload,
        "{ack} is acknowledged"
    );
    Ok(())
}
