// SPDX-License-Identifier: GPL-2.0

//! A reply: one segment without payload, and how it is written.

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
    /// Which budget must have room before the reply is sent.
    pub limit: Limit,
}

/// What bounds the rate of a reply.
///
/// The numbers spread evenly over a table; who does not know the key cannot aim at a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: the packet proves that its sender has seen our answer, and the reply cannot feed
    /// itself; or it is the answer to a SYN.
    None,
    /// The packet proves nothing: a few at once for each source (an IPv4 address, an IPv6 network of
    /// 64 bits), then one in a while.
    Source(u32),
    /// The reply may be answered, and that again: the same for each flow.
    Flow(u32),
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
        HEADER_LEN + self.options.len()
    }

    /// Writes the packet, every byte of it, with its checksums.
    ///
    /// `None`, and an unusable buffer, when `buffer` does not have just [`Reply::packet_len`] bytes.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Option<()> {
        let (header, tcp) = buffer.split_at_mut_checked(self.addresses.header_len())?;
        let (fixed, options) = tcp.split_first_chunk_mut::<HEADER_LEN>()?;
        self.options.put(options)?;

        // CAST: at most 20 bytes of options, so at most 10 words of header.
        let words = (self.tcp_len() / 4) as u8;
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
        ip::put_header(header, &self.addresses, tcp)
    }
}
