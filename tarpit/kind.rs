// SPDX-License-Identifier: GPL-2.0

//! What a packet is, for who counts them: each is one of these, whether it is answered or not.

/// What a packet is.
///
/// What cannot be a segment of a connection has the name of the reason. RCV.NXT is what the answer said that
/// the packet's sender knows by its echo; without timestamps, what fits the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// SYN without ACK, FIN or RST, with data or without: a connection is wanted.
    Syn,
    /// The acknowledgment that ends the handshake: empty, at the first octet of the stream, and the echo, if
    /// there is one, is that of a SYN-ACK. Without timestamps and to a honeypot, any empty segment at that octet
    /// that is no keep-alive.
    Established,
    /// It has a payload, and is none of the others: new data, or some that come again.
    Data,
    /// It asks for a closed window: empty and before RCV.NXT, when octets were taken; or with one octet
    /// from RCV.NXT on, which is not taken, since some stacks probe so. A keep-alive of a client all
    /// of whose data were taken looks the same.
    Probe,
    /// It asks whether we are alive: empty and before RCV.NXT, when nothing was taken; or with one octet, the last
    /// before RCV.NXT. To a honeypot, any empty one before RCV.NXT.
    KeepAlive,
    /// Any other acknowledgment that has no payload and expects no answer.
    Ack,
    /// FIN with ACK, with data or without. The same one may come many times, as it is not acknowledged.
    Fin,
    /// RST, whatever else it claims to be.
    Rst,
    /// SYN and ACK: to somebody who uses our address.
    SynAck,
    /// It has a payload and numbers that fit no answer of ours: of a connection that was running before the
    /// rule, and is frozen, or made up.
    Midstream,
    /// [`super::Silence::Truncated`].
    Truncated,
    /// [`super::Silence::Malformed`].
    Malformed,
    /// [`super::Silence::Fragment`].
    Fragment,
    /// [`super::Silence::NotTcp`].
    NotTcp,
    /// [`super::Silence::NotUnicast`].
    NotUnicast,
    /// Control bits that no connection ever sends; `--reset` answers them.
    BadFlags,
    /// [`super::Silence::NotOurs`]: an acknowledgment of what was never sent.
    NotOurs,
    /// There is an answer, but the checksum is wrong, so it is not given. What gets no answer is not summed up.
    Checksum,
}

impl Kind {
    /// What this, which gets no answer, is with FIN.
    pub(super) const fn ending(self) -> Self {
        match self {
            Self::Established | Self::Data | Self::Ack => Self::Fin,
            other => other,
        }
    }
}
