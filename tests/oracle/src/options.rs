// SPDX-License-Identifier: GPL-2.0

//! The options of a TCP header.

use etherparse::{TcpHeader, TcpOptionElement};

/// The options of a segment that the module knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub scale: Option<u8>,
    /// SACK-permitted.
    pub sack: bool,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
}

impl Options {
    /// Reads the options of a client as Linux does (tcp_parse_options): an option of another length
    /// than its own is skipped, where etherparse stops. Of an option that comes twice, the last one
    /// counts.
    pub fn read(bytes: &[u8]) -> Self {
        let mut options = Self::default();
        let mut rest = bytes;
        while let [kind, following @ ..] = rest {
            rest = match (kind, following) {
                (0, _) => break,
                (1, _) => following,
                (_, &[len, ..]) if len >= 2 && usize::from(len) <= rest.len() => {
                    let (option, behind) = rest.split_at(len.into());
                    match *option {
                        [2, 4, a, b] => options.mss = Some(u16::from_be_bytes([a, b])),
                        [3, 3, shift] => options.scale = Some(shift),
                        [4, 2] => options.sack = true,
                        [8, 10, v0, v1, v2, v3, e0, e1, e2, e3] => {
                            let (value, echo) = ([v0, v1, v2, v3], [e0, e1, e2, e3]);
                            options.timestamps =
                                Some((u32::from_be_bytes(value), u32::from_be_bytes(echo)));
                        }
                        _ => {}
                    }
                    behind
                }
                _ => break,
            };
        }
        options
    }

    /// Reads the options of a reply. Each is one that the module knows and comes once, and nothing
    /// lies behind the end of the list.
    pub(crate) fn of_reply(tcp: &TcpHeader) -> Result<Self, String> {
        let mut options = Self::default();
        let mut seen = 0;
        for element in tcp.options_iterator() {
            let element = element.map_err(|error| format!("TCP option: {error}"))?;
            let bit = match element {
                TcpOptionElement::Noop => continue,
                TcpOptionElement::MaximumSegmentSize(mss) => {
                    options.mss = Some(mss);
                    1
                }
                TcpOptionElement::WindowScale(shift) => {
                    options.scale = Some(shift);
                    2
                }
                TcpOptionElement::SelectiveAcknowledgementPermitted => {
                    options.sack = true;
                    4
                }
                TcpOptionElement::Timestamp(value, echo) => {
                    options.timestamps = Some((value, echo));
                    8
                }
                other => return Err(format!("the option {other:?}")),
            };
            if seen & bit != 0 {
                return Err(format!("twice the option {element:?}"));
            }
            seen |= bit;
        }
        if !fills_the_header(tcp.options.as_slice()) {
            return Err("options end before the header does".into());
        }
        Ok(options)
    }

    /// Returns the length with Linux's padding in bytes. SACK-permitted takes the place of the
    /// padding before timestamps.
    pub(crate) fn len(&self) -> usize {
        let (mss, scale) = (self.mss.is_some(), self.scale.is_some());
        let stamps = match (self.timestamps, self.sack) {
            (Some(_), _) => 12,
            (None, true) => 4,
            (None, false) => 0,
        };
        4 * usize::from(mss) + 4 * usize::from(scale) + stamps
    }
}

/// Returns true if no end of the list stands before the end of the header.
fn fills_the_header(mut bytes: &[u8]) -> bool {
    while let [kind, rest @ ..] = bytes {
        bytes = match (kind, rest) {
            (0, _) => return false,
            (1, _) => rest,
            (_, [len, ..]) if *len >= 2 => bytes.get(usize::from(*len)..).unwrap_or_default(),
            _ => return false,
        };
    }
    true
}
