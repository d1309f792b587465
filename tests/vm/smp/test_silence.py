# SPDX-License-Identifier: GPL-2.0
"""Silence: what must not be answered is not, on a path that was just seen to answer.

Each puppet first completes a handshake. `Puppet.quiet()` then proves silence by order: a SYN
sent afterwards is answered, and nothing came before that answer.
"""

import contextlib
import itertools

import pytest
import wire
from lab import FIRST_WINDOW, PORT, V4, V6, Puppet, for_each, wait_until


def options_of(puppet):
    """IPv4: three no-operations and the end of the list; IPv6: the same as hop-by-hop options."""
    return (
        {"opts": b"\1\1\1\0"}
        if ":" not in puppet.src
        else {"extensions": [(0, b"\0\1\4" + bytes(4))]}
    )


SILENT = {
    # A segment of the held connection, but for one thing.
    "bare ACK": lambda p: p.send("A"),
    "bare ACK after data": lambda p: p.send("A", 100),
    "RST": lambda p: p.send("R"),
    "RST in the window": lambda p: p.send("RA"),
    "no flags": lambda p: p.send(""),
    "FIN alone": lambda p: p.send("F"),
    "PSH and URG alone": lambda p: p.send("PU"),
    "Xmas": lambda p: p.send("FPU"),
    "every flag": lambda p: p.send("SFRPAUEC"),
    "SYN and FIN": lambda p: p.send("SF", -1),
    "SYN, FIN and ACK": lambda p: p.send("SFA", -1),
    "SYN and RST": lambda p: p.send("SR", -1),
    "bad checksum": lambda p: p.send("PA", payload=b"x" * 20, csum=0x1234),
    "bad checksum behind options": lambda p: p.send(
        "PA", payload=b"x" * 20, csum=0x1234, ip=options_of(p)
    ),
    "bad checksum of a SYN": lambda p: p.send("S", -1, csum=0xBEEF),
    "bad checksum of a probe": lambda p: p.send("A", -1, csum=0),
    "data offset below 5": lambda p: p.send("PA", payload=b"x" * 20, doff=4),
    "data offset zero": lambda p: p.send("S", -1, doff=0),
    "data offset beyond the segment": lambda p: p.send("PA", payload=b"x" * 4, doff=15),
    # The numbers of somebody else's connection.
    "foreign ACK": lambda p: p.send("A", seq=1, ack=1),
    "a foreign octet": lambda p: p.send("PA", payload=b"x", seq=0x10000000, ack=0x20000000),
    "foreign FIN": lambda p: p.send("FA", seq=0x10000000, ack=0x20000000),
    "an ACK of what was never sent": lambda p: p.send("PA", payload=b"x", ack=p.their_isn + 2),
    "data far ahead": lambda p: p.send("PA", at=1 << 18, payload=b"x"),
    "data before the stream": lambda p: p.send("PA", at=-2, payload=b"x"),
}


def test_segment_is_not_answered(lab, family):
    """Each after a valid handshake: no answer, no warning; and then the flow is still alive."""

    def check(what):
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        SILENT[what](puppet)
        assert puppet.quiet()
        puppet.send("PA", payload=b"still there")
        assert puppet.answer().ack == puppet.isn + 1 + 1 & 0xFFFFFFFF

    with lab.capture(family, both=False) as capture:
        before = lab.server.rule_packets(family)
        for_each(SILENT, check)
        # Each did come to the rule; the others were two of the handshake, the marker's SYN and RST,
        # and data.
        assert lab.server.rule_packets(family) == before + 6 * len(SILENT)


def test_foreign_segment_is_not_answered_in_any_flow(lab, family):
    """An ACK, an octet and a FIN of connections that never were: the reach of the check is
    2^-15.
    """
    with lab.capture(family, both=False) as capture:
        for i in range(40):
            puppet = Puppet(lab, family, capture)
            for flags, payload in (("A", b""), ("PA", b"x"), ("FA", b"")):
                puppet.send(
                    flags, seq=0x9E3779B9 * (i + 1), payload=payload, ack=0x7FEB352D * (i + 3)
                )
            assert puppet.quiet()


def test_syn_ack_is_told_once_that_nobody_asked(lab, family):
    """Somebody spoofs our address: one RST with the number that was acknowledged (RFC 9293,
    3.5.2).
    """
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.send("SA", -1, ack=0xCAFE0000)
        answer = puppet.answer()
        assert (answer.flags, answer.seq, answer.payload) == ("R", 0xCAFE0000, b"")
        assert puppet.quiet()


def test_syn_acks_are_not_told_without_end(lab, family):
    """The RSTs to one source have a budget: who makes us send them at somebody gains nothing."""
    with lab.capture(family, both=False) as capture:
        # Of a network that no other test has spent the budget of.
        src = {"ipv4": "198.51.100.77", "ipv6": "2001:db8:2:77::1"}[family.name]
        puppets = [Puppet(lab, family, capture, src=src) for _ in range(40)]
        for puppet in puppets:
            puppet.send("SA", -1, ack=1)
        assert Puppet(lab, family, capture).quiet()
        told = [s for s in capture.segments() if s.dst == src]
    assert {s.flags for s in told} == {"R"}
    assert 1 <= len(told) <= 10, len(told)


def test_truncated_header(lab, family):
    """A SYN whose TCP header is not all there, by the packet's end or by the IP header's word."""

    def check(case):
        how, cut = case
        puppet = Puppet(lab, family, capture)
        segment = puppet.segment("S", -1)
        if how == "the packet ends":
            lab.inject(wire.ip(puppet.src, puppet.dst, segment[:cut]))
        else:
            lab.inject(wire.ip(puppet.src, puppet.dst, segment, total_len=family.header + cut))
        assert puppet.quiet()

    with lab.capture(family, both=False) as capture:
        for_each(
            itertools.product(("the packet ends", "the IP length says so"), (1, 8, 13, 19)), check
        )


def test_options_cut_off(lab, family):
    """A SYN whose options reach beyond the IP header's length is malformed, not read."""

    def check(left):
        puppet = Puppet(lab, family, capture)
        segment = puppet.segment("S", -1)
        assert len(segment) == 40
        # The checksum is right for what is left.
        segment = segment[:16] + b"\0\0" + segment[18:left]
        total = wire.checksum(wire.pseudo(puppet.src, puppet.dst, left) + segment)
        lab.inject(wire.ip(puppet.src, puppet.dst, segment[:16] + total.to_bytes(2) + segment[18:]))
        assert puppet.quiet()

    with lab.capture(family, both=False) as capture:
        for_each((20, 21, 32, 39), check)


MANY = {
    # name: (family, destination, MAC)
    "subnet broadcast": (V4, "192.0.2.255", "ffffffffffff"),
    "limited broadcast": (V4, "255.255.255.255", "ffffffffffff"),
    "broadcast address in a unicast frame": (V4, "192.0.2.255", None),
    "own address in a broadcast frame": (V4, "192.0.2.2", "ffffffffffff"),
    "own address in a multicast frame": (V4, "192.0.2.2", "01005e000001"),
    "all hosts": (V4, "224.0.0.1", "01005e000001"),
    "all nodes": (V6, "ff02::1", "333300000001"),
    "all nodes in a unicast frame": (V6, "ff02::1", None),
    "solicited node": (V6, "ff02::1:ff00:2", "3333ff000002"),
    "own address in a multicast frame, IPv6": (V6, "2001:db8:1::2", "333300000001"),
    "own address in a broadcast frame, IPv6": (V6, "2001:db8:1::2", "ffffffffffff"),
}


@pytest.mark.parametrize("name", MANY)
def test_syn_to_many(lab, name):
    """A SYN to more than one host is never answered (RFC 1122, 4.2.3.10)."""
    family, destination, mac = MANY[name]
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dst=destination)
        puppet.send("S", -1, mac=mac and bytes.fromhex(mac))
        assert puppet.quiet()
        assert not [s for s in capture.segments() if s.dport == puppet.sport]


NOBODY = {
    V4: ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.255", "192.0.2.2"),
    V6: ("::", "::1", "ff02::1", "2001:db8:1::2"),
}


@pytest.mark.parametrize(
    "source", [(f, a) for f in NOBODY for a in NOBODY[f]], ids=lambda pair: pair[1]
)
def test_syn_from_nobody(lab, source):
    """A source that is no single other host: nothing goes out, not to it and not to anybody."""
    family, address = source
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, src=address)
        puppet.send("S", -1)
        assert puppet.quiet()
        assert not [s for s in capture.segments() if s.dport == puppet.sport]


@contextlib.contextmanager
def forward_rule(lab, family):
    """The unused netblock behind the server is tarpitted in FORWARD; no conntrack, so no
    defragmentation.
    """
    rule = ("FORWARD", "-p", "tcp", "-j", "TARPIT")
    lab.server.sysctl("net.ipv4.ip_forward" if family is V4 else "net.ipv6.conf.all.forwarding", 1)
    lab.server.iptables(family, "-A", *rule)
    try:
        yield
    finally:
        lab.server.iptables(family, "-D", *rule)
        lab.server.sysctl(
            "net.ipv4.ip_forward" if family is V4 else "net.ipv6.conf.all.forwarding", 0
        )


def fragments(family, puppet, segment, size, ident=0x77):
    """The packets of a segment cut into pieces of `size` bytes, a multiple of eight."""
    pieces = [segment[i : i + size] for i in range(0, len(segment), size)]
    packets = []
    for i, piece in enumerate(pieces):
        more, offset = i + 1 < len(pieces), i * size
        if family is V4:
            frag = (0x2000 if more else 0) | offset // 8
            packets.append(wire.ipv4(puppet.src, puppet.dst, piece, ident=ident, frag=frag))
        else:
            header = b"\0" + (offset | more).to_bytes(2) + ident.to_bytes(4)
            packets.append(wire.ipv6(puppet.src, puppet.dst, piece, extensions=[(44, header)]))
    return packets


def test_fragment_in_forward_is_not_answered(lab, family):
    """Who forwards sees fragments; the first one has the whole TCP header of a SYN, and gets no
    answer.
    """
    with forward_rule(lab, family), lab.capture(family, both=False) as capture:
        first = Puppet(lab, family, capture, dst=family.nobody)
        first.send("S", -1)
        assert first.answer().flags == "SA"

        puppet = Puppet(lab, family, capture, dst=family.nobody)
        syn = puppet.segment("S", -1, payload=b"x" * 40)
        before = lab.server.rule_packets(family, "FORWARD")
        packets = fragments(family, puppet, syn, 48)
        assert len(packets) == 2
        for packet in packets:
            lab.inject(packet)
        assert puppet.quiet()
        # A rule for a protocol looks at first fragments only (ip_packet_match, ip6_packet_match).
        assert lab.server.rule_packets(family, "FORWARD") - before in (1, 2)


def test_segment_that_the_stack_reassembled_is_answered(lab, family):
    """INPUT comes behind IPv4's reassembly; over IPv6 conntrack's defragmentation does it
    before.
    """
    rule = ("INPUT", "-m", "conntrack", "--ctstate", "DNAT", "-j", "DROP")
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        if family is V6:
            lab.server.iptables(family, "-A", *rule)
        try:
            # IPv6 wants the whole header in the first fragment (RFC 8200, 4.5), IPv4 takes what
            # comes.
            for i, size in enumerate((8, 16, 24, 32, 512) if family is V4 else (24, 32, 512)):
                puppet = Puppet(lab, family, capture)
                puppet.connect()
                segment = puppet.segment("PA", payload=b"x" * 1000)
                for packet in fragments(family, puppet, segment, size, ident=0x100 + i):
                    lab.inject(packet)
                answer = puppet.answer()
                assert (answer.flags, answer.window) == ("A", 0)
                assert answer.ack == puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF
                # Nothing of the fragments' sizes stays with the reply.
                assert answer.length == family.header + 32
        finally:
            if family is V6:
                lab.server.iptables(family, "-D", *rule)


V6_CHAINS = {
    "hop-by-hop": [(0, b"\0" + b"\1\4\0\0\0\0")],
    "destination options": [(60, b"\0" + b"\1\4\0\0\0\0")],
    "hop-by-hop and destination options": [
        (0, b"\0\1\4\0\0\0\0"),
        (60, b"\1" + b"\1\x0c" + bytes(12)),
    ],
    "a fragment that is the whole packet": [(44, b"\0\0\0\0\0\0\7")],
}
V4_OPTIONS = {
    "no operation": b"\1\1\1\0",
    "router alert": b"\x94\4\0\0",
    "timestamp": b"\x44\x0c\5\0" + bytes(8),
    "forty bytes": b"\1" * 39 + b"\0",
}


@pytest.mark.parametrize("name", [*V4_OPTIONS, *V6_CHAINS])
def test_segment_behind_options_is_answered(lab, name):
    """IPv4 options and IPv6 extension headers do not hide from the tarpit, nor does it send any."""
    family, ip = (
        (V4, {"opts": V4_OPTIONS[name]})
        if name in V4_OPTIONS
        else (V6, {"extensions": V6_CHAINS[name]})
    )
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.send("S", -1, ip=ip)
        syn_ack = puppet.answer()
        assert syn_ack.flags == "SA" and syn_ack.raw[0] in (0x45, 0x60)
        puppet.their_isn = syn_ack.seq
        puppet.send("PA", payload=b"x" * 100, ip=ip)
        assert puppet.answer().ack == puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF


@pytest.mark.parametrize("name", ["no header", "ESP", "many headers", "header beyond the packet"])
def test_extension_headers_that_hide_tcp(lab, name):
    """Chains that do not lead to TCP, or not soon, are dropped in silence by a rule without -p
    tcp.
    """
    family = V6
    pad = b"\0\1\4\0\0\0\0"
    chain, proto = {
        "no header": ([], 59),
        "ESP": ([], 50),
        "many headers": ([(60, pad)] * 20, 6),
        "header beyond the packet": ([(60, b"\xff\1\4\0\0\0\0")], 6),
    }[name]
    lab.server.iptables(family, "-I", "INPUT", "-s", family.phantom, "-j", "TARPIT")
    try:
        with lab.capture(family, both=False) as capture:
            puppet = Puppet(lab, family, capture)
            puppet.send("S", -1, ip={"extensions": chain, "proto": proto})
            assert puppet.quiet()
            assert not [s for s in capture.segments() if s.dport == puppet.sport]
    finally:
        lab.server.iptables(family, "-D", "INPUT", 1)


def echo_request(family):
    """An ICMP echo request from the client to the server."""
    if family is V4:
        body = b"\x08\0\0\0\0\1\0\1tarpit"
        return wire.ipv4(
            family.client,
            family.server,
            body[:2] + wire.checksum(body).to_bytes(2) + body[4:],
            proto=1,
        )
    body = b"\x80\0\0\0\0\1\0\1tarpit"
    total = wire.checksum(wire.pseudo(family.client, family.server, len(body), 58) + body)
    return wire.ipv6(
        family.client, family.server, body[:2] + total.to_bytes(2) + body[4:], proto=58
    )


def test_other_protocols_are_dropped_in_silence(lab, family):
    """A rule without -p tcp, as fail2ban and CrowdSec write it, drops UDP and ICMP and answers
    TCP.
    """
    proto, kinds = (
        ("icmp", ("echo-reply", "port-unreachable"))
        if family is V4
        else ("icmpv6", ("echo-reply", "port-unreachable"))
    )
    option = "--icmp-type" if family is V4 else "--icmpv6-type"
    for kind in kinds:
        lab.client.iptables(family, "-A", "INPUT", "-p", proto, option, kind)
    udp = wire.ip(family.client, family.server, bytes.fromhex("1234000900090000") + b"?", proto=17)
    try:
        # The path works: without the rule both are answered.
        for packet in (echo_request(family), udp) if family is V4 else (echo_request(family),):
            lab.inject(packet)
        wait_until(lambda: lab.client.rule_packets(family) == 1, what="an echo reply")

        lab.server.iptables(
            family, "-I", "INPUT", "-s", family.client, "!", "-p", proto, "-j", "TARPIT"
        )
        lab.server.iptables(
            family,
            "-I",
            "INPUT",
            "-s",
            family.client,
            "-p",
            proto,
            option,
            "echo-request",
            "-j",
            "TARPIT",
        )
        try:
            before = [lab.client.rule_packets(family, "INPUT", n) for n in (1, 2)]
            lab.inject(echo_request(family))
            lab.inject(udp)
            # Answered after all, had they been: the wire keeps the order.
            with lab.client.connect(family, PORT + 1):
                pass
            assert [lab.client.rule_packets(family, "INPUT", n) for n in (1, 2)] == before
            assert lab.server.rule_packets(family, number=1) == 1
            assert lab.server.rule_packets(family, number=2) >= 3
        finally:
            lab.server.iptables(family, "-D", "INPUT", 1)
            lab.server.iptables(family, "-D", "INPUT", 1)
    finally:
        lab.client.iptables(family, "-F", "INPUT")
