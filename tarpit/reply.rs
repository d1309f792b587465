// SPDX-License-Identifier: GPL-2.0

//! An answer: one segment, and how it is written.

use super::checksum::{Sum, Writer};
use super::ip::IpFields;
use super::isn::Flow;
use super::rate_limit::RateLimit;
use super::segment_class::SegmentClass;
use super::seq::Seq;
use super::tcp::{Flags, Ports, HEADER_LEN};
use super::tcp_options::{Options, Present};
use super::window::Window;

/// What is said to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is answered.
    pub class: SegmentClass,
    /// The flow that the segment belongs to.
    pub flow: Flow,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// The hop limit; 0 where it is the route's to give.
    pub hop_limit: u8,
    /// SEG.WND.
    pub window: Window,
    /// The options.
    pub options: Options,
    /// The octet that the segment carries, if it carries one.
    pub payload: Option<u8>,
    /// The rate limit that it is subject to.
    pub rate_limit: RateLimit,
    /// Which of the flow's packets it is, for the identification of an IPv4 packet; `None` for the first, and for one
    /// of no connection.
    pub ordinal: Option<u16>,
    /// How long the peer has been held since the answer before, in milliseconds, give or take
    /// [`super::ts_cookie::STEP_MS`]: the sum over all answers is its time here. 0 where nothing tells.
    pub trapped_ms: u32,
}

impl Answer {
    /// One that says nothing.
    pub const EMPTY: Self = Self {
        class: SegmentClass::Data,
        flow: Flow::NONE,
        seq: Seq(0),
        ack: Seq(0),
        flags: Flags(0),
        hop_limit: 0,
        window: Window::Field(0),
        options: Options::NONE,
        payload: None,
        rate_limit: RateLimit::None,
        ordinal: None,
        trapped_ms: 0,
    };

    /// The length of the segment in bytes.
    #[inline]
    pub const fn tcp_len(&self) -> usize {
        HEADER_LEN + self.options.len() + self.payload_len()
    }

    /// The length of the payload in octets.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.payload.is_some() as usize
    }

    /// Returns true if the segment depends on the MSS of the way back.
    #[inline]
    pub const fn needs_mss(&self) -> bool {
        self.options.present.has(Present::MSS) || !matches!(self.window, Window::Field(_))
    }

    /// Returns what the reply sets in its IP header.
    #[inline(always)]
    pub(super) const fn ip_fields(&self) -> IpFields {
        let label = self.flow.label();
        IpFields {
            hop_limit: self.hop_limit,
            label,
            id: match self.ordinal {
                // CAST: any 16 bits of the flow's number will do.
                Some(ordinal) => (label as u16).wrapping_add(ordinal),
                None => 0,
            },
        }
    }

    /// Writes the segment that answers one with these `ports`; `pseudo` is the sum of what its checksum
    /// covers besides, `mss` what the way back carries in a segment.
    ///
    /// `None`, and an unusable buffer, when `buffer` does not have just [`Answer::tcp_len`] bytes.
    #[inline(always)]
    pub(super) fn put(&self, ports: Ports, pseudo: Sum, mss: u16, buffer: &mut [u8]) -> Option<()> {
        let mut words = Writer::new(buffer, pseudo);
        // CAST: at most 20 bytes of options, so at most 10 words of header.
        let offset = ((HEADER_LEN + self.options.len()) / 4) as u32;
        words.put_all([
            u32::from(ports.destination) << 16 | u32::from(ports.source),
            self.seq.0,
            self.ack.0,
            offset << 28 | u32::from(self.flags.0) << 16 | u32::from(self.window.field(mss)),
            0,
        ])?;
        self.options.put(mss, &mut words)?;
        let sum = words.finish(self.payload)?;
        buffer.get_mut(16..18)?.copy_from_slice(&sum.fold());
        Some(())
    }
}
