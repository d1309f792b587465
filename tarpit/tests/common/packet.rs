// SPDX-License-Identifier: GPL-2.0

//! Packets written from fields or from hexadecimal text.
//!
//! Nothing here calls the core: the checksum below is the test's own.

use std::net::IpAddr;

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
