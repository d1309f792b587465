// SPDX-License-Identifier: GPL-2.0

//! The little that differs between IPv4 (RFC 791) and IPv6 (RFC 8200).
//!
//! [`Packet::parse`] finds the TCP header behind options and extension headers and refuses what
//! must not be answered whatever TCP says. [`put_header`] writes the header of a reply.

use super::decide::Silence;
use core::mem::take;

/// The IP version of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where a packet comes from and goes to: words as they lie in memory, which sums and hashes take as they
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4 addresses.
    V4 {
        /// Source address.
        source: u32,
        /// Destination address.
        destination: u32,
    },
    /// IPv6 addresses.
    V6 {
        /// Source address.
        source: [u64; 2],
        /// Destination address.
        destination: [u64; 2],
    },
}

impl Addresses {
    /// IPv4 addresses from their octets in wire order.
    #[inline]
    pub const fn v4(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self::V4 {
            source: u32::from_ne_bytes(source),
            destination: u32::from_ne_bytes(destination),
        }
    }

    /// IPv6 addresses from their octets in wire order.
    #[inline]
    pub const fn v6(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self::V6 {
            source: halves(source),
            destination: halves(destination),
        }
    }

    /// The addresses of the way back.
    #[inline]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 {
                source,
                destination,
            } => Self::V4 {
                source: destination,
                destination: source,
            },
            Self::V6 {
                source,
                destination,
            } => Self::V6 {
                source: destination,
                destination: source,
            },
        }
    }

    /// The length of the IP header of a reply, in bytes.
    #[inline]
    pub const fn header_len(&self) -> usize {
        match self {
            Self::V4 { .. } => V4_LEN,
            Self::V6 { .. } => V6_LEN,
        }
    }

    /// Whether a host may answer a packet with these addresses.
    ///
    /// Neither may be a multicast or broadcast address, nor the source unspecified (RFC 1122,
    /// 3.2.1.3 and 4.2.3.10; RFC 4291, 2.5.2 and 2.7). A subnet's broadcast address is for the
    /// routing table to know.
    #[inline]
    const fn answerable(&self) -> bool {
        match *self {
            Self::V4 {
                source,
                destination,
            } => matches!(
                (source.to_ne_bytes()[0], destination.to_ne_bytes()[0]),
                (1..=223, 1..=223)
            ),
            Self::V6 {
                source,
                destination,
            } => {
                source[0].to_ne_bytes()[0] != 0xff
                    && destination[0].to_ne_bytes()[0] != 0xff
                    && source[0] | source[1] != 0
                    && destination[0] | destination[1] != 0
            }
        }
    }
}

const fn halves(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
    ]
}

/// A packet that may hold a TCP segment for one host.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its addresses.
    pub addresses: Addresses,
    /// The transport header and what follows, as far as it can be read.
    pub transport: &'a [u8],
    /// The length of the transport header and all its payload in bytes.
    pub transport_len: usize,
    /// The length of the whole packet in bytes.
    pub len: usize,
    /// The ECN field (RFC 3168, 5).
    pub ecn: u8,
}

const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
const TCP: u8 = 6;

/// How many IPv6 extension headers are looked behind; honest packets have one or two.
const MAX_EXTENSIONS: usize = 8;

impl<'a> Packet<'a> {
    /// The ECN field of a packet that does not take part.
    pub const NOT_ECT: u8 = 0;
    /// That of one that met congestion.
    pub const CE: u8 = 3;

    /// Reads the IP header.
    ///
    /// `headers` starts at the IP header of `family` and holds as much of the packet as can be read
    /// in one piece; `len` is the length of the whole packet in bytes, and may well be more.
    ///
    /// # Errors
    ///
    /// [`Silence::Truncated`], [`Silence::Malformed`], [`Silence::NotTcp`],
    /// [`Silence::Fragment`] and [`Silence::NotUnicast`].
    #[inline]
    pub fn parse(family: Family, headers: &'a [u8], len: usize) -> Result<Self, Silence> {
        match family {
            Family::V4 => Self::parse_v4(headers, len),
            Family::V6 => Self::parse_v6(headers, len),
        }
    }

    /// How many bytes into the packet the transport header starts.
    #[inline]
    pub const fn transport_offset(&self) -> usize {
        self.len.wrapping_sub(self.transport_len)
    }

    #[inline]
    fn parse_v4(headers: &'a [u8], len: usize) -> Result<Self, Silence> {
        let header = headers.first_chunk::<V4_LEN>().ok_or(Silence::Truncated)?;
        let [vihl, tos, _, _, _, _, frag0, frag1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *header;
        let header_len = usize::from(vihl & 0x0f) * 4;
        if header_len < V4_LEN {
            return Err(Silence::Malformed);
        }
        // More fragments, or not the first one.
        if u16::from_be_bytes([frag0, frag1]) & 0x3fff != 0 {
            return Err(Silence::Fragment);
        }
        if protocol != TCP {
            return Err(Silence::NotTcp);
        }
        let addresses = Addresses::v4([s0, s1, s2, s3], [d0, d1, d2, d3]);
        let transport = headers.get(header_len..).ok_or(Silence::Truncated)?;
        Self::new(addresses, transport, header_len, len, tos & 3)
    }

    #[inline]
    fn parse_v6(headers: &'a [u8], len: usize) -> Result<Self, Silence> {
        let (header, mut rest) = headers
            .split_first_chunk::<V6_LEN>()
            .ok_or(Silence::Truncated)?;
        let [_, class, _, _, _, _, mut next, _, addresses @ ..] = header;
        let (&source, destination) = addresses
            .split_first_chunk::<16>()
            .ok_or(Silence::Truncated)?;
        let &destination = destination.first_chunk::<16>().ok_or(Silence::Truncated)?;

        let mut skipped = V6_LEN;
        let mut extensions = 0..MAX_EXTENSIONS;
        while next != TCP && extensions.next().is_some() {
            let &[following, length, third, fourth, ..] = rest else {
                return Err(Silence::Truncated);
            };
            let extension_len = match next {
                // Hop-by-hop options and destination options (RFC 8200, 4.3 and 4.6).
                0 | 60 => usize::from(length) * 8 + 8,
                // Routing, at the end of its way; before it, the destination is another one's (4.4).
                43 if fourth == 0 => usize::from(length) * 8 + 8,
                // A fragment that is the whole packet is none (RFC 8200, 4.5; RFC 6946).
                44 if u16::from_be_bytes([third, fourth]) & 0xfff9 == 0 => 8,
                44 => return Err(Silence::Fragment),
                _ => return Err(Silence::NotTcp),
            };
            rest = rest.get(extension_len..).ok_or(Silence::Truncated)?;
            skipped = skipped.wrapping_add(extension_len);
            next = following;
        }
        if next != TCP {
            return Err(Silence::NotTcp);
        }
        let addresses = Addresses::v6(source, destination);
        Self::new(addresses, rest, skipped, len, class >> 4 & 3)
    }

    #[inline]
    fn new(
        addresses: Addresses,
        transport: &'a [u8],
        skipped: usize,
        len: usize,
        ecn: u8,
    ) -> Result<Self, Silence> {
        if !addresses.answerable() {
            return Err(Silence::NotUnicast);
        }
        Ok(Self {
            addresses,
            transport,
            transport_len: len.checked_sub(skipped).ok_or(Silence::Malformed)?,
            len,
            ecn,
        })
    }
}

/// Writes 32-bit words one after the other and adds them up (RFC 1071, 2, which says why the order of their octets does not
/// matter to the sum).
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
    sum: u64,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            rest: buffer,
            sum: 0,
        }
    }

    /// Writes the next word; `None` when there is no room.
    #[inline]
    pub(super) fn put(&mut self, word: u32) -> Option<()> {
        self.put_native(word.to_be())
    }

    /// The same for a word as it lies in memory.
    #[inline]
    fn put_native(&mut self, word: u32) -> Option<()> {
        let (next, rest) = take(&mut self.rest).split_first_chunk_mut::<4>()?;
        *next = word.to_ne_bytes();
        self.rest = rest;
        self.sum = self.sum.wrapping_add(u64::from(word));
        Some(())
    }

    /// Writes the octet that is left at the end; `None` when there is room for less, or more.
    #[inline]
    pub(super) fn finish(self, octet: Option<u8>) -> Option<Sum> {
        match (self.rest, octet) {
            ([last], Some(octet)) => {
                *last = octet;
                Some(Sum(self.sum).add(u32::from_ne_bytes([octet, 0, 0, 0])))
            }
            ([], None) => Some(Sum(self.sum)),
            _ => None,
        }
    }
}

/// What was added up of a packet.
#[derive(Clone, Copy)]
pub(super) struct Sum(u64);

impl Sum {
    const fn add(self, word: u32) -> Self {
        Self(self.0.wrapping_add(word as u64))
    }

    const fn add_long(self, [a, b]: [u64; 2]) -> Self {
        // CAST: the two halves of each, exactly.
        self.add((a >> 32) as u32)
            .add(a as u32)
            .add((b >> 32) as u32)
            .add(b as u32)
    }

    /// The checksum, as it lies in memory.
    const fn fold(self) -> [u8; 2] {
        // The carries: 64 bits fold to 32, 17 and 16.
        let total = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        let total = (total & 0xffff)
            .wrapping_add((total >> 16) & 0xffff)
            .wrapping_add(total >> 32);
        let total = (total & 0xffff).wrapping_add(total >> 16);
        // CAST: what is left has 16 bits.
        (!(total as u16)).to_ne_bytes()
    }
}

/// Writes the IP header of a packet that carries `tcp`, of which `sum` is the sum without its checksum, and
/// that one.
///
/// `header` has [`Addresses::header_len`] bytes; with another length the result is `None`. `label` is an IPv6 flow label, or
/// an IPv4 identification, which is only for show since the header says DF (RFC 6864, 4.1).
#[inline]
pub(super) fn put_header(
    header: &mut [u8],
    addresses: &Addresses,
    hop_limit: u8,
    label: u32,
    tcp: &mut [u8],
    sum: Sum,
) -> Option<()> {
    // A reply has at most 81 bytes.
    let tcp_len = u16::try_from(tcp.len()).ok()?;
    let pseudo = match *addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let header: &mut [u8; V4_LEN] = header.try_into().ok()?;
            let len = tcp_len.checked_add(V4_LEN as u16)?;
            let mut writer = Writer::new(header);
            writer.put(0x4500_0000 | u32::from(len))?;
            writer.put((label & 0xffff) << 16 | 0x4000)?;
            writer.put(u32::from(hop_limit) << 24 | u32::from(TCP) << 16)?;
            writer.put_native(source)?;
            writer.put_native(destination)?;
            let [c0, c1] = writer.finish(None)?.fold();
            header[10] = c0;
            header[11] = c1;
            sum.add(source).add(destination)
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let (fixed, rest) = header.split_first_chunk_mut::<8>()?;
            let [l0, l1] = tcp_len.to_be_bytes();
            let [_, f0, f1, f2] = label.to_be_bytes();
            *fixed = [0x60, f0 & 0x0f, f1, f2, l0, l1, TCP, hop_limit];
            let mut rest = rest;
            for long in [source[0], source[1], destination[0], destination[1]] {
                let (to, left) = rest.split_first_chunk_mut::<8>()?;
                *to = long.to_ne_bytes();
                rest = left;
            }
            if !rest.is_empty() {
                return None;
            }
            sum.add_long(source).add_long(destination)
        }
    };
    // RFC 9293, 3.1: addresses, protocol, TCP length, then the segment.
    let pseudo = pseudo.add((u32::from(TCP) << 16 | u32::from(tcp_len)).to_be());
    tcp.get_mut(16..18)?.copy_from_slice(&pseudo.fold());
    Some(())
}
