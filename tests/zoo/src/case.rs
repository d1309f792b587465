// SPDX-License-Identifier: GPL-2.0

//! What is sent, as a description: made by strategies, shrunk when it fails, written and read as a line.

use crate::world::{Target, Way};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde::{Deserialize, Serialize};

/// Visits that take place side by side: the first steps of all, then the second ones, and so on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    pub way: Way,
    pub visits: Vec<Visit>,
}

/// What a peer does, one for each target: making a description costs more than playing it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Visit {
    pub to: Vec<Target>,
    pub v6: bool,
    pub isn: u32,
    pub steps: Vec<Step>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The low nibble of byte 12, and byte 13.
    pub flags: u16,
    pub seq: Seq,
    pub ack: Ack,
    pub stamp: Stamp,
    /// The options of a SYN that are there, a bit each: MSS, SACK-permitted, window scale.
    pub usual: u8,
    pub odd: Vec<Opt>,
    pub payload: u16,
    pub twists: Vec<Twist>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Seq {
    /// So far behind the SYN.
    Stream(i32),
    /// So far behind what was acknowledged last.
    Next(i32),
    Any(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ack {
    /// So far behind the end of what came last.
    Theirs(i32),
    Any(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stamp {
    None,
    /// The echo of the last answer's stamp, as if that were so many quarters of a second old.
    Echo(u16),
    /// TSval, TSecr.
    Any(u32, u32),
}

/// A TCP option besides the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Opt {
    End,
    Nop,
    Mss(u16),
    Scale(u8),
    SackOk,
    /// SACK blocks.
    Sack(u8),
    Stamps(u32, u32),
    /// MD5 signature.
    Signature,
    FastOpen(u8),
    /// A kind, the length that it says it has, and what it has.
    Raw(u8, u8, u8),
}

/// What is odd about a packet besides. Where two say the same, the later one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Twist {
    // TCP
    Doff(u8),
    Window(u16),
    Urgent(u16),
    TcpSum(u16),
    /// So much of the segment is left, and all else fits that.
    Short(u16),
    // IP
    /// So much of the packet is left, and nothing else knows of it.
    Cut(u16),
    /// So many octets follow the packet.
    Pad(u8),
    /// The IP length is so much more.
    Length(i16),
    LengthIs(u16),
    Version(u8),
    Ihl(u8),
    IpSum(u16),
    Tos(u8),
    Ttl(u8),
    /// Identification, and flags with offset: of the IPv4 header, or of an IPv6 fragment header.
    Fragment(u16, u16),
    Proto(u8),
    Options4(Vec<u8>),
    Chain6(Vec<Ext>),
    From(Odd),
    To(Odd),
    SamePort,
    /// At an offset into the packet, the bits that change, and whether the TCP checksum is made right again.
    Flip(u16, u8, bool),
    // Below
    Mac(Station),
    FromMac(Station),
    Vlan(u16),
    EtherType(u16),
    Pieces(Cut),
    /// CHECKSUM_PARTIAL: the offsets of where to start and where to put it, from the right ones.
    Partial(i8, i8),
    /// VIRTIO_NET_HDR_F_DATA_VALID.
    Vouched,
    /// To be cut by a card, into segments of a size: `gso_type` and `gso_size`.
    Gso(u8, u16),
    /// How much of the packet is linear (`hdr_len`).
    Head(u16),
    /// The pieces of memory that a TAP device makes an skb of.
    Memory(Vec<u16>),
}

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ext {
    /// Its kind, the length that it says beyond its own, and what its first option is.
    Options {
        kind: u8,
        more: i8,
        option: u8,
    },
    Routing {
        kind: u8,
        left: u8,
    },
    Fragment {
        field: u16,
    },
    Authentication,
    Jumbo(u32),
    Unknown {
        kind: u8,
        len: u8,
    },
}

/// An address that is no peer's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Odd {
    Zero,
    Loopback,
    Broadcast,
    SubnetBroadcast,
    Multicast,
    Server,
    /// The target's: from and to the same.
    Target,
    Mapped,
    LinkLocal,
    Reserved,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Station {
    Broadcast,
    Multicast,
    Stranger,
    Zero,
}

/// How a packet is cut into fragments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Of each, in units of eight octets.
    pub size: u8,
    pub backwards: bool,
    pub fault: Fault,
}

/// What is wrong with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    None,
    Missing(u8),
    Twice(u8),
    /// It begins eight octets too early.
    Overlaps(u8),
}

pub const FIN: u16 = oracle::FIN as u16;
pub const SYN: u16 = oracle::SYN as u16;
pub const RST: u16 = oracle::RST as u16;
pub const PSH: u16 = oracle::PSH as u16;
pub const ACK: u16 = oracle::ACK as u16;
pub const ECE: u16 = oracle::ECE as u16;
pub const CWR: u16 = oracle::CWR as u16;

/// A packet that nothing is wrong with.
pub fn plain(flags: u16, seq: Seq) -> Step {
    Step {
        flags,
        seq,
        ack: Ack::Theirs(0),
        stamp: Stamp::Echo(0),
        usual: 0,
        odd: vec![],
        payload: 0,
        twists: vec![],
    }
}

pub fn syn() -> Step {
    Step {
        usual: 7,
        ..plain(SYN, Seq::Stream(-1))
    }
}

fn seq() -> impl Strategy<Value = Seq> + Clone {
    prop_oneof![
        4 => Just(Seq::Next(0)),
        2 => (-3..3i32).prop_map(Seq::Next),
        1 => (-3..40i32).prop_map(Seq::Stream),
        1 => (-9000..200_000i32).prop_map(Seq::Stream),
        1 => any::<u32>().prop_map(Seq::Any),
    ]
}

fn ack() -> impl Strategy<Value = Ack> + Clone {
    prop_oneof![
        8 => Just(Ack::Theirs(0)),
        1 => (-3..3i32).prop_map(Ack::Theirs),
        1 => any::<u32>().prop_map(Ack::Any),
    ]
}

/// Ages that lie on both sides of each of the tarpit's patiences, the longest of which are of three minutes.
fn stamp() -> impl Strategy<Value = Stamp> + Clone {
    prop_oneof![
        4 => Just(Stamp::Echo(0)),
        3 => (0..1000u16).prop_map(Stamp::Echo),
        2 => Just(Stamp::None),
        1 => any::<(u32, u32)>().prop_map(|(value, echo)| Stamp::Any(value, echo)),
    ]
}

fn opt() -> impl Strategy<Value = Opt> + Clone {
    prop_oneof![
        Just(Opt::Nop),
        Just(Opt::End),
        any::<u16>().prop_map(Opt::Mss),
        any::<u8>().prop_map(Opt::Scale),
        Just(Opt::SackOk),
        (0..5u8).prop_map(Opt::Sack),
        any::<(u32, u32)>().prop_map(|(value, echo)| Opt::Stamps(value, echo)),
        Just(Opt::Signature),
        (0..17u8).prop_map(Opt::FastOpen),
        (0..10u8, 0..45u8, 0..12u8).prop_map(|(kind, says, has)| Opt::Raw(kind, says, has)),
        any::<(u8, u8)>().prop_map(|(kind, says)| Opt::Raw(kind, says, 4)),
    ]
}

fn payload() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![
        3 => Just(0u16),
        3 => 1..6u16,
        2 => 20..40u16,
        2 => 40..1500u16,
        1 => 1500..9000u16,
    ]
}

fn ext() -> impl Strategy<Value = Ext> + Clone {
    prop_oneof![
        4 => (prop_oneof![Just(0u8), Just(60u8)], prop_oneof![4 => Just(0i8), 1 => any::<i8>()], any::<u8>())
            .prop_map(|(kind, more, option)| Ext::Options { kind, more, option }),
        1 => (0..5u8, 0..3u8).prop_map(|(kind, left)| Ext::Routing { kind, left }),
        1 => prop_oneof![Just(0u16), any::<u16>()].prop_map(|field| Ext::Fragment { field }),
        1 => Just(Ext::Authentication),
        1 => prop_oneof![0..70_000u32, any::<u32>()].prop_map(Ext::Jumbo),
        1 => any::<(u8, u8)>().prop_map(|(kind, len)| Ext::Unknown { kind, len }),
    ]
}

fn odd() -> impl Strategy<Value = Odd> + Clone {
    prop::sample::select(vec![
        Odd::Zero,
        Odd::Loopback,
        Odd::Broadcast,
        Odd::SubnetBroadcast,
        Odd::Multicast,
        Odd::Server,
        Odd::Target,
        Odd::Mapped,
        Odd::LinkLocal,
        Odd::Reserved,
    ])
}

fn station() -> impl Strategy<Value = Station> + Clone {
    prop::sample::select(vec![
        Station::Broadcast,
        Station::Multicast,
        Station::Stranger,
        Station::Zero,
    ])
}

fn cut() -> impl Strategy<Value = Twist> + Clone {
    let fault = prop_oneof![
        2 => Just(Fault::None),
        1 => (0..4u8).prop_map(Fault::Missing),
        1 => (0..4u8).prop_map(Fault::Twice),
        1 => (1..4u8).prop_map(Fault::Overlaps),
    ];
    (1..20u8, any::<bool>(), fault).prop_map(|(size, backwards, fault)| {
        Twist::Pieces(Cut {
            size,
            backwards,
            fault,
        })
    })
}

fn tcp_twist() -> impl Strategy<Value = Twist> + Clone {
    prop_oneof![
        (0..16u8).prop_map(Twist::Doff),
        any::<u16>().prop_map(Twist::Window),
        any::<u16>().prop_map(Twist::Urgent),
        (1..=u16::MAX).prop_map(Twist::TcpSum),
        (0..64u16).prop_map(Twist::Short),
        Just(Twist::SamePort),
        any::<(u16, u8, bool)>().prop_map(|(at, bits, mend)| Twist::Flip(at % 100, bits, mend)),
    ]
}

fn ip_twist() -> impl Strategy<Value = Twist> + Clone {
    prop_oneof![
        2 => (0..120u16).prop_map(Twist::Cut),
        1 => any::<u8>().prop_map(Twist::Pad),
        1 => (-64..64i16).prop_map(Twist::Length),
        1 => prop_oneof![Just(0u16), 0..100u16, any::<u16>()].prop_map(Twist::LengthIs),
        1 => (0..16u8).prop_map(Twist::Version),
        1 => (0..16u8).prop_map(Twist::Ihl),
        1 => (1..=u16::MAX).prop_map(Twist::IpSum),
        1 => any::<u8>().prop_map(Twist::Tos),
        1 => prop_oneof![0..3u8, any::<u8>()].prop_map(Twist::Ttl),
        1 => any::<(u16, u16)>().prop_map(|(id, field)| Twist::Fragment(id, field)),
        1 => prop_oneof![Just(17u8), Just(1), Just(58), Just(50), Just(59), any::<u8>()].prop_map(Twist::Proto),
        2 => options4().prop_map(Twist::Options4),
        3 => vec(ext(), 1..4).prop_map(Twist::Chain6),
        1 => vec(ext(), 4..12).prop_map(Twist::Chain6),
        2 => odd().prop_map(Twist::From),
        1 => odd().prop_map(Twist::To),
        2 => cut(),
    ]
}

/// IPv4 options: anything, and some that the stack knows (record route, timestamp, source routes, router alert).
fn options4() -> impl Strategy<Value = Vec<u8>> + Clone {
    let known = prop::sample::select(vec![
        vec![7, 7, 4, 0, 0, 0, 0],
        vec![0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x44, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x83, 7, 4, 192, 0, 2, 1],
        vec![0x89, 7, 4, 192, 0, 2, 1],
        vec![0x94, 4, 0, 0],
        vec![0x86, 6, 0, 0, 0, 1],
        vec![1; 40],
    ]);
    prop_oneof![vec(any::<u8>(), 0..41), known]
}

fn below() -> impl Strategy<Value = Twist> + Clone {
    prop_oneof![
        1 => station().prop_map(Twist::Mac),
        1 => station().prop_map(Twist::FromMac),
        1 => prop_oneof![Just(7u16), Just(0x2007u16), Just(0u16), any::<u16>()].prop_map(Twist::Vlan),
        1 => prop_oneof![Just(0x0800u16), Just(0x86dd), Just(0x8864), any::<u16>()].prop_map(Twist::EtherType),
        3 => Just(Twist::Partial(0, 0)),
        1 => any::<(i8, i8)>().prop_map(|(start, offset)| Twist::Partial(start, offset)),
        1 => Just(Twist::Vouched),
        3 => (prop_oneof![Just(1u8), Just(4), Just(3), Just(5), any::<u8>()], prop_oneof![1..2000u16, any::<u16>()])
            .prop_map(|(kind, size)| Twist::Gso(kind, size)),
        2 => prop_oneof![0..200u16, any::<u16>()].prop_map(Twist::Head),
        3 => vec(1..200u16, 1..6).prop_map(Twist::Memory),
    ]
}

fn twists() -> impl Strategy<Value = Vec<Twist>> + Clone {
    let twist = prop_oneof![3 => tcp_twist(), 4 => ip_twist(), 3 => below()];
    prop_oneof![
        4 => Just(vec![]),
        4 => vec(twist.clone(), 1),
        1 => vec(twist, 2..5),
    ]
}

fn odd_options() -> impl Strategy<Value = Vec<Opt>> + Clone {
    prop_oneof![6 => Just(vec![]), 1 => vec(opt(), 1..7)]
}

fn step(flags: impl Strategy<Value = u16> + Clone) -> impl Strategy<Value = Step> + Clone {
    (
        flags,
        seq(),
        ack(),
        stamp(),
        odd_options(),
        payload(),
        twists(),
    )
        .prop_map(|(flags, seq, ack, stamp, odd, payload, twists)| Step {
            flags,
            seq,
            ack,
            stamp,
            usual: 0,
            odd,
            payload,
            twists,
        })
}

fn any_syn() -> impl Strategy<Value = Step> + Clone {
    let ecn = prop_oneof![6 => Just(SYN), 1 => Just(SYN | ECE | CWR), 1 => (0..16u16).prop_map(|bits| SYN | bits << 8)];
    let data = prop_oneof![6 => Just(0u16), 1 => payload()];
    let stamp = prop_oneof![3 => Just(Stamp::Echo(0)), 1 => Just(Stamp::None)];
    (ecn, stamp, 0..8u8, odd_options(), data, twists()).prop_map(
        |(flags, stamp, usual, odd, payload, twists)| Step {
            flags,
            stamp,
            usual,
            odd,
            payload,
            twists,
            ..syn()
        },
    )
}

fn first_data() -> impl Strategy<Value = Step> + Clone {
    payload().prop_map(|payload| Step {
        payload: payload.max(1),
        ..plain(PSH | ACK, Seq::Stream(0))
    })
}

fn any_step() -> impl Strategy<Value = Step> + Clone {
    prop_oneof![
        6 => step(Just(PSH | ACK)),
        3 => step(Just(ACK)),
        1 => step(Just(FIN | ACK)),
        1 => step(Just(SYN | ACK)),
        1 => step(Just(RST)),
        1 => step(Just(RST | ACK)),
        1 => any_syn(),
        3 => step(0..0x1000u16),
    ]
}

fn visit() -> impl Strategy<Value = Visit> + Clone {
    let steps = prop_oneof![
        // As an honest client begins, so that what is behind the handshake is seen.
        2 => vec(any_step(), 0..4).prop_map(|rest| [vec![syn()], rest].concat()),
        2 => (first_data(), vec(any_step(), 0..4)).prop_map(|(data, rest)| [vec![syn(), data], rest].concat()),
        2 => (any_syn(), vec(any_step(), 0..4)).prop_map(|(first, rest)| [vec![first], rest].concat()),
        1 => vec(any_step(), 1..3),
    ];
    let isn = prop_oneof![Just(1000u32), Just(u32::MAX - 5), any::<u32>()];
    (subsequence(Target::all(), 1..16), any::<bool>(), isn, steps)
        .prop_map(|(to, v6, isn, steps)| Visit { to, v6, isn, steps })
}

pub fn batch() -> impl Strategy<Value = Batch> {
    (prop::sample::select(Way::ALL.to_vec()), vec(visit(), 1..12))
        .prop_map(|(way, visits)| Batch { way, visits })
}
