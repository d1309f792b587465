// SPDX-License-Identifier: GPL-2.0

//! The laws that each reply keeps, whatever connection it belongs to.

use crate::{Expected, Mode, Options, Reply, Rule, Segment, ACK, BANNER, ECE, FIN, RST, SYN};

/// Fails with a message unless the condition holds.
macro_rules! law {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}
pub(crate) use law;

/// A timestamp may lie this far behind an echo of 24 days ago, which is neither old nor new: two
/// steps of 256 ms.
const MAX_AHEAD: u32 = (1 << 31) + 512;

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It opens the connection.
    SynAck,
    /// It refuses or ends the connection.
    Reset,
    /// It acknowledges.
    Ack,
    /// It acknowledges a FIN, and ends the stream of the module.
    FinAck,
    /// It carries a byte of the banner.
    Byte,
}

impl Kind {
    /// Returns a word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SynAck => "SYN-ACK",
            Self::Reset => "RST",
            Self::Ack => "ACK",
            Self::FinAck => "FIN-ACK",
            Self::Byte => "byte",
        }
    }
}

/// Checks a reply to `sent`, of a rule whose replies have a route with this MSS.
pub fn check(rule: &Rule, mss: u16, sent: &Segment, reply: &Reply) -> Result<Kind, String> {
    law!(
        (reply.source, reply.destination) == (sent.destination, sent.source),
        "the addresses are not reversed"
    );
    law!(
        (reply.tcp.source_port, reply.tcp.destination_port)
            == (sent.destination_port, sent.source_port),
        "the ports are not reversed"
    );
    law!(
        reply.hop_limit == rule.hop_limit,
        "hop limit {}, not {}",
        reply.hop_limit,
        rule.hop_limit
    );
    let payload_len = usize::from(reply.payload.is_some());
    law!(
        reply.len <= sent.packet_len.saturating_add(payload_len),
        "{} bytes for {}",
        reply.len,
        sent.packet_len
    );
    law!(!sent.has(RST), "a reply to a reset");
    let kind = match reply.flags {
        flags if flags & !ECE == SYN | ACK => check_syn_ack(rule, mss, sent, reply)?,
        flags if flags & !ACK == RST => check_reset(rule, sent, reply)?,
        _ => check_ack(rule, mss, sent, reply)?,
    };
    let theirs = sent.options.timestamps;
    law!(
        kind == Kind::Reset || reply.options.timestamps.is_some() == theirs.is_some(),
        "timestamps {:?} for {theirs:?}",
        reply.options.timestamps
    );
    Ok(kind)
}

/// Checks that a reply acknowledges nothing that the segment does not contain. A frozen connection
/// has replies that acknowledge less than that: where its first segment starts.
pub fn check_acknowledgment(sent: &Segment, reply: &Reply) -> Result<(), String> {
    let acked = reply.tcp.acknowledgment_number.wrapping_sub(sent.seq);
    // CAST: modulo 2^32.
    let fin = u32::from(reply.tcp.fin);
    let contained = (sent.payload as u32).saturating_add(fin);
    // An empty segment gets its reply where it starts one byte before RCV.NXT.
    law!(
        reply.tcp.rst || reply.tcp.syn || acked <= contained.max(1),
        "{acked} bytes of {contained} are acknowledged"
    );
    Ok(())
}

fn check_syn_ack(rule: &Rule, mss: u16, sent: &Segment, reply: &Reply) -> Result<Kind, String> {
    law!(
        rule.mode != Mode::Reset && sent.flags & (SYN | ACK | FIN) == SYN,
        "a SYN-ACK for that"
    );
    check_exactly(&Expected::syn_ack(rule, mss, sent), reply)?;
    law!(
        reply.label == 0 || reply.source.is_ipv6(),
        "a SYN-ACK with an identification"
    );
    let (offered, options) = (sent.options, reply.options);
    // Each option that was offered, with a value of ours.
    let mut accepted = Options {
        mss: Some(mss),
        scale: offered.scale.map(|_| rule.window_scale()),
        sack: offered.sack,
        timestamps: offered
            .timestamps
            .map(|(value, _)| (options.timestamps.map_or(0, |(ours, _)| ours), value)),
    };
    // MSS is added to other options if it makes the SYN-ACK no longer than the SYN.
    let has_room = 20 + accepted.len() <= sent.tcp_len;
    if offered.mss.is_none() && (offered == Options::default() || !has_room) {
        accepted.mss = None;
    }
    law!(
        options == accepted,
        "the options {options:?}, not {accepted:?}"
    );
    Ok(Kind::SynAck)
}

fn check_reset(rule: &Rule, sent: &Segment, reply: &Reply) -> Result<Kind, String> {
    law!(
        rule.mode == Mode::Reset || sent.flags & (SYN | ACK | FIN) == SYN | ACK,
        "a reset for that"
    );
    check_exactly(&Expected::reset(sent), reply)?;
    law!(
        reply.options == Options::default(),
        "a reset with {:?}",
        reply.options
    );
    law!(
        reply.label == 0 || reply.source.is_ipv6(),
        "a reset with an identification"
    );
    Ok(Kind::Reset)
}

fn check_ack(rule: &Rule, mss: u16, sent: &Segment, reply: &Reply) -> Result<Kind, String> {
    law!(
        reply.tcp.ack && !reply.tcp.syn,
        "the flags {:#x}",
        reply.flags
    );
    law!(
        rule.mode != Mode::Reset && sent.flags & (SYN | ACK) == ACK,
        "an ACK for that"
    );
    law!(
        reply.tcp.sequence_number == sent.ack,
        "SEG.SEQ is not what was acknowledged"
    );
    let (fin, timestamps) = (sent.has(FIN), sent.options.timestamps);
    law!(
        reply.tcp.fin == (fin && rule.mode == Mode::Honeypot),
        "the flags {:#x} for {:#x}",
        reply.flags,
        sent.flags
    );
    law!(
        !reply.tcp.ece || rule.mode == Mode::Linux && sent.is_marked() && !sent.is_empty(),
        "ECE in an ACK"
    );
    if let Some(byte) = reply.payload {
        law!(
            rule.mode == Mode::Drip && timestamps.is_some() && BANNER.contains(&byte),
            "the byte {byte:#x}"
        );
    }
    let options = Options {
        timestamps: reply.options.timestamps,
        ..Options::default()
    };
    law!(
        reply.options == options,
        "options of a SYN: {:?}",
        reply.options
    );
    if let (Some((value, _)), Some((_, echo))) = (reply.options.timestamps, timestamps) {
        law!(
            value.wrapping_sub(echo) < MAX_AHEAD,
            "TSval {value:#x} before the echo {echo:#x}"
        );
    }
    let window = reply.tcp.window_size;
    if rule.mode == Mode::Honeypot {
        let wide = rule.first_window(mss, timestamps.is_some());
        law!(window == wide, "a window of {window}, not {wide}");
        // A keep-alive starts one byte before what it acknowledges.
        let len = sent.sequence_len().max(1);
        law!(
            reply.tcp.acknowledgment_number == sent.seq.wrapping_add(len),
            "{} is acknowledged, not all",
            reply.tcp.acknowledgment_number
        );
    } else {
        let offers = [0, 1, rule.last_chance(mss)];
        law!(offers.contains(&window), "a window of {window}");
    }
    Ok(match reply.payload {
        _ if reply.tcp.fin => Kind::FinAck,
        Some(_) => Kind::Byte,
        None => Kind::Ack,
    })
}

/// Checks that a reply is the expected one, except for its rate limit.
fn check_exactly(expected: &Expected, reply: &Reply) -> Result<(), String> {
    let given = Expected::of_reply(reply, expected.limit);
    law!(given == *expected, "{given:?}, not {expected:?}");
    Ok(())
}
