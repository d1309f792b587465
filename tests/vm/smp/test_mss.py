# SPDX-License-Identifier: GPL-2.0
"""The MSS that a SYN-ACK announces: that of the way back, as Linux announces it.

            client                                  server
    [c0] ---------------- veth ---------------- [s0]   phantoms: 198.18.0.0/16, 2001:db8:2::/48
    [c1] --------------- 9,000 bytes ---------- [s1]   192.0.4.0/24, 2001:db8:4::/64
    [c2] --------------- 1,400 bytes ---------- [s2]   192.0.6.0/24, 2001:db8:6::/64

A reply that is not routed (--hairpin, a bridged frame) announces what fits the link that its packet
came by.
"""

import contextlib
import itertools
import os
import socket

import pytest
from lab import FAMILIES, V4, V6, Capture, Lab, Puppet, link, sh, wait_until, wide_window
from test_counters import counts
from test_links import STATION, Bridged, frame, tarpit

SERVICE = 5300  # a real listener
SIZES = {1: 9000, 2: 1400}
CHAINS = ("INPUT", "PREROUTING", "mangle PREROUTING", "FORWARD")


class Sizes(Lab):
    """Links of several sizes."""

    def cable(self):
        super().cable()
        for number, mtu in SIZES.items():
            link(self.client, f"c{number}", self.server, f"s{number}")
            net = {1: 4, 2: 6}[number]
            for host, dev, at in ((self.client, "c", 1), (self.server, "s", 2)):
                host.ip(
                    f"link set {dev}{number} mtu {mtu} up",
                    f"addr add 192.0.{net}.{at}/24 brd + dev {dev}{number}",
                    f"addr add 2001:db8:{net}::{at}/64 dev {dev}{number} nodad",
                )

    def rules(self):
        super().rules()
        # The captures want the checksums that a card would fill in for a real listener.
        self.server.run("ethtool", "-K", "s0", "tx", "off")
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.server.sysctl(name, 1)
        wait_until(
            lambda: all(self.server.running(f"s{n}") for n in SIZES), what="the links are up"
        )

    @contextlib.contextmanager
    def way(self, family, peer, words, number=0):
        """A route to a peer of its own, by the client's link of that number."""
        net = {0: 2, 1: 4, 2: 6}[number]
        via = f"192.0.{net}.1" if family is V4 else f"2001:db8:{net if number else 1}::1"
        route = f"{peer} via {via} dev s{number} {words}"
        self.server.ip(f"route add {route}")
        try:
            yield
        finally:
            self.server.ip(f"route del {route}")


@pytest.fixture(scope="module")
def lab():
    lab = Sizes()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def listeners(lab):
    with contextlib.ExitStack() as stack:
        for family in FAMILIES:
            listener = stack.enter_context(lab.server.socket(family.af, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((family.server, SERVICE))
            listener.listen(100)
        yield


@contextlib.contextmanager
def rule(lab, family, chain, port, *options):
    """A rule in a chain, or in `table chain`."""
    table, _, name = chain.rpartition(" ")
    if table:
        target = (name, "-p", "tcp", "--dport", port, "-j", "TARPIT", *options)
        with lab.server.rule(family, *target, table=table):
            yield
    else:
        with tarpit(lab, family, chain, "--dport", port, options=options):
            yield


# What a route says, and the MSS for IPv4 and IPv6 that follows.
ROUTES = {
    "": (1460, 1440),
    "advmss 1200": (1200, 1200),
    "advmss 536": (536, 536),
    "mtu 1300": (1260, 1240),
    "mtu lock 1300": (1260, 1240),
    "advmss 1000 mtu 1300": (1000, 1000),
    "advmss 1400 mtu 1300": (1400, 1400),
}


@pytest.mark.parametrize("words", ROUTES, ids=lambda words: words or "plain")
@pytest.mark.parametrize("chain", CHAINS)
def test_mss_is_that_of_the_route_back(lab, family, listeners, chain, words):
    """What is announced is what a listener of this host announces over the same route."""
    src = lab.stranger(family)
    dst = family.nobody if chain == "FORWARD" else family.server
    with (
        lab.way(family, src, words),
        lab.capture(family, both=False) as capture,
        rule(lab, family, chain, 5301),
    ):
        puppet = Puppet(lab, family, capture, src=src, dst=dst, dport=5301)
        puppet.send("S", -1)
        announced = puppet.answer().mss
        real = Puppet(lab, family, capture, src=src, dport=SERVICE)
        real.send("S", -1)
        of_linux = real.answer().mss
        real.send("R", ack=0)
        assert of_linux == ROUTES[words][family is V6], "Linux announces something else"
        assert announced == ROUTES[words][family is V6]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("came, back, mtu", [(1, 2, 1400), (2, 1, 9000), (1, 0, 1500)])
def test_mss_is_that_of_the_link_back(lab, family, chain, came, back, mtu):
    """Packets come by one link, and replies leave by another one."""
    src = lab.stranger(family)
    dst = family.nobody if chain == "FORWARD" else family.server
    with (
        lab.way(family, src, "", back),
        Capture(lab.client, f"c{back}", family, both=False) as capture,
    ):
        with rule(lab, family, chain, 5302):
            puppet = Puppet(lab, family, capture, src=src, dst=dst, dport=5302)
            frame(
                lab, puppet.packet("S", -1), STATION, to=lab.server.mac(f"s{came}"), dev=f"c{came}"
            )
            assert puppet.answer().mss == mtu - family.header - 20


@pytest.mark.parametrize("chain", ["INPUT", "PREROUTING", "FORWARD"])
@pytest.mark.parametrize("number", SIZES)
def test_hairpin_announces_the_mss_of_the_link(lab, family, chain, number):
    """No route is asked: the reply goes back by the link that the packet came by."""
    src = lab.stranger(family)
    dst = family.nobody if chain == "FORWARD" else family.server
    with (
        lab.way(family, src, "advmss 700"),
        Capture(lab.client, f"c{number}", family, both=False) as capture,
    ):
        with rule(lab, family, chain, 5303, "--hairpin"):
            puppet = Puppet(lab, family, capture, src=src, dst=dst, dport=5303)
            frame(
                lab,
                puppet.packet("S", -1),
                STATION,
                to=lab.server.mac(f"s{number}"),
                dev=f"c{number}",
            )
            assert puppet.answer().mss == SIZES[number] - family.header - 20


# Modes whose windows depend on the MSS, and whether the client has timestamps.
WINDOWS = [
    *itertools.product(("--honeypot", "--profile linux"), (True, False)), ("", False),
]  # fmt: skip
AGE = (
    256 << 8
)  # milliseconds: a multiple of the clock's steps, so that the rest of a stamp stays as it is


@pytest.mark.parametrize("options, ts", WINDOWS)
@pytest.mark.parametrize("words, back", [("advmss 1200", 0), ("", 2), ("mtu 1300", 1)])
def test_windows_follow_the_mss_of_the_way_back(lab, family, options, ts, words, back):
    """The SYN-ACK's window is whole segments of its MSS, and later windows have the same MSS."""
    src = lab.stranger(family)
    with (
        lab.way(family, src, words, back),
        Capture(lab.client, f"c{back}", family, both=False) as capture,
    ):
        with rule(lab, family, "INPUT", 5304, *options.split()):
            puppet = Puppet(lab, family, capture, src=src, dport=5304, ts=ts)
            puppet.send("S", -1)
            syn_ack = puppet.answer()
            assert syn_ack.mss == mss_of(family, words, back)
            assert syn_ack.window == wide_window(syn_ack.mss, ts)
            puppet.their_isn = syn_ack.seq
            puppet.send("A")
            puppet.send("PA", payload=b"x" * 100)
            answer = puppet.answer()
            if options == "--honeypot":
                assert (answer.ack, answer.window) == (
                    puppet.isn + 101 & 0xFFFFFFFF,
                    syn_ack.window,
                )
                puppet.send("PA", 100, b"x" * 100)
                assert puppet.answer().window == syn_ack.window
                return
            assert answer.window == 0
            if options and ts:
                # A probe after 65 s finds a window of one segment, in units of the scale.
                puppet.echo = puppet.echo - AGE & 0xFFFFFFFF
                puppet.send("A")
                assert puppet.answer().window == (syn_ack.mss >> 7) + 1


def mss_of(family, words, back):
    """The MSS for a route's words and the link that it leads to."""
    if words:
        return ROUTES[words][family is V6]
    return {0: 1500, **SIZES}[back] - family.header - 20


@pytest.fixture(scope="module")
def bridged():
    lab = Bridged()
    yield lab
    lab.close()


@pytest.mark.parametrize("chain", ["FORWARD", "PREROUTING"])
@pytest.mark.parametrize("mtu", [1400, 1500])
def test_bridged_frame_gets_the_mss_of_its_port(bridged, family, chain, mtu):
    """That of the port that the frame came in by, whatever the bridge and its other ports have."""
    lab = bridged
    lab.bridge.ip(f"link set bc mtu {mtu}")
    try:
        with tarpit(lab, family, chain, "--dport", 5305, host=lab.bridge):
            with lab.capture(family, both=False) as capture:
                puppet = Puppet(lab, family, capture, dport=5305)
                puppet.send("S", -1)
                assert puppet.answer().mss == mtu - family.header - 20
    finally:
        lab.bridge.ip("link set bc mtu 1500")


# --- What a reply that is not given costs


LOOKUPS = {V4: "ip_route_output_key_hash_rcu", V6: "ip6_pol_route_output"}


@contextlib.contextmanager
def counted(function):
    """How often the kernel has called a function since the block began."""
    tracing = "/sys/kernel/tracing"
    with open("/proc/mounts", encoding="ascii") as file:
        if f" {tracing} " not in file.read():
            sh("mount", "-t", "tracefs", "tracefs", tracing)
    if not os.path.exists(f"{tracing}/kprobe_events"):
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")

    def write(name, text):
        # To truncate the file of events would remove all of them, and it has no end to seek.
        fd = os.open(f"{tracing}/{name}", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    enable = "events/tarpit_test/lookup/enable"
    write("kprobe_events", f"p:tarpit_test/lookup {function}\n")

    def hits():
        with open(f"{tracing}/kprobe_profile", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.split()[0] == "lookup")

    try:
        write(enable, "1")
        yield hits
    finally:
        write(enable, "0")
        write("kprobe_events", "-:tarpit_test/lookup\n")


def test_reply_beyond_the_rate_limit_costs_no_route_lookup(lab, family):
    """Of 600 replies to a source that may be forged, only those within the limit are routed."""
    src = lab.stranger(family)
    with lab.capture(family, both=False) as capture:
        puppets = [Puppet(lab, family, capture, src=src) for _ in range(600)]
        packets = [puppet.packet("SA", -1, ack=1) for puppet in puppets]
        puppets[0].settle()
        before = counts(lab.server)
        with counted(LOOKUPS[family]) as hits:
            for packet in packets:
                lab.inject(packet)
            puppets[0].settle()
            looked = hits()
        refused = counts(lab.server)["limited"] - before["limited"]
    assert refused > 500
    # A lookup may ask several tables, and the hosts have something to say to each other.
    assert looked < refused / 2
