// SPDX-License-Identifier: GPL-2.0

//! What differs between IPv4 (RFC 791) and IPv6 (RFC 8200). The rest of the core knows neither.
//!
//! [`Addresses::parse`] finds the TCP header behind options and extension headers. It refuses what
//! must not get a reply whatever the TCP header says. [`Addresses::put_reversed`] writes the header
//! of a reply.

use super::checksum::{Sum, Writer};
use super::drop_reason::DropReason;
use super::siphash::{siphash, Key};

/// The length of an IPv4 header without options in bytes.
const V4_LEN: usize = 20;

/// The length of the fixed IPv6 header in bytes.
const V6_LEN: usize = 40;

/// The protocol number of TCP.
const TCP: u8 = 6;

/// The greatest length that an IP header can name, in bytes.
const MAX_LEN: usize = 0xffff;

/// The most IPv6 extension headers of a packet that is parsed. Honest packets have one or two.
const MAX_EXTENSIONS: usize = 8;

/// IPv6 extension headers behind which TCP may be found (RFC 8200, 4.3, 4.4, 4.5 and 4.6).
mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION: u8 = 60;
}

/// The source and destination address of a packet, in one of the two versions of IP.
pub trait Addresses: Copy {
    /// The length of the header that [`Addresses::put_reversed`] writes, in bytes.
    const HEADER_LEN: usize;

    /// True if the header of a reply has a flow label (RFC 6437).
    const HAS_LABEL: bool;

    /// Reads the IP header.
    ///
    /// `headers` starts at the IP header and holds as much of the packet as can be read in one
    /// piece. `len` is the length of the whole packet in bytes, and may be more.
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`], [`DropReason::Malformed`], [`DropReason::NotTcp`],
    /// [`DropReason::Fragment`] and [`DropReason::NotUnicast`].
    fn parse(headers: &[u8], len: usize) -> Result<Datagram<'_, Self>, DropReason>;

    /// Returns the addresses that a packet had on the wire.
    fn on_wire(wire: &Wire) -> Self;

    /// Returns the keyed hash of both addresses and `ports`.
    fn hash(&self, key: &Key, ports: u32) -> u64;

    /// Returns the keyed hash of the source: an IPv4 address, or the network of 64 bits that an
    /// IPv6 site has at least (RFC 4291, 2.5.1).
    fn source_hash(&self, key: &Key) -> u64;

    /// Writes the header of a packet in the opposite direction that carries `tcp_len` bytes of TCP.
    /// The header checksum of IPv4 is 0: the caller fills it in last.
    /// Returns the sum of the pseudo-header that the checksum of TCP covers (RFC 9293, 3.1), or
    /// `None` unless `header` has [`Addresses::HEADER_LEN`] bytes.
    fn put_reversed(&self, header: &mut [u8], fields: IpFields, tcp_len: u16) -> Option<Sum>;
}

/// The fields of a reply's IP header that follow neither from the packet nor from the length.
#[derive(Clone, Copy, Debug)]
pub struct IpFields {
    /// The TTL or hop limit; 0 if the route gives it.
    pub hop_limit: u8,
    /// The flow label of IPv6: the lower 20 bits.
    pub label: u32,
    /// The identification of IPv4.
    pub id: u16,
}

/// `struct xt_tarpit_wire`: the addresses and ports of a segment on the wire, in network byte
/// order.
///
/// An IPv4 address is in the first four bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Wire {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Source port.
    pub source_port: [u8; 2],
    /// Destination port.
    pub destination_port: [u8; 2],
}

/// IPv4 addresses, as words in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V4 {
    source: u32,
    destination: u32,
}

/// IPv6 addresses, each as two words in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6 {
    source: [u64; 2],
    destination: [u64; 2],
}

/// A packet that may hold a TCP segment for one host.
pub struct Datagram<'a, A> {
    /// Its addresses.
    pub addresses: A,
    /// The transport header and what follows, as far as it can be read.
    pub transport: &'a [u8],
    /// The offset of the transport header in the packet, in bytes.
    pub transport_offset: usize,
    /// The length of the transport header and its payload in bytes.
    pub transport_len: usize,
    /// The ECN field.
    pub ecn: Ecn,
}

impl<'a, A> Datagram<'a, A> {
    #[inline]
    fn new(
        addresses: A,
        transport: &'a [u8],
        transport_offset: usize,
        len: usize,
        class: u8,
    ) -> Result<Self, DropReason> {
        Ok(Self {
            addresses,
            transport,
            transport_offset,
            transport_len: len
                .checked_sub(transport_offset)
                .ok_or(DropReason::Malformed)?,
            ecn: Ecn(class & 3),
        })
    }
}

/// The ECN field of an IP header (RFC 3168, 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecn(pub u8);

impl Ecn {
    /// Not ECN-capable transport.
    pub const NOT_ECT: Self = Self(0);
    /// Congestion experienced.
    pub const CE: Self = Self(3);
}

impl V4 {
    /// Returns the addresses with these bytes.
    #[inline]
    pub const fn new(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self {
            source: u32::from_ne_bytes(source),
            destination: u32::from_ne_bytes(destination),
        }
    }

    /// Returns true if a host may reply to a packet with these addresses.
    ///
    /// Neither may be a multicast or broadcast address, nor the source unspecified (RFC 1122,
    /// 3.2.1.3 and 4.2.3.10). Only the routing table knows the broadcast address of a subnet.
    #[inline]
    const fn are_unicast(&self) -> bool {
        let [source, ..] = self.source.to_ne_bytes();
        let [destination, ..] = self.destination.to_ne_bytes();
        matches!((source, destination), (1..=223, 1..=223))
    }
}

impl Addresses for V4 {
    const HEADER_LEN: usize = V4_LEN;
    const HAS_LABEL: bool = false;

    #[inline]
    fn parse(headers: &[u8], len: usize) -> Result<Datagram<'_, Self>, DropReason> {
        let header = headers
            .first_chunk::<V4_LEN>()
            .ok_or(DropReason::Truncated)?;
        let [vihl, tos, l0, l1, _, _, frag0, frag1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *header;
        let header_len = usize::from(vihl & 0x0f) * 4;
        if header_len < V4_LEN {
            return Err(DropReason::Malformed);
        }
        // More fragments, or not the first one.
        if u16::from_be_bytes([frag0, frag1]) & 0x3fff != 0 {
            return Err(DropReason::Fragment);
        }
        if protocol != TCP {
            return Err(DropReason::NotTcp);
        }
        // GRO writes a length of zero into a packet above MAX_LEN. Linux also accepts it in a
        // smaller packet that is to be segmented.
        if [l0, l1] == [0, 0] && len <= MAX_LEN {
            return Err(DropReason::Malformed);
        }
        let transport = headers.get(header_len..).ok_or(DropReason::Truncated)?;
        let addresses = Self::new([s0, s1, s2, s3], [d0, d1, d2, d3]);
        if !addresses.are_unicast() {
            return Err(DropReason::NotUnicast);
        }
        Datagram::new(addresses, transport, header_len, len, tos)
    }

    fn on_wire(wire: &Wire) -> Self {
        let [s0, s1, s2, s3, ..] = wire.source;
        let [d0, d1, d2, d3, ..] = wire.destination;
        Self::new([s0, s1, s2, s3], [d0, d1, d2, d3])
    }

    #[inline(always)]
    fn hash(&self, key: &Key, ports: u32) -> u64 {
        let word = u64::from(self.source.to_le()) | u64::from(self.destination.to_le()) << 32;
        siphash(key, &[word], u64::from(ports), 12)
    }

    #[inline]
    fn source_hash(&self, key: &Key) -> u64 {
        siphash(key, &[u64::from(self.source.to_le())], 0, 8)
    }

    #[inline(always)]
    fn put_reversed(&self, header: &mut [u8], fields: IpFields, tcp_len: u16) -> Option<Sum> {
        let header: &mut [u8; V4_LEN] = header.try_into().ok()?;
        // CAST: the length of the header is 20.
        let len = tcp_len.checked_add(V4_LEN as u16)?;
        let mut words = Writer::new(header, Sum::ZERO);
        words.put_all([
            0x4500_0000 | u32::from(len),
            // The identification has no meaning in a packet with DF (RFC 6864, 4.1).
            u32::from(fields.id) << 16 | 0x4000,
            u32::from(fields.hop_limit) << 24 | u32::from(TCP) << 16,
            u32::from_be(self.destination),
            u32::from_be(self.source),
        ])?;
        words.finish(None)?;
        let sum = Sum::ZERO.add(self.source).add(self.destination);
        Some(sum.add(protocol_and_len(tcp_len)))
    }
}

impl V6 {
    /// Returns the addresses with these bytes.
    #[inline]
    pub const fn new(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self {
            source: halves(source),
            destination: halves(destination),
        }
    }

    /// Returns true if a host may reply to a packet with these addresses: neither may be multicast
    /// or unspecified (RFC 4291, 2.5.2 and 2.7).
    #[inline]
    const fn are_unicast(&self) -> bool {
        let Self {
            source,
            destination,
        } = self;
        source[0].to_ne_bytes()[0] != 0xff
            && destination[0].to_ne_bytes()[0] != 0xff
            && source[0] | source[1] != 0
            && destination[0] | destination[1] != 0
    }
}

impl Addresses for V6 {
    const HEADER_LEN: usize = V6_LEN;
    const HAS_LABEL: bool = true;

    #[inline(always)]
    fn parse(headers: &[u8], len: usize) -> Result<Datagram<'_, Self>, DropReason> {
        use next_header::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};

        let (header, mut rest) = headers
            .split_first_chunk::<V6_LEN>()
            .ok_or(DropReason::Truncated)?;
        let [_, class, _, _, l0, l1, mut next, _, addresses @ ..] = header;
        let (&source, destination) = addresses
            .split_first_chunk::<16>()
            .ok_or(DropReason::Truncated)?;
        let &destination = destination
            .first_chunk::<16>()
            .ok_or(DropReason::Truncated)?;

        let mut skipped = V6_LEN;
        let mut extensions = 0..MAX_EXTENSIONS;
        while next != TCP && extensions.next().is_some() {
            // Before the next bytes are read: there are none behind No Next Header (RFC 8200, 4.7).
            if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
                return Err(DropReason::NotTcp);
            }
            let &[following, length, third, fourth, ..] = rest else {
                return Err(DropReason::Truncated);
            };
            let extension_len = match next {
                // An atomic fragment is a whole packet (RFC 6946).
                FRAGMENT if u16::from_be_bytes([third, fourth]) & 0xfff9 == 0 => 8,
                FRAGMENT => return Err(DropReason::Fragment),
                // Segments left: the destination is that of an intermediate node.
                ROUTING if fourth != 0 => return Err(DropReason::NotTcp),
                _ => usize::from(length) * 8 + 8,
            };
            rest = rest.get(extension_len..).ok_or(DropReason::Truncated)?;
            skipped = skipped.wrapping_add(extension_len);
            next = following;
        }
        if next != TCP {
            return Err(DropReason::NotTcp);
        }
        // Jumbograms have a length of zero (RFC 2675), and so have packets of GRO above MAX_LEN.
        // Linux accepts any hop-by-hop options in the place of the jumbo payload option.
        if [*l0, *l1] == [0, 0] && (V6_LEN + 1..=V6_LEN + MAX_LEN).contains(&len) {
            return Err(DropReason::Malformed);
        }
        let addresses = Self::new(source, destination);
        if !addresses.are_unicast() {
            return Err(DropReason::NotUnicast);
        }
        Datagram::new(addresses, rest, skipped, len, class >> 4)
    }

    fn on_wire(wire: &Wire) -> Self {
        Self::new(wire.source, wire.destination)
    }

    #[inline(always)]
    fn hash(&self, key: &Key, ports: u32) -> u64 {
        let ([s0, s1], [d0, d1]) = (self.source, self.destination);
        let words = [s0.to_le(), s1.to_le(), d0.to_le(), d1.to_le()];
        siphash(key, &words, u64::from(ports), 36)
    }

    #[inline]
    fn source_hash(&self, key: &Key) -> u64 {
        siphash(key, &[self.source[0].to_le()], 0, 8)
    }

    #[inline(always)]
    fn put_reversed(&self, header: &mut [u8], fields: IpFields, tcp_len: u16) -> Option<Sum> {
        let header: &mut [u8; V6_LEN] = header.try_into().ok()?;
        let label = u64::from(fields.label & 0xf_ffff);
        let first = 6u64 << 60
            | label << 32
            | u64::from(tcp_len) << 16
            | u64::from(TCP) << 8
            | u64::from(fields.hop_limit);
        let ([s0, s1], [d0, d1]) = (self.source, self.destination);
        let (fixed, addresses) = header.split_first_chunk_mut::<8>()?;
        *fixed = first.to_be_bytes();
        let mut words = Writer::new(addresses, Sum::ZERO);
        words.put_long(d0)?;
        words.put_long(d1)?;
        words.put_long(s0)?;
        words.put_long(s1)?;
        Some(words.finish(None)?.add(protocol_and_len(tcp_len)))
    }
}

/// Returns the words of the pseudo-header behind the addresses, added up.
const fn protocol_and_len(tcp_len: u16) -> u32 {
    // CAST: widening.
    ((TCP as u32) << 16 | tcp_len as u32).to_be()
}

/// Returns the two words of an address, in network byte order.
const fn halves(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
    ]
}
