// SPDX-License-Identifier: GPL-2.0

//! Which rate limit a reply is subject to, and the token bucket of a source.

/// The rate limit that a reply is subject to. The caller keeps the limits and checks them before it
/// sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// None: the segment's numbers prove that its sender received a reply of ours, and that it has
    /// sent what the reply acknowledges.
    None,
    /// The limit that all sources share. The source may be forged, as that of a SYN.
    Shared,
    /// That of the source, an IPv4 address or an IPv6 network of 64 bits
    /// ([`super::Packet::source_bucket`]): a burst, then one reply per interval. The segment is
    /// unverified, or may not have sent what the reply acknowledges.
    Source,
}

/// Takes one reply from a source's token bucket, which holds `burst` of them and gains one each
/// `interval_ms`. Both are at least 1, and their product is below 2^31.
///
/// `entry` is the bucket's word in a table, and the result its new value, or `None` if the bucket
/// is empty. An entry is the time at which the bucket will be full again, by the clock in
/// milliseconds (the generic cell rate algorithm); zero is an unused bucket. A time of long ago may
/// seem to be ahead for a moment each time that the clock wraps: that costs some replies then, no
/// more.
#[inline]
pub const fn token_bucket_take(
    entry: u32,
    now_ms: u32,
    interval_ms: u32,
    burst: u32,
) -> Option<u32> {
    let full_ms = interval_ms.wrapping_mul(burst);
    let owed_ms = match entry.wrapping_sub(now_ms) {
        owed_ms if entry != 0 && owed_ms <= full_ms => owed_ms,
        _ => 0,
    };
    if owed_ms > full_ms.wrapping_sub(interval_ms) {
        return None;
    }
    match now_ms.wrapping_add(owed_ms).wrapping_add(interval_ms) {
        // A millisecond too early is better than an unused bucket.
        0 => Some(u32::MAX),
        full_at => Some(full_at),
    }
}
