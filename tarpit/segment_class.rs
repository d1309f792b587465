// SPDX-License-Identifier: GPL-2.0

//! The class of a packet, by which packets are counted. Each packet has one, with or without a
//! reply.

/// The class of a packet. Its number is that of its counter: `XT_TARPIT_KINDS` of
/// xt_TARPIT_helpers.h has the same order.
///
/// A packet that cannot be a segment of a connection has the name of its
/// [`DropReason`](super::DropReason). RCV.NXT is what our last reply acknowledged, as far as the
/// segment's TSecr or, without timestamps, its numbers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentClass {
    /// SYN without ACK, FIN or RST, with data or without.
    Syn,
    /// The acknowledgment that ends the handshake: empty, at the first byte of the stream, and
    /// echoing a SYN-ACK. Without timestamps and for a honeypot, any empty segment at that byte
    /// that is not a keep-alive.
    Established,
    /// A payload that is none of the other classes: new data, or data sent again.
    Data,
    /// A zero-window probe: empty and before RCV.NXT, after bytes were accepted. Or one byte at
    /// RCV.NXT that is not accepted, since some stacks probe with it. A keep-alive of a client all
    /// of whose data was accepted looks the same.
    Probe,
    /// A keep-alive: empty and before RCV.NXT, when no byte was accepted. Or one byte, the last
    /// before RCV.NXT. For a honeypot, any empty segment before RCV.NXT.
    KeepAlive,
    /// Any other acknowledgment that has no payload and gets no reply.
    Ack,
    /// FIN with ACK, with data or without. A client sends its FIN again and again, as held
    /// connections never acknowledge one.
    Fin,
    /// RST, whatever other control bits are set.
    Rst,
    /// SYN and ACK: the sender has received a SYN with our address as its source.
    SynAck,
    /// A payload with numbers that fit no reply of ours: of a connection that existed before the
    /// rule, which is frozen, or forged.
    Midstream,
    /// [`DropReason::Truncated`](super::DropReason::Truncated).
    Truncated,
    /// [`DropReason::Malformed`](super::DropReason::Malformed).
    Malformed,
    /// [`DropReason::Fragment`](super::DropReason::Fragment).
    Fragment,
    /// [`DropReason::NotTcp`](super::DropReason::NotTcp).
    NotTcp,
    /// [`DropReason::NotUnicast`](super::DropReason::NotUnicast).
    NotUnicast,
    /// Control bits that no connection sends; `--reset` replies to them.
    BadFlags,
    /// [`DropReason::NotOurs`](super::DropReason::NotOurs): an acknowledgment of what was never
    /// sent.
    NotOurs,
    /// A segment with a reply that is not sent because the segment's checksum is wrong. The
    /// checksum of a segment without a reply is not verified.
    Checksum,
}

impl SegmentClass {
    /// Returns the class of a segment with FIN that gets no reply and would have this class without
    /// FIN.
    pub(super) const fn with_fin(self) -> Self {
        match self {
            Self::Established | Self::Data | Self::Ack => Self::Fin,
            other => other,
        }
    }
}
