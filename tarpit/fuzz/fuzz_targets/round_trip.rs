// SPDX-License-Identifier: GPL-2.0

//! Any reply, as it is written: the core and another parser read in it what was meant.

#![no_main]

use etherparse::TcpOptionElement;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tarpit::tarpit::ip::Addresses;
use tarpit::tarpit::isn::Ports;
use tarpit::tarpit::seq::Seq;
use tarpit::tarpit::tcp::{Flags, Options, Segment, Timestamps};
use tarpit::tarpit::{Limit, Packet, Reply};
use tarpit_fuzz::common::Heard;
use tarpit_fuzz::family;

#[derive(Arbitrary, Debug)]
struct Fields {
    v6: bool,
    addresses: ([u8; 16], [u8; 16]),
    ports: (u16, u16),
    numbers: (u32, u32),
    flags: u8,
    window: u16,
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamps: Option<(u32, u32)>,
    octet: Option<u8>,
    hop_limit: u8,
    label: u32,
}

impl Fields {
    /// With addresses that may be answered, so that they can be read again.
    fn reply(&self) -> Reply {
        let [source, destination] = [self.addresses.0, self.addresses.1].map(|mut address| {
            address[0] = address[0] % 223 + 1;
            address
        });
        let v4 = |[a, b, c, d, ..]: [u8; 16]| [a, b, c, d];
        // What Heard::read takes for wrong in any answer of ours.
        let flags = match (self.octet, self.flags % 6) {
            (Some(_), _) => Flags::PSH_ACK,
            (None, 0) => Flags::ACK,
            (None, 1) => Flags::SYN_ACK,
            (None, 2) => Flags::FIN_ACK,
            (None, 3) => Flags::RST,
            (None, 4) => Flags::ECN_SYN_ACK,
            (None, _) => Flags::ECE_ACK,
        };
        Reply {
            addresses: if self.v6 {
                Addresses::v6(source, destination)
            } else {
                Addresses::v4(v4(source), v4(destination))
            },
            ports: Ports {
                source: self.ports.0,
                destination: self.ports.1,
            },
            seq: Seq(self.numbers.0),
            ack: Seq(self.numbers.1),
            flags,
            window: self.window,
            options: Options {
                mss: self.mss,
                window_scale: self.window_scale,
                sack_permitted: self.sack_permitted,
                timestamps: self
                    .timestamps
                    .map(|(value, echo)| Timestamps { value, echo }),
            },
            payload: self.octet,
            hop_limit: self.hop_limit,
            label: self.label,
            limit: Limit::None,
            trapped_ms: 0,
        }
    }
}

fuzz_target!(|fields: Fields| {
    let reply = fields.reply();
    let len = reply.packet_len();
    // In a buffer of another length it is not written.
    for wrong in [0, len - 1, len + 1] {
        assert_eq!(reply.emit(&mut vec![0xa5; wrong]), None);
    }
    let mut bytes = vec![0xa5; len];
    assert_eq!(reply.emit(&mut bytes), Some(()));

    let packet = Packet::parse(family(&bytes), &bytes, len).unwrap();
    assert_eq!(packet.addresses, reply.addresses);
    assert_eq!((packet.len, packet.ecn), (len, Packet::NOT_ECT));
    assert_eq!(packet.transport_len, reply.tcp_len());
    let segment = Segment::parse(packet.transport, packet.transport_len).unwrap();
    let read = Segment {
        ports: reply.ports,
        seq: reply.seq,
        ack: reply.ack,
        flags: reply.flags,
        options: reply.options,
        payload_len: reply.payload_len(),
    };
    assert_eq!(segment, read);

    // This one verifies lengths and checksums.
    let heard = Heard::read(&bytes);
    assert_eq!(heard.tcp.source_port, reply.ports.source);
    assert_eq!(heard.tcp.destination_port, reply.ports.destination);
    assert_eq!(heard.tcp.sequence_number, reply.seq.0);
    assert_eq!(heard.tcp.acknowledgment_number, reply.ack.0);
    assert_eq!(heard.tcp.window_size, reply.window);
    assert_eq!(heard.payload, reply.payload);
    assert_eq!(heard.timestamps, fields.timestamps);
    let mask = if fields.v6 { 0xf_ffff } else { 0xffff };
    assert_eq!(heard.label, reply.label & mask);
    let mut options = Options {
        timestamps: reply.options.timestamps,
        ..Options::default()
    };
    for option in heard.tcp.options_iterator() {
        match option.unwrap() {
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => options.window_scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            _ => {}
        }
    }
    assert_eq!(options, reply.options);
});
