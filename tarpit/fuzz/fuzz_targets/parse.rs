// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a packet: what the core reads of it, another parser reads as well; and all modes keep the
//! laws.

#![no_main]

use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, TcpHeaderSlice,
    TcpOptionElement,
};
use libfuzzer_sys::fuzz_target;
use tarpit::tarpit::ip::Addresses;
use tarpit::tarpit::tcp::{Options, Segment, Timestamps};
use tarpit::tarpit::{Family, Packet};
use tarpit_fuzz::common::CLOCK;
use tarpit_fuzz::{family, Host};

fuzz_target!(|bytes: &[u8]| {
    let family = family(bytes);
    for len in [bytes.len(), bytes.len() + 1000, bytes.len() / 2] {
        for host in Host::of_every_mode() {
            let _ = host.ask(CLOCK, family, bytes, len);
        }
        let Ok(packet) = Packet::parse(family, bytes, len) else {
            continue;
        };
        assert!(bytes.ends_with(packet.transport));
        let skipped = bytes.len() - packet.transport.len();
        assert_eq!(packet.transport_offset(), skipped);
        assert_eq!(packet.transport_len, len - skipped);
        another_reads_the_same(family, bytes, &packet, skipped);

        if let Ok(segment) = Segment::parse(packet.transport, packet.transport_len) {
            another_reads_the_same_segment(&packet, &segment);
        }
    }
});

/// Where etherparse is of the opinion that there is a header: it is stricter.
fn another_reads_the_same(family: Family, bytes: &[u8], packet: &Packet<'_>, skipped: usize) {
    match family {
        Family::V4 => {
            let Ok(header) = Ipv4HeaderSlice::from_slice(bytes) else {
                return;
            };
            let addresses = Addresses::v4(header.source(), header.destination());
            assert_eq!(packet.addresses, addresses);
            assert_eq!(skipped, header.slice().len());
            assert_eq!(packet.ecn, header.ecn().value());
            assert_eq!(header.protocol(), IpNumber::TCP);
            assert!(!header.is_fragmenting_payload());
        }
        Family::V6 => {
            let Ok(header) = Ipv6HeaderSlice::from_slice(bytes) else {
                return;
            };
            let addresses = Addresses::v6(header.source(), header.destination());
            assert_eq!(packet.addresses, addresses);
            assert_eq!(packet.ecn, header.traffic_class() & 3);
            let rest = &bytes[header.slice().len()..];
            let Ok((extensions, next, rest)) =
                Ipv6ExtensionsSlice::from_slice(header.next_header(), rest)
            else {
                return;
            };
            assert_eq!(next, IpNumber::TCP);
            assert!(!extensions.is_fragmenting_payload());
            assert_eq!(packet.transport.len(), rest.len());
        }
    }
}

fn another_reads_the_same_segment(packet: &Packet<'_>, segment: &Segment) {
    let tcp = TcpHeaderSlice::from_slice(packet.transport).unwrap();
    assert_eq!(segment.ports.source, tcp.source_port());
    assert_eq!(segment.ports.destination, tcp.destination_port());
    assert_eq!(segment.seq.0, tcp.sequence_number());
    assert_eq!(segment.ack.0, tcp.acknowledgment_number());
    let flags = [
        tcp.cwr(),
        tcp.ece(),
        tcp.urg(),
        tcp.ack(),
        tcp.psh(),
        tcp.rst(),
        tcp.syn(),
        tcp.fin(),
    ];
    let flags = flags.iter().fold(0, |all, &flag| all << 1 | u8::from(flag));
    assert_eq!(segment.flags.0, flags);
    assert_eq!(
        segment.payload_len + tcp.slice().len(),
        packet.transport_len
    );
    let mut options = Options::default();
    for option in tcp.options_iterator() {
        match option {
            Ok(TcpOptionElement::MaximumSegmentSize(mss)) => options.mss = Some(mss),
            Ok(TcpOptionElement::WindowScale(shift)) => options.window_scale = Some(shift),
            Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => {
                options.sack_permitted = true;
            }
            Ok(TcpOptionElement::Timestamp(value, echo)) => {
                options.timestamps = Some(Timestamps { value, echo });
            }
            Ok(_) => {}
            // It knows fewer kinds, and stops at those of another length.
            Err(_) => return,
        }
    }
    assert_eq!(segment.options, options);
}
