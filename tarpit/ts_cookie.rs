// SPDX-License-Identifier: GPL-2.0

//! The timestamp cookie: state that our TSval carries until the peer echoes it (RFC 7323).
//!
//! A cookie is a millisecond clock whose low eight bits are not time. Five of them hold the low
//! bits of the bytes received so far (`RCV.NXT - client ISN - 1`), three the last window offer and
//! its reason. The peer's TSecr is the cookie of the last reply that it took in. So it says what
//! the peer knew when it sent the segment, and since when, which the numbers alone do not. On the
//! wire each flow adds an offset of its own ([`super::isn::Flow::ts_offset`]), which hides the
//! clock and the bits.
//!
//! A honeypot's cookie is a byte count instead: the clock plus all bytes received so far
//! ([`encode_byte_count`]).

/// The step of the clock in milliseconds: 2 to the number of bits that are not time.
pub const STEP_MS: u32 = 256;

/// The distance in bytes of two positions that have the same five bits.
const PERIOD: u32 = 32;

/// The most bytes in flight, a FIN counted as one, for which a cookie tells an acknowledgment from
/// a probe. Behind one byte more, an acknowledgment starts one byte before a position with the same
/// five bits, as a probe does.
pub const MAX_IN_FLIGHT: u16 = 30;

/// The same for a byte count, whose low eight bits tell an acknowledgment from a keep-alive.
pub const MAX_IN_FLIGHT_BYTE_COUNT: i32 = STEP_MS as i32 - 2;

/// The age up to which an echo is recent, in milliseconds: 2.3 hours. A forged echo is recent with
/// odds of 2^-9.
const RECENT_MS: u32 = 1 << 23;

/// The window that a reply offers, and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowOffer {
    /// The first window, of the SYN-ACK.
    Initial = 0,
    /// Zero, to data, FIN or a keep-alive with a byte: the peer's timers start over.
    Zero = 1,
    /// Zero, to a probe: the peer's probe interval doubles.
    ZeroOnProbe = 2,
    /// One byte, to the first probe: its interval was the peer's retransmission timeout.
    OneByteAtRto = 3,
    /// One byte, to a later probe after a short interval.
    OneByteEarly = 4,
    /// One byte, to a later probe after a long interval.
    OneByteLate = 5,
    /// One byte, to any probe of a drip rule, which accepts it at once.
    OneByteDrip = 6,
    /// A window that the peer uses at once, to a probe that may be its last.
    LastChance = 7,
}

/// What a reply of ours said to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TsCookie {
    /// The bytes that it acknowledged, not counting the SYN.
    pub received: u32,
    /// The window that it offered.
    pub offer: WindowOffer,
}

impl TsCookie {
    /// Returns the TSval of a reply at `now_ms`, before the offset of its flow is added.
    ///
    /// `echo` is the cookie that the segment echoes, if it has timestamps. The value never lies
    /// below it, so the reply passes the peer's check against wrapped sequence numbers (RFC 7323,
    /// 5.2), and at most one step above the later of clock and echo.
    #[inline]
    pub const fn encode(self, now_ms: u32, echo: Option<u32>) -> u32 {
        // CAST: the discriminant has three bits. Of two replies in one step, the one that
        // acknowledges more is to have the greater value.
        let low = ((self.received % PERIOD) << 3) | self.offer as u32;
        let (floor, echo) = match echo {
            Some(echo) if after(echo, now_ms) => (echo, echo),
            Some(echo) => (now_ms, echo),
            None => (now_ms, now_ms & !(STEP_MS - 1)),
        };
        let value = (floor & !(STEP_MS - 1)) | low;
        if after(echo, value) {
            value.wrapping_add(STEP_MS)
        } else {
            value
        }
    }

    /// Returns the cookie that `echo` is, in a segment that starts `offset` bytes into its stream.
    /// Returns `None` if it cannot be one of ours.
    ///
    /// An honest segment starts at most one byte before what its sender saw acknowledged; a Linux
    /// probe starts exactly there. So of the positions with these five bits, the last one up to
    /// `offset + 1` is meant. No reply of ours acknowledged a position before the stream.
    #[inline]
    pub const fn decode(echo: u32, offset: i32) -> Option<Self> {
        // CAST: two's complement is right for arithmetic modulo PERIOD, a power of two.
        let top = offset.wrapping_add(1) as u32;
        let received = top.wrapping_sub(top.wrapping_sub(echo >> 3) % PERIOD);
        if (received as i32) < 0 {
            return None;
        }
        let offer = match echo & 7 {
            0 => WindowOffer::Initial,
            1 => WindowOffer::Zero,
            2 => WindowOffer::ZeroOnProbe,
            3 => WindowOffer::OneByteAtRto,
            4 => WindowOffer::OneByteEarly,
            5 => WindowOffer::OneByteLate,
            6 => WindowOffer::OneByteDrip,
            _ => WindowOffer::LastChance,
        };
        Some(Self { received, offer })
    }
}

/// Returns the age of the reply whose cookie is `echo` in milliseconds, to within [`STEP_MS`].
#[inline]
pub const fn age_ms(now_ms: u32, echo: u32) -> u32 {
    let sent_at = echo & !(STEP_MS - 1);
    // The cookie of a reply may be a step ahead of the clock. Its age is zero then.
    if after(sent_at, now_ms) {
        0
    } else {
        now_ms.wrapping_sub(sent_at)
    }
}

/// Returns the cookie of a honeypot's reply: the clock in steps, plus the bytes `received` so far.
///
/// The replies to a burst are sent within one step and echo one TSval. Their own must not decrease,
/// or the client drops them (RFC 7323, 5.2): so the cookie grows with the clock and with the count.
/// It is never below the echo, and its low bits are those of the count in any case.
#[inline]
pub const fn encode_byte_count(received: u32, now_ms: u32, echo: Option<u32>) -> u32 {
    let value = (now_ms & !(STEP_MS - 1)).wrapping_add(received);
    match echo {
        Some(echo) if after(echo, value) => {
            echo.wrapping_add(value.wrapping_sub(echo) & (STEP_MS - 1))
        }
        _ => value,
    }
}

/// Returns true if a segment `start` bytes into its stream starts one byte before RCV.NXT, by the
/// byte count that it echoes.
///
/// Behind one byte more than [`MAX_IN_FLIGHT_BYTE_COUNT`], or a multiple of [`STEP_MS`] more than
/// that, an acknowledgment looks the same.
#[inline]
pub const fn starts_before_byte_count(echo: u32, start: i32) -> bool {
    // CAST: two's complement is right for arithmetic modulo STEP_MS, a power of two.
    echo.wrapping_sub(start as u32) & (STEP_MS - 1) == 1
}

/// Returns the clock of the byte count that a segment `start` bytes into its stream echoes. Each
/// byte in flight makes it a millisecond earlier.
#[inline]
pub const fn byte_count_clock(echo: u32, start: i32) -> u32 {
    // CAST: modulo 2^32, as both numbers are.
    echo.wrapping_sub(start as u32)
}

/// Returns true if a cookie with the clock `sent_at` is younger than [`RECENT_MS`].
#[inline]
pub const fn is_recent(now_ms: u32, sent_at: u32) -> bool {
    // The clocks of two CPUs may differ by a little.
    now_ms.wrapping_sub(sent_at).wrapping_add(STEP_MS) < RECENT_MS
}

/// Returns true if the timestamp `a` is later than `b`.
const fn after(a: u32, b: u32) -> bool {
    // CAST: timestamps are compared by their signed distance (RFC 7323, 5.2).
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: TsCookie = TsCookie {
        received: 0,
        offer: WindowOffer::Initial,
    };
    const ZERO: TsCookie = TsCookie {
        received: 24,
        offer: WindowOffer::Zero,
    };

    const OFFERS: [WindowOffer; 8] = [
        WindowOffer::Initial,
        WindowOffer::Zero,
        WindowOffer::ZeroOnProbe,
        WindowOffer::OneByteAtRto,
        WindowOffer::OneByteEarly,
        WindowOffer::OneByteLate,
        WindowOffer::OneByteDrip,
        WindowOffer::LastChance,
    ];

    #[test]
    fn decodes_the_echo_of_every_class_of_segment() {
        for (at, offer) in (0..300i32).zip(OFFERS.into_iter().cycle()) {
            let cookie = TsCookie {
                received: at.unsigned_abs(),
                offer,
            };
            let echo = cookie.encode(0x1234_5678, None);
            // A probe, a bare ACK or a retransmission, and data in flight.
            for offset in [at - 1, at, at + 24, at + 30] {
                assert_eq!(TsCookie::decode(echo, offset), Some(cookie));
            }
        }
    }

    #[test]
    fn refuses_an_echo_from_before_the_stream() {
        assert_eq!(TsCookie::decode(ZERO.encode(0, None), 0), None);
    }

    #[test]
    fn the_clock_advances_in_steps_and_wraps() {
        assert_eq!(INITIAL.encode(1000, None), 768);
        assert_eq!(ZERO.encode(1000, None), 768 | (24 << 3) | 1);
        assert_eq!(INITIAL.encode(u32::MAX, None), u32::MAX - 255);
        // The clock has wrapped, the echo not yet.
        assert_eq!(INITIAL.encode(5, Some(u32::MAX - 255)), 0);
    }

    #[test]
    fn a_byte_count_grows_with_time_and_with_bytes() {
        for clock in [0u32, 255, 256, 1 << 31, u32::MAX - 300] {
            let mut last = encode_byte_count(7, clock, None);
            for (received, passed) in [(8, 0), (1448, 0), (1449, 1), (1449, 300), (70_000, 301)] {
                let now_ms = clock.wrapping_add(passed);
                // All of a burst echo the same cookie.
                let echo = encode_byte_count(7, clock, None);
                let value = encode_byte_count(received, now_ms, Some(echo));
                assert!(!after(last, value), "{received} bytes after {passed} ms");
                last = value;
            }
        }
    }

    #[test]
    fn a_byte_count_tells_a_keep_alive_from_254_bytes_in_flight() {
        for received in [0i32, 1, 255, 256, 1 << 24] {
            // From an honest echo, and from one that was ahead.
            for echo in [None, Some(0x1234_9999)] {
                let cookie = encode_byte_count(received.unsigned_abs(), 0x1234_5678, echo);
                assert!(starts_before_byte_count(cookie, received - 1));
                for in_flight in 0..=254 {
                    assert!(!starts_before_byte_count(cookie, received + in_flight));
                }
            }
        }
    }

    #[test]
    fn never_below_the_echo_and_at_most_a_step_above() {
        for clock in [0u32, 1, 127, 128, 1 << 31, u32::MAX - 3] {
            for distance in -400i32..400 {
                let echo = clock.wrapping_add_signed(distance);
                for cookie in [INITIAL, ZERO] {
                    let value = cookie.encode(clock, Some(echo));
                    let later = if distance > 0 { echo } else { clock };
                    assert!(!after(echo, value));
                    assert!(!after(value, later.wrapping_add(STEP_MS)));
                }
            }
        }
    }
}
