// SPDX-License-Identifier: GPL-2.0

//! A segment of a client.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use crate::Options;

/// The IP protocol number of TCP.
const TCP: u8 = 6;

/// A segment that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The client's address.
    pub source: IpAddr,
    /// The address that it sends to.
    pub destination: IpAddr,
    /// The client's port.
    pub source_port: u16,
    /// The port that it sends to.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: u8,
    /// The length of the payload in bytes.
    pub payload: usize,
    /// The ECN field of the IP header.
    pub ecn: u8,
    /// The options.
    pub options: Options,
    /// The length of TCP header and payload in bytes.
    pub tcp_len: usize,
    /// The length of the packet in bytes.
    pub packet_len: usize,
}

impl Segment {
    /// Reads a packet of `len` bytes that starts with `headers`.
    pub fn read(headers: &[u8], len: usize) -> Result<Self, &'static str> {
        Self::read_as(
            headers.first().is_some_and(|first| first >> 4 == 6),
            headers,
            len,
        )
    }

    /// Reads a packet of this version of IP, whatever its first byte says.
    pub fn read_as(is_ipv6: bool, headers: &[u8], len: usize) -> Result<Self, &'static str> {
        let at = if is_ipv6 {
            transport_offset_v6(headers)?
        } else {
            transport_offset_v4(headers)?
        };
        let (source, destination, ecn) =
            ends(is_ipv6, headers).ok_or("the IP header is cut off")?;
        let tcp_len = len.checked_sub(at).ok_or("the packet ends before TCP")?;
        Self::of_tcp((source, destination), ecn, &headers[at..], tcp_len, len)
    }

    /// Reads the TCP header `tcp` of a segment of `tcp_len` bytes, in a packet of `packet_len`
    /// bytes between these two addresses.
    pub fn of_tcp(
        (source, destination): (IpAddr, IpAddr),
        ecn: u8,
        tcp: &[u8],
        tcp_len: usize,
        packet_len: usize,
    ) -> Result<Self, &'static str> {
        let header = tcp.get(..20).ok_or("TCP's header is cut off")?;
        let header_len = usize::from(header[12] >> 4) * 4;
        let options = tcp
            .get(20..header_len)
            .ok_or("TCP's header has no such length")?;
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_be_bytes(bytes)
        };
        let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Ok(Self {
            source,
            destination,
            source_port: port(0),
            destination_port: port(2),
            seq: word(4),
            ack: word(8),
            flags: header[13],
            payload: tcp_len
                .checked_sub(header_len)
                .ok_or("TCP's header is longer than the segment")?,
            ecn,
            options: Options::read(options),
            tcp_len,
            packet_len,
        })
    }

    /// Returns true if all of these control bits are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Returns the length in sequence numbers: the payload, SYN and FIN.
    pub fn sequence_len(&self) -> u32 {
        // CAST: modulo 2^32.
        (self.payload as u32)
            .wrapping_add(self.has(crate::SYN).into())
            .wrapping_add(self.has(crate::FIN).into())
    }

    /// Returns true if the segment has neither payload nor FIN.
    pub fn is_empty(&self) -> bool {
        self.payload == 0 && !self.has(crate::FIN)
    }

    /// Returns true if a router has marked the packet as one of a congested path.
    pub fn is_marked(&self) -> bool {
        self.ecn == 3
    }
}

/// Returns the addresses and the ECN field of an IP header.
fn ends(is_ipv6: bool, packet: &[u8]) -> Option<(IpAddr, IpAddr, u8)> {
    let v4 = |at: usize| Some(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?.into());
    let v6 = |at: usize| Some(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?.into());
    if is_ipv6 {
        Some((v6(8)?, v6(24)?, packet[1] >> 4 & 3))
    } else {
        Some((v4(12)?, v4(16)?, packet[1] & 3))
    }
}

/// Returns where TCP starts in an IPv4 packet.
fn transport_offset_v4(packet: &[u8]) -> Result<usize, &'static str> {
    let &[first, _, _, _, _, _, field0, field1, _, protocol] =
        packet.first_chunk().ok_or("the IPv4 header is cut off")?;
    let at = usize::from(first & 0xf) * 4;
    match u16::from_be_bytes([field0, field1]) & 0x3fff {
        _ if protocol != TCP => Err("not TCP"),
        0 if at >= 20 && at <= packet.len() => Ok(at),
        0 => Err("a broken IPv4 header"),
        _ => Err("a fragment"),
    }
}

/// Returns where TCP starts in an IPv6 packet, behind extension headers that do not hide it.
pub fn transport_offset_v6(packet: &[u8]) -> Result<usize, &'static str> {
    let (mut next, mut at) = (*packet.get(6).ok_or("the IPv6 header is cut off")?, 40);
    while next != TCP {
        let Some(&[following, len, third, fourth]) = packet.get(at..at + 4) else {
            return Err("an extension header is cut off");
        };
        at += match next {
            0 | 60 => usize::from(len) * 8 + 8,
            43 if fourth == 0 => usize::from(len) * 8 + 8,
            43 => return Err("a routing header that is not at its end"),
            44 if u16::from_be_bytes([third, fourth]) & 0xfff9 == 0 => 8,
            44 => return Err("a fragment"),
            _ => return Err("not TCP, or hidden"),
        };
        next = following;
    }
    if at > packet.len() {
        return Err("an extension header is longer than the packet");
    }
    Ok(at)
}

/// Returns true if the checksum of a segment between these addresses is right.
pub fn checksum_is_right(source: IpAddr, destination: IpAddr, tcp: &[u8]) -> bool {
    let mut ends = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Sum16BitWords::new()
            .add_4bytes(source.octets())
            .add_4bytes(destination.octets()),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Sum16BitWords::new()
            .add_16bytes(source.octets())
            .add_16bytes(destination.octets()),
        _ => return false,
    };
    // CAST: a packet is below 4 GB.
    ends.add_4bytes((tcp.len() as u32).to_be_bytes())
        .add_2bytes([0, TCP])
        .add_slice(tcp)
        .ones_complement()
        == 0
}
