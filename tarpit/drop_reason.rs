// SPDX-License-Identifier: GPL-2.0

//! Why a packet gets no reply.

use super::segment_class::SegmentClass;

/// Why a packet gets no reply, in the manner of the kernel's `enum skb_drop_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The headers are not complete, or more of the packet has to be read for them.
    Truncated,
    /// A header contradicts itself or the length of the packet.
    Malformed,
    /// A fragment. A packet that the stack has reassembled is none.
    Fragment,
    /// Another protocol, or an extension header that hides it.
    NotTcp,
    /// An address that is not one host's.
    NotUnicast,
    /// A reset. None ever gets a reply.
    Reset,
    /// Control bits that no connection sends: NULL, Xmas, SYN with FIN.
    BadFlags,
    /// The numbers fit no reply of ours.
    NotOurs,
    /// The acknowledgment that ends the handshake.
    HandshakeAck,
    /// Another acknowledgment to which a receiver does not reply.
    BareAck,
    /// Data that stays in flight until a later retransmission.
    Deferred,
    /// The reply would be longer than the packet. No reply is: this keeps a change of the replies
    /// from making us an amplifier.
    WouldAmplify(SegmentClass),
}

impl DropReason {
    /// Returns the class of a segment without FIN that is dropped for this reason.
    #[inline]
    pub const fn class(self) -> SegmentClass {
        match self {
            Self::Truncated => SegmentClass::Truncated,
            Self::Malformed => SegmentClass::Malformed,
            Self::Fragment => SegmentClass::Fragment,
            Self::NotTcp => SegmentClass::NotTcp,
            Self::NotUnicast => SegmentClass::NotUnicast,
            Self::Reset => SegmentClass::Rst,
            Self::BadFlags => SegmentClass::BadFlags,
            Self::NotOurs => SegmentClass::NotOurs,
            Self::HandshakeAck => SegmentClass::Established,
            Self::BareAck => SegmentClass::Ack,
            Self::Deferred => SegmentClass::Data,
            Self::WouldAmplify(class) => class,
        }
    }
}
