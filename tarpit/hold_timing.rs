// SPDX-License-Identifier: GPL-2.0

//! When a held connection gets which window, and when a byte in flight is accepted.
//!
//! All thresholds are ages in milliseconds: the time since the reply of ours that the segment
//! echoes. docs/hold.md derives them.

use super::ts_cookie::{WindowOffer, STEP_MS};

/// A probe of at least this age gets a byte of the banner from a drip rule: with what follows, no
/// more than half a minute passes between two of them.
pub(super) const DRIP_FROM_MS: u32 = 6_500;

/// A probe of at least this age is offered one byte. One that is younger is followed by another of
/// about twice its age, below [`TRICKLE_UNTIL_MS`] even if the peer's timer is late by an eighth
/// (kernel/time/timer.c).
const TRICKLE_FROM_MS: u32 = 27_500;

/// The first probe after data is offered one byte from this age on. Its interval is the peer's
/// retransmission timeout, which is then long enough to be kept near [`RTO_GOAL_MS`].
const AT_RTO_FROM_MS: u32 = 36_000;

/// A later probe of at least this age has a long interval: the byte that it is offered can be
/// accepted later.
const LATE_FROM_MS: u32 = 38_000;

/// A probe of at least this age may be the peer's last. Linux gives up when the next interval would
/// reach 120 s, so the interval before it is below 60 s. Its age is larger by the time of flight
/// and the delay of the peer's timer, or smaller by a step of our clock.
const TRICKLE_UNTIL_MS: u32 = 60_000 - 2 * STEP_MS;

/// One byte of the data in flight is accepted from this age on. While the peer's timeout is short,
/// the next retransmission comes before the age is twice this, and so in time.
pub(super) const ACCEPT_IN_FLIGHT_FROM_MS: u32 = 45_000;

/// A single byte of at least this age is the last one in flight. A younger one may be a probe: BSD
/// waits 60 s at most.
pub(super) const NO_PROBE_FROM_MS: u32 = 90_000;

/// The byte for [`WindowOffer::OneByteEarly`] is accepted from this age on.
const ACCEPT_EARLY_FROM_MS: u32 = 85_000;

/// The byte for [`WindowOffer::OneByteLate`] is accepted from this age on.
const ACCEPT_LATE_FROM_MS: u32 = 122_000;

/// The byte for [`WindowOffer::OneByteAtRto`] is accepted from this age on. With the timeout A it
/// comes at the ages 2 A, 3 A and 5 A.
const ACCEPT_AT_RTO_FROM_MS: u32 = 147_000;

/// From this age on, the byte for [`WindowOffer::OneByteAtRto`] is the second retransmission, and
/// below it the first one, as A is in [36, 60) s.
const SECOND_RETRANSMISSION_FROM_MS: u32 = 180_000;

/// How far the echo is dated back after [`WindowOffer::OneByteEarly`] and
/// [`WindowOffer::OneByteLate`].
const BACKDATE_MS: u32 = 24_000;

/// The timeout at which the peer's timeout is kept: just under the 51.1 s at which one probe and
/// two retransmissions are all that it sends for a byte. The echo is dated back by
/// [`BACKDATE_AT_GOAL_MS`] there, and by [`BACKDATE_SLOPE`] times as much as the timeout lies
/// below.
const RTO_GOAL_MS: u32 = 46_000;
const BACKDATE_AT_GOAL_MS: u32 = 14_000;
const BACKDATE_SLOPE: u32 = 4;

/// With a timeout of at least this, the echo is not dated back.
const RTO_HIGH_MS: u32 = 47_000;

/// With a timeout below this, the echo is dated back by [`MAX_BACKDATE_MS`].
const RTO_LOW_MS: u32 = 39_500;
const MAX_BACKDATE_MS: u32 = 40_000;

/// Returns the window offer to a probe of this age. `before` is the previous offer.
///
/// A peer whose socket is open probes indefinitely. Linux gives up an orphan as soon as the
/// interval to the next probe would reach its ceiling of 120 s (tcp_probe_timer), and starts over
/// when the orphan could send something. It uses a window that is smaller than its segments when
/// the next probe is due (tcp_write_wakeup), so one byte at the right time gains the most.
pub(super) const fn choose_offer(before: WindowOffer, age_ms: u32, drip: bool) -> WindowOffer {
    match (age_ms, before) {
        (DRIP_FROM_MS.., _) if drip => WindowOffer::OneByteDrip,
        // The client has nothing to send. As long as it may fill this window, the cookie has to say
        // so: more data may be in flight than a cookie tells from a probe.
        (_, WindowOffer::LastChance) => WindowOffer::LastChance,
        (AT_RTO_FROM_MS..TRICKLE_UNTIL_MS, WindowOffer::Zero) => WindowOffer::OneByteAtRto,
        (TRICKLE_FROM_MS..LATE_FROM_MS, _) => WindowOffer::OneByteEarly,
        (LATE_FROM_MS..TRICKLE_UNTIL_MS, _) => WindowOffer::OneByteLate,
        // A reply was lost, and there may be no next probe. The peer at once uses a window of the
        // segment size that the first window left it with.
        (TRICKLE_UNTIL_MS.., _) => WindowOffer::LastChance,
        _ => WindowOffer::ZeroOnProbe,
    }
}

/// Returns how far the echo is dated back in the acknowledgment of a byte of this age, which was
/// offered by `offer`. Returns `None` if the byte is not accepted yet.
///
/// With the age A of the offer's probe, the byte comes at the age 2 A, and again when the peer's
/// timeout has passed once, three times, seven times. Each threshold lies between a segment that is
/// too early and the next one, which may be too late.
///
/// The acknowledgment of a byte that was retransmitted gives the peer a round trip to measure, by
/// its echo (tcp_rtt_tsopt_us): now minus the time that the echo names. A receiver that delays its
/// acknowledgments sends such an echo, and the byte has been here for longer than the echo says. It
/// raises the peer's timeout to [`RTO_GOAL_MS`].
pub(super) const fn echo_backdate_ms(offer: WindowOffer, age_ms: u32) -> Option<u32> {
    match offer {
        WindowOffer::OneByteEarly if age_ms >= ACCEPT_EARLY_FROM_MS => Some(BACKDATE_MS),
        WindowOffer::OneByteLate if age_ms >= ACCEPT_LATE_FROM_MS => Some(BACKDATE_MS),
        WindowOffer::OneByteAtRto if age_ms >= ACCEPT_AT_RTO_FROM_MS => {
            let rtos = if age_ms < SECOND_RETRANSMISSION_FROM_MS {
                3
            } else {
                5
            };
            let rto_ms = age_ms / rtos;
            Some(match rto_ms {
                RTO_HIGH_MS.. => 0,
                RTO_LOW_MS.. => {
                    BACKDATE_AT_GOAL_MS + BACKDATE_SLOPE * RTO_GOAL_MS.saturating_sub(rto_ms)
                }
                _ => MAX_BACKDATE_MS,
            })
        }
        _ => None,
    }
}
