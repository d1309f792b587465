// SPDX-License-Identifier: GPL-2.0

//! What the tests share: packets written from hexadecimal text or from fields, and read back by a
//! parser that is not ours (etherparse).
//!
//! Nothing here calls the core to write or to check a packet: the checksum below is the test's own,
//! and [`Heard::read`] verifies with etherparse's. [`client`] is the peer that the properties
//! drive.

// Each test file is a crate of its own and uses its part of this.
#![allow(dead_code)]

pub mod client;
pub mod linux;

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, TcpOptionElement};
use tarpit::policy::{Mode, Profile};
use tarpit::{
    Addresses, DropReason, Env, Key, Packet, Policy, RateLimit, Reply as Said, SegmentClass, V4, V6,
};

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

/// The banner of which drip sends an octet now and then, over and over.
pub const BANNER: &[u8; 18] = b"220-Please wait.\r\n";

/// An answer of the core: the packet, and what is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The packet, from the IP header on.
    pub packet: Vec<u8>,
    /// The budget that it draws from.
    pub limit: RateLimit,
    /// How long the peer was held since the answer before.
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
) -> Result<Answer, DropReason> {
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
) -> Result<Answer, DropReason> {
    let (said, limit, packet) = hear(env, mss, policy, family, headers, len)?;
    if said.freeze.is_some_and(|freeze| freeze.record_only) {
        // The segment is recorded, and there is no reply.
        return Err(DropReason::NotOurs);
    }
    // The rule's, or the route's to fill in.
    let hop_limit = match family {
        Family::V4 => packet[8],
        Family::V6 => packet[7],
    };
    assert_eq!(hop_limit, policy.hop_limit, "{said:?}");
    Ok(Answer {
        packet,
        limit,
        trapped_ms: said.trapped_ms,
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
) -> Result<(Said, RateLimit, Vec<u8>), DropReason> {
    match family {
        Family::V4 => hear_as::<V4>(env, mss, policy, headers, len),
        Family::V6 => hear_as::<V6>(env, mss, policy, headers, len),
    }
}

/// Fills in the header checksum of an IPv4 packet, as the kernel does.
pub fn fill_in_header_checksum(packet: &mut [u8]) {
    assert_eq!(packet[10..12], [0, 0]);
    let header = etherparse::Ipv4Header::from_slice(packet).unwrap().0;
    packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
}

fn hear_as<A: Addresses>(
    env: &Env<'_>,
    mss: u16,
    policy: Policy,
    headers: &[u8],
    len: usize,
) -> Result<(Said, RateLimit, Vec<u8>), DropReason> {
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

/// The fields of an IP header that are not a matter of TCP.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// TOS or traffic class, with the ECN bits.
    pub class: u8,
    /// Flow label, IPv6 only.
    pub label: u32,
    /// Identification, IPv4 only.
    pub id: u16,
    /// Flags and fragment offset, IPv4 only.
    pub fragment: u16,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

/// How every answer looks, but for its label or identification, and for the hop limit of a rule that
/// gives one: else it is the route's to fill in.
pub const OURS: Look = Look {
    class: 0,
    label: 0,
    id: 0,
    fragment: 0x4000,
    hop_limit: 0,
};

/// How the peers' packets look: whatever of this shows in an answer has leaked. Not ECT, as a SYN is.
pub const THEIRS: Look = Look {
    class: 0xb8,
    label: 0xabcde,
    id: 0xbeef,
    fragment: 0,
    hop_limit: 0x33,
};

/// The family of an address.
pub fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// An IP packet that carries `tcp` as it is.
pub fn packet(source: IpAddr, destination: IpAddr, look: Look, tcp: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend([0x45, look.class]);
            header.extend(u16::try_from(20 + tcp.len()).unwrap().to_be_bytes());
            header.extend(look.id.to_be_bytes());
            header.extend(look.fragment.to_be_bytes());
            header.extend([look.hop_limit, 6, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let first = 6 << 28 | u32::from(look.class) << 20 | look.label;
            header.extend(first.to_be_bytes());
            header.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
            header.extend([6, look.hop_limit]);
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
    header.extend(tcp);
    header
}

/// `tcp` with its checksum, whatever was in its place.
pub fn summed(source: IpAddr, destination: IpAddr, mut tcp: Vec<u8>) -> Vec<u8> {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    tcp[16..18].fill(0);
    let mut pseudo = [octets(source), octets(destination)].concat();
    pseudo.extend(6u32.to_be_bytes());
    pseudo.extend(u32::try_from(tcp.len()).unwrap().to_be_bytes());
    let sum = checksum(&[&pseudo, &tcp]);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    tcp
}

/// The Internet checksum (RFC 1071), octet by octet: those at even places count 256 times.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut total = 0u64;
    for part in parts {
        for (place, octet) in part.iter().enumerate() {
            total += u64::from(*octet) << (if place % 2 == 0 { 8 } else { 0 });
        }
    }
    // The one's complement sum is the remainder by 2^16 - 1, where a sum that is not zero is never
    // 0.
    match total % 0xffff {
        0 if total > 0 => 0,
        rest => !u16::try_from(rest).unwrap(),
    }
}

/// A TCP segment by its fields.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// The low four bits beside the data offset.
    pub reserved: u8,
    /// The control bits.
    pub flags: u8,
    /// SEG.WND.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The options; zeros fill them to whole words.
    pub options: Vec<u8>,
    /// The length of the payload.
    pub payload: usize,
}

impl Fields {
    /// The bytes, without a checksum.
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.source.to_be_bytes());
        tcp.extend(self.destination.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let words = u8::try_from(5 + self.options.len().div_ceil(4)).unwrap();
        tcp.extend([words << 4 | self.reserved, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&self.options);
        tcp.resize(usize::from(words) * 4, 0);
        tcp.resize(tcp.len() + self.payload, b'x');
        tcp
    }
}

/// A whole packet of a client that is no fixture: an ordinary window, nothing urgent, any payload.
pub fn client_packet(
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    (seq, ack): (u32, u32),
    flags: u8,
    options: Vec<u8>,
    payload: usize,
) -> Vec<u8> {
    let tcp = Fields {
        source: local.1,
        destination: remote.1,
        seq,
        ack,
        reserved: 0,
        flags,
        window: 502,
        urgent: 0,
        options,
        payload,
    };
    let tcp = summed(local.0, remote.0, tcp.bytes());
    packet(local.0, remote.0, THEIRS, &tcp)
}

/// A packet as another implementation understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The TCP header.
    pub tcp: TcpHeader,
    /// The timestamps, TSval first.
    pub timestamps: Option<(u32, u32)>,
    /// The octet that it carries.
    pub payload: Option<u8>,
    /// The identification of IPv4, the flow label of IPv6.
    pub label: u32,
}

impl Heard {
    /// Reads an answer.
    ///
    /// # Panics
    ///
    /// When it is not one IP packet with one TCP header, right lengths and checksums, nothing of
    /// the peer's look, options that can be read to the end, and no payload but one octet with PSH.
    pub fn read(packet: &[u8]) -> Self {
        let (source, destination, tcp, payload, sum, label) = match packet[0] >> 4 {
            4 => {
                let (ip, rest) = Ipv4Header::from_slice(packet).unwrap();
                assert_eq!(usize::from(ip.total_len), packet.len());
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert_eq!(ip.header_len(), 20);
                assert_eq!(ip.protocol, IpNumber::TCP);
                assert_eq!((ip.dscp.value(), ip.ecn.value()), (0, 0));
                assert_eq!((ip.dont_fragment, ip.more_fragments), (true, false));
                let (tcp, payload) = TcpHeader::from_slice(rest).unwrap();
                let sum = tcp.calc_checksum_ipv4(&ip, payload).unwrap();
                (
                    ip.source.into(),
                    ip.destination.into(),
                    tcp,
                    payload,
                    sum,
                    ip.identification.into(),
                )
            }
            6 => {
                let (ip, rest) = Ipv6Header::from_slice(packet).unwrap();
                assert_eq!(usize::from(ip.payload_length) + 40, packet.len());
                assert_eq!(ip.next_header, IpNumber::TCP);
                assert_eq!(ip.traffic_class, 0);
                let (tcp, payload) = TcpHeader::from_slice(rest).unwrap();
                let sum = tcp.calc_checksum_ipv6(&ip, payload).unwrap();
                (
                    ip.source.into(),
                    ip.destination.into(),
                    tcp,
                    payload,
                    sum,
                    ip.flow_label.value(),
                )
            }
            version => panic!("IP version {version}"),
        };
        // Written again it is the same: no reserved bit is set, no option is cut off.
        let at = packet.len() - payload.len() - tcp.header_len();
        assert_eq!(tcp.to_bytes()[..], packet[at..packet.len() - payload.len()]);
        assert_eq!(tcp.checksum, sum);
        assert!(payload.len() <= 1);
        assert_eq!(tcp.psh, payload.len() == 1);
        assert_eq!(tcp.urgent_pointer, 0);
        assert!(!(tcp.ns || tcp.urg || tcp.cwr));
        // Only who takes a FIN sends one.
        assert!(!tcp.fin || tcp.ack && !(tcp.syn || tcp.rst || tcp.psh || tcp.ece));
        // A SYN-ACK agrees to ECN, or an ACK has word of congestion.
        assert!(!tcp.ece || tcp.ack && !tcp.psh);
        let mut timestamps = None;
        for option in tcp.options_iterator() {
            if let TcpOptionElement::Timestamp(value, echo) = option.unwrap() {
                assert_eq!(timestamps.replace((value, echo)), None);
            }
        }
        Self {
            source,
            destination,
            tcp,
            timestamps,
            payload: payload.first().copied(),
            label,
        }
    }
}

/// One family's flow of the fixtures: port 40000 of a documentation address to port 23 of another.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The family.
    pub family: Family,
    /// The peer.
    pub source: &'static str,
    /// The tarpit.
    pub destination: &'static str,
    /// Our ISN when the client's is 10000000, under [`KEY`].
    pub isn: u32,
    /// Our ISN when the client's is fffffffa: its stream crosses zero after five octets.
    pub wrapping_isn: u32,
    /// Our ISN when the client's is 1000 and anything, and we drip.
    pub talking_isn: u32,
    /// What the flow adds to its stamps.
    pub stamp_offset: u32,
    /// The flow's own number: IPv6 flow labels, and where IPv4 identifications start.
    pub label: u32,
    /// The rule.
    pub policy: Policy,
}

/// The fixtures of both families. The numbers come from a second implementation of `isn.rs`'
/// definition, in another language: SipHash-2-4, four Feistel rounds.
pub const BOTH: [Host; 2] = [
    Host {
        family: Family::V4,
        source: "192.0.2.1",
        destination: "198.51.100.2",
        isn: 0x3a8c_5d75,
        wrapping_isn: 0x3bdb_e962,
        talking_isn: 0xec97_7f05,
        stamp_offset: 0xcd0e_d878,
        label: 0xb17c_29a9,
        policy: PLAIN,
    },
    Host {
        family: Family::V6,
        source: "2001:db8:0:1::1",
        destination: "2001:db8:0:2::2",
        isn: 0x1988_f978,
        wrapping_isn: 0xbf6a_2314,
        talking_isn: 0x5c35_c187,
        stamp_offset: 0x34c7_eef3,
        label: 0x1b62_3df3,
        policy: PLAIN,
    },
];

/// What the clock says unless a row says otherwise: 45 of the step that starts at 50000000, all in
/// hexadecimal.
pub const CLOCK: u32 = 0x5000_0045;

impl Host {
    /// The same flow under another rule.
    pub fn under(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The bytes of a segment written as hexadecimal text, where white space is nothing. `ISN`, `WRAP`
    /// and `TALK`, also with a distance (`ISN+1`), stand for our numbers, `@50000000` for that stamp on
    /// the wire, and `SUM` for the checksum, which is right when the text is a packet from `source` to
    /// `destination`.
    pub fn segment(&self, source: &str, destination: &str, text: &str) -> Vec<u8> {
        let mut tcp = Vec::new();
        let mut sum_at = None;
        for word in text.split_whitespace() {
            let (name, distance) = word.split_once('+').unwrap_or((word, "0"));
            let distance = || distance.parse::<u32>().unwrap();
            let isn = match name {
                "ISN" => Some(self.isn),
                "WRAP" => Some(self.wrapping_isn),
                "TALK" => Some(self.talking_isn),
                _ => None,
            };
            if let Some(isn) = isn {
                tcp.extend(isn.wrapping_add(distance()).to_be_bytes());
            } else if let Some(stamp) = word.strip_prefix('@') {
                let stamp = u32::from_str_radix(stamp, 16).unwrap();
                tcp.extend(stamp.wrapping_add(self.stamp_offset).to_be_bytes());
            } else if word == "SUM" {
                assert_eq!(sum_at.replace(tcp.len()), None, "two checksums: {text}");
                tcp.extend([0, 0]);
            } else {
                tcp.extend(hex(word));
            }
        }
        match sum_at {
            Some(16) => summed(source.parse().unwrap(), destination.parse().unwrap(), tcp),
            _ => panic!("the checksum is not in its place: {text}"),
        }
    }

    /// A packet of the peer.
    pub fn asked(&self, text: &str) -> Vec<u8> {
        self.marked(0, text)
    }

    /// A packet of the peer with this ECN field.
    pub fn marked(&self, ecn: u8, text: &str) -> Vec<u8> {
        let tcp = self.segment(self.source, self.destination, text);
        let (source, destination) = (self.source, self.destination);
        let class = THEIRS.class | ecn;
        packet(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            Look { class, ..THEIRS },
            &tcp,
        )
    }

    /// A packet of the tarpit when the clock says `clock`.
    pub fn answer_at(&self, clock: u32, text: &str) -> Vec<u8> {
        let tcp = self.segment(self.destination, self.source, text);
        let (source, destination) = (self.destination, self.source);
        // Packets of a connection are counted, SYN-ACK and RST are not.
        let [_, _, a, b] = self.label.wrapping_add(clock >> 16).to_be_bytes();
        let id = match tcp[13] & 0x06 {
            0 => u16::from_be_bytes([a, b]),
            _ => 0,
        };
        let look = Look {
            id,
            label: self.label & 0xf_ffff,
            hop_limit: self.policy.hop_limit,
            ..OURS
        };
        packet(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            look,
            &tcp,
        )
    }

    /// A packet of the tarpit at [`CLOCK`].
    pub fn answer(&self, text: &str) -> Vec<u8> {
        self.answer_at(CLOCK, text)
    }

    /// What is said to a packet in this world, before it is written.
    pub fn said(&self, packet: &[u8], env: &Env<'_>) -> (Said, RateLimit) {
        let (said, limit, _) =
            hear(env, MSS, self.policy, self.family, packet, packet.len()).unwrap();
        (said, limit)
    }

    /// What the core says that a segment is, when the clock says `clock`.
    pub fn kind_at(&self, clock: u32, asked: &str) -> SegmentClass {
        fn class<A: Addresses>(host: &Host, packet: &[u8], env: &Env<'_>) -> SegmentClass {
            match Packet::<A>::parse(packet, packet.len()) {
                Ok(parsed) => parsed.class(&parsed.respond(&host.policy, env)),
                Err(why) => why.class(),
            }
        }
        let env = Env {
            key: &KEY,
            now_ms: clock,
            wire: None,
        };
        let packet = self.asked(asked);
        match self.family {
            Family::V4 => class::<V4>(self, &packet, &env),
            Family::V6 => class::<V6>(self, &packet, &env),
        }
    }

    /// The rate limit of the reply to a segment, and the bucket of its source.
    #[track_caller]
    pub fn limit_and_bucket(&self, asked: &str) -> (RateLimit, u32) {
        fn bucket<A: Addresses>(packet: &[u8]) -> u32 {
            let parsed = Packet::<A>::parse(packet, packet.len()).unwrap();
            parsed.source_bucket(&KEY)
        }
        let packet = self.asked(asked);
        let bucket = match self.family {
            Family::V4 => bucket::<V4>(&packet),
            Family::V6 => bucket::<V6>(&packet),
        };
        (self.limit(asked), bucket)
    }

    /// What the core says to a packet when the clock says `clock`.
    pub fn ask_at(&self, clock: u32, headers: &[u8], len: usize) -> Result<Answer, DropReason> {
        ask(self.policy, self.family, headers, len, &KEY, clock)
    }

    /// What the core says to a packet at [`CLOCK`].
    pub fn ask(&self, packet: &[u8]) -> Result<Answer, DropReason> {
        self.ask_at(CLOCK, packet, packet.len())
    }

    /// Asserts that one segment is answered with another, byte for byte, when the clock says
    /// `clock`.
    #[track_caller]
    pub fn answers_at(&self, clock: u32, asked: &str, answer: &str) {
        let packet = self.asked(asked);
        let given = self.ask_at(clock, &packet, packet.len());
        let given = given.map(|answer| dump(&answer.packet));
        let answer = dump(&self.answer_at(clock, answer));
        assert_eq!(given, Ok(answer), "{:?}: {asked}", self.policy);
    }

    /// Asserts that one segment is answered with another, byte for byte, at [`CLOCK`].
    #[track_caller]
    pub fn answers(&self, asked: &str, answer: &str) {
        self.answers_at(CLOCK, asked, answer);
    }

    /// Asserts that a segment is not answered, and why, when the clock says `clock`.
    #[track_caller]
    pub fn ignores_at(&self, clock: u32, asked: &str, why: DropReason) {
        let packet = self.asked(asked);
        let given = self.ask_at(clock, &packet, packet.len());
        assert_eq!(given, Err(why), "{:?}: {asked}", self.policy);
    }

    /// Asserts that a segment is not answered, and why, at [`CLOCK`].
    #[track_caller]
    pub fn ignores(&self, asked: &str, why: DropReason) {
        self.ignores_at(CLOCK, asked, why);
    }

    /// The answer to a segment when the clock says `clock`.
    #[track_caller]
    pub fn given_at(&self, clock: u32, asked: &str) -> Answer {
        let packet = self.asked(asked);
        self.ask_at(clock, &packet, packet.len()).unwrap()
    }

    /// The budget that the answer to a segment draws from.
    #[track_caller]
    pub fn limit(&self, asked: &str) -> RateLimit {
        self.given_at(CLOCK, asked).limit
    }
}

/// The bytes of hexadecimal text; white space is nothing.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|digit| u8::try_from(digit.to_digit(16).expect("a hexadecimal digit")).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "half an octet: {text}");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A packet as text, in words of four octets: what a failed comparison shows.
pub fn dump(packet: &[u8]) -> String {
    packet
        .chunks(4)
        .map(|word| {
            let octets: Vec<_> = word.iter().map(|octet| format!("{octet:02x}")).collect();
            octets.concat()
        })
        .collect::<Vec<_>>()
        .join(" ")
}
