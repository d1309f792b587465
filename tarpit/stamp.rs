// SPDX-License-Identifier: GPL-2.0

//! The timestamp as storage: what a TSval of ours carries until the peer echoes it (RFC 7323).
//!
//! A stamp is a millisecond clock whose low eight bits are not time: five hold the low bits of the
//! octets received so far (`RCV.NXT - client ISN - 1`), three which window was offered and why. The
//! peer's TSecr is the stamp of the last answer that it took in, so it says what the peer knew when
//! it sent the segment, and since when, which the numbers alone do not. On the wire each flow adds an
//! offset of its own ([`super::isn::Flow::stamp_offset`]), which hides the clock and the bits.
//!
//! Where all is taken, a stamp is the clock plus all of these octets ([`counting`]).

/// The step of the clock in milliseconds: 2 to the number of bits that are not time.
pub const STEP_MS: u32 = 256;

/// How many octets apart two positions are that carry the same five bits.
const PERIOD: u32 = 32;

/// With how many octets in flight, a FIN counted as one, an acknowledgment is told from a probe.
pub const MOST_IN_FLIGHT: u16 = 30;

/// The same for a stamp of [`counting`].
pub const MOST_COUNTED_IN_FLIGHT: i32 = STEP_MS as i32 - 2;

/// The window that an answer offered, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The first, of the SYN-ACK.
    Open = 0,
    /// None, to data, FIN or a keep-alive with an octet: the peer's timers start over.
    Closed = 1,
    /// None, to a probe: the peer's intervals double.
    Probed = 2,
    /// One octet, to the first probe: its interval was the peer's retransmission timeout.
    Steady = 3,
    /// One octet, to a later probe after a short interval.
    Short = 4,
    /// One octet, to a later probe after a long interval.
    Long = 5,
    /// One octet, to any probe, to be taken at once.
    Drip = 6,
    /// One that is to be used at once, to a probe that may be the last.
    Last = 7,
}

/// What an answer of ours told the peer, as its TSecr gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The octets that were acknowledged, not counting the SYN.
    pub received: u32,
    /// The window.
    pub offer: Offer,
}

impl Told {
    /// The stamp of an answer that tells this.
    ///
    /// `now_ms` is the clock, `echo` the stamp that the peer echoes, if it sent one: the value never
    /// lies below it, so the peer's check against wrapped sequence numbers lets the answer pass
    /// (RFC 7323, 5.2), and at most one step above the later of the two.
    #[inline]
    pub const fn stamp(self, now_ms: u32, echo: Option<u32>) -> u32 {
        // CAST: the discriminant has three bits. Of two answers in one step, the one that acknowledges
        // more should be the later one.
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

    /// Reads what `echo` says to a segment that starts `offset` octets into the stream.
    ///
    /// An honest segment starts no earlier than one octet before what its sender saw acknowledged
    /// (a Linux probe starts just there), so of the positions that carry these bits the last one up
    /// to `offset + 1` is meant. `None` when that lies before the stream: not an echo of ours.
    #[inline]
    pub const fn from_echo(echo: u32, offset: i32) -> Option<Self> {
        // CAST: the two's complement is right for the arithmetic modulo PERIOD, a power of two.
        let top = offset.wrapping_add(1) as u32;
        let received = top.wrapping_sub(top.wrapping_sub(echo >> 3) % PERIOD);
        if (received as i32) < 0 {
            return None;
        }
        let offer = match echo & 7 {
            0 => Offer::Open,
            1 => Offer::Closed,
            2 => Offer::Probed,
            3 => Offer::Steady,
            4 => Offer::Short,
            5 => Offer::Long,
            6 => Offer::Drip,
            _ => Offer::Last,
        };
        Some(Self { received, offer })
    }
}

/// How long ago the answer was given whose stamp is `echo`, in milliseconds, give or take [`STEP_MS`].
#[inline]
pub const fn age_ms(now_ms: u32, echo: u32) -> u32 {
    let given_at = echo & !(STEP_MS - 1);
    // The stamp of an answer may be a step ahead of the clock, which is no age yet.
    if after(given_at, now_ms) {
        0
    } else {
        now_ms.wrapping_sub(given_at)
    }
}

/// The stamp of an answer of a honeypot: the clock in steps, plus the octets `received` so far.
///
/// The replies to a burst are sent within one step and to one echo. Their stamps must not decrease, or the
/// client drops them (RFC 7323, 5.2): so the stamp grows with both. It is never below the echo, and its low
/// bits are those of `received` in any case.
#[inline]
pub const fn counting(received: u32, now_ms: u32, echo: Option<u32>) -> u32 {
    let value = (now_ms & !(STEP_MS - 1)).wrapping_add(received);
    match echo {
        Some(echo) if after(echo, value) => {
            echo.wrapping_add(value.wrapping_sub(echo) & (STEP_MS - 1))
        }
        _ => value,
    }
}

/// Returns true if a segment that starts `start` octets into the stream starts one octet before RCV.NXT, as
/// its echo says, which is a stamp of [`counting`].
///
/// Behind one octet more than [`MOST_COUNTED_IN_FLIGHT`], or a multiple of [`STEP_MS`] more than that, an
/// acknowledgment looks the same.
#[inline]
pub const fn is_before_counted(echo: u32, start: i32) -> bool {
    // CAST: the two's complement is right for the arithmetic modulo STEP_MS, a power of two.
    echo.wrapping_sub(start as u32) & (STEP_MS - 1) == 1
}

/// The time of a stamp of [`counting`] that a segment echoes which starts `start` octets into the stream. Each
/// octet in flight makes it a millisecond earlier.
#[inline]
pub const fn counted_at(echo: u32, start: i32) -> u32 {
    // CAST: modulo 2^32, as both numbers are.
    echo.wrapping_sub(start as u32)
}

/// Whether `echo` can be a stamp of the last two hours: an echo that is made up is so with odds of 2^-9.
#[inline]
pub const fn is_recent(now_ms: u32, echo: u32) -> bool {
    // The clocks of two CPUs may differ by a little.
    now_ms.wrapping_sub(echo).wrapping_add(STEP_MS) < 1 << 23
}

const fn after(a: u32, b: u32) -> bool {
    // CAST: timestamps are compared by their signed distance (RFC 7323, 5.2).
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Told = Told {
        received: 0,
        offer: Offer::Open,
    };
    const CLOSED: Told = Told {
        received: 24,
        offer: Offer::Closed,
    };

    const OFFERS: [Offer; 8] = [
        Offer::Open,
        Offer::Closed,
        Offer::Probed,
        Offer::Steady,
        Offer::Short,
        Offer::Long,
        Offer::Drip,
        Offer::Last,
    ];

    #[test]
    fn what_was_told_comes_back_with_every_kind_of_segment() {
        for (at, offer) in (0..300i32).zip(OFFERS.into_iter().cycle()) {
            let told = Told {
                received: at.unsigned_abs(),
                offer,
            };
            let stamp = told.stamp(0x1234_5678, None);
            // A probe, a bare ACK or a retransmission, and data in flight.
            for offset in [at - 1, at, at + 24, at + 30] {
                assert_eq!(Told::from_echo(stamp, offset), Some(told));
            }
        }
    }

    #[test]
    fn an_echo_from_before_the_stream_is_not_ours() {
        assert_eq!(Told::from_echo(CLOSED.stamp(0, None), 0), None);
    }

    #[test]
    fn the_clock_advances_in_steps_and_wraps() {
        assert_eq!(OPEN.stamp(1000, None), 768);
        assert_eq!(CLOSED.stamp(1000, None), 768 | (24 << 3) | 1);
        assert_eq!(OPEN.stamp(u32::MAX, None), u32::MAX - 255);
        // The clock has wrapped, the echo not yet.
        assert_eq!(OPEN.stamp(5, Some(u32::MAX - 255)), 0);
    }

    #[test]
    fn a_count_grows_with_time_and_with_octets() {
        for clock in [0u32, 255, 256, 1 << 31, u32::MAX - 300] {
            let mut last = counting(7, clock, None);
            for (received, passed) in [(8, 0), (1448, 0), (1449, 1), (1449, 300), (70_000, 301)] {
                let now_ms = clock.wrapping_add(passed);
                // All of a burst echo the same stamp.
                let value = counting(received, now_ms, Some(counting(7, clock, None)));
                assert!(!after(last, value), "{received} octets after {passed} ms");
                last = value;
            }
        }
    }

    #[test]
    fn a_count_tells_a_keep_alive_from_254_octets_in_flight() {
        for received in [0i32, 1, 255, 256, 1 << 24] {
            // From an honest echo, and from one that was ahead.
            for echo in [None, Some(0x1234_9999)] {
                let stamp = counting(received.unsigned_abs(), 0x1234_5678, echo);
                assert!(is_before_counted(stamp, received - 1));
                for in_flight in 0..=254 {
                    assert!(!is_before_counted(stamp, received + in_flight));
                }
            }
        }
    }

    #[test]
    fn never_below_the_echo_and_at_most_a_step_above() {
        for clock in [0u32, 1, 127, 128, 1 << 31, u32::MAX - 3] {
            for distance in -400i32..400 {
                let echo = clock.wrapping_add_signed(distance);
                for told in [OPEN, CLOSED] {
                    let stamp = told.stamp(clock, Some(echo));
                    let later = if distance > 0 { echo } else { clock };
                    assert!(!after(echo, stamp));
                    assert!(!after(stamp, later.wrapping_add(STEP_MS)));
                }
            }
        }
    }
}
