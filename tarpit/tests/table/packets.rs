// SPDX-License-Identifier: GPL-2.0

//! Packets that are not whole, or no TCP, or have headers before it.

use super::common::{
    ask, dump, hex, packet, read_reply, summed, Family, Fields, Host, BOTH, CLOCK, KEY, PLAIN,
    THEIRS,
};
use super::{LINUX_SYN, LINUX_SYN_ACK};
use tarpit::DropReason;

/// The length of a family's IP header.
fn ip_len(host: &Host) -> usize {
    match host.family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

#[test]
fn is_silent_on_a_packet_cut_off_anywhere() {
    for host in BOTH {
        let ip = ip_len(&host);
        let syn = host.asked(LINUX_SYN);
        assert!(host.ask(&syn).is_ok());
        for cut in 0..syn.len() {
            let cut_off = &syn[..cut];
            // What is there is all there is: the data offset says more.
            let why = if cut < ip + 20 {
                DropReason::Truncated
            } else {
                DropReason::Malformed
            };
            assert_eq!(host.ask(cut_off), Err(why), "{cut} bytes");
            // More is there, but cannot be read in one piece.
            let given = host.ask_at(CLOCK, cut_off, syn.len());
            assert_eq!(
                given,
                Err(DropReason::Truncated),
                "{cut} bytes of {}",
                syn.len()
            );
        }
        // A length that is shorter than the headers is a lie.
        for len in 0..syn.len() {
            let given = host.ask_at(CLOCK, &syn, len);
            assert_eq!(given, Err(DropReason::Malformed), "length {len}");
        }
    }
}

#[test]
fn is_silent_on_a_data_offset_that_cannot_be() {
    for host in BOTH {
        let offset_at = ip_len(&host) + 12;
        let mut syn = host.asked("9c400017 10000000 00000000 6002faf0 SUM 0000 020405b4");
        for words in 0..16 {
            syn[offset_at] = words << 4;
            let given = host.ask(&syn);
            match words {
                5 | 6 => assert!(given.is_ok(), "{words} words"),
                _ => assert_eq!(given, Err(DropReason::Malformed), "{words} words"),
            }
        }
    }
}

#[test]
fn is_silent_on_an_ipv4_header_length_that_cannot_be() {
    let [host, _] = BOTH;
    let mut syn = host.asked("9c400017 10000000 00000000 5002faf0 SUM 0000");
    for words in 0..5 {
        syn[0] = 0x40 | words;
        assert_eq!(host.ask(&syn), Err(DropReason::Malformed), "{words} words");
    }
    // Read from four bytes before, this is a SYN.
    let mut two_ways = host.asked("9c400017 10000000 50020000 5002faf0 SUM 0000");
    two_ways[0] = 0x44;
    assert_eq!(host.ask(&two_ways), Err(DropReason::Malformed));
    // From here on the TCP header does not fit any more.
    for words in 6..16 {
        syn[0] = 0x40 | words;
        assert_eq!(host.ask(&syn), Err(DropReason::Truncated), "{words} words");
    }
}

#[test]
fn looks_behind_ipv4_options_and_returns_none() {
    let [host, _] = BOTH;
    let whole = host.asked(LINUX_SYN);
    let (header, tcp) = whole.split_at(20);
    let route = hex("07270400000000000000");
    for words in 1..=10usize {
        // A record route that is as long as there is room, no-operation and end of list.
        let mut options = route.clone();
        options.resize(words * 4, 1);
        *options.last_mut().unwrap() = 0;
        let mut syn = [header, &options, tcp].concat();
        syn[0] = 0x45 + u8::try_from(words).unwrap();
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
        // Nor do they lend their room to a SYN that has none.
        syn.truncate(20 + options.len() + 20);
        syn[20 + options.len() + 12] = 0x50;
        let given = host.ask(&syn).unwrap();
        let plain = host.answer("00179c40 ISN 10000001 5012ff00 SUM 0000");
        assert_eq!(dump(&given.packet), dump(&plain));
    }
}

#[test]
fn is_silent_on_ipv4_fragments() {
    let [host, _] = BOTH;
    let mut syn = host.asked(LINUX_SYN);
    // More fragments; the second; the last; the farthest; with DF beside.
    for bits in [0x2000u16, 0x2001, 0x0001, 0x1fff, 0x6000, 0x4001, 0xbfff] {
        syn[6..8].copy_from_slice(&bits.to_be_bytes());
        assert_eq!(host.ask(&syn), Err(DropReason::Fragment), "{bits:04x}");
    }
    // None of these is one.
    for bits in [0x0000u16, 0x4000, 0x8000, 0xc000] {
        syn[6..8].copy_from_slice(&bits.to_be_bytes());
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

/// The SYN of Linux behind extension headers; `first` is the number of the first of them.
pub fn extended(first: u8, extensions: &str) -> Vec<u8> {
    let whole = BOTH[1].asked(LINUX_SYN);
    let (header, tcp) = whole.split_at(40);
    let mut syn = [header, &hex(extensions), tcp].concat();
    syn[6] = first;
    syn
}

#[test]
fn is_silent_on_ipv6_fragments() {
    let [_, host] = BOTH;
    // More to come, the second, the last, the farthest.
    for bits in ["0001", "0009", "0008", "fff8", "fff9"] {
        let syn = extended(44, &format!("0600 {bits} 12345678"));
        assert_eq!(host.ask(&syn), Err(DropReason::Fragment), "{bits}");
    }
    // Behind another extension header.
    let syn = extended(0, "2c00 010400000000 0600 0001 12345678");
    assert_eq!(host.ask(&syn), Err(DropReason::Fragment));
}

#[test]
fn answers_an_atomic_fragment_as_the_packet_it_is() {
    let [_, host] = BOTH;
    // With the reserved bits clear and set.
    for reserved in ["00 0000", "ff 0006"] {
        let syn = extended(44, &format!("06 {reserved} 12345678"));
        let given = host.ask(&syn).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

#[test]
fn looks_behind_ipv6_extension_headers_and_returns_none() {
    let [_, host] = BOTH;
    let long = format!("06ff {}", "00".repeat(2046));
    for (first, extensions) in [
        (0, "0600 010400000000"),
        (60, "0600 010400000000"),
        (43, "0600 040000000000"),
        (0, "3c00 010400000000 0601 010c 00000000 0000000000000000"),
        (60, long.as_str()),
        // Eight are looked behind.
        (
            60,
            &format!("{} 0600 010400000000", "3c00 010400000000".repeat(7)),
        ),
    ] {
        let given = host.ask(&extended(first, extensions)).unwrap();
        assert_eq!(dump(&given.packet), dump(&host.answer(LINUX_SYN_ACK)));
    }
}

#[test]
fn is_silent_on_a_packet_that_says_it_is_empty_unless_it_is_too_long_to_say_more() {
    let [v4, v6] = BOTH;
    let padded = extended(0, "0600 010400000000");
    for (host, mut syn, length, counted_from) in [
        (&v4, v4.asked(LINUX_SYN), 2, 0),
        (&v6, v6.asked(LINUX_SYN), 4, 40),
        (&v6, padded, 4, 40),
    ] {
        syn[length..length + 2].fill(0);
        for len in [syn.len(), counted_from + 0xffff] {
            let given = host.ask_at(CLOCK, &syn, len);
            assert_eq!(given, Err(DropReason::Malformed), "{len} bytes");
        }
        assert!(host.ask_at(CLOCK, &syn, counted_from + 0x1_0000).is_ok());
    }
    // This one is right: nothing follows.
    let mut nothing = v6.asked(LINUX_SYN);
    nothing[4..6].fill(0);
    nothing.truncate(40);
    assert_eq!(v6.ask(&nothing), Err(DropReason::Truncated));
}

#[test]
fn is_silent_behind_more_ipv6_extension_headers_than_are_honest() {
    let [_, host] = BOTH;
    for count in [8, 9, 100] {
        let syn = extended(
            60,
            &format!("{} 0600 010400000000", "3c00 010400000000".repeat(count)),
        );
        assert_eq!(
            host.ask(&syn),
            Err(DropReason::NotTcp),
            "{} headers",
            count + 1
        );
    }
}

#[test]
fn is_silent_on_ipv6_extension_headers_cut_off_anywhere() {
    let [_, host] = BOTH;
    let syn = extended(
        0,
        "2b00 010400000000 2c01 0400 00000000 0000000000000000 0600 0000 12345678",
    );
    let tcp = 40 + 8 + 16 + 8;
    assert!(host.ask(&syn).is_ok());
    for cut in 0..syn.len() {
        let why = if cut < tcp + 20 {
            DropReason::Truncated
        } else {
            DropReason::Malformed
        };
        assert_eq!(host.ask(&syn[..cut]), Err(why), "{cut} bytes");
        let given = host.ask_at(CLOCK, &syn[..cut], syn.len());
        assert_eq!(
            given,
            Err(DropReason::Truncated),
            "{cut} bytes of {}",
            syn.len()
        );
    }
    // An extension header longer than the packet.
    let syn = extended(60, "06ff 010400000000");
    assert_eq!(host.ask(&syn), Err(DropReason::Truncated));
}

#[test]
fn is_silent_on_what_is_not_tcp() {
    let [v4, v6] = BOTH;
    for protocol in 0..=255u8 {
        if protocol == 6 {
            continue;
        }
        let mut syn = v4.asked(LINUX_SYN);
        syn[9] = protocol;
        assert_eq!(v4.ask(&syn), Err(DropReason::NotTcp), "protocol {protocol}");
        // These four are headers of IPv6 itself.
        if ![0, 43, 44, 60].contains(&protocol) {
            let mut syn = v6.asked(LINUX_SYN);
            syn[6] = protocol;
            assert_eq!(
                v6.ask(&syn),
                Err(DropReason::NotTcp),
                "next header {protocol}"
            );
            syn[4..6].fill(0);
            assert_eq!(
                v6.ask(&syn[..40]),
                Err(DropReason::NotTcp),
                "next header {protocol} and nothing"
            );
            let syn = extended(60, &format!("{protocol:02x}00 010400000000"));
            assert_eq!(
                v6.ask(&syn),
                Err(DropReason::NotTcp),
                "next header {protocol}"
            );
        }
    }
}

#[test]
fn is_silent_where_an_address_is_not_one_hosts() {
    for (family, good, bad) in [
        (
            Family::V4,
            "192.0.2.1",
            [
                "0.0.0.0",
                "0.1.2.3",
                "224.0.0.1",
                "239.255.255.250",
                "240.0.0.1",
                "255.255.255.255",
            ]
            .as_slice(),
        ),
        (
            Family::V6,
            "2001:db8::1",
            ["::", "ff02::1", "ff0e::1", "ffff::1"].as_slice(),
        ),
    ] {
        for bad in bad {
            for (source, destination) in [(good, *bad), (*bad, good), (*bad, *bad)] {
                let source = source.parse().unwrap();
                let destination = destination.parse().unwrap();
                for (flags, ack) in [(0x02, 0), (0x12, 0xdead_beef), (0x18, 1)] {
                    let tcp = Fields {
                        source: 40000,
                        destination: 23,
                        seq: 0x1000_0000,
                        ack,
                        reserved: 0,
                        flags,
                        window: 1000,
                        urgent: 0,
                        options: vec![],
                        payload: 0,
                    };
                    let tcp = summed(source, destination, tcp.bytes());
                    let packet = packet(source, destination, THEIRS, &tcp);
                    let given = ask(PLAIN, family, &packet, packet.len(), &KEY, 0);
                    assert_eq!(
                        given,
                        Err(DropReason::NotUnicast),
                        "{source} to {destination}"
                    );
                }
            }
        }
    }
}

#[test]
fn answers_addresses_at_the_ends_of_what_is_unicast() {
    for (family, source, destination) in [
        (Family::V4, "1.0.0.0", "223.255.255.255"),
        (Family::V4, "127.0.0.1", "127.0.0.1"),
        (Family::V4, "10.0.0.255", "169.254.0.1"),
        (Family::V6, "::1", "::1"),
        (Family::V6, "fe80::1", "fec0::ffff"),
        (Family::V6, "64:ff9b::1", "fd00::1"),
    ] {
        let source = source.parse().unwrap();
        let destination = destination.parse().unwrap();
        let tcp = hex("9c400017 10000000 00000000 5002faf0 0000 0000");
        let tcp = summed(source, destination, tcp);
        let packet = packet(source, destination, THEIRS, &tcp);
        let given = ask(PLAIN, family, &packet, packet.len(), &KEY, 0).unwrap();
        let heard = read_reply(&given.packet);
        assert_eq!((heard.source, heard.destination), (destination, source));
    }
}

#[test]
fn answers_a_payload_of_which_only_the_headers_can_be_read() {
    for host in BOTH {
        let data =
            host.asked("9c400017 10000001 ISN+1 801001f6 SUM 0000 0101080a 11223346 @50000000");
        let answer = "00179c40 ISN+1 10000019 80100000 SUM 0000 0101080a @500000c1 11223346";
        // A full packet, GRO's 64 KB and BIG TCP's 512 KB, and what no network layer carries.
        for payload in [
            1448,
            65_496,
            65_536,
            65_537,
            524_288,
            1 << 30,
            (1 << 32) + 24,
        ] {
            let given = host.ask_at(CLOCK, &data, data.len() + payload).unwrap();
            assert_eq!(dump(&given.packet), dump(&host.answer(answer)), "{payload}");
        }
    }
}
