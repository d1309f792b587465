# SPDX-License-Identifier: GPL-2.0
"""TCP over IPv4 and IPv6 as bytes: just enough to write packets, bad ones too, and to read answers.

`tcp()`, `ipv4()` and `ipv6()` write what they are told, right or wrong; `parse()` reads a packet
and verifies its checksums. scapy would do, but takes seconds to load in an emulated guest.
"""

import struct
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

TCP = 6
FLAGS = "FSRPAUEC"


def flag_bits(flags):
    """The control bits: "SA" is SYN and ACK."""
    return sum(1 << FLAGS.index(flag) for flag in flags)


def address(text):
    """An address in wire order."""
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(src, dst, length, proto=TCP):
    """The pseudo header that a transport's checksum covers."""
    return address(src) + address(dst) + struct.pack("!II", length, proto)


def options(mss=None, sack=False, ts=None, wscale=None):
    """TCP options in Linux' order, padded; `ts` is (TSval, TSecr)."""
    out = b""
    if mss is not None:
        out += struct.pack("!BBH", 2, 4, mss)
    if sack and ts:
        out += b"\4\2"
    elif ts:
        out += b"\1\1"
    elif sack:
        out += b"\1\1\4\2"
    if ts:
        out += struct.pack("!BBII", 8, 10, *ts)
    if wscale is not None:
        out += struct.pack("!BBBB", 1, 3, 3, wscale)
    return out


def tcp(
    src,
    dst,
    sport,
    dport,
    flags,
    seq,
    ack=0,
    window=64240,
    opts=b"",
    payload=b"",
    doff=None,
    csum=None,
    reserved=0,
):
    """A TCP segment. `doff` and `csum` replace the right values with wrong ones."""
    doff = 5 + len(opts) // 4 if doff is None else doff
    fixed = struct.pack(
        "!HHIIBBHHH",
        sport,
        dport,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        doff << 4 | reserved,
        flag_bits(flags),
        window,
        0,
        0,
    )
    segment = fixed + opts + payload
    if csum is None:
        csum = checksum(pseudo(src, dst, len(segment)) + segment)
    return segment[:16] + struct.pack("!H", csum) + segment[18:]


def ipv4(
    src, dst, payload, proto=TCP, tos=0, ttl=64, ident=1, frag=0x4000, opts=b"", total_len=None
):
    """An IPv4 packet; `frag` is the 16 bits of flags and offset, DF by default."""
    total_len = 20 + len(opts) + len(payload) if total_len is None else total_len
    header = struct.pack(
        "!BBHHHBBH", 0x45 + len(opts) // 4, tos, total_len, ident, frag, ttl, proto, 0
    )
    header += address(src) + address(dst) + opts
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(src, dst, payload, proto=TCP, tos=0, ttl=64, label=0, extensions=(), total_len=None):
    """An IPv6 packet; `extensions` are (next header value of this one, its bytes without the
    first).
    """
    chain = [kind for kind, _ in extensions] + [proto]
    body = (
        b"".join(bytes([chain[i + 1]]) + rest for i, (_, rest) in enumerate(extensions)) + payload
    )
    length = len(body) if total_len is None else total_len - 40
    return (
        struct.pack("!IHBB", 6 << 28 | tos << 20 | label, length, chain[0], ttl)
        + address(src)
        + address(dst)
        + body
    )


def ip(src, dst, payload, **fields):
    """A packet of the family of its addresses."""
    return (ipv6 if ":" in src else ipv4)(src, dst, payload, **fields)


@dataclass
class Segment:
    """A TCP segment as it was seen."""

    src: str
    dst: str
    sport: int
    dport: int
    flags: str
    seq: int
    ack: int
    window: int
    mss: int | None
    sack: bool
    ts: tuple | None
    wscale: int | None
    payload: bytes
    tos: int
    ttl: int
    label: int
    length: int  # of the packet, bytes
    reserved: int  # the low nibble of byte 12
    right: bool  # both checksums are
    raw: bytes
    time: float = 0.0  # seconds, the kernel's
    outgoing: bool = False
    mac: bytes = b""  # the sender's

    @property
    def options(self):
        """The TCP options as they are, padding included."""
        start = 20 if self.raw[0] >> 4 == 4 else 40
        return self.raw[start + 20 : start + (self.raw[start + 12] >> 4 << 2)]

    def __str__(self):
        ts = f" ts {self.ts[0]}/{self.ts[1]}" if self.ts else ""
        return (
            f"{self.time:.6f} {self.src}.{self.sport} > {self.dst}.{self.dport} {self.flags} seq "
            f"{self.seq} "
            f"ack {self.ack} win {self.window} len {len(self.payload)}{ts}"
        )


def parse_options(data):
    """The options of a header, as far as they can be read."""
    found = {"mss": None, "sack": False, "ts": None, "wscale": None}
    while data and data[0] != 0:
        if data[0] == 1:
            data = data[1:]
            continue
        if len(data) < 2 or data[1] < 2:
            break
        kind, value = data[0], data[2 : data[1]]
        if kind == 2:
            found["mss"] = int.from_bytes(value)
        elif kind == 3:
            found["wscale"] = value[0]
        elif kind == 4:
            found["sack"] = True
        elif kind == 8:
            found["ts"] = struct.unpack("!II", value)
        data = data[data[1] :]
    return found


def option_kinds(data):
    """The kinds of well-formed options in their order, with the padding (1, 0)."""
    kinds = []
    while data:
        kinds.append(data[0])
        data = data[1:] if data[0] < 2 else data[data[1] :]
    return kinds


def parse(packet):
    """The segment in an IP packet, or None if it holds no TCP right behind the IP header."""
    if packet[0] >> 4 == 4:
        header_len, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
        proto, tos, ttl, label = packet[9], packet[1], packet[8], 0
        src, dst = inet_ntop(AF_INET, packet[12:16]), inet_ntop(AF_INET, packet[16:20])
        right = checksum(packet[:header_len]) == 0
    else:
        header_len, total = 40, 40 + int.from_bytes(packet[4:6])
        first = int.from_bytes(packet[:4])
        proto, tos, ttl, label = packet[6], first >> 20 & 0xFF, packet[7], first & 0xFFFFF
        src, dst = inet_ntop(AF_INET6, packet[8:24]), inet_ntop(AF_INET6, packet[24:40])
        right = True
    segment = packet[header_len:total]
    if proto != TCP or len(segment) < 20:
        return None
    sport, dport, seq, ack, offset, bits, window = struct.unpack("!HHIIBBH", segment[:16])
    data = offset >> 4 << 2
    return Segment(
        src=src,
        dst=dst,
        sport=sport,
        dport=dport,
        # As people read it: SYN first, then FIN, RST, PSH, ACK.
        flags="".join(flag for flag in "SFRPAUEC" if bits >> FLAGS.index(flag) & 1),
        seq=seq,
        ack=ack,
        window=window,
        payload=segment[data:],
        tos=tos,
        ttl=ttl,
        label=label,
        length=total,
        reserved=offset & 15,
        right=right and checksum(pseudo(src, dst, len(segment)) + segment) == 0,
        raw=packet[:total],
        **parse_options(segment[20:data]),
    )
