// SPDX-License-Identifier: GPL-2.0

//! The initial sequence number as a cookie: an invertible, keyed function of the client's.
//!
//! Where the tarpit sends no data, every segment of a held connection acknowledges our ISN + 1. As
//! the ISN is a permutation of the client's ISN, that acknowledgment gives the client's ISN back,
//! and with it all that a receiver has to know of the past, from the segment alone.
//!
//! The permutation depends on the addresses and ports through SipHash-2-4 under a random key of the
//! network namespace (the construction of RFC 6528, with the client's ISN in the place of the clock).
//! An attacker that does not see a flow's segments learns nothing of its numbers from another flow. Within one flow
//! the permutation is a four-round Feistel network: it hides both the value and its distance from the
//! client's, and is no cipher, since who sees the flow sees the numbers anyway.

use super::ip::{Addresses, Wire};
use super::seq::Seq;
use super::siphash::Key;
use super::tcp::Ports;

/// One flow's share of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow(u64);

impl Flow {
    /// No flow in particular.
    pub(super) const NONE: Self = Self(0);

    /// The flow of the segments that come with these addresses and ports.
    #[inline(always)]
    pub fn new<A: Addresses>(key: &Key, addresses: &A, ports: Ports) -> Self {
        let ports = u32::from(ports.source) << 16 | u32::from(ports.destination);
        Self(addresses.hash(key, ports))
    }

    /// The flow of a segment that had these addresses and ports before NAT changed them.
    #[cold]
    #[inline(never)]
    pub(super) fn on_wire<A: Addresses>(key: &Key, wire: &Wire) -> Self {
        let ports = Ports {
            source: u16::from_be_bytes(wire.source_port),
            destination: u16::from_be_bytes(wire.destination_port),
        };
        Self::new(key, &A::on_wire(wire), ports)
    }

    /// A number that spreads sources evenly over a table.
    #[inline(never)]
    pub fn source_bucket<A: Addresses>(key: &Key, addresses: &A) -> u32 {
        Self(addresses.source_hash(key)).bucket()
    }

    /// Returns a number that spreads connections evenly over the table of frozen ones
    /// ([`super::freeze`]).
    pub const fn hash(self) -> u64 {
        // Other bits than those of our numbers.
        mix(self.0 ^ (1 << 59))
    }

    /// Our ISN for a client's ISN.
    #[inline]
    pub const fn isn(self, client_isn: Seq) -> Seq {
        Seq(self.permute::<16>(client_isn.0))
    }

    /// The client's ISN for which [`Flow::isn`] gave `isn`. There is always one.
    #[inline]
    pub const fn client_isn(self, isn: Seq) -> Seq {
        Seq(self.restore::<16>(isn.0))
    }

    /// Our ISN for a client's, for a flow in which we send data: the upper half is a permutation of
    /// the client's upper half, the lower half leaves room to count what was sent.
    #[inline]
    pub const fn talking_isn(self, client_isn: Seq) -> Seq {
        let (upper, _) = split(client_isn.0);
        // CAST: a permutation of 16 bits.
        Seq(join(self.permute::<8>(upper as u32) as u16, 0)).after(self.lower_half())
    }

    /// What `next`, our next sequence number, says of a flow whose ISN came from
    /// [`Flow::talking_isn`]: the client's ISN but for its lower 16 bits, which are zero, and how many
    /// octets we have sent.
    #[inline]
    pub const fn talked(self, next: Seq) -> (Seq, u16) {
        let (upper, sent) = split(next.before().0.wrapping_sub(self.lower_half()));
        // CAST: a permutation of 16 bits.
        (Seq(join(self.restore::<8>(upper as u32) as u16, 0)), sent)
    }

    /// A Feistel network over two halves of `HALF` bits.
    const fn permute<const HALF: u32>(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF, value & ((1 << HALF) - 1));
        let mut round = 0;
        while round < ROUNDS {
            (left, right) = (right, left ^ self.round::<HALF>(round, right));
            round += 1;
        }
        (left << HALF) | right
    }

    /// The inverse of [`Flow::permute`].
    const fn restore<const HALF: u32>(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF, value & ((1 << HALF) - 1));
        let mut round = ROUNDS;
        while round > 0 {
            round -= 1;
            (left, right) = (right ^ self.round::<HALF>(round, left), left);
        }
        (left << HALF) | right
    }

    /// Where the lower half of an ISN starts that leaves room to count.
    const fn lower_half(self) -> u32 {
        // CAST: any of the mixed bits will do; ones that show nowhere else.
        mix(self.0 ^ (1 << 60)) as u32 & 0xffff
    }

    /// What this flow adds to its stamps, so that they tell nothing of the clock (RFC 7323, 7.1).
    #[inline]
    pub const fn ts_offset(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 63)) as u32
    }

    /// A number for what a host draws for each connection: IPv6 flow labels (RFC 6437), the start of
    /// IPv4 identifications.
    #[inline]
    pub const fn label(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 61)) as u32
    }

    /// A number that spreads over a table.
    const fn bucket(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 62)) as u32
    }

    const fn round<const HALF: u32>(self, round: u64, half: u32) -> u32 {
        // CAST: any of the mixed bits will do; widening loses nothing.
        mix(self.0 ^ ((round << 16) | half as u64)) as u32 & ((1 << HALF) - 1)
    }
}

const ROUNDS: u64 = 4;

const fn split(value: u32) -> (u16, u16) {
    // CAST: the two halves, exactly.
    ((value >> 16) as u16, value as u16)
}

const fn join(left: u16, right: u16) -> u32 {
    ((left as u32) << 16) | right as u32
}

/// Spreads every bit of `x` over the whole word (multiply and shift, twice).
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

#[cfg(test)]
mod tests {
    use super::super::ip::V4;
    use super::*;

    const KEY: Key = Key([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);

    fn flow(port: u16) -> Flow {
        let addresses = V4::new([192, 0, 2, 1], [198, 51, 100, 2]);
        let ports = Ports {
            source: port,
            destination: 23,
        };
        Flow::new(&KEY, &addresses, ports)
    }

    #[test]
    fn the_clients_isn_comes_back() {
        for port in 1..64 {
            for isn in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1234_5678] {
                let ours = flow(port).isn(Seq(isn));
                assert_eq!(flow(port).client_isn(ours), Seq(isn));
            }
        }
    }

    #[test]
    fn what_was_sent_and_the_upper_half_of_the_clients_isn_come_back() {
        for isn in [0, 0xffff, 0x7fff_ffff, 0xffff_0000, 0x1234_5678] {
            for sent in [0, 1, 1000, 0xffff] {
                let next = flow(9).talking_isn(Seq(isn)).after(1 + sent);
                // CAST: below 2^16.
                assert_eq!(flow(9).talked(next), (Seq(isn & 0xffff_0000), sent as u16));
            }
        }
    }

    #[test]
    fn neither_the_value_nor_the_distance_is_constant() {
        let distances: std::collections::HashSet<_> = (0..1000u32)
            .map(|i| flow(9).isn(Seq(i)).0.wrapping_sub(i))
            .collect();
        assert_eq!(distances.len(), 1000);
        assert_ne!(flow(9).isn(Seq(7)), flow(10).isn(Seq(7)));
        assert_ne!(flow(9).ts_offset(), flow(10).ts_offset());
    }

    #[test]
    fn one_bit_of_the_clients_isn_turns_half_of_ours() {
        let turned: u32 = (0..3200u32)
            .map(|i| {
                let isn = i.wrapping_mul(0x9e37_79b9);
                (flow(7).isn(Seq(isn)).0 ^ flow(7).isn(Seq(isn ^ (1 << (i % 32)))).0).count_ones()
            })
            .sum();
        // 3,200 times 32 bits: the mean is 51,200, one standard deviation 160.
        assert!((50_000..52_400).contains(&turned), "{turned}");
    }
}
