# SPDX-License-Identifier: GPL-2.0
"""Other links and routes: VLAN, bridge, VRF, marks, NAT with a host behind it, and no route at
all (--hairpin).
"""

import contextlib
import fcntl
import os
import re
import select
import socket
import struct

import pytest
import wire
from lab import (
    FIRST_WINDOW,
    MODES,
    V4,
    V6,
    Capture,
    Lab,
    Puppet,
    for_each,
    link,
    sh,
    tcp_info,
    wait_until,
)  # fmt: skip

HOOKS = {"INPUT": "filter", "PREROUTING": "raw"}


def held(client):
    """The first window is acknowledged, and no more."""
    client.send(b"x" * 1000)
    return wait_until(
        lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first window is acknowledged"
    )


def tarpit(lab, family, chain, *match, options=(), host=None):
    """A rule for a port, while the block runs."""
    rule = (chain, "-p", "tcp", *match, "-j", "TARPIT", *options)
    return (host or lab.server).rule(family, *rule, table=HOOKS.get(chain, "filter"))


class Frames(Capture):
    """All frames on an interface, with their headers: `eth` is (to, from, VLAN tag or None)."""

    def __init__(self, host, dev, family):
        super().__init__(host, dev, family)
        self.sock.close()
        with host.inside():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            self.sock.bind((dev, 0x0003))
        self.sock.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA

    def segments(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                data, control, _, origin = self.sock.recvmsg(70000, 128, socket.MSG_DONTWAIT)
                tag, packet = None, data[14:]
                for level, kind, value in control:
                    if (level, kind) == (263, 8):
                        status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", value)
                        tag = tci if status & 0x10 else None  # TP_STATUS_VLAN_VALID
                if data[12:14] == b"\x81\0":
                    tag, packet = int.from_bytes(data[14:16]), data[18:]
                if (
                    packet
                    and packet[0] >> 4 == (4 if self.family is V4 else 6)
                    and (segment := wire.parse(packet))
                ):
                    segment.outgoing = origin[2] == socket.PACKET_OUTGOING
                    segment.eth = data[:6], data[6:12], tag
                    self.seen.append(segment)
        return self.seen


def frame(lab, packet, source, to=None, dev="c0"):
    """Sends a packet in a frame of any sender."""
    with lab.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((dev, 0))
        kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        sock.send((to or lab.server_mac) + bytes.fromhex(source) + struct.pack("!H", kind) + packet)


class Links(Lab):
    """Beside the plain wire: VLAN 7 on it, a second wire c1-s1, and a host behind the server.

    VLAN 7: 192.0.3.0/24, 2001:db8:7::/64. Second wire: 192.0.4.0/24, 2001:db8:4::/64. Behind:
    192.0.5.0/24, 2001:db8:5::/64.
    """

    def cable(self):
        super().cable()
        self.inner = self.host()
        link(self.client, "c1", self.server, "s1")
        link(self.server, "s2", self.inner, "i0")

    def rules(self):
        super().rules()
        for host, dev, at in ((self.client, "c", 1), (self.server, "s", 2)):
            host.ip(
                # Whatever the client sends there has priority 5.
                f"link add link {dev}0 name {dev}7 type vlan id 7 egress-qos-map "
                f"0:{5 if dev == 'c' else 0}",
                f"link set {dev}7 up", f"link set {dev}1 up",
                f"addr add 192.0.3.{at}/24 brd + dev {dev}7",
                f"addr add 2001:db8:7::{at}/64 dev {dev}7 nodad",
                f"addr add 192.0.4.{at}/24 brd + dev {dev}1",
                f"addr add 2001:db8:4::{at}/64 dev {dev}1 nodad",
            )  # fmt: skip
        self.server.ip(
            "addr add 192.0.5.2/24 dev s2",
            "addr add 2001:db8:5::2/64 dev s2 nodad",
            "link set s2 up",
        )
        self.inner.ip(
            "addr add 192.0.5.5/24 dev i0", "addr add 2001:db8:5::5/64 dev i0 nodad",
            "link set i0 up",
            "route add default via 192.0.5.2", "route add default via 2001:db8:5::2",
        )  # fmt: skip
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.server.sysctl(name, 1)
        wait_until(
            lambda: all(self.server.running(dev) for dev in ("s1", "s2", "s7")),
            what="the links are up",
        )


@pytest.fixture(scope="module")
def lab():
    lab = Links()
    yield lab
    lab.close()


def other(family, net, at):
    """An address of another link of the lab: 3 is the VLAN, 4 the second wire, 5 what is behind."""
    return f"192.0.{net}.{at}" if family is V4 else f"2001:db8:{7 if net == 3 else net}::{at}"


# --- VLAN


@pytest.mark.parametrize("chain", HOOKS)
@pytest.mark.parametrize("options", [(), ("--hairpin",)], ids=["routed", "hairpin"])
def test_client_on_a_vlan_is_held(lab, family, chain, options):
    with tarpit(lab, family, chain, "-i", "s7", "--dport", 5001, options=options):
        address = other(family, 3, 2)
        with (
            Frames(lab.client, "c0", family) as frames,
            lab.client.connect(family, 5001, address) as client,
        ):
            assert held(client)
            answers = [s for s in frames.segments() if not s.outgoing and s.sport == 5001]
            asked = [s for s in frames.segments() if s.outgoing and s.dport == 5001]
    assert answers and asked and {s.eth[2] for s in asked} == {5 << 13 | 7}, (
        "the client's frames have a priority"
    )
    assert {s.eth for s in answers} == {(lab.client.mac("c0"), lab.server_mac, 7)}, "ours have none"


# --- Netblock


@pytest.mark.parametrize("chain", [*HOOKS, "FORWARD"])
def test_routed_netblock_holds(lab, family, chain):
    """All addresses of a prefix, as local ones (AnyIP) or as nobody's."""
    prefix = "203.0.113.0/24" if family is V4 else "2001:db8:3::/64"
    version = "" if family is V4 else "-6 "
    local = chain != "FORWARD"
    if local:
        lab.server.ip(f"route add local {prefix} dev lo")
    try:
        with tarpit(lab, family, chain, "-d", prefix, "--dport", 5002):
            for address in (family.nobody, family.nobody[:-1] + "77"):
                with lab.client.connect(family, 5002, address) as client:
                    assert client.getpeername()[0] == address
                    assert held(client)
    finally:
        if local:
            lab.server.run("ip", *version.split(), "route", "del", "local", prefix, "dev", "lo")


# --- Marks


@pytest.mark.parametrize(
    "chain, reflect", [(chain, 1) for chain in (*HOOKS, "FORWARD")] + [("INPUT", 0)]
)
def test_mark_routes_the_answer_where_it_is_reflected(lab, family, chain, reflect):
    """With fwmark_reflect, `ip rule fwmark` sends the answer over the second wire."""
    six = () if family is V4 else ("-6",)
    lab.server.run("ip", *six, "rule", "add", "fwmark", 7, "table", 77)
    lab.server.run("ip", *six, "route", "add", "default", "via", other(family, 4, 1), "table", 77)
    name = "net.ipv4.fwmark_reflect" if family is V4 else "net.ipv6.fwmark_reflect"
    lab.server.sysctl(name, reflect)
    dst = family.nobody if chain == "FORWARD" else family.server
    try:
        with tarpit(lab, family, chain, "--dport", 5003):
            mark = ("PREROUTING", "-p", "tcp", "--dport", 5003, "-j", "MARK", "--set-mark", 7)
            with lab.server.rule(family, *mark, table="raw"):
                with (
                    lab.capture(family, both=False) as first,
                    Capture(lab.client, "c1", family, both=False) as second,
                ):
                    for _ in range(2):
                        puppet = Puppet(
                            lab, family, second if reflect else first, dst=dst, dport=5003
                        )
                        puppet.connect()
                        puppet.send("PA", payload=b"x" * 100)
                        assert puppet.answer().window == 0
                    assert not [
                        s for s in (first if reflect else second).segments() if s.sport == 5003
                    ]
    finally:
        lab.server.sysctl(name, 0)
        lab.server.run("ip", *six, "rule", "del", "fwmark", 7, "table", 77)
        lab.server.run("ip", *six, "route", "flush", "table", 77)


# --- NAT


def nat(lab, family, chain, *rule):
    return lab.server.rule(family, chain, "-p", "tcp", *rule, table="nat")


def to(family, address, port):
    return f"{address}:{port}" if family is V4 else f"[{address}]:{port}"


def test_client_of_a_port_that_leads_elsewhere_is_held(lab, family):
    """DNAT to an address that nobody has, and a rule in FORWARD: the client sees the address
    that it called.
    """
    target = ("--dport", 5004, "-j", "DNAT", "--to-destination", to(family, family.nobody, 5040))
    with nat(lab, family, "PREROUTING", *target), tarpit(lab, family, "FORWARD", "--dport", 5040):
        with lab.client.connect(family, 5004) as client:
            assert held(client)
        assert not lab.server.tracked(5004)


def test_client_whose_address_would_be_masked_is_held(lab, family):
    """SNAT comes after FORWARD: the answer is the client's all the same, and from the address
    that it called.
    """
    with (
        nat(lab, family, "POSTROUTING", "-j", "MASQUERADE"),
        tarpit(lab, family, "FORWARD", "--dport", 5005),
    ):
        with lab.client.connect(family, 5005, family.nobody) as client:
            assert held(client)
    lab.server.run("conntrack", "-F")


@pytest.mark.parametrize("mask", [False, True], ids=["dnat", "dnat-and-snat"])
def test_running_connection_through_nat_is_reset(lab, family, mask):
    """A port of the server leads to the host behind it; the rule in FORWARD sees the inner
    addresses.
    """
    target = (
        "--dport",
        5006,
        "-j",
        "DNAT",
        "--to-destination",
        to(family, other(family, 5, 5), 5060),
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(nat(lab, family, "PREROUTING", *target))
        if mask:
            stack.enter_context(
                nat(lab, family, "POSTROUTING", "--dport", 5060, "-j", "MASQUERADE")
            )
        listener = stack.enter_context(lab.inner.socket(family.af, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((other(family, 5, 5), 5060))
        listener.listen()
        client = stack.enter_context(lab.client.connect(family, 5006))
        inner, peer = listener.accept()
        stack.enter_context(inner)
        assert (peer[0] == other(family, 5, 2)) == mask
        client.sendall(b"hello")
        assert inner.recv(5) == b"hello"
        with tarpit(lab, family, "FORWARD", "--dport", 5060, options=("--reset",)):
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    lab.server.run("conntrack", "-F")


# --- No route back


ELSEWHERE = {V4: "100.64.0.1", V6: "2001:db8:ffff::1"}  # to which the server has no route
STATION = "02005e000077"


UNROUTED = [*((mode, "without route") for mode in MODES), ("tarpit", "own"), ("tarpit", "nobody")]


@pytest.mark.parametrize("mode, dst", UNROUTED)
def test_sensor_without_a_route_answers_by_the_link(lab, family, mode, dst):
    """From the MAC that was called to the one that called; without --hairpin there is nothing."""
    far = "203.0.114.1" if family is V4 else "2001:db8:9::1"
    address = {"own": family.server, "nobody": family.nobody, "without route": far}[dst]
    for options, answered in ((("--hairpin",), True), ((), False)):
        with tarpit(lab, family, "PREROUTING", "--dport", 5007, options=(*MODES[mode], *options)):
            with Frames(lab.client, "c0", family) as capture:
                puppet = Puppet(
                    lab, family, capture, dst=address, dport=5007, src=ELSEWHERE[family]
                )
                frame(lab, puppet.packet("S", -1), STATION)
                if not answered:
                    assert puppet.quiet()
                    continue
                answer = puppet.answer()
                assert answer.flags == ("RA" if mode == "reset" else "SA")
                assert answer.eth == (bytes.fromhex(STATION), lab.server_mac, None)
                puppet.their_isn = answer.seq
                frame(lab, puppet.packet("PA", payload=b"x" * 100), STATION)
                answer = puppet.answer()
                assert answer.eth == (bytes.fromhex(STATION), lab.server_mac, None)
                assert answer.flags == ("R" if mode == "reset" else "A")
    assert not lab.server.tracked(5007)


def test_hairpin_does_not_answer_frames_for_others(lab, family):
    """Nor those of a sender that is no single station."""
    rule = tarpit(lab, family, "PREROUTING", "--dport", 5007, options=("--hairpin",))
    with rule, Frames(lab.client, "c0", family) as capture:
        puppet = Puppet(lab, family, capture, dport=5007)

        def to(mac):
            puppet.send("S", -1, mac=bytes.fromhex(mac))
            assert puppet.quiet()

        def source(mac):
            frame(lab, puppet.packet("S", -1), mac)
            assert puppet.quiet()

        for_each(("ffffffffffff", "01005e000001", "333300000001", "020000000099"), to)
        for_each(("01005e000009", "000000000000"), source)


def test_hairpin_does_not_answer_who_is_no_peer(lab, family):
    """Before routing nobody has looked at the source, and no route of the answer's tells: ours,
    or a subnet's broadcast.
    """
    sources = (family.server, *(("127.0.0.1", "192.0.2.255") if family is V4 else ("::1",)))
    with tarpit(lab, family, "PREROUTING", "--dport", 5007, options=("--hairpin",)):
        with Frames(lab.client, "c0", family) as capture:
            for source in sources:
                puppet = Puppet(lab, family, capture, dport=5007, src=source)
                puppet.send("S", -1)
                assert puppet.quiet()
                assert not [
                    s for s in capture.segments() if s.dst == source and s.dport == puppet.sport
                ]


@pytest.mark.parametrize("chain", [*HOOKS, "FORWARD"])
def test_real_client_without_a_route_to_it_is_held(lab, family, chain):
    """And the answer meets no rule of OUTPUT or POSTROUTING."""
    dst = family.nobody if chain == "FORWARD" else family.server
    source, bits = ELSEWHERE[family], 32 if family is V4 else 128
    lab.client.ip(f"addr add {source}/{bits} dev c0 {'' if family is V4 else 'nodad'}")
    try:
        with (
            tarpit(lab, family, chain, "--dport", 5008, options=("--hairpin",)),
            lab.server.rule(family, "OUTPUT", "-p", "tcp", "--sport", 5008, "-j", "DROP"),
            lab.server.rule(
                family, "POSTROUTING", "-p", "tcp", "--sport", 5008, "-j", "DROP", table="mangle"
            ),
        ):
            with lab.client.connect(
                family, 5008, dst, prepare=lambda sock: sock.bind((source, 0))
            ) as client:
                assert held(client)
            assert lab.server.rule_packets(family, "OUTPUT") == 0
            assert lab.server.rule_packets(family, "POSTROUTING", table="mangle") == 0
    finally:
        lab.client.ip(f"addr del {source}/{bits} dev c0")


def test_hairpin_over_a_vlan_without_a_route(lab, family):
    """The answer has the tag of the frame, and no priority."""
    with tarpit(lab, family, "PREROUTING", "-i", "s7", "--dport", 5009, options=("--hairpin",)):
        with Frames(lab.client, "c0", family) as capture:
            puppet = Puppet(
                lab, family, capture, dst=other(family, 3, 2), dport=5009, src=ELSEWHERE[family]
            )
            frame(lab, puppet.packet("S", -1), STATION, dev="c7")
            answer = puppet.answer()
            assert (answer.flags, answer.eth) == ("SA", (bytes.fromhex(STATION), lab.server_mac, 7))


@pytest.mark.parametrize("chain", HOOKS)
def test_hairpin_over_loopback_is_routed(lab, family, chain):
    address = "127.0.0.1" if family is V4 else "::1"
    with tarpit(lab, family, chain, "--dport", 5010, options=("--hairpin",)):
        for address in ("127.0.0.1" if family is V4 else "::1", family.server):
            if chain == "PREROUTING":
                # Own addresses as source are nobody's there.
                with lab.server.socket(family.af, socket.SOCK_STREAM) as sock:
                    sock.setblocking(False)
                    sock.connect_ex((address, 5010))
                    wait_until(
                        lambda: lab.server.rule_packets(family, "PREROUTING", table="raw"),
                        what="a SYN",
                    )
            else:
                with lab.server.connect(family, 5010, address) as client:
                    assert held(client)


@pytest.mark.parametrize("chain", HOOKS)
def test_hairpin_over_tun_is_routed(lab, family, chain):
    """There are no link-layer addresses."""
    peer = "10.8.0.2" if family is V4 else "fd08::2"
    sh("modprobe", "tun")
    with lab.server.inside():
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(
            tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001)
        )  # TUNSETIFF: TUN, no header
    try:
        lab.server.ip(
            "link set tun0 up",
            "addr add 10.8.0.1/24 dev tun0",
            "addr add fd08::1/64 dev tun0 nodad",
        )
        with tarpit(lab, family, chain, "--dport", 5011, options=("--hairpin",)):
            segment = wire.tcp(peer, family.server, 1234, 5011, "S", 1, opts=wire.options(1400))
            os.write(tun, wire.ip(peer, family.server, segment))
            answer = None
            while answer is None:
                assert select.select([tun], [], [], 5)[0], "no answer"
                answer = wire.parse(os.read(tun, 2000))
            assert (answer.flags, answer.dst, answer.ack) == ("SA", peer, 2)
    finally:
        os.close(tun)


# --- VRF


@pytest.fixture(scope="module")
def vrf():
    """The server's wire is in a VRF; the main table would send answers to nowhere."""
    lab = Lab()
    lab.server.ip(
        "link add red type vrf table 10", "link set red up", "link set s0 master red",
        "addr replace 2001:db8:1::2/64 dev s0 nodad",
        "route replace 198.51.100.0/24 via 192.0.2.1 table 10",
        "route replace 2001:db8:2::/48 via 2001:db8:1::1 table 10",
        "route replace 192.0.2.0/24 dev dummy0", "route replace 198.51.100.0/24 dev dummy0",
        "route replace 2001:db8:1::/64 dev dummy0", "route replace 2001:db8:2::/48 dev dummy0",
    )  # fmt: skip
    yield lab
    lab.close()


@pytest.mark.parametrize(
    "chain, dev", [("INPUT", "red"), ("INPUT", None), ("PREROUTING", "s0"), ("PREROUTING", None)]
)
@pytest.mark.parametrize("options", [(), ("--hairpin",)], ids=["routed", "hairpin"])
def test_client_in_a_vrf_is_held(vrf, family, chain, dev, options):
    """One of the link, and a phantom that a route of the VRF leads to."""
    match = ("-i", dev) if dev else ()
    with tarpit(vrf, family, chain, *match, "--dport", 5012, options=options):
        with vrf.client.connect(family, 5012) as client:
            assert held(client)
        with vrf.capture(family, both=False) as capture:
            puppet = Puppet(vrf, family, capture, dport=5012)
            assert puppet.connect().mss == 1500 - family.header - 20, (
                "that of the wire, not of the VRF's device"
            )
            puppet.send("PA", payload=b"x" * 100)
            assert puppet.answer().window == 0
            puppet.settle(dport=5012)
            assert not puppet.answers(), "one answer, though the packet is seen with two devices"


@pytest.mark.parametrize("chain", ["INPUT", "PREROUTING"])
def test_link_local_client_in_a_vrf_is_held(vrf, chain):
    vrf.client.ip("addr add fe80::c/64 dev c0 nodad")
    vrf.server.ip("addr add fe80::5/64 dev s0 nodad")
    with vrf.client.inside():
        scope = socket.if_nametoindex("c0")
    try:
        with (
            tarpit(vrf, V6, chain, "--dport", 5012),
            vrf.client.connect(V6, 5012, "fe80::5", scope=scope) as client,
        ):
            assert held(client)
    finally:
        vrf.server.ip("addr del fe80::5/64 dev s0")
        vrf.client.ip("addr del fe80::c/64 dev c0")


# --- Bridge


class Bridged(Lab):
    """A bridge between client and server; it has an address as well.

    client [c0] --- [bc] bridge [bs] --- [s0] server
    """

    addresses = {V4: "192.0.2.3", V6: "2001:db8:1::3"}

    def cable(self):
        sh("modprobe", "-a", "bridge", "br_netfilter")
        self.bridge = self.host()
        link(self.client, "c0", self.bridge, "bc")
        link(self.bridge, "bs", self.server, "s0")
        self.bridge.ip(
            "link add br0 type bridge", *(f"link set {dev} master br0" for dev in ("bc", "bs"))
        )
        self.bridge.ip(*(f"link set {dev} up" for dev in ("bc", "bs", "br0")))
        self.bridge.ip(
            "addr add 192.0.2.3/24 brd + dev br0", "addr add 2001:db8:1::3/64 dev br0 nodad"
        )
        self.bridge.ip(
            "route add 198.51.100.0/24 via 192.0.2.1", "route add 2001:db8:2::/48 via 2001:db8:1::1"
        )

    def rules(self):
        # The server's own rule is the marker's; the bridge has rules of its own.
        super().rules()
        for name in ("iptables", "ip6tables"):
            assert self.bridge.sysctl(f"net.bridge.bridge-nf-call-{name}") == "1"


@pytest.fixture(scope="module")
def bridged():
    lab = Bridged()
    yield lab
    lab.close()


BRIDGED = [("FORWARD", mode, ()) for mode in MODES] + [("PREROUTING", "tarpit", ())]
BRIDGED += [(chain, "reset", ("--hairpin",)) for chain in ("FORWARD", "PREROUTING")]


@pytest.mark.parametrize("chain, mode, hairpin", BRIDGED)
def test_bridge_answers_for_the_server(bridged, family, chain, mode, hairpin):
    """By the client's port, with the server's MAC; the server sees nothing, and its MAC stays
    where it was.
    """
    lab = bridged
    rule = tarpit(
        lab, family, chain, "--dport", 5013, host=lab.bridge, options=(*MODES[mode], *hairpin)
    )
    with (
        rule,
        Frames(lab.client, "c0", family) as capture,
        Capture(lab.server, "s0", family) as behind,
    ):
        for src in (family.phantom, ELSEWHERE[family]):
            puppet = Puppet(lab, family, capture, dport=5013, src=src)
            puppet.send("S", -1)
            answer = puppet.answer()
            assert answer.flags == ("RA" if mode == "reset" else "SA")
            assert answer.eth == (lab.client.mac("c0"), lab.server_mac, None)
            puppet.their_isn = answer.seq
            puppet.send("PA", payload=b"x" * 100)
            answer = puppet.answer()
            assert answer.eth == (lab.client.mac("c0"), lab.server_mac, None)
            # The wire to the server is quiet; the marker's flow is not.
            puppet.settle()
        assert not [s for s in behind.segments() if 5013 in (s.sport, s.dport)]
        known = lab.bridge.run("bridge", "fdb", "show", "br", "br0")
        assert re.search(rf"^{lab.server_mac.hex(':')} dev bs ", known, re.M), known
        assert not lab.bridge.tracked(5013)


@pytest.mark.parametrize("chain", ["FORWARD", "PREROUTING"])
def test_real_client_is_held_by_the_bridge(bridged, family, chain):
    with tarpit(bridged, family, chain, "--dport", 5014, host=bridged.bridge):
        with bridged.client.connect(family, 5014) as client:
            assert held(client)


def test_client_is_held_by_a_bridge_that_tracks(bridged, family):
    """With conntrack, in FORWARD; nothing is left of it."""
    track = ("FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    with (
        tarpit(bridged, family, "FORWARD", "--dport", 5014, host=bridged.bridge),
        bridged.bridge.rule(family, *track),
    ):
        with bridged.client.connect(family, 5014) as client:
            assert held(client)
        assert not bridged.bridge.tracked(5014)


def test_what_no_rule_is_for_passes_the_bridge(bridged, family):
    """A real server's connection, beside a rule for another port."""
    with tarpit(bridged, family, "FORWARD", "--dport", 5014, host=bridged.bridge):
        with bridged.server.socket(family.af, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((family.server, 5015))
            listener.listen()
            with bridged.client.connect(family, 5015) as client, listener.accept()[0] as server:
                client.sendall(b"hello")
                assert server.recv(5) == b"hello"


@pytest.mark.parametrize("chain", HOOKS)
@pytest.mark.parametrize("hairpin", [(), ("--hairpin",)], ids=["plain", "hairpin"])
def test_bridge_holds_clients_of_its_own_address(bridged, family, chain, hairpin):
    """A packet for the bridge itself is routed as ever, or goes back by the port (--hairpin)."""
    with tarpit(bridged, family, chain, "--dport", 5016, host=bridged.bridge, options=hairpin):
        with bridged.client.connect(family, 5016, Bridged.addresses[family]) as client:
            assert held(client)
        with Frames(bridged.client, "c0", family) as capture:
            puppet = Puppet(bridged, family, capture, dst=Bridged.addresses[family], dport=5016)
            frame(
                bridged,
                puppet.packet("S", -1),
                bridged.client.mac("c0").hex(),
                bridged.bridge.mac("br0"),
            )
            assert puppet.answer().eth == (
                bridged.client.mac("c0"),
                bridged.bridge.mac("br0"),
                None,
            )


@pytest.mark.parametrize("chain", ["FORWARD", "PREROUTING"])
def test_bridge_does_not_answer_frames_to_many(bridged, family, chain):
    def check(mac):
        puppet = Puppet(bridged, family, capture, dport=5017)
        puppet.send("S", -1, mac=bytes.fromhex(mac))
        assert puppet.quiet()

    with tarpit(bridged, family, chain, "--dport", 5017, host=bridged.bridge):
        with bridged.capture(family, both=False) as capture:
            for_each(("ffffffffffff", "01005e000001", "333300000001"), check)
