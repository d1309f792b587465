// SPDX-License-Identifier: GPL-2.0

//! A reply: one segment, and how its TCP header is written.

use super::checksum::{Sum, Writer};
use super::frozen::Freeze;
use super::ip::IpFields;
use super::isn::Flow;
use super::rate_limit::RateLimit;
use super::segment_class::SegmentClass;
use super::seq::Seq;
use super::tcp::{Flags, Ports, HEADER_LEN};
use super::tcp_options::{OptionSet, Options};
use super::window::Window;

/// The reply to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The class of the segment.
    pub class: SegmentClass,
    /// The flow of the segment.
    pub flow: Flow,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// The TTL or hop limit; 0 if the route gives it.
    pub hop_limit: u8,
    /// SEG.WND.
    pub window: Window,
    /// The options.
    pub options: Options,
    /// The byte that the reply carries, if any.
    pub payload: Option<u8>,
    /// The rate limit that it is subject to.
    pub rate_limit: RateLimit,
    /// For a reply that freezes a connection: what is to be done before it is sent. `ack` is
    /// SEG.SEQ of the segment until then.
    pub freeze: Option<Freeze>,
    /// The distance of the IPv4 identification from the flow's label. `None` makes the
    /// identification 0, for a SYN-ACK or RST.
    pub ip_id_offset: Option<u16>,
    /// How long the peer has been held since the previous reply, in milliseconds, to within
    /// [`super::ts_cookie::STEP_MS`]. The sum over all replies is the time that it was held. 0 if
    /// no timestamp gives it.
    pub trapped_ms: u32,
}

impl Reply {
    /// A reply without flags, numbers or options.
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
        freeze: None,
        ip_id_offset: None,
        trapped_ms: 0,
    };

    /// Returns the length of the segment in bytes.
    #[inline]
    pub const fn tcp_len(&self) -> usize {
        HEADER_LEN + self.options.len() + self.payload_len()
    }

    /// Returns the length of the payload in bytes.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.payload.is_some() as usize
    }

    /// Returns true if the segment depends on the MSS of the route back.
    #[inline]
    pub const fn needs_mss(&self) -> bool {
        self.options.present.has(OptionSet::MSS) || !matches!(self.window, Window::Field(_))
    }

    /// Returns what the reply sets in its IP header.
    #[inline(always)]
    pub(super) const fn ip_fields(&self) -> IpFields {
        let label = self.flow.label();
        IpFields {
            hop_limit: self.hop_limit,
            label,
            id: match self.ip_id_offset {
                // CAST: any 16 bits of the label will do.
                Some(offset) => (label as u16).wrapping_add(offset),
                None => 0,
            },
        }
    }

    /// Writes the segment that replies to one with these `ports`. `pseudo` is the sum of its
    /// pseudo-header, `mss` what a segment can carry on the route back, in bytes.
    ///
    /// Returns `None`, with `buffer` partly written, unless `buffer` has [`Reply::tcp_len`] bytes.
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
