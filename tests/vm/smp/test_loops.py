# SPDX-License-Identifier: GPL-2.0
"""Tarpit against tarpit: two hosts that answer everything never talk to each other for long.

    client [rule] <------ wire ------> server [rule]
                    ^ one spoofed segment

Each host has a range of addresses, so that every flow is between a source and a destination of its
own, and no limit per source hides a loop.
"""

import itertools

import pytest
import wire
from lab import MODES, V4, V6, Lab, Puppet, wait_until


def addresses(family, number):
    """The client's and the server's for a flow."""
    if family is V4:
        return tuple(f"10.{side}.{number >> 8}.{number & 255}" for side in (1, 2))
    return tuple(f"fd00:{side}:0:{number:x}::1" for side in (1, 2))


class Facing(Lab):
    """Both ends answer all TCP; only a phantom's marker always gets a SYN-ACK of the server."""

    numbers = itertools.count(1)

    def rules(self):
        self.client.ip("route add local 10.1.0.0/16 dev lo", "route add local fd00:1::/32 dev lo")
        self.client.ip(
            "route add 10.2.0.0/16 via 192.0.2.2", "route add fd00:2::/32 via 2001:db8:1::2"
        )
        self.server.ip("route add local 10.2.0.0/16 dev lo", "route add local fd00:2::/32 dev lo")
        self.server.ip(
            "route add 10.1.0.0/16 via 192.0.2.1", "route add fd00:1::/32 via 2001:db8:1::1"
        )

    def face(self, family, client, server):
        """The modes of both."""
        marker = f"-A INPUT -p tcp -s {family.phantom} -j TARPIT\n"
        for host, mode, first in ((self.client, client, ""), (self.server, server, marker)):
            rule = " ".join(("-A INPUT -p tcp -j TARPIT", *MODES[mode]))
            host.run(f"{family.iptables}-restore", text=f"*filter\n{first}{rule}\nCOMMIT\n")

    def flow(self, family, capture, **how):
        """A spoofer: he plays the client, from an address that it has, to one that the server
        has.
        """
        src, dst = addresses(family, next(Facing.numbers))
        return Puppet(self, family, capture, src=src, dst=dst, **how)


@pytest.fixture(scope="module")
def facing():
    lab = Facing()
    yield lab
    lab.close()


STAMP = wire.options(ts=(0xAAAA0001, 0xBBBB0002))
SPOOFED = {
    "SYN": ("S", {"at": -1}),
    "SYN without options": ("S", {"at": -1, "opts": b""}),
    "SYN with data": ("S", {"at": -1, "payload": b"x" * 30}),
    "SYN with ECN": ("SEC", {"at": -1, "reserved": 1}),
    "SYN-ACK": ("SA", {"at": -1, "ack": 77}),
    "SYN-ACK with data": ("SA", {"at": -1, "ack": 77, "payload": b"x" * 30}),
    "ACK": ("A", {"ack": 77}),
    "ACK with timestamps": ("A", {"ack": 77, "opts": STAMP}),
    "octet": ("PA", {"ack": 77, "payload": b"x", "opts": b""}),
    "data": ("PA", {"ack": 77, "payload": b"x" * 30, "opts": b""}),
    "data with timestamps": ("PA", {"ack": 77, "payload": b"x" * 30, "opts": STAMP}),
    "much data": ("PA", {"ack": 77, "payload": b"x" * 1400, "opts": STAMP}),
    "data without ACK": ("P", {"payload": b"x" * 30}),
    "FIN": ("FA", {"ack": 77}),
    "FIN with data": ("FA", {"ack": 77, "payload": b"x" * 30, "opts": STAMP}),
    "FIN alone": ("F", {}),
    "RST": ("R", {}),
    "RST and ACK": ("RA", {"ack": 77}),
    "NULL": ("", {}),
    "Xmas": ("FPU", {}),
    "SYN and FIN": ("SF", {"at": -1}),
    "every flag": ("SFRPAUEC", {}),
}


def by_flow(capture, spoofer):
    """What went from the client, the spoofed ones among it, and from the server."""
    ends = [(s.src, s.dst) for s in capture.segments()]
    return ends.count((spoofer.src, spoofer.dst)), ends.count((spoofer.dst, spoofer.src))


def settle(facing, family, capture):
    """A phantom's SYN and its answer: what was in the queues has had its turn, a loop another
    three rounds.
    """
    for _ in range(3):
        Puppet(facing, family, capture).settle()


def spoofed_connection_does_not_feed_itself(facing, family):
    """The best that a spoofer on the wire can do: a whole handshake, data, probes, the end;
    then he lets them alone.
    """
    with facing.capture(family) as capture:
        spoofer = facing.flow(family, capture, sport=41000)
        spoofer.send("S", -1)
        first = wait_until(
            lambda: [s for s in capture.segments() if (s.src, s.dst) == (spoofer.dst, spoofer.src)],
            what="an answer",
        )[0]
        spoofer.their_isn = first.seq
        spoofer.echo = first.ts[0] if first.ts else 0
        spoofed = (
            ("A", 0, b""), ("PA", 0, b"x" * 24), ("PA", 0, b"x" * 24), ("A", 23, b""),
            ("A", 24, b""), ("PA", 24, b"x"),
            ("PA", 24, b"x" * 1400), ("A", -1, b""), ("FA", 24, b""), ("FA", 1424, b""),
            ("A", 1425, b""),
        )  # fmt: skip
        for flags, at, payload in spoofed:
            spoofer.send(flags, at, payload)
            Puppet(facing, family, capture).settle()
        sent, answered = by_flow(capture, spoofer)
        settle(facing, family, capture)
        assert by_flow(capture, spoofer) == (sent, answered), "silence"
        # To each spoofed segment one of the server, and to that one of the client.
        count = 1 + len(spoofed)
        assert answered <= count and sent <= 2 * count, "\n".join(map(str, capture.segments()))


# The modes do not know the family: over IPv6 each faces itself.
PAIRS = [(V4, *pair) for pair in itertools.product(MODES, MODES)] + [
    (V6, mode, mode) for mode in MODES
]


@pytest.mark.parametrize(
    "family, client, server", PAIRS, ids=lambda value: getattr(value, "name", value)
)
def test_one_spoofed_segment_makes_one_answer_of_each_at_most(facing, family, client, server):
    """Of every kind, from a client's port and from the same port."""
    facing.face(family, client, server)
    with facing.capture(family) as capture:
        flows = {}
        for kind, (flags, fields) in SPOOFED.items():
            for ports in ({"sport": 40000, "dport": 23}, {"sport": 23, "dport": 23}):
                spoofer = flows[kind, ports["sport"]] = facing.flow(family, capture, **ports)
                spoofer.send(flags, **fields)
        settle(facing, family, capture)
        counts = {kind: by_flow(capture, spoofer) for kind, spoofer in flows.items()}
        settle(facing, family, capture)
        assert {kind: by_flow(capture, spoofer) for kind, spoofer in flows.items()} == counts, (
            "silence"
        )
        loops = {kind: count for kind, count in counts.items() if count[0] > 2 or count[1] > 1}
        assert not loops, "\n".join(
            str(s)
            for s in capture.segments()
            if s.src in {flows[k].src for k in loops} or s.dst in {flows[k].src for k in loops}
        )
        # The spoofed segments did come, and the one that always gets an answer got it.
        assert all(sent >= 1 for sent, _ in counts.values())
        assert counts["SYN", 40000][1] == 1
    spoofed_connection_does_not_feed_itself(facing, family)
