// SPDX-License-Identifier: GPL-2.0

//! From the description to bytes: what is to be wrong is, and all else is right.

use crate::case::{Ack, Cut, Ext, Fault, Odd, Opt, Seq, Stamp, Station, Step, Twist, Visit, SYN};
use crate::world::{Target, Way};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A peer, as far as it has come.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    pub target: IpAddr,
    pub port: u16,
    pub number: u32,
    pub isn: u32,
    /// What was acknowledged last.
    pub next: u32,
    /// The end of what came last.
    pub theirs: u32,
    /// The stamp of what came last.
    pub echo: u32,
    pub clock: u32,
}

impl Peer {
    pub fn new(way: Way, visit: &Visit, to: Target, number: u32) -> Self {
        Self {
            address: way.peer(number, visit.v6),
            target: to.address(visit.v6),
            port: 1024 + (number % 60_000) as u16,
            number,
            isn: visit.isn,
            next: visit.isn.wrapping_add(1),
            theirs: 0,
            echo: 0,
            clock: 1_000_000,
        }
    }
}

/// `struct virtio_net_hdr`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vnet {
    pub flags: u8,
    pub gso_type: u8,
    pub hdr_len: u16,
    pub gso_size: u16,
    pub csum_start: u16,
    pub csum_offset: u16,
}

impl Vnet {
    pub const NEEDS_CSUM: u8 = 1;
    pub const DATA_VALID: u8 = 2;

    pub fn bytes(self) -> [u8; 10] {
        let mut out = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [
            self.hdr_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
        ];
        for (to, word) in out[2..].chunks_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        out
    }
}

/// What a step sends.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    /// The packet before it was cut into fragments.
    pub packet: Vec<u8>,
    pub vnet: Vnet,
    /// What comes before each packet: nothing, or an Ethernet header.
    pub link: Vec<u8>,
    /// The pieces that go out, [`Parcel::packet`] if it was not cut.
    pub pieces: Vec<Vec<u8>>,
    pub cut: Option<Cut>,
    /// The pieces of memory, for [`Way::Frags`].
    pub memory: Vec<u16>,
}

/// The one's complement sum (RFC 1071).
fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            total += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn pseudo_sum(from: IpAddr, to: IpAddr, len: usize) -> u16 {
    sum(&[
        &octets(from),
        &octets(to),
        &(len as u32).to_be_bytes(),
        &[0, 6],
    ])
}

fn odd_address(odd: Odd, way: Way, peer: &Peer) -> IpAddr {
    let v6 = peer.address.is_ipv6();
    if v6 {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
        match odd {
            Odd::Zero => Ipv6Addr::UNSPECIFIED.into(),
            Odd::Loopback => Ipv6Addr::LOCALHOST.into(),
            Odd::Broadcast | Odd::Multicast => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(),
            Odd::SubnetBroadcast => Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2).into(),
            Odd::Server => way.server(v6),
            Odd::Target => peer.target,
            Odd::Mapped => Ipv4Addr::new(10, 9, 9, 9).to_ipv6_mapped().into(),
            Odd::LinkLocal => link_local.into(),
            Odd::Reserved => Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1).into(),
        }
    } else {
        match odd {
            Odd::Zero => Ipv4Addr::UNSPECIFIED.into(),
            Odd::Loopback | Odd::Mapped => Ipv4Addr::LOCALHOST.into(),
            Odd::Broadcast => Ipv4Addr::BROADCAST.into(),
            Odd::SubnetBroadcast => way.broadcast().into(),
            Odd::Multicast => Ipv4Addr::new(224, 0, 0, 1).into(),
            Odd::Server => way.server(v6),
            Odd::Target => peer.target,
            Odd::LinkLocal => Ipv4Addr::new(169, 254, 1, 1).into(),
            Odd::Reserved => Ipv4Addr::new(240, 0, 0, 1).into(),
        }
    }
}

fn station(station: Station) -> [u8; 6] {
    match station {
        Station::Broadcast => [0xff; 6],
        Station::Multicast => [1, 0, 0x5e, 0, 0, 1],
        Station::Stranger => [2, 0, 0, 0, 9, 9],
        Station::Zero => [0; 6],
    }
}

fn put_option(out: &mut Vec<u8>, option: Opt) {
    match option {
        Opt::End => out.push(0),
        Opt::Nop => out.push(1),
        Opt::Mss(mss) => out.extend([2, 4, (mss >> 8) as u8, mss as u8]),
        Opt::Scale(shift) => out.extend([3, 3, shift]),
        Opt::SackOk => out.extend([4, 2]),
        Opt::Sack(blocks) => {
            out.extend([5, 2 + 8 * blocks]);
            out.extend((0..8 * blocks).map(|octet| octet.wrapping_mul(37)));
        }
        Opt::Stamps(value, echo) => {
            out.extend([8, 10]);
            out.extend(value.to_be_bytes());
            out.extend(echo.to_be_bytes());
        }
        Opt::Signature => {
            out.extend([19, 18]);
            out.extend([0x5a; 16]);
        }
        Opt::FastOpen(len) => {
            out.extend([34, 2 + len]);
            out.extend((0..len).map(|octet| octet ^ 0x33));
        }
        Opt::Raw(kind, says, has) => {
            out.extend([kind, says]);
            out.extend(std::iter::repeat_n(0xee, has.into()));
        }
    }
}

/// The options of a segment, padded, at most forty octets.
fn options(step: &Step, peer: &Peer) -> Vec<u8> {
    let mut out = vec![];
    if step.usual & 1 != 0 {
        put_option(&mut out, Opt::Mss(1460));
    }
    let stamps = match step.stamp {
        Stamp::None => None,
        Stamp::Echo(age) => Some((peer.clock, peer.echo.wrapping_sub(u32::from(age) * 256))),
        Stamp::Any(value, echo) => Some((value, echo)),
    };
    if step.usual & 2 != 0 {
        put_option(&mut out, Opt::SackOk);
    } else if stamps.is_some() {
        out.extend([1, 1]);
    }
    if let Some((value, echo)) = stamps {
        put_option(
            &mut out,
            Opt::Stamps(value, if step.flags & SYN != 0 { 0 } else { echo }),
        );
    }
    if step.usual & 4 != 0 {
        put_option(&mut out, Opt::Nop);
        put_option(&mut out, Opt::Scale(7));
    }
    for &option in &step.odd {
        put_option(&mut out, option);
    }
    out.resize(out.len().next_multiple_of(4), 0);
    out.truncate(40);
    out
}

/// The TCP segment, its checksum left zero.
fn segment(step: &Step, peer: &Peer) -> Vec<u8> {
    let seq = match step.seq {
        Seq::Stream(at) => peer.isn.wrapping_add(1).wrapping_add_signed(at),
        Seq::Next(at) => peer.next.wrapping_add_signed(at),
        Seq::Any(seq) => seq,
    };
    let ack = match step.ack {
        Ack::Theirs(_) if step.flags & crate::case::ACK == 0 => 0,
        Ack::Theirs(at) => peer.theirs.wrapping_add_signed(at),
        Ack::Any(ack) => ack,
    };
    let options = options(step, peer);
    let doff = ((20 + options.len()) / 4) as u16;
    let mut out = vec![];
    out.extend(peer.port.to_be_bytes());
    out.extend(23u16.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend(ack.to_be_bytes());
    out.extend((doff << 12 | step.flags & 0xfff).to_be_bytes());
    out.extend(64_240u16.to_be_bytes());
    out.extend([0; 4]);
    out.extend(&options);
    // Octets that no answer has in it.
    out.extend((0..step.payload).map(|at| 0x80 | at as u8));
    for twist in &step.twists {
        match *twist {
            Twist::Doff(doff) => out[12] = doff << 4 | out[12] & 15,
            Twist::Window(window) => out[14..16].copy_from_slice(&window.to_be_bytes()),
            Twist::Urgent(at) => out[18..20].copy_from_slice(&at.to_be_bytes()),
            Twist::SamePort => out[2..4].copy_from_slice(&peer.port.to_be_bytes()),
            _ => {}
        }
    }
    for twist in &step.twists {
        if let Twist::Short(len) = *twist {
            out.truncate(len.into());
        }
    }
    out
}

/// An IPv6 extension header but for its first octet, and its kind.
fn extension(ext: Ext) -> (u8, Vec<u8>) {
    match ext {
        Ext::Options { kind, more, option } => (kind, vec![more as u8, option, 4, 0, 0, 0, 0]),
        Ext::Routing { kind, left } => (43, vec![0, kind, left, 0, 0, 0, 0]),
        Ext::Fragment { field } => {
            let [high, low] = field.to_be_bytes();
            (44, vec![0, high, low, 0, 0, 0, 7])
        }
        Ext::Authentication => (51, [vec![4, 0, 0], vec![0x11; 20]].concat()),
        Ext::Jumbo(len) => (0, [vec![0, 0xc2, 4], len.to_be_bytes().to_vec()].concat()),
        Ext::Unknown { kind, len } => (kind, vec![len, 0, 0, 0, 0, 0, 0]),
    }
}

fn put_length(packet: &mut [u8], total: usize) {
    if packet[0] >> 4 == 6 {
        packet[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
    } else {
        packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    }
}

fn put_header_sum(packet: &mut [u8], len: usize) {
    packet[10..12].fill(0);
    let header = &packet[..len.min(packet.len())];
    let right = !sum(&[header]);
    packet[10..12].copy_from_slice(&right.to_be_bytes());
}

pub fn render(step: &Step, peer: &Peer, way: Way) -> Parcel {
    let v6 = peer.address.is_ipv6();
    let (mut from, mut to, mut proto, mut chain, mut options4) =
        (peer.address, peer.target, 6, vec![], vec![]);
    let mut parcel = Parcel::default();
    let (mut partial, mut mac, mut from_mac, mut vlan) =
        (None, way.server_mac(), way.client_mac(), None);
    let mut ether_type = if v6 { 0x86ddu16 } else { 0x0800 };
    for twist in &step.twists {
        match twist {
            Twist::From(odd) => from = odd_address(*odd, way, peer),
            Twist::To(odd) => to = odd_address(*odd, way, peer),
            Twist::Proto(number) => proto = *number,
            Twist::Chain6(headers) => chain = headers.clone(),
            Twist::Options4(bytes) => options4 = bytes.clone(),
            Twist::Mac(to) => mac = station(*to),
            Twist::FromMac(from) => from_mac = station(*from),
            Twist::Vlan(tag) => vlan = Some(*tag),
            Twist::EtherType(kind) => ether_type = *kind,
            Twist::Partial(start, offset) => partial = Some((*start, *offset)),
            Twist::Vouched => parcel.vnet.flags |= Vnet::DATA_VALID,
            Twist::Gso(kind, size) => {
                partial = partial.or(Some((0, 0)));
                (parcel.vnet.gso_type, parcel.vnet.gso_size) = (*kind, *size);
            }
            Twist::Head(len) => parcel.vnet.hdr_len = *len,
            Twist::Pieces(cut) => parcel.cut = Some(*cut),
            Twist::Memory(lens) => parcel.memory = lens.clone(),
            _ => {}
        }
    }

    // IP.
    let mut tcp = segment(step, peer);
    let mut packet = if v6 {
        let mut body = vec![];
        let headers: Vec<_> = chain.into_iter().map(extension).collect();
        let kinds: Vec<u8> = headers
            .iter()
            .map(|(kind, _)| *kind)
            .chain([proto])
            .collect();
        for ((_, rest), next) in headers.iter().zip(&kinds[1..]) {
            body.push(*next);
            body.extend(rest);
        }
        let head = [0x60, 0, 0, 0, 0, 0, kinds[0], 64];
        [&head[..], &octets(from), &octets(to), &body].concat()
    } else {
        options4.resize(options4.len().next_multiple_of(4), 0);
        let head = [
            0x45 + (options4.len() / 4) as u8,
            0,
            0,
            0,
            0,
            1,
            0x40,
            0,
            64,
            proto,
            0,
            0,
        ];
        [&head[..], &octets(from), &octets(to), &options4].concat()
    };
    let start = packet.len();
    let header_len = if v6 { 40 } else { start };

    // TCP's checksum, or what the card needs to finish it.
    let pseudo = pseudo_sum(from, to, tcp.len());
    let wrong = step.twists.iter().fold(0, |bits, twist| match twist {
        Twist::TcpSum(more) => bits ^ more,
        _ => bits,
    });
    if tcp.len() >= 18 {
        let right = if partial.is_some() {
            pseudo
        } else {
            !sum(&[&pseudo.to_be_bytes(), &tcp])
        };
        tcp[16..18].copy_from_slice(&(right ^ wrong).to_be_bytes());
    }
    packet.extend(&tcp);
    let total = packet.len();
    put_length(&mut packet, total);

    // What lies about the packet.
    let (mut ihl, mut header_sum) = (header_len, 0);
    // Fragments have headers of their own.
    let is_whole = parcel.cut.is_none();
    for twist in &step.twists {
        match *twist {
            Twist::Tos(_) | Twist::Ttl(_) => {}
            _ if !is_whole => continue,
            _ => {}
        }
        match *twist {
            Twist::Length(more) => put_length(
                &mut packet,
                (total as i32 + i32::from(more)).max(40) as usize,
            ),
            Twist::LengthIs(len) => {
                let at = if v6 { 4 } else { 2 };
                packet[at..at + 2].copy_from_slice(&len.to_be_bytes());
            }
            Twist::Tos(tos) if v6 => {
                packet[0] = 0x60 | tos >> 4;
                packet[1] = tos << 4;
            }
            Twist::Tos(tos) => packet[1] = tos,
            Twist::Ttl(ttl) => packet[if v6 { 7 } else { 8 }] = ttl,
            Twist::Fragment(id, field) if !v6 => {
                packet[4..6].copy_from_slice(&id.to_be_bytes());
                packet[6..8].copy_from_slice(&field.to_be_bytes());
            }
            Twist::Ihl(len) if !v6 => {
                ihl = usize::from(len) * 4;
                packet[0] = packet[0] & 0xf0 | len;
            }
            Twist::IpSum(bits) => header_sum ^= bits,
            _ => {}
        }
    }
    for twist in &step.twists {
        match *twist {
            _ if !is_whole => {}
            Twist::Version(version) => packet[0] = packet[0] & 15 | version << 4,
            Twist::Flip(at, bits, mend) => {
                if let Some(octet) = packet.get_mut(usize::from(at)) {
                    *octet ^= bits;
                    if mend && packet.len() >= start + 18 && partial.is_none() {
                        packet[start + 16..start + 18].fill(0);
                        let ends = if v6 { 8..40 } else { 12..20 };
                        let len = (packet.len() - start) as u32;
                        let right =
                            !sum(&[&packet[ends], &len.to_be_bytes(), &[0, 6], &packet[start..]]);
                        packet[start + 16..start + 18].copy_from_slice(&right.to_be_bytes());
                    }
                }
            }
            _ => {}
        }
    }
    if !v6 {
        put_header_sum(&mut packet, ihl.max(20));
        let wrong = u16::from_be_bytes([packet[10], packet[11]]) ^ header_sum;
        packet[10..12].copy_from_slice(&wrong.to_be_bytes());
    }
    for twist in &step.twists {
        match *twist {
            _ if !is_whole => {}
            Twist::Cut(len) => packet.truncate(len.into()),
            Twist::Pad(len) => packet.extend(std::iter::repeat_n(0xa5, len.into())),
            _ => {}
        }
    }
    parcel.pieces = match parcel.cut {
        Some(cut) => fragments(&packet, header_len, v6, cut, peer.number),
        None => vec![packet.clone()],
    };
    parcel.packet = packet;

    // The link.
    if way.is_ethernet() {
        parcel.link.extend(mac);
        parcel.link.extend(from_mac);
        if let Some(tag) = vlan {
            parcel.link.extend([0x81, 0]);
            parcel.link.extend(tag.to_be_bytes());
        }
        parcel.link.extend(ether_type.to_be_bytes());
    }
    if let Some((off, offset)) = partial {
        parcel.vnet.flags |= Vnet::NEEDS_CSUM;
        parcel.vnet.csum_start =
            ((parcel.link.len() + start) as u16).wrapping_add_signed(off.into());
        parcel.vnet.csum_offset = 16u16.wrapping_add_signed(offset.into());
    }
    if parcel.vnet.hdr_len != 0 {
        parcel.vnet.hdr_len = parcel.vnet.hdr_len.saturating_add(parcel.link.len() as u16);
    }
    parcel
}

fn fragments(packet: &[u8], header_len: usize, v6: bool, cut: Cut, number: u32) -> Vec<Vec<u8>> {
    let (header, body) = packet.split_at(header_len);
    let size = usize::from(cut.size.max(1)) * 8;
    let count = body.len().div_ceil(size);
    let mut pieces = vec![];
    for piece in 0..count {
        let number_of = |fault: u8| piece == usize::from(fault) % count;
        let mut begin = piece * size;
        match cut.fault {
            Fault::Missing(which) if number_of(which) => continue,
            Fault::Overlaps(which) if number_of(which) => begin = begin.saturating_sub(8),
            _ => {}
        }
        let end = (piece * size + size).min(body.len());
        let field = begin as u16 | u16::from(piece + 1 < count);
        let mut out = header.to_vec();
        if v6 {
            out.extend([header[6], 0]);
            out.extend(field.to_be_bytes());
            out.extend(number.to_be_bytes());
            out[6] = 44;
        } else {
            let [high, low] = (field >> 3 | (field & 1) << 13).to_be_bytes();
            (out[6], out[7]) = (high, low);
            out[4..6].copy_from_slice(&(number as u16).to_be_bytes());
        }
        out.extend(&body[begin..end]);
        let total = out.len();
        if v6 {
            out[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
        } else {
            out[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            put_header_sum(&mut out, header_len);
        }
        if matches!(cut.fault, Fault::Twice(which) if count > 1 && number_of(which)) {
            pieces.push(out.clone());
        }
        pieces.push(out);
    }
    if cut.backwards {
        pieces.reverse();
    }
    pieces
}
