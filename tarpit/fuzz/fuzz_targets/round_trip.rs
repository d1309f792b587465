// SPDX-License-Identifier: GPL-2.0

//! Any reply, as it is written: the core and another parser read in it what was meant.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;
use tarpit::ip::Ecn;
use tarpit::isn::Flow;
use tarpit::seq::Seq;
use tarpit::tcp::{Flags, Segment};
use tarpit::tcp_options::{OptionSet, Options, Timestamps};
use tarpit::window::Window;
use tarpit::{Key, Packet, Ports, Reply, V4, V6};
use tarpit_fuzz::common::{client_packet, fill_in_header_checksum, read_reply};
use tarpit_fuzz::Version;

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
    ip_id_offset: Option<u16>,
}

impl Fields {
    /// The two ends, which may be answered, so that what is said can be read again.
    fn ends(&self) -> [IpAddr; 2] {
        [self.addresses.0, self.addresses.1].map(|mut address| {
            address[0] = address[0] % 223 + 1;
            if self.v6 {
                address.into()
            } else {
                let [a, b, c, d, ..] = address;
                [a, b, c, d].into()
            }
        })
    }

    fn options(&self) -> Options {
        let mut options = Options::NONE;
        if let Some(mss) = self.mss {
            options.mss = mss;
            options.present = options.present.with(OptionSet::MSS);
        }
        if let Some(shift) = self.window_scale {
            options.window_scale = shift;
            options.present = options.present.with(OptionSet::WINDOW_SCALE);
        }
        if self.sack_permitted {
            options.present = options.present.with(OptionSet::SACK_PERMITTED);
        }
        if let Some((value, echo)) = self.timestamps {
            options.timestamps = Timestamps { value, echo };
            options.present = options.present.with(OptionSet::TIMESTAMPS);
        }
        options
    }

    /// Of the flow that comes from the other end.
    fn answer<A: Version>(&self, reversed: &A, ports: Ports) -> Reply {
        // Those that the oracle reads in a reply of the module.
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
            flow: Flow::new(&Key([self.label.into(), 0]), reversed, ports),
            seq: Seq(self.numbers.0),
            ack: Seq(self.numbers.1),
            flags,
            window: Window::Field(self.window),
            options: self.options(),
            payload: self.octet,
            hop_limit: self.hop_limit,
            ip_id_offset: self.ip_id_offset,
            ..Reply::EMPTY
        }
    }
}

fuzz_target!(|fields: Fields| {
    if fields.v6 {
        returns::<V6>(&fields);
    } else {
        returns::<V4>(&fields);
    }
});

fn returns<A: Version>(fields: &Fields) {
    let [source, destination] = fields.ends();
    let ports = Ports {
        source: fields.ports.0,
        destination: fields.ports.1,
    };
    let asked = client_packet(
        (destination, ports.destination),
        (source, ports.source),
        (0, 0),
        0,
        vec![],
        0,
    );
    let packet = Packet::<A>::parse(&asked, asked.len()).unwrap();
    let answer = fields.answer(&A::of(destination, source), ports);
    let (len, mss) = (packet.reply_len(&answer), answer.options.mss);
    // In a buffer of another length it is not written.
    for wrong in [0, len - 1, len + 1] {
        assert_eq!(
            packet.write_reply(&answer, mss, &mut vec![0xa5; wrong]),
            None
        );
    }
    let mut bytes = vec![0xa5; len];
    assert_eq!(packet.write_reply(&answer, mss, &mut bytes), Some(()));
    if !A::HAS_LABEL {
        fill_in_header_checksum(&mut bytes);
    }

    let datagram = A::parse(&bytes, len).unwrap();
    assert_eq!(datagram.addresses, A::of(source, destination));
    assert_eq!(datagram.transport_offset, A::HEADER_LEN);
    let read = Segment {
        ports,
        seq: answer.seq,
        ack: answer.ack,
        flags: answer.flags,
        options: answer.options,
        payload_len: answer.payload_len(),
        len: answer.tcp_len(),
        ecn: Ecn::NOT_ECT,
    };
    assert_eq!(Segment::parse(&datagram), Ok(read));

    // This one verifies lengths and checksums.
    let heard = read_reply(&bytes);
    assert_eq!((heard.source, heard.destination), (source, destination));
    assert_eq!(heard.tcp.source_port, ports.source);
    assert_eq!(heard.tcp.destination_port, ports.destination);
    assert_eq!(heard.tcp.sequence_number, answer.seq.0);
    assert_eq!(heard.tcp.acknowledgment_number, answer.ack.0);
    assert_eq!(heard.tcp.window_size, fields.window);
    assert_eq!(heard.payload, answer.payload);

    let label = if A::HAS_LABEL {
        answer.flow.label() & 0xf_ffff
    } else {
        let counted = |ordinal| answer.flow.label().wrapping_add(u32::from(ordinal)) & 0xffff;
        answer.ip_id_offset.map_or(0, counted)
    };
    assert_eq!(heard.label, label);
    let options = oracle::Options {
        mss: fields.mss,
        scale: fields.window_scale,
        sack: fields.sack_permitted,
        timestamps: fields.timestamps,
    };
    assert_eq!(heard.options, options);
}
