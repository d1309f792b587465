// SPDX-License-Identifier: GPL-2.0

//! What a decision needs besides the packet and the rule.

use super::ip::Wire;
use super::siphash::Key;

/// What the world is like at the moment of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The secret of the network namespace.
    pub key: &'a Key,
    /// A clock in milliseconds that does not go backwards; it may start and wrap anywhere.
    pub now_ms: u32,
    /// Addresses and ports that the segment had on the wire, where NAT has changed them since.
    pub wire: Option<&'a Wire>,
}

impl Env<'_> {
    /// The number of a packet that goes out now, in a connection that sends about one a minute.
    pub(super) const fn ordinal(&self) -> u16 {
        // CAST: it wraps, as identifications do.
        (self.now_ms >> 16) as u16
    }
}
