# SPDX-License-Identifier: GPL-2.0
"""What the options of a rule are worth, by the instruction clock: readers with a timer, and profile
linux.

All clients live side by side, for seven hours: the fixture `hours`.
"""

import itertools
import select
import socket
import time
from dataclasses import dataclass, field

import pytest
from lab import ESTABLISHED, FAMILIES, Lab, alive, keep_alive, tcp_info

HOUR = 3600
RTTS = (0, 0.1, 0.3)
BANNER = b"220-Please wait.\r\n"
# Ports by rule.
RULES = {"--drip": 1001, "--profile linux": 1002}
SILENT = "keep-alive"


@dataclass
class Client:
    """A client that waits, or closes when nothing has come for `patience` seconds.

    It has sent 200 octets, or nothing and has keep-alives on if its patience is SILENT.
    """

    family: object
    rtt: float
    rule: str
    patience: float | str | None
    sock: socket.socket | None
    port: int
    begin: float
    heard: float
    read: bytes = b""
    # What became of it: when it closed its socket, when its kernel let go, and what it was then.
    closed: float | None = None
    gone: float | None = None
    info: dict = field(default_factory=dict)
    segments: list = field(default_factory=list)

    def hourly(self):
        """Its packets an hour."""
        return (
            sum(s.outgoing for s in self.segments)
            * HOUR
            / (self.segments[-1].time - self.segments[0].time)
        )


class RuledLab(Lab):
    """A port for each rule."""

    def rules(self):
        for family, (rule, port) in itertools.product(FAMILIES, RULES.items()):
            self.server.iptables(
                family, "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "TARPIT", *rule.split()
            )


@pytest.fixture(scope="module")
def hours():
    """{(family, RTT, rule, patience): Client}; a patience of 0 closes at once, None waits for
    ever.
    """
    labs, captures, clients = {}, {}, {}
    try:
        for rtt in RTTS:
            lab = labs[rtt] = RuledLab()
            lab.delay(rtt * 500)
            for family in FAMILIES:
                captures[rtt, family] = lab.capture(family)
        for key in itertools.product(FAMILIES, RTTS, RULES, (0, 30.5, 150, None, SILENT)):
            family, rtt, rule, patience = key
            sock = labs[rtt].client.connect(family, RULES[rule], orphan=True)
            if patience == SILENT:
                keep_alive(sock)
            else:
                sock.send(b"x" * 200)
            sock.setblocking(False)
            now = time.monotonic()
            clients[key] = Client(
                family, rtt, rule, patience, sock, sock.getsockname()[1], now, now
            )
        begin = time.monotonic()
        while time.monotonic() - begin < 7 * HOUR:
            # Only what is said of the first quarter of an hour is so exact.
            early = time.monotonic() - begin < 1000
            ready, _, _ = select.select(
                [c.sock for c in clients.values() if c.sock], [], [], 2 if early else 60
            )
            there = {rtt: alive(lab) for rtt, lab in labs.items()}
            now = time.monotonic()
            for client in clients.values():
                if client.sock in ready:
                    client.read += client.sock.recv(100)
                    client.heard = now
                if (
                    client.sock
                    and client.patience not in (None, SILENT)
                    and now - client.heard >= client.patience
                ):
                    client.sock.close()
                    client.sock, client.closed = None, now
                if not client.gone and client.port not in there[client.rtt]:
                    client.gone = now
        for client in clients.values():
            client.segments = [
                s
                for s in captures[client.rtt, client.family].segments()
                if client.port in (s.sport, s.dport)
            ]
            if client.sock:
                client.info = tcp_info(client.sock)
                client.sock.close()
        yield clients
    finally:
        for capture in captures.values():
            capture.sock.close()
        for lab in labs.values():
            lab.close()


each = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
everywhere = pytest.mark.parametrize("rtt", RTTS)


@each
@everywhere
@pytest.mark.parametrize("patience", [30.5, 150])
def test_drip_holds_a_reader_with_a_timer(hours, family, rtt, patience):
    """200 octets sent, then every silence of half a minute or more ends it: held for 900 s and
    more all the same.
    """
    it = hours[family, rtt, "--drip", patience]
    held = (it.closed or time.monotonic()) - it.begin
    print(
        f"\n{family.name}, RTT {rtt * 1000:.0f} ms, timer {patience} s: {held:.0f} s, "
        f"{it.hourly():.0f} packets an hour"
    )
    assert held >= 900
    assert it.read == (BANNER * (len(it.read) // len(BANNER) + 1))[: len(it.read)], (
        "the banner, in order"
    )
    # What the client has read, it has acknowledged; nothing of ours was ever more than an octet.
    assert max(len(s.payload) for s in it.segments if not s.outgoing) == 1
    assert all(s.right for s in it.segments if not s.outgoing)


@each
@everywhere
def test_drip_loses_the_closed(hours, family, rtt):
    """As the manual says: the first octet makes the kernel of a client that has closed its
    socket reset.
    """
    it = hours[family, rtt, "--drip", 0]
    assert it.gone - it.begin < 60
    assert "R" in it.segments[-1].flags and it.segments[-1].outgoing


@each
@everywhere
def test_profile_linux_holds_the_closed_by_what_is_in_flight(hours, family, rtt):
    """All 200 octets are in flight, an octet is worth 120 s: 6 hours, at 40 packets an hour."""
    it = hours[family, rtt, "--profile linux", 0]
    assert it.gone, "it goes when all is taken"
    print(
        f"\n{family.name}, RTT {rtt * 1000:.0f} ms: {it.gone - it.begin:.0f} s, "
        f"{it.hourly():.0f} packets an hour"
    )
    assert it.gone - it.begin >= 6 * HOUR
    assert it.hourly() < 40


@each
@everywhere
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("patience", [None, SILENT])
def test_client_that_waits_is_held_by_every_rule(hours, family, rtt, rule, patience):
    """After seven hours still there, and told no nonsense."""
    it = hours[family, rtt, rule, patience]
    assert it.info["state"] == ESTABLISHED
    assert it.info["probes"] == 0
    if "drip" not in rule:
        assert it.hourly() < 62 and not it.read
