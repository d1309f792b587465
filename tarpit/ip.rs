// SPDX-License-Identifier: GPL-2.0

//! The little that differs between IPv4 (RFC 791) and IPv6 (RFC 8200).
//!
//! [`Packet::parse`] finds the TCP header behind options and extension headers and refuses what
//! must not be answered whatever TCP says. [`put_header`] writes the header of a reply.

use super::decide::Silence;

/// The IP version of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where a packet comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4 addresses, wire order.
    V4 {
        /// Source address.
        source: [u8; 4],
        /// Destination address.
        destination: [u8; 4],
    },
    /// IPv6 addresses, wire order.
    V6 {
        /// Source address.
        source: [u8; 16],
        /// Destination address.
        destination: [u8; 16],
    },
}

impl Addresses {
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
    fn answerable(&self) -> bool {
        match self {
            Self::V4 {
                source: [source, ..],
                destination: [destination, ..],
            } => *source != 0 && *source < 224 && *destination != 0 && *destination < 224,
            Self::V6 {
                source,
                destination,
            } => {
                source[0] != 0xff
                    && destination[0] != 0xff
                    && *source != [0; 16]
                    && *destination != [0; 16]
            }
        }
    }
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
        let addresses = Addresses::V4 {
            source: [s0, s1, s2, s3],
            destination: [d0, d1, d2, d3],
        };
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
        let addresses = Addresses::V6 {
            source,
            destination,
        };
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

/// Writes the IP header of a packet that carries `tcp`, and the checksum of `tcp` with it.
///
/// `header` has [`Addresses::header_len`] bytes; with another length nothing is written and the result is
/// `None`. `label` is an IPv6 flow label, or an IPv4 identification, which is only for show since
/// the header says DF (RFC 6864, 4.1). The hop limit is the usual 64, until a route gives another.
#[inline]
pub fn put_header(
    header: &mut [u8],
    addresses: &Addresses,
    label: u32,
    tcp: &mut [u8],
) -> Option<()> {
    // A reply has at most 80 bytes.
    let tcp_len = u16::try_from(tcp.len()).ok()?;
    let [t0, t1] = tcp_len.to_be_bytes();
    let [_, i0, i1, i2] = label.to_be_bytes();
    let pseudo = match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let header: &mut [u8; V4_LEN] = header.try_into().ok()?;
            let [l0, l1] = tcp_len.checked_add(V4_LEN as u16)?.to_be_bytes();
            let [s0, s1, s2, s3] = *source;
            let [d0, d1, d2, d3] = *destination;
            *header = [
                0x45, 0, l0, l1, i1, i2, 0x40, 0, HOP_LIMIT, TCP, 0, 0, s0, s1, s2, s3, d0, d1, d2,
                d3,
            ];
            let [c0, c1] = fold(sum(header)).to_be_bytes();
            header[10] = c0;
            header[11] = c1;
            sum(&[s0, s1, s2, s3, d0, d1, d2, d3])
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let (fixed, rest) = header.split_first_chunk_mut::<8>()?;
            let (to_source, rest) = rest.split_first_chunk_mut::<16>()?;
            let to_destination: &mut [u8; 16] = rest.try_into().ok()?;
            *fixed = [0x60, i0 & 0x0f, i1, i2, t0, t1, TCP, HOP_LIMIT];
            *to_source = *source;
            *to_destination = *destination;
            sum(source).wrapping_add(sum(destination))
        }
    };
    // RFC 9293, 3.1: addresses, protocol, TCP length, then the segment.
    let pseudo = pseudo.wrapping_add(sum(&[0, TCP, t0, t1]));
    let [c0, c1] = fold(pseudo.wrapping_add(sum(tcp))).to_be_bytes();
    let checksum = tcp.get_mut(16..18)?;
    checksum.copy_from_slice(&[c0, c1]);
    Some(())
}

/// The hop limit of a reply before it is routed.
const HOP_LIMIT: u8 = 64;

/// Adds up the 32-bit words of `bytes` (RFC 1071, 2), whose length is a multiple of four or one more.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4);
    let last = match *words.remainder() {
        [octet] => u64::from(octet) << 24,
        _ => 0,
    };
    words.fold(last, |total, word| match *word {
        [a, b, c, d] => total.wrapping_add(u64::from(u32::from_be_bytes([a, b, c, d]))),
        _ => total,
    })
}

/// The Internet checksum of what was added up.
#[inline]
fn fold(total: u64) -> u16 {
    // The carries: 64 bits fold to 32, 17 and 16.
    let total = (total & 0xffff_ffff).wrapping_add(total >> 32);
    let total = (total & 0xffff)
        .wrapping_add((total >> 16) & 0xffff)
        .wrapping_add(total >> 32);
    let total = (total & 0xffff).wrapping_add(total >> 16);
    // CAST: what is left has 16 bits.
    !(total as u16)
}
