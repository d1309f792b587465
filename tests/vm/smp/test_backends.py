# SPDX-License-Identifier: GPL-2.0
"""NAT that chooses anew for each packet: two backends, or two ports, in turn.

    client ------ wire ------ server    nat PREROUTING: every other packet to A, the rest to B
                                        FORWARD, INPUT or PREROUTING: -j TARPIT

No connection of a held client is confirmed, so conntrack takes each of its packets for a new
connection, and NAT chooses a backend for each packet. The numbers of a connection have to be the
same whichever backend it is.
"""

import contextlib

import pytest
from lab import FIRST_WINDOW, PORT, V4, Lab, Puppet, assert_held
from test_counters import counts
from test_uplinks import chain_rule

PUBLIC = 5400  # the port that clients call


class Balanced(Lab):
    """The server forwards to the unused netblock."""

    def rules(self):
        super().rules()
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.server.sysctl(name, 1)


@pytest.fixture(scope="module")
def lab():
    lab = Balanced()
    yield lab
    lab.close()


def to(family, number, port=""):
    """`DNAT` to an address of the unused netblock."""
    address = f"203.0.113.{number}" if family is V4 else f"2001:db8:3::{number}"
    bare = address if family is V4 or not port else f"[{address}]"
    return ("DNAT", "--to-destination", f"{bare}:{port}" if port else address)


def backends(family):
    """Two addresses, and two ports."""
    return to(family, 11, 8080), to(family, 12, 9090)


PORTS = ("--dport", 8080, 9090)
# Where the rule stands, the two choices of NAT, and what a rule that counts matches of each.
CASES = {
    "two addresses": ("FORWARD", lambda f: (to(f, 11), to(f, 12)), ("-d",)),
    "two addresses and ports": ("FORWARD", backends, PORTS),
    "two ports of one address": ("FORWARD", lambda f: (to(f, 11, 8080), to(f, 11, 9090)), PORTS),
    "own ports": (
        "INPUT",
        lambda _: [("REDIRECT", "--to-ports", port) for port in PORTS[1:]],
        PORTS,
    ),
    "before NAT": ("raw PREROUTING", backends, None),
    "before NAT, tracked": ("mangle PREROUTING", backends, None),
}


@contextlib.contextmanager
def balanced(lab, family, case):
    """NAT's two rules and ours; yields how many packets have gone to each backend."""
    chain, choices, seen = CASES[case]
    first, second = choices(family)
    server, match = lab.server, ("-p", "tcp", "--dport", PUBLIC)
    turns = ("-m", "statistic", "--mode", "nth", "--every", 2, "--packet", 0)
    with contextlib.ExitStack() as stack:
        # Each rule is put at the head.
        stack.enter_context(server.rule(family, "PREROUTING", *match, "-j", *second, table="nat"))
        stack.enter_context(
            server.rule(family, "PREROUTING", *match, *turns, "-j", *first, table="nat")
        )
        here = ("--dport", PUBLIC) if seen is None else ("!", "--dport", PORT)
        stack.enter_context(chain_rule(server, family, chain, "-p", "tcp", *here, "-j", "TARPIT"))
        if seen:
            words = [(seen[0], port) for port in seen[1:]] or [
                ("-d", choice[-1]) for choice in (second, first)
            ]
            for what in words:
                stack.enter_context(server.rule(family, chain, "-p", "tcp", *what))
        yield (
            lambda: (
                [server.rule_packets(family, chain, number) for number in (1, 2)] if seen else None
            )
        )


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_the_same_whichever_backend_a_packet_goes_to(lab, family, case, extra):
    """Handshake, data, the same data again, probes; `extra` changes which backend comes first."""
    with lab.capture(family, both=False) as capture, balanced(lab, family, case) as packets:
        before = counts(lab.server)
        puppet = Puppet(lab, family, capture, dport=PUBLIC)
        syn_acks = []
        for _ in range(2 + extra):
            puppet.send("S", -1)
            syn_acks.append(puppet.answer())
        assert len({answer.seq for answer in syn_acks}) == 1, (
            "a SYN that is sent again has the same SYN-ACK"
        )
        clocks = [answer.ts[0] for answer in syn_acks]
        assert max(clocks) - min(clocks) < 60_000, "one flow, one clock"
        assert {(answer.src, answer.sport) for answer in syn_acks} == {(family.server, PUBLIC)}
        puppet.their_isn = syn_acks[0].seq
        puppet.send("A")
        taken = puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF
        told = puppet.echo
        for flags, at, payload in [("PA", 0, b"x" * 100)] * 2 + [("A", FIRST_WINDOW - 1, b"")] * 3:
            # Data that are sent again have not been answered yet.
            puppet.echo = told if payload else puppet.echo
            puppet.send(flags, at, payload)
            answer = puppet.answer()
            assert (answer.flags, answer.ack, answer.seq) == (
                "A",
                taken,
                puppet.their_isn + 1 & 0xFFFFFFFF,
            )
            assert (answer.src, answer.sport, answer.window) == (family.server, PUBLIC, 0)
        if packets():
            assert min(packets()) >= 3, "NAT has not chosen in turn"
        moved = {
            name: count - before[name]
            for name, count in counts(lab.server).items()
            if count != before[name]
        }
        assert not {"notours", "midstream"} & set(moved), moved
        assert (moved["syn"], moved["established"], moved["data"], moved["probe"]) == (
            2 + extra,
            1,
            2,
            3,
        )
        assert not lab.server.tracked(PUBLIC)


@pytest.mark.parametrize("case", CASES)
def test_real_client_is_held_behind_random_nat(lab, family, case):
    with balanced(lab, family, case), lab.client.connect(family, PUBLIC) as client:
        assert_held(client)
    lab.server.run("conntrack", "-F")
