# SPDX-License-Identifier: GPL-2.0
"""Tarpit against tarpit: two hosts that tarpit everything never talk to each other for long.

    client [tarpit] <------ wire ------> server [tarpit]
                      ^ one spoofed segment
"""

import pytest
from lab import FAMILIES, Lab, Puppet, wait_until


@pytest.fixture(scope="module")
def facing():
    """Both ends tarpit all TCP."""
    lab = Lab()
    for family in FAMILIES:
        for host in (lab.client, lab.server):
            host.iptables(family, "-F", "INPUT")
            host.iptables(family, "-A", "INPUT", "-j", "TARPIT")
            if family.name == "ipv6":
                # Neighbours must still find each other.
                host.iptables(family, "-I", "INPUT", "-p", "icmpv6", "-j", "ACCEPT")
    yield lab
    lab.close()


SPOOFED = {
    "SYN": ("S", {"at": -1}, 2),  # SYN-ACK, RST
    "SYN-ACK": ("SA", {"at": -1, "ack": 77}, 1),  # RST
    "ACK": ("A", {"ack": 77}, 0),
    "data": ("PA", {"ack": 77, "payload": b"x" * 30}, 0),
    "FIN": ("FA", {"ack": 77}, 0),
    "RST": ("R", {}, 0),
    "RST and ACK": ("RA", {"ack": 77}, 0),
    "NULL": ("", {}, 0),
    "SYN and FIN": ("SF", {"at": -1}, 0),
}


@pytest.mark.parametrize("kind", SPOOFED)
@pytest.mark.parametrize("ports", [(40000, 23), (23, 23)], ids=["a-client's-port", "the-same-port"])
def test_one_spoofed_segment_makes_two_more_at_most(facing, family, kind, ports):
    """As the client, to the server: what follows is counted, then there is silence."""
    flags, fields, at_most = SPOOFED[kind]
    with facing.capture(family) as capture:
        spoofer = Puppet(facing, family, capture, src=family.client, sport=ports[0], dport=ports[1])
        spoofer.send(flags, **fields)
        settle(facing, family, capture, spoofer, 1 + at_most)


def test_spoofed_connection_does_not_feed_itself(facing, family):
    """The best that a spoofer on the wire can do: a whole handshake, data, probes, then he lets them alone."""
    with facing.capture(family) as capture:
        spoofer = Puppet(facing, family, capture, src=family.client, sport=41000)
        spoofer.send("S", -1)
        syn_acks = wait_until(
            lambda: [s.seq for s in capture.segments() if s.flags == "SA" and s.dport == 41000], what="the SYN-ACK"
        )
        spoofer.their_isn = syn_acks[0]
        spoofed = ("A", 0, b""), ("PA", 0, b"x" * 24), ("A", 23, b""), ("A", -1, b""), ("FA", 24, b"")
        for flags, at, payload in spoofed:
            spoofer.send(flags, at, payload)
        # Sent: 6. SYN-ACK, RST; an ACK each for data, two probes and FIN.
        settle(facing, family, capture, spoofer, 6 + 2 + 4)


def settle(facing, family, capture, spoofer, at_most):
    """The flow's packets are at most so many, and stay as many."""
    def count():
        ends = {spoofer.src, spoofer.dst}
        return len([s for s in capture.segments() if {s.src, s.dst} == ends])

    counts = []
    for _ in range(5):
        # A phantom's SYN and its answer: what was in the queues has had its turn, a loop another round.
        assert Puppet(facing, family, capture).quiet()
        counts.append(count())
    assert counts[1] == counts[-1] <= at_most, "\n".join(map(str, capture.segments()))
