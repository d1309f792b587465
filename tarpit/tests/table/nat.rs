// SPDX-License-Identifier: GPL-2.0

//! Segments that NAT has changed on their way here.

use super::common::{hear, Family, Host, BOTH, CLOCK, HONEYPOT, KEY, LINUX, MSS, PLAIN};
use super::{LINUX_SYN, LINUX_SYN_ACK};
use tarpit::{Env, Wire};

/// Addresses and ports of the fixtures' segments.
fn wire(host: &Host) -> Wire {
    let bytes = |address: &str| match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        std::net::IpAddr::V6(address) => address.octets(),
    };
    Wire {
        source: bytes(host.source),
        destination: bytes(host.destination),
        source_port: 0x9c40u16.to_be_bytes(),
        destination_port: 23u16.to_be_bytes(),
    }
}

/// A host behind NAT, which gets what was for `host`.
fn backend(host: &Host) -> Host {
    let destination = match host.family {
        Family::V4 => "10.2.0.9",
        Family::V6 => "fd00:2::9",
    };
    Host {
        destination,
        ..*host
    }
}

#[test]
fn numbers_are_those_of_the_addresses_and_ports_on_the_wire() {
    let data = "9c400017 10000001 ISN+1 801001f6 SUM 0000 0101080a 11223345 @50000000 7878";
    for (host, policy) in BOTH
        .into_iter()
        .flat_map(|host| [PLAIN, LINUX, HONEYPOT].map(|policy| (host, policy)))
    {
        let wire = wire(&host);
        for text in [LINUX_SYN, data] {
            // The text of a segment has the numbers of `host`, whatever its addresses are.
            for (behind, port) in [(backend(&host), "0017"), (backend(&host), "1f90")] {
                let changed = text.replacen("9c400017", &format!("9c40{port}"), 1);
                let said = |host: &Host, text: &str, wire| {
                    let asked = host.asked(text);
                    let env = Env {
                        key: &KEY,
                        now_ms: CLOCK,
                        wire,
                    };
                    let (said, _, _) =
                        hear(&env, MSS, policy, host.family, &asked, asked.len()).unwrap();
                    said
                };
                let without_nat = said(&host, text, None);
                assert_eq!(said(&behind, &changed, Some(&wire)), without_nat);
                assert_ne!(said(&behind, LINUX_SYN, None).seq, without_nat.seq);
            }
        }
    }
}

#[test]
fn a_reply_goes_back_to_the_addresses_of_the_packet() {
    for host in BOTH {
        let wire = wire(&host);
        let behind = backend(&host);
        let asked = behind.asked(LINUX_SYN);
        let env = Env {
            key: &KEY,
            now_ms: CLOCK,
            wire: Some(&wire),
        };
        let (_, _, packet) =
            hear(&env, MSS, behind.policy, host.family, &asked, asked.len()).unwrap();
        let expected = behind.answer(LINUX_SYN_ACK);
        // NAT undoes them later.
        let addresses = match host.family {
            Family::V4 => 12..20,
            Family::V6 => 8..40,
        };
        assert_eq!(packet[addresses.clone()], expected[addresses]);
    }
}
