// SPDX-License-Identifier: GPL-2.0

//! A reply of the module, as etherparse reads it.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader};

use crate::laws::law;
use crate::{checksum_is_right, Options, ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The TCP header.
    pub tcp: TcpHeader,
    /// The control bits.
    pub flags: u8,
    /// The options.
    pub options: Options,
    /// The byte that it carries.
    pub payload: Option<u8>,
    /// The TTL or hop limit.
    pub hop_limit: u8,
    /// The identification of IPv4, the flow label of IPv6.
    pub label: u32,
    /// The length of the packet in bytes.
    pub len: usize,
}

impl Reply {
    /// Reads a reply.
    ///
    /// Fails if it is not one IP packet with one TCP header, right lengths and checksums, no field
    /// that it need not set, options that fill the header, and control bits that the module sends
    /// together.
    pub fn read(packet: &[u8]) -> Result<Self, String> {
        let ip = IpHeader::read(packet)?;
        let (tcp, payload) =
            TcpHeader::from_slice(ip.body).map_err(|error| format!("TCP header: {error}"))?;
        law!(
            checksum_is_right(ip.source, ip.destination, ip.body),
            "a wrong TCP checksum"
        );
        // Written again it is the same, so no reserved bit is set.
        law!(
            tcp.to_bytes()[..] == ip.body[..tcp.header_len()],
            "a TCP header with reserved bits"
        );
        law!(
            !tcp.ns && tcp.urgent_pointer == 0,
            "NS or an urgent pointer"
        );
        let flags = ip.body[13];
        law!(flags & (URG | CWR) == 0, "the flags {flags:#x}");
        // Only a reply that accepts a FIN has one.
        law!(
            flags & FIN == 0 || flags == FIN | ACK,
            "FIN with the flags {flags:#x}"
        );
        // A SYN-ACK agrees to ECN, or an ACK reports congestion.
        law!(
            flags & ECE == 0 || [ACK, SYN | ACK].contains(&(flags & !ECE)),
            "ECE with the flags {flags:#x}"
        );
        law!(
            payload.len() <= 1 && (flags & PSH != 0) == (payload.len() == 1),
            "{} bytes of payload with the flags {flags:#x}",
            payload.len()
        );
        law!(
            flags & RST == 0 || flags & !ACK == RST,
            "RST with the flags {flags:#x}"
        );
        Ok(Self {
            source: ip.source,
            destination: ip.destination,
            options: Options::of_reply(&tcp)?,
            tcp,
            flags,
            payload: payload.first().copied(),
            hop_limit: ip.hop_limit,
            label: ip.label,
            len: packet.len(),
        })
    }

    /// Returns the length in sequence numbers: the payload, SYN and FIN.
    pub fn sequence_len(&self) -> u32 {
        u32::from(self.payload.is_some()) + u32::from(self.tcp.syn) + u32::from(self.tcp.fin)
    }
}

/// The IP header of a reply.
struct IpHeader<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    label: u32,
    body: &'a [u8],
}

impl<'a> IpHeader<'a> {
    fn read(packet: &'a [u8]) -> Result<Self, String> {
        match packet.first().map(|first| first >> 4) {
            Some(4) => Self::read_v4(packet),
            Some(6) => Self::read_v6(packet),
            version => Err(format!("IP version {version:?}")),
        }
    }

    fn read_v4(packet: &'a [u8]) -> Result<Self, String> {
        let (ip, body) =
            Ipv4Header::from_slice(packet).map_err(|error| format!("IPv4 header: {error}"))?;
        law!(
            usize::from(ip.total_len) == packet.len(),
            "the IPv4 length {} of {} bytes",
            ip.total_len,
            packet.len()
        );
        law!(
            ip.header_checksum == ip.calc_header_checksum(),
            "a wrong IPv4 header checksum"
        );
        law!(ip.header_len() == 20, "IPv4 options");
        law!(ip.protocol == IpNumber::TCP, "another protocol than TCP");
        law!(packet[1] == 0, "TOS {:#x}", packet[1]);
        law!(packet[6..8] == [0x40, 0], "not DF alone");
        Ok(Self {
            source: ip.source.into(),
            destination: ip.destination.into(),
            hop_limit: ip.time_to_live,
            label: ip.identification.into(),
            body,
        })
    }

    fn read_v6(packet: &'a [u8]) -> Result<Self, String> {
        let (ip, body) =
            Ipv6Header::from_slice(packet).map_err(|error| format!("IPv6 header: {error}"))?;
        law!(
            usize::from(ip.payload_length) + 40 == packet.len(),
            "the IPv6 length {} of {} bytes",
            ip.payload_length,
            packet.len()
        );
        law!(ip.next_header == IpNumber::TCP, "another protocol than TCP");
        law!(
            ip.traffic_class == 0,
            "traffic class {:#x}",
            ip.traffic_class
        );
        Ok(Self {
            source: ip.source.into(),
            destination: ip.destination.into(),
            hop_limit: ip.hop_limit,
            label: ip.flow_label.value(),
            body,
        })
    }
}
