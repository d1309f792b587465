# SPDX-License-Identifier: GPL-2.0
"""--hairpin with overlapping addresses and without plain frames: VRF, netkit, tunnel, SRv6."""

import socket

import pytest
import wire
from lab import V4, V6, Capture, Lab, Puppet, assert_held, sh, wait_until
from test_counters import counts
from test_links import Frames, frame, held, tarpit

HAIRPIN = ("--hairpin",)


def moved(host, before):
    """What the host has counted since then, without times and sizes."""
    now = counts(host)
    skipped = ("bytes_in", "bytes_out", "trapped_ms")
    return {
        name: now[name] - before[name]
        for name in now
        if now[name] != before[name] and name not in skipped
    }


# --- Addresses of ours that are not on the packet's link


def test_link_local_client_with_an_address_of_another_link_is_held(lab):
    """The host has fe80::c on another interface, where it is another address."""
    lab.client.ip("addr add fe80::c/64 dev c0 nodad")
    lab.server.ip("addr add fe80::5/64 dev s0 nodad", "addr add fe80::c/64 dev dummy0 nodad")
    with lab.client.inside():
        scope = socket.if_nametoindex("c0")
    try:
        with tarpit(lab, V6, "PREROUTING", "--dport", 5600, options=HAIRPIN):
            before = counts(lab.server)
            prepare = lambda sock: sock.bind(("fe80::c", 0, 0, scope))  # noqa: E731
            with lab.client.connect(V6, 5600, "fe80::5", scope=scope, prepare=prepare) as client:
                assert_held(client)
            assert "notunicast" not in moved(lab.server, before)
    finally:
        lab.server.ip("addr del fe80::5/64 dev s0", "addr del fe80::c/64 dev dummy0")
        lab.client.ip("addr del fe80::c/64 dev c0")


def test_link_local_source_of_ours_on_the_packets_link_gets_no_reply(lab):
    """There it is our own address, so the packet is forged."""
    lab.server.ip("addr add fe80::5/64 dev s0 nodad", "addr add fe80::6/64 dev s0 nodad")
    try:
        with (
            tarpit(lab, V6, "PREROUTING", "--dport", 5600, options=HAIRPIN),
            lab.capture(V6, both=False) as capture,
        ):
            before = counts(lab.server)
            puppet = Puppet(lab, V6, capture, src="fe80::6", dst="fe80::5", dport=5600)
            puppet.send("S", -1)
            assert puppet.quiet()
            assert moved(lab.server, before)["notunicast"] == 1
    finally:
        lab.server.ip("addr del fe80::5/64 dev s0", "addr del fe80::6/64 dev s0")


# An address of another link, outside of the VRF; and one of the wire's own, within it.
OUTSIDE = {V4: "192.0.2.66", V6: "2001:db8:1::66"}
WITHIN = {V4: "192.0.2.22", V6: "2001:db8:1::22"}


@pytest.fixture(scope="module")
def vrf():
    """The server's wire is in a VRF, which has two addresses; a third one is outside of it."""
    lab = Lab()
    for version in ("-4", "-6"):
        # Addresses that overlap want the VRF's table asked before that of all local addresses.
        lab.server.run("ip", version, "rule", "add", "pref", 32765, "table", "local")
        lab.server.run("ip", version, "rule", "del", "pref", 0)
    lab.server.ip(
        "link add red type vrf table 10", "link set red up", "link set s0 master red",
        "addr replace 2001:db8:1::2/64 dev s0 nodad",
        f"addr add {WITHIN[V4]}/24 dev s0", f"addr add {WITHIN[V6]}/64 dev s0 nodad",
        f"addr add {OUTSIDE[V4]}/32 dev dummy0", f"addr add {OUTSIDE[V6]}/128 dev dummy0 nodad",
        "route replace 198.51.100.0/24 via 192.0.2.1 table 10",
        "route replace 198.18.0.0/16 via 192.0.2.1 table 10",
        "route replace 2001:db8:2::/48 via 2001:db8:1::1 table 10",
    )  # fmt: skip
    lab.client.ip(f"addr add {OUTSIDE[V4]}/32 dev lo", f"addr add {OUTSIDE[V6]}/128 dev lo nodad")
    yield lab
    lab.close()


@pytest.mark.parametrize("dev", ["s0", None])
def test_client_of_a_vrf_with_an_address_of_ours_elsewhere_is_held(vrf, family, dev):
    """VRFs allow overlapping addresses: outside of this one the host has the client's address."""
    match = ("-i", dev) if dev else ()
    with tarpit(vrf, family, "PREROUTING", *match, "--dport", 5601, options=HAIRPIN):
        before = counts(vrf.server)
        prepare = lambda sock: sock.bind((OUTSIDE[family], 0))  # noqa: E731
        with vrf.client.connect(family, 5601, prepare=prepare) as client:
            assert held(client)
        assert "notunicast" not in moved(vrf.server, before)


def test_own_source_within_a_vrf_gets_no_reply_by_the_link(vrf, family):
    """A forged packet, from an address that the host has in this VRF."""
    rule = tarpit(vrf, family, "PREROUTING", "-i", "s0", "--dport", 5602, options=HAIRPIN)
    with rule, vrf.capture(family, both=False) as capture:
        before = counts(vrf.server)
        puppet = Puppet(vrf, family, capture, src=WITHIN[family], dport=5602)
        puppet.send("S", -1)
        assert puppet.quiet()
        assert moved(vrf.server, before) == {"notunicast": 1, "syn": 1, "rst": 1, "replies": 1}, (
            "the marker's SYN and RST"
        )
        assert not [s for s in capture.segments() if s.dport == puppet.sport]


def test_own_source_in_a_vrf_makes_two_packets_and_no_loop(vrf, family):
    """As docs/hooks.md says: the reply goes to the host itself, whose TCP refuses it."""
    # IPv4 drops the packet before INPUT. raw PREROUTING sees it with the VRF's device before that,
    # and a packet of this host, as the RST is, as one that is not for a host.
    chain, refusal = ("PREROUTING", "notunicast") if family is V4 else ("INPUT", "rst")
    rule = tarpit(vrf, family, chain, "-i", "red", "--dport", 5603)
    with rule, vrf.capture(family, both=False) as capture:
        before = counts(vrf.server)
        puppet = Puppet(vrf, family, capture, src=WITHIN[family], dport=5603)
        puppet.send("S", -1)
        wait_until(lambda: moved(vrf.server, before).get(refusal), what="the RST has come")
        assert puppet.quiet()
        # The marker's SYN, reply and RST are counted, too.
        expected = {"syn": 2, "replies": 2, "rst": 1}
        expected[refusal] = expected.get(refusal, 0) + 1
        assert moved(vrf.server, before) == expected
        assert not [s for s in capture.segments() if s.dport == puppet.sport], "it went out"


# --- Devices without plain frames


@pytest.fixture
def netkit(lab, request):
    """A netkit pair nk0-nk1 between client and server, in a mode."""
    add = f"link add nk0 type netkit mode {request.param} peer name nk1 netns {lab.server.path}"
    done = lab.client.run("ip", *add.split(), check=False)
    if done.returncode:
        pytest.skip(f"no netkit here (CONFIG_NETKIT): {done.stderr.strip()}")
    for host, dev, at in ((lab.client, "nk0", 1), (lab.server, "nk1", 2)):
        host.ip(
            f"link set {dev} up",
            f"addr add 192.0.7.{at}/24 dev {dev}",
            f"addr add 2001:db8:8::{at}/64 dev {dev} nodad",
        )
    up = lambda: lab.client.running("nk0") and lab.server.running("nk1")  # noqa: E731
    wait_until(up, what="the link is up")
    yield request.param
    # A namespace that ends with it makes lockdep complain of the kernel's own locks.
    lab.client.ip("link del nk0")


@pytest.mark.parametrize("chain", ["INPUT", "PREROUTING"])
@pytest.mark.parametrize("netkit", ["l3", "l2"], indirect=True)
def test_client_behind_netkit_is_held(lab, family, netkit, chain):
    """In L3 mode, the device's default, frames have no addresses: the reply is routed."""
    assert (lab.server.mac("nk1") == bytes(6)) == (netkit == "l3")
    address = "192.0.7.2" if family is V4 else "2001:db8:8::2"
    with tarpit(lab, family, chain, "-i", "nk1", "--dport", 5604, options=HAIRPIN):
        with lab.client.connect(family, 5604, address) as client:
            assert_held(client)


TUNNELS = {"vxlan": "vxlan external dstport 4789", "geneve": "geneve external"}


@pytest.fixture
def tunnel(fresh_lab, request):
    """A tunnel whose routes name the other end (`external`), between client and server."""
    lab = fresh_lab
    kind = request.param
    sh("modprobe", kind)
    ends = ((lab.client, lab.server, 1, 2), (lab.server, lab.client, 2, 1))
    for host, _, at, _ in ends:
        host.ip(
            f"link add tun type {TUNNELS[kind]}", f"link set tun address 02:00:00:00:99:0{at} up",
            f"addr add 10.9.{at}.1/32 dev tun", f"addr add fd09:{at}::1/128 dev tun nodad",
        )  # fmt: skip
    for host, _, _, there in ends:
        to = f"encap ip id 42 dst 192.0.2.{there}"
        # Neighbours cannot be asked for, so an address of the link stands for the other end.
        host.ip(
            f"neigh add 10.9.0.{there} lladdr 02:00:00:00:99:0{there} dev tun",
            f"neigh add fd09::{there} lladdr 02:00:00:00:99:0{there} dev tun",
            f"route add 10.9.{there}.1/32 {to} via 10.9.0.{there} dev tun onlink",
            f"route add fd09:{there}::1/128 {to} via fd09::{there} dev tun onlink",
        )
    return lab


def ends_of_tunnel(lab, family, chain):
    """The client's address in the tunnel, and the one it calls: in FORWARD, of the netblock."""
    source, address = ("10.9.1.1", "10.9.2.1") if family is V4 else ("fd09:1::1", "fd09:2::1")
    if chain != "FORWARD":
        return source, address
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        lab.server.sysctl(name, 1)
    gateway = "10.9.0.2" if family is V4 else "fd09::2"
    lab.client.ip(
        f"route add {family.nobody} encap ip id 42 dst 192.0.2.2 via {gateway} dev tun onlink"
    )
    return source, family.nobody


@pytest.mark.parametrize("tunnel", TUNNELS, indirect=True)
@pytest.mark.parametrize(
    "chain, options",
    [("INPUT", ()), ("FORWARD", ()), ("PREROUTING", ()), ("PREROUTING", HAIRPIN)],
)
def test_client_behind_an_external_tunnel_is_held(tunnel, family, chain, options):
    """Replies are routed, and the route names the other end; with --hairpin too, in PREROUTING."""
    lab = tunnel
    source, address = ends_of_tunnel(lab, family, chain)
    with tarpit(lab, family, chain, "-i", "tun", "--dport", 5605, options=options):
        with lab.client.connect(
            family, 5605, address, prepare=lambda sock: sock.bind((source, 0))
        ) as client:
            assert_held(client)


@pytest.mark.parametrize("tunnel", TUNNELS, indirect=True)
@pytest.mark.parametrize("chain", ["INPUT", "FORWARD"])
def test_hairpin_behind_routing_loses_the_reply_into_an_external_tunnel(tunnel, family, chain):
    """As docs/hooks.md says: behind routing, a packet no longer shows that it came by a tunnel."""
    lab = tunnel
    source, address = ends_of_tunnel(lab, family, chain)
    with (
        tarpit(lab, family, chain, "-i", "tun", "--dport", 5606, options=HAIRPIN),
        Capture(lab.client, "c0", family) as wire_capture,
        Capture(lab.client, "tun", family) as tunnel_capture,
        lab.client.socket(family.af, socket.SOCK_STREAM) as sock,
    ):
        before = counts(lab.server)
        sock.bind((source, 0))
        sock.setblocking(False)
        sock.connect_ex((address, 5606))
        # The client's second SYN comes a second later.
        wait_until(
            lambda: moved(lab.server, before).get("replies", 0) >= 2, what="the SYN is sent again"
        )
        assert moved(lab.server, before) == {"syn": 2, "replies": 2}, "counted as replies"
        assert [s.outgoing for s in tunnel_capture.segments()] == [True, True], "the SYNs alone"
        assert not wire_capture.segments(), "no reply outside of the tunnel"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


# --- SRv6


SID = "2001:db8:5e6::1"
DECAPS = {V4: ("End.DX4 nh4 0.0.0.0", 4), V6: ("End.DX6 nh6 ::", 41)}
UPSTREAM = "02005e000099"  # the router that the outer packet came from


@pytest.fixture
def segment_routed(fresh_lab, family):
    """The server unwraps packets for SID, and their inner packets come by PREROUTING."""
    lab = fresh_lab
    lab.server.sysctl("net.ipv6.conf.all.forwarding", 1)
    action, _ = DECAPS[family]
    try:
        lab.server.sysctl("net.netfilter.nf_hooks_lwtunnel", 1)
    except FileNotFoundError:
        pytest.skip("this kernel has no hooks in light-weight tunnels")
    done = lab.server.run(
        "ip",
        "-6",
        "route",
        "add",
        SID,
        "encap",
        "seg6local",
        "action",
        *action.split(),
        "dev",
        "s0",
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no SRv6 here (CONFIG_IPV6_SEG6_LWTUNNEL): {done.stderr.strip()}")
    return lab


@pytest.mark.parametrize("options", [(), HAIRPIN], ids=["routed", "hairpin"])
def test_inner_packet_of_srv6_is_answered_by_a_route(segment_routed, family, options):
    """Never as a bare frame to the station that the outer packet came from."""
    lab = segment_routed
    with (
        tarpit(lab, family, "PREROUTING", "--dport", 5607, options=options),
        Frames(lab.client, "c0", family) as capture,
    ):
        for _ in range(2):
            puppet = Puppet(lab, family, capture, dport=5607)
            inner = puppet.packet("S", -1)
            outer = wire.ipv6("2001:db8:1::1", SID, inner, proto=DECAPS[family][1])
            before = counts(lab.server)
            frame(lab, outer, UPSTREAM)
            wait_until(lambda b=before: moved(lab.server, b), what="the inner packet has come")
            assert moved(lab.server, before) == {"syn": 1, "replies": 1}
            answer = puppet.answer()
            assert (answer.flags, answer.eth[0]) == ("SA", lab.client.mac("c0"))
        assert not [s for s in capture.segments() if s.eth[0] == bytes.fromhex(UPSTREAM)]
