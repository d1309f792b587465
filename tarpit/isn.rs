// SPDX-License-Identifier: GPL-2.0

//! The initial sequence number as a SYN cookie: an invertible, keyed function of the client's ISN.
//!
//! A rule without drip sends no data, so each segment of a held connection acknowledges the number
//! after our ISN. As our ISN is a permutation of the client's, that acknowledgment gives the
//! client's ISN back. So each segment has all that a receiver must know of the past.
//!
//! The permutation depends on the addresses and ports through SipHash-2-4 under a random key of the
//! network namespace (the construction of RFC 6528, with the client's ISN in the place of the
//! clock). An attacker that does not see a flow's segments learns nothing of its numbers from
//! another flow. Within one flow the permutation is a four-round Feistel network. It hides the
//! value and its distance from the client's ISN. It is no cipher, since an attacker that sees the
//! flow sees the numbers anyway.

use super::ip::{Addresses, Wire};
use super::seq::Seq;
use super::siphash::Key;
use super::tcp::Ports;

/// The rounds of the Feistel network: four make a keyed permutation from keyed functions (Luby and
/// Rackoff, 1988).
const ROUNDS: u64 = 4;

/// The keyed hash of a flow's addresses and ports, from which all its numbers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow(u64);

impl Flow {
    /// The flow of a reply that uses no number of its flow.
    pub(super) const NONE: Self = Self(0);

    /// Returns the flow of the segments that come with these addresses and ports.
    #[inline(always)]
    pub fn new<A: Addresses>(key: &Key, addresses: &A, ports: Ports) -> Self {
        let ports = u32::from(ports.source) << 16 | u32::from(ports.destination);
        Self(addresses.hash(key, ports))
    }

    /// Returns the flow of a segment that had these addresses and ports before NAT changed them.
    #[cold]
    #[inline(never)]
    pub(super) fn on_wire<A: Addresses>(key: &Key, wire: &Wire) -> Self {
        let ports = Ports {
            source: u16::from_be_bytes(wire.source_port),
            destination: u16::from_be_bytes(wire.destination_port),
        };
        Self::new(key, &A::on_wire(wire), ports)
    }

    /// Returns a number that spreads sources evenly over the table of their token buckets.
    #[inline(never)]
    pub fn source_bucket<A: Addresses>(key: &Key, addresses: &A) -> u32 {
        Self(addresses.source_hash(key)).bucket()
    }

    /// Returns a number that spreads connections evenly over the table of frozen ones
    /// ([`super::freeze`]).
    pub const fn hash(self) -> u64 {
        // The mixed bits of another constant than those of our numbers.
        mix(self.0 ^ (1 << 59))
    }

    /// Returns our ISN for a client's ISN.
    #[inline]
    pub const fn isn(self, client_isn: Seq) -> Seq {
        Seq(self.permute::<16>(client_isn.0))
    }

    /// Returns the client's ISN for which [`Flow::isn`] gives `isn`. There is always one.
    #[inline]
    pub const fn client_isn(self, isn: Seq) -> Seq {
        Seq(self.restore::<16>(isn.0))
    }

    /// Returns our ISN for a client's, for a flow in which we send data. The upper half is a
    /// permutation of the client's upper half; the lower half counts the bytes that we have sent.
    #[inline]
    pub const fn isn_with_counter(self, client_isn: Seq) -> Seq {
        let (upper, _) = split(client_isn.0);
        // CAST: a permutation of 16 bits.
        Seq(join(self.permute::<8>(upper as u32) as u16, 0)).after(self.counter_start())
    }

    /// Returns what an acknowledgment of `next` says in a flow whose ISN is that of
    /// [`Flow::isn_with_counter`]: the client's ISN, with zeros as its lower 16 bits, and how many
    /// bytes we have sent.
    #[inline]
    pub const fn decode_ack(self, next: Seq) -> (Seq, u16) {
        let (upper, sent) = split(next.before().0.wrapping_sub(self.counter_start()));
        // CAST: a permutation of 16 bits.
        (Seq(join(self.restore::<8>(upper as u32) as u16, 0)), sent)
    }

    /// Permutes `value` by a Feistel network over two halves of `HALF` bits.
    const fn permute<const HALF: u32>(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF, value & ((1 << HALF) - 1));
        let mut round = 0;
        while round < ROUNDS {
            (left, right) = (right, left ^ self.round::<HALF>(round, right));
            round += 1;
        }
        (left << HALF) | right
    }

    /// Inverts [`Flow::permute`].
    const fn restore<const HALF: u32>(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF, value & ((1 << HALF) - 1));
        let mut round = ROUNDS;
        while round > 0 {
            round -= 1;
            (left, right) = (right ^ self.round::<HALF>(round, left), left);
        }
        (left << HALF) | right
    }

    /// Returns what the lower half of [`Flow::isn_with_counter`] counts from.
    const fn counter_start(self) -> u32 {
        // CAST: any of the mixed bits will do. These show nowhere else.
        mix(self.0 ^ (1 << 60)) as u32 & 0xffff
    }

    /// Returns what this flow adds to its timestamp cookies, so that they do not disclose the clock
    /// (RFC 7323, 7.1).
    #[inline]
    pub const fn ts_offset(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 63)) as u32
    }

    /// Returns a number for what a host draws for each connection: the IPv6 flow label (RFC 6437)
    /// and the first IPv4 identification.
    #[inline]
    pub const fn label(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 61)) as u32
    }

    /// Returns a number that spreads evenly over a table.
    const fn bucket(self) -> u32 {
        // CAST: any 32 of the mixed bits will do.
        mix(self.0 ^ (1 << 62)) as u32
    }

    /// Returns the round function of the Feistel network.
    const fn round<const HALF: u32>(self, round: u64, half: u32) -> u32 {
        // CAST: any of the mixed bits will do; widening.
        mix(self.0 ^ ((round << 16) | half as u64)) as u32 & ((1 << HALF) - 1)
    }
}

/// Returns the upper and the lower half.
const fn split(value: u32) -> (u16, u16) {
    // CAST: the two halves, exactly.
    ((value >> 16) as u16, value as u16)
}

/// Returns the inverse of [`split`].
const fn join(left: u16, right: u16) -> u32 {
    ((left as u32) << 16) | right as u32
}

/// Spreads each bit of `x` over the whole word (multiply and shift, twice).
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
    fn the_count_and_the_upper_half_of_the_clients_isn_come_back() {
        for isn in [0, 0xffff, 0x7fff_ffff, 0xffff_0000, 0x1234_5678] {
            for sent in [0, 1, 1000, 0xffff] {
                let next = flow(9).isn_with_counter(Seq(isn)).after(1 + sent);
                // CAST: below 2^16.
                assert_eq!(
                    flow(9).decode_ack(next),
                    (Seq(isn & 0xffff_0000), sent as u16)
                );
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
