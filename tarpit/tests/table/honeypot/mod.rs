// SPDX-License-Identifier: GPL-2.0

//! A rule that accepts all data. The clock is 50000045, so the stamp of a reply is 50000000 plus the bytes
//! received.

use super::common::{Host, BOTH, HONEYPOT};
use super::octets;

mod data;
mod keep_alive;
mod numbers;

fn hosts() -> [Host; 2] {
    BOTH.map(|host| host.under(HONEYPOT))
}

/// Returns the stamp of a reply in the step that begins with `clock`, which acknowledges `ack`.
fn stamp(clock: u32, ack: u32) -> String {
    format!("@{:08x}", clock.wrapping_add(ack.wrapping_sub(0x1000_0001)))
}

/// Asserts the reply to a segment that has TSval 11223346 and echoes the previous reply.
#[track_caller]
fn answers(host: &Host, (seq, bits, count): (u32, &str, usize), (bits_back, ack): (&str, u32)) {
    let (echo, value) = (stamp(0x5000_0000, seq), stamp(0x5000_0000, ack));
    host.answers(
        &format!(
            "9c400017 {seq:08x} ISN+1 80{bits}01f6 SUM 0000 0101080a 11223346 {echo} {}",
            octets(count)
        ),
        &format!("00179c40 ISN+1 {ack:08x} 80{bits_back}fcc0 SUM 0000 0101080a {value} 11223346"),
    );
}

/// Asserts the reply to a segment without timestamps.
#[track_caller]
fn answers_untimed(
    host: &Host,
    (seq, bits, count): (u32, &str, usize),
    (bits_back, ack): (&str, u32),
) {
    host.answers(
        &format!(
            "9c400017 {seq:08x} ISN+1 50{bits}faf0 SUM 0000 {}",
            octets(count)
        ),
        &format!("00179c40 ISN+1 {ack:08x} 50{bits_back}ff00 SUM 0000"),
    );
}

/// Positions in the stream: its start, the limits of other modes, and the largest one without
/// timestamps.
const PLACES: [u32; 8] = [0, 1, 5, 24, 65_280, 1 << 17, (1 << 24) - 1, 1 << 24];
