// SPDX-License-Identifier: GPL-2.0

//! The class of a packet, by which packets are counted. Each packet has one, with or without a
//! reply.

use super::c_header::column;

/// The class of a packet. Its number is that of its counter, of which xt_TARPIT_helpers.h has the
/// order.
///
/// A packet that cannot be a segment of a connection has the name of its
/// [`DropReason`](super::DropReason). RCV.NXT is what our last reply acknowledged, as far as the
/// segment's TSecr or, without timestamps, its numbers tell.
///
/// The counter `checksum` has no class here, since only the kernel verifies checksums. It counts
/// segments that get no reply because their checksum is wrong. The checksum of a segment without a
/// reply is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentClass {
    /// SYN without ACK, FIN or RST, with data or without.
    Syn = column("syn"),
    /// The acknowledgment that ends the handshake: empty, at the first byte of the stream, and
    /// echoing a SYN-ACK. Without timestamps and for a honeypot, any empty segment at that byte
    /// that is not a keep-alive.
    Established = column("established"),
    /// A payload that is none of the other classes: new data, or data sent again.
    Data = column("data"),
    /// A zero-window probe: empty and before RCV.NXT, after bytes were accepted. Or one byte at
    /// RCV.NXT that is not accepted, since some stacks probe with it. A keep-alive of a client all
    /// of whose data was accepted looks the same.
    Probe = column("probe"),
    /// A keep-alive: empty and before RCV.NXT, when no byte was accepted. Or one byte, the last
    /// before RCV.NXT. For a honeypot, any empty segment before RCV.NXT.
    KeepAlive = column("keepalive"),
    /// Any other acknowledgment that has no payload and gets no reply.
    Ack = column("ack"),
    /// FIN with ACK, with data or without. A client sends its FIN again and again, as held
    /// connections never acknowledge one.
    Fin = column("fin"),
    /// RST, whatever other control bits are set.
    Rst = column("rst"),
    /// SYN and ACK: the sender has received a SYN with our address as its source.
    SynAck = column("synack"),
    /// A payload with numbers that fit no reply of ours: of a connection that existed before the
    /// rule, which is frozen, or forged.
    Midstream = column("midstream"),
    /// [`DropReason::Truncated`](super::DropReason::Truncated).
    Truncated = column("truncated"),
    /// [`DropReason::Malformed`](super::DropReason::Malformed).
    Malformed = column("malformed"),
    /// [`DropReason::Fragment`](super::DropReason::Fragment).
    Fragment = column("fragment"),
    /// [`DropReason::NotTcp`](super::DropReason::NotTcp).
    NotTcp = column("nottcp"),
    /// [`DropReason::NotUnicast`](super::DropReason::NotUnicast).
    NotUnicast = column("notunicast"),
    /// Control bits that no connection sends; `--reset` replies to them.
    BadFlags = column("badflags"),
    /// [`DropReason::NotOurs`](super::DropReason::NotOurs): an acknowledgment of what was never
    /// sent.
    NotOurs = column("notours"),
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
