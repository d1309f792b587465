// SPDX-License-Identifier: GPL-2.0

//! A reply: one segment, and how it is written.

use super::ip::{self, Addresses};
use super::isn::Ports;
use super::seq::Seq;
use super::tcp::{Flags, Options, HEADER_LEN};

/// An answer, complete but for the hop limit, which is the route's to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// From us to the peer.
    pub addresses: Addresses,
    /// From us to the peer.
    pub ports: Ports,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND, unscaled.
    pub window: u16,
    /// The options.
    pub options: Options,
    /// The octet that the segment carries, if it carries one.
    pub payload: Option<u8>,
    /// The flow label of an IPv6 packet, the identification of an IPv4 packet.
    pub label: u32,
    /// Which budget must have room before the reply is sent.
    pub limit: Limit,
    /// How long the peer has been held since the answer before, in milliseconds, give or take
    /// [`super::stamp::STEP_MS`]: the sum over all answers is its time here. 0 where nothing tells.
    pub trapped_ms: u32,
}

/// What bounds the rate of a reply.
///
/// The numbers spread evenly over a table; who does not know the key cannot aim at a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: the packet proves that its sender has seen our answer, or the reply is the answer to a
    /// SYN.
    None,
    /// The packet proves nothing: a few at once for each source (an IPv4 address, an IPv6 network of
    /// 64 bits), then one in a while.
    Source(u32),
}

impl Reply {
    /// The length of the packet in bytes.
    #[inline]
    pub fn packet_len(&self) -> usize {
        self.addresses.header_len() + self.tcp_len()
    }

    /// The length of the TCP segment in bytes.
    #[inline]
    pub fn tcp_len(&self) -> usize {
        HEADER_LEN + self.options.len() + self.payload_len()
    }

    /// The length of the payload in octets.
    #[inline]
    pub fn payload_len(&self) -> usize {
        usize::from(self.payload.is_some())
    }

    /// Writes the packet, every byte of it, with its checksums.
    ///
    /// `None`, and an unusable buffer, when `buffer` does not have just [`Reply::packet_len`] bytes.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Option<()> {
        let (header, tcp) = buffer.split_at_mut_checked(self.addresses.header_len())?;
        let (fixed, options) = tcp.split_first_chunk_mut::<HEADER_LEN>()?;
        let (options, payload) = options.split_at_mut_checked(self.options.len())?;
        self.options.put(options)?;
        match (payload, self.payload) {
            ([octet], Some(value)) => *octet = value,
            ([], None) => {}
            _ => return None,
        }

        // CAST: at most 20 bytes of options, so at most 10 words of header.
        let words = ((HEADER_LEN + self.options.len()) / 4) as u8;
        let [s0, s1] = self.ports.source.to_be_bytes();
        let [d0, d1] = self.ports.destination.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.0.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.0.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        *fixed = [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            words << 4,
            self.flags.0,
            w0,
            w1,
            0,
            0,
            0,
            0,
        ];
        ip::put_header(header, &self.addresses, self.label, tcp)
    }
}
