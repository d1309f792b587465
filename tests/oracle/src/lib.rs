// SPDX-License-Identifier: GPL-2.0

//! The oracle: the reply that docs/wire-behaviour.md promises to a segment.
//!
//! It restates the page from plain fields and from bytes that etherparse reads. It uses no code of
//! the module. The exhaustive tests and properties of the core, its fuzz targets and the packet
//! fuzzer (tests/zoo) all compare with it.
//!
//! - [`Segment`] is what a client sends, [`Reply`] is what the module sends, both read from bytes.
//! - [`check`] has the laws that each reply keeps, whatever connection it belongs to.
//! - [`Expected`] is the exact reply. It takes what SEG.ACK and TSecr say to the holder of the key
//!   ([`Known`]).

mod expected;
mod laws;
mod options;
mod reply;
mod rule;
mod segment;

pub use expected::{Echo, Expected, Known, Limit, Offer};
pub use laws::{check, check_acknowledgment, Kind};
pub use options::Options;
pub use reply::Reply;
pub use rule::{
    whole_segments, Mode, Rule, BANNER, FIRST_WINDOW, LAST_CHANCE, MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_HONEYPOT,
};
pub use segment::{checksum_is_right, transport_offset_v6, Segment};

/// The control bits.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;
pub const ECE: u8 = 0x40;
pub const CWR: u8 = 0x80;
