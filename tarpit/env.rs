// SPDX-License-Identifier: GPL-2.0

//! What a decision needs besides the packet and the rule.

use super::ip::Wire;
use super::siphash::Key;

/// The environment of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The secret of the network namespace.
    pub key: &'a Key,
    /// A monotonic clock in milliseconds. It may start and wrap anywhere.
    pub now_ms: u32,
    /// The addresses and ports that the segment had on the wire, if NAT has changed them since.
    pub wire: Option<&'a Wire>,
}

impl Env<'_> {
    /// Returns the [`super::Reply::ip_id_offset`] of a reply. It grows by about one a minute, as in
    /// a connection that sends a packet a minute.
    pub(super) const fn ip_id_offset(&self) -> u16 {
        // CAST: it wraps, as identifications do.
        (self.now_ms >> 16) as u16
    }
}
