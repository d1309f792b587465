// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a packet: what the core reads of it, another parser reads as well; and all modes keep the
//! laws.

#![no_main]

use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, TcpHeaderSlice,
    TcpOptionElement,
};
use libfuzzer_sys::fuzz_target;
use tarpit::ip::{Datagram, Ecn};
use tarpit::tcp::Segment;
use tarpit::tcp_options::{OptionSet, Options, Timestamps};
use tarpit::{Packet, V4, V6};
use tarpit_fuzz::common::{Family, CLOCK};
use tarpit_fuzz::{family, Host, Version};

fuzz_target!(|bytes: &[u8]| {
    let family = family(bytes);
    for len in [bytes.len(), bytes.len() + 1000, bytes.len() / 2] {
        for host in Host::of_every_mode() {
            let _ = host.ask(CLOCK, family, bytes, len);
        }
        match family {
            Family::V4 => reads(bytes, len, another_reads_the_same_v4),
            Family::V6 => reads(bytes, len, another_reads_the_same_v6),
        }
    }
});

/// Asserts that the core finds TCP where `another` does, and the same in it.
fn reads<A: Version>(bytes: &[u8], len: usize, another: fn(&[u8], &Datagram<'_, A>)) {
    let packet = Packet::<A>::parse(bytes, len);
    let datagram = match A::parse(bytes, len) {
        Ok(datagram) => datagram,
        Err(why) => {
            assert_eq!(packet.err(), Some(why));
            return;
        }
    };
    assert!(bytes.ends_with(datagram.transport));
    let skipped = bytes.len() - datagram.transport.len();
    assert_eq!(datagram.transport_offset, skipped);
    assert_eq!(datagram.transport_len, len - skipped);
    another(bytes, &datagram);

    match Segment::parse(&datagram) {
        Ok(segment) => {
            assert_eq!(packet.unwrap().transport_offset(), skipped);
            another_reads_the_same_segment(&datagram, &segment);
        }
        Err(why) => assert_eq!(packet.err(), Some(why)),
    }
}

/// Where etherparse is of the opinion that there is a header: it is stricter.
fn another_reads_the_same_v4(bytes: &[u8], datagram: &Datagram<'_, V4>) {
    let Ok(header) = Ipv4HeaderSlice::from_slice(bytes) else {
        return;
    };
    let addresses = V4::new(header.source(), header.destination());
    assert_eq!(datagram.addresses, addresses);
    assert_eq!(datagram.transport_offset, header.slice().len());
    assert_eq!(datagram.ecn, Ecn(header.ecn().value()));
    assert_eq!(header.protocol(), IpNumber::TCP);
    assert!(!header.is_fragmenting_payload());
}

/// The same in IPv6.
fn another_reads_the_same_v6(bytes: &[u8], datagram: &Datagram<'_, V6>) {
    let Ok(header) = Ipv6HeaderSlice::from_slice(bytes) else {
        return;
    };
    let addresses = V6::new(header.source(), header.destination());
    assert_eq!(datagram.addresses, addresses);
    assert_eq!(datagram.ecn, Ecn(header.traffic_class() & 3));
    let rest = &bytes[header.slice().len()..];
    let Ok((extensions, next, rest)) = Ipv6ExtensionsSlice::from_slice(header.next_header(), rest)
    else {
        return;
    };
    assert_eq!(next, IpNumber::TCP);
    assert!(!extensions.is_fragmenting_payload());
    assert_eq!(datagram.transport.len(), rest.len());
}

fn another_reads_the_same_segment<A>(datagram: &Datagram<'_, A>, segment: &Segment) {
    let tcp = TcpHeaderSlice::from_slice(datagram.transport).unwrap();
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
    assert_eq!(segment.len, datagram.transport_len);
    assert_eq!(segment.payload_len + tcp.slice().len(), segment.len);
    assert_eq!(segment.ecn, datagram.ecn);
    let mut options = Options::NONE;
    for option in tcp.options_iterator() {
        let present = match option {
            Ok(TcpOptionElement::MaximumSegmentSize(mss)) => {
                options.mss = mss;
                OptionSet::MSS
            }
            Ok(TcpOptionElement::WindowScale(shift)) => {
                options.window_scale = shift;
                OptionSet::WINDOW_SCALE
            }
            Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => OptionSet::SACK_PERMITTED,
            Ok(TcpOptionElement::Timestamp(value, echo)) => {
                options.timestamps = Timestamps { value, echo };
                OptionSet::TIMESTAMPS
            }
            Ok(_) => OptionSet::NONE,
            // It knows fewer kinds, and stops at those of another length.
            Err(_) => return,
        };
        options.present = options.present.with(present);
    }
    assert_eq!(segment.options, options);
}
