// SPDX-License-Identifier: GPL-2.0

//! A rule, and the constants of the page.

/// The window of the SYN-ACK for a client with timestamps under profile hold, in bytes.
pub const FIRST_WINDOW: u16 = 24;

/// The window of a last chance under profile hold, in bytes.
pub const LAST_CHANCE: u16 = 36;

/// The banner that drip sends, over and over.
pub const BANNER: &[u8; 18] = b"220-Please wait.\r\n";

/// The most bytes in flight for which a timestamp cookie tells an ACK from a probe.
pub const MAX_IN_FLIGHT: u16 = 30;

/// The same for the timestamps of a honeypot.
pub const MAX_IN_FLIGHT_HONEYPOT: u16 = 254;

/// The length of the timestamps option with its padding in bytes.
const TIMESTAMPS_LEN: u16 = 12;

/// The window scale of profile linux, a shift count.
const LINUX_SCALE: u8 = 7;

/// The columns of the page's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `--tarpit`
    Tarpit,
    /// `--profile linux`
    Linux,
    /// `--drip`
    Drip,
    /// `--honeypot`
    Honeypot,
    /// `--reset`
    Reset,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How it replies.
    pub mode: Mode,
    /// `--window`: the window of the SYN-ACK in bytes; 0 for the one of the mode.
    pub window: u16,
    /// The TTL or hop limit of the replies.
    pub hop_limit: u8,
}

impl Rule {
    /// Returns true if the rule holds connections.
    pub fn holds(&self) -> bool {
        matches!(self.mode, Mode::Tarpit | Mode::Linux | Mode::Drip)
    }

    /// Returns the window of the SYN-ACK, unscaled.
    pub fn first_window(&self, mss: u16, timestamps: bool) -> u16 {
        match (self.window, self.mode) {
            (0, Mode::Tarpit | Mode::Drip) if timestamps => FIRST_WINDOW,
            (0, _) => whole_segments(mss, timestamps),
            (window, _) => window,
        }
    }

    /// Returns the field of the window for a probe that may be the client's last one.
    pub fn last_chance(&self, mss: u16) -> u16 {
        match self.mode {
            // One segment, rounded up to the next unit.
            Mode::Linux => (mss >> LINUX_SCALE) + 1,
            _ => LAST_CHANCE,
        }
    }

    /// Returns the window scale, a shift count.
    pub fn window_scale(&self) -> u8 {
        match self.mode {
            Mode::Linux => LINUX_SCALE,
            _ => 0,
        }
    }
}

/// Returns the wide window: the whole segments below 64 K.
pub fn whole_segments(mss: u16, timestamps: bool) -> u16 {
    let segment = mss.saturating_sub(if timestamps { TIMESTAMPS_LEN } else { 0 });
    match segment {
        0 => u16::MAX,
        segment => u16::MAX / segment * segment,
    }
}
