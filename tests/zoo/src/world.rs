// SPDX-License-Identifier: GPL-2.0

//! The world that `tests/vm/zoo.py` builds and this program sends into: links, addresses, rules.

use oracle::Mode;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// By which link a packet comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// A veth pair, sent by a packet socket with PACKET_VNET_HDR.
    Veth,
    /// A TAP device: what is written comes as a frame.
    Tap,
    /// A TAP device with IFF_NAPI_FRAGS: through GRO, the skb made of the pieces that were written.
    Frags,
    /// A TUN device: no Ethernet.
    Tun,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Veth, Self::Tap, Self::Frags, Self::Tun];

    pub fn is_ethernet(self) -> bool {
        self != Self::Tun
    }

    pub fn name(self) -> &'static str {
        ["veth", "tap", "frags", "tun"][self as usize]
    }

    /// The server's station on this link.
    pub fn server_mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 1, self as u8]
    }

    /// Ours.
    pub fn client_mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 2, self as u8]
    }

    /// Peer number `n`: the server has a route back by this link, and another budget for each. Over IPv4 there are so many
    /// that none comes again as long as fragments of it may wait for others.
    pub fn peer(self, n: u32, v6: bool) -> IpAddr {
        let [_, net, high, low] = n.to_be_bytes();
        let way = self as u8;
        if v6 {
            let net = 0x10 + u16::from(way);
            Ipv6Addr::new(0x2001, 0xdb8, net, n as u16, 0, 0, 0, 1).into()
        } else {
            Ipv4Addr::new(10, 32 * (1 + way) + net % 32, high, low).into()
        }
    }

    /// An address of the server's own on this link.
    pub fn server(self, v6: bool) -> IpAddr {
        let way = self as u8;
        if v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 1, u16::from(way), 0, 0, 0, 2).into()
        } else {
            Ipv4Addr::new(192, 0, 2, 16 * way + 2).into()
        }
    }

    /// The broadcast address of the link's subnet.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 16 * self as u8 + 15)
    }
}

/// The MTU of all links.
pub const MTU: u16 = 9000;
/// The VLAN that the server is in.
pub const VLAN: u16 = 7;

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// PREROUTING of the table raw.
    Raw,
    /// That of mangle.
    Mangle,
    Input,
    Forward,
}

impl Hook {
    const ALL: [Self; 4] = [Self::Raw, Self::Mangle, Self::Input, Self::Forward];

    fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Raw => ("raw", "PREROUTING"),
            Self::Mangle => ("mangle", "PREROUTING"),
            Self::Input => ("filter", "INPUT"),
            Self::Forward => ("filter", "FORWARD"),
        }
    }
}

/// A rule of the lab.
#[derive(Debug)]
pub struct Rule {
    pub options: &'static str,
    /// What the oracle has to know of it. The route gives a hop limit of 64.
    pub oracle: oracle::Rule,
}

const fn rule(options: &'static str, mode: Mode, window: u16, hop_limit: u8) -> Rule {
    Rule {
        options,
        oracle: oracle::Rule {
            mode,
            window,
            hop_limit,
        },
    }
}

pub const RULES: [Rule; 9] = [
    rule("--tarpit", Mode::Tarpit, 0, 64),
    rule("--profile linux", Mode::Linux, 0, 64),
    rule("--drip", Mode::Drip, 0, 64),
    rule("--honeypot", Mode::Honeypot, 0, 64),
    rule("--reset", Mode::Reset, 0, 64),
    rule("--hairpin", Mode::Tarpit, 0, 64),
    rule("--ttl 77 --window 5000", Mode::Tarpit, 5000, 77),
    rule("--honeypot --hairpin --window 99", Mode::Honeypot, 99, 64),
    rule("--reset --hairpin --ttl 1", Mode::Reset, 0, 1),
];

/// A rule in a hook: each has a destination address of its own, so that everything for it comes there,
/// whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub hook: Hook,
    pub rule: usize,
}

impl Target {
    /// Where a plain SYN is sent to see whether all is still alive.
    pub const MARKER: Self = Self {
        hook: Hook::Raw,
        rule: 0,
    };

    pub fn address(self, v6: bool) -> IpAddr {
        let host = 16 * self.hook as u8 + self.rule as u8 + 1;
        if v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, host.into()).into()
        } else {
            Ipv4Addr::new(203, 0, 113, host).into()
        }
    }

    /// The one whose address this is.
    pub fn at(address: IpAddr) -> Option<Self> {
        let host = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let target = Self {
            hook: *Hook::ALL.get(usize::from(host.checked_sub(1)? / 16))?,
            rule: usize::from((host - 1) % 16),
        };
        let is_there = target.rule < RULES.len() && target.address(address.is_ipv6()) == address;
        is_there.then_some(target)
    }

    pub fn all() -> Vec<Self> {
        let rules = |hook| (0..RULES.len()).map(move |rule| Self { hook, rule });
        Hook::ALL.into_iter().flat_map(rules).collect()
    }

    pub fn rule(self) -> oracle::Rule {
        RULES[self.rule].oracle
    }
}

/// What `iptables-restore` (or `ip6tables-restore`) reads.
pub fn rules(v6: bool) -> String {
    let mut out = String::new();
    for table in ["raw", "mangle", "filter"] {
        out += &format!("*{table}\n");
        if table == "filter" {
            // Who answers with TCP is the module, and nobody else.
            out += ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n";
        }
        for hook in Hook::ALL.into_iter().filter(|hook| hook.table().0 == table) {
            for (number, rule) in RULES.iter().enumerate() {
                let target = Target { hook, rule: number };
                let (chain, to, options) = (hook.table().1, target.address(v6), rule.options);
                out += &format!("-A {chain} -d {to} -j TARPIT {options}\n");
            }
        }
        out += "COMMIT\n";
    }
    out
}

/// The addresses that must be the server's own, for the rules in INPUT.
pub fn own_addresses() -> String {
    let mut out = String::new();
    for rule in 0..RULES.len() {
        for v6 in [false, true] {
            let target = Target {
                hook: Hook::Input,
                rule,
            };
            out += &format!("{}\n", target.address(v6));
        }
    }
    out
}
