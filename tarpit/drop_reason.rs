// SPDX-License-Identifier: GPL-2.0

//! Why a packet is not answered.

use super::kind::Kind;

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The headers are not all there, or not all readable.
    Truncated,
    /// A header contradicts itself or the packet's length.
    Malformed,
    /// A fragment; what the stack has reassembled is none.
    Fragment,
    /// Another protocol, or one hidden behind headers that are not looked behind.
    NotTcp,
    /// An address that is not one host's.
    NotUnicast,
    /// A reset is never answered.
    Reset,
    /// Control bits that no connection ever sends: NULL, Xmas, SYN with FIN.
    BadFlags,
    /// A segment whose numbers do not fit any answer of ours.
    NotOurs,
    /// The acknowledgment that ends the handshake.
    Handshake,
    /// Another one that expects no answer.
    BareAck,
    /// Data that are left in flight a while longer.
    Patience,
    /// The answer would be longer than the packet. None is: whoever changes the answers is kept from it.
    TooShort(Kind),
}

impl Silence {
    /// What it is that is not answered, unless it is a FIN.
    #[inline]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Truncated => Kind::Truncated,
            Self::Malformed => Kind::Malformed,
            Self::Fragment => Kind::Fragment,
            Self::NotTcp => Kind::NotTcp,
            Self::NotUnicast => Kind::NotUnicast,
            Self::Reset => Kind::Rst,
            Self::BadFlags => Kind::BadFlags,
            Self::NotOurs => Kind::NotOurs,
            Self::Handshake => Kind::Established,
            Self::BareAck => Kind::Ack,
            Self::Patience => Kind::Data,
            Self::TooShort(kind) => kind,
        }
    }
}
