// SPDX-License-Identifier: GPL-2.0

//! A reply: one segment, and how it is written.

use super::ip::{self, Addresses, Writer};
use super::isn::Ports;
use super::seq::Seq;
use super::tcp::{Flags, Options, HEADER_LEN};

/// An answer.
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
    /// The hop limit; 0 where it is the route's to give.
    pub hop_limit: u8,
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
    /// The same for data of a connection that was running before: the acknowledgment is to be what
    /// [`super::frozen::remember`] says.
    Frozen {
        /// The source's number.
        source: u32,
        /// The connection's number.
        flow: u64,
        /// Whether the segment is to be remembered only, and gets no answer.
        silent: bool,
    },
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
        let mut words = Writer::new(tcp);
        // CAST: at most 20 bytes of options, so at most 10 words of header.
        let offset = ((HEADER_LEN + self.options.len()) / 4) as u32;
        words.put(u32::from(self.ports.source) << 16 | u32::from(self.ports.destination))?;
        words.put(self.seq.0)?;
        words.put(self.ack.0)?;
        words.put(offset << 28 | u32::from(self.flags.0) << 16 | u32::from(self.window))?;
        words.put(0)?;
        self.options.put(&mut words)?;
        let sum = words.finish(self.payload)?;
        ip::put_header(
            header,
            &self.addresses,
            self.hop_limit,
            self.label,
            tcp,
            sum,
        )
    }
}
