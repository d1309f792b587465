# SPDX-License-Identifier: GPL-2.0
"""Two uplinks: a reply leaves by the one that its packet came by, if the host's rules say so.

        client                    server
[c0] ------ veth ------ [s0]   the route to all phantoms
[c1] ------ veth ------ [s1]   192.0.4.0/24, 2001:db8:4::/64; `ip rule fwmark 2 table 2` leads here

mangle PREROUTING -i s1 -j CONNMARK --set-mark 2       the uplink of a connection is remembered,
mangle OUTPUT -j CONNMARK --restore-mark               and leads its packets there
"""

import contextlib
import re
import socket
from pathlib import Path

import pytest
from lab import PORT, V4, Capture, Puppet, assert_held, link, wait_until
from test_freeze import receive
from test_links import Links, frame, other, to

PHANTOM_WITH_KERNEL = {"ipv4": "198.51.100.77/32", "ipv6": "2001:db8:2:77::1/128"}


class Uplinks(Links):
    """Policy routing by a connection's mark."""

    def rules(self):
        super().rules()
        for family, six in ((V4, ()), (None, ("-6",))):
            via = "192.0.4.1" if family is V4 else "2001:db8:4::1"
            self.server.run(
                "ip", *six, "route", "add", "default", "via", via, "dev", "s1", "table", 2
            )
            self.server.run("ip", *six, "rule", "add", "fwmark", 2, "table", 2)
            tool = "iptables" if family is V4 else "ip6tables"
            self.server.run(
                tool, "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--restore-mark"
            )


@pytest.fixture(scope="module")
def lab():
    lab = Uplinks()
    yield lab
    lab.close()


@contextlib.contextmanager
def chain_rule(host, family, where, *rule):
    """A rule at the head of `[table] chain` while the block runs."""
    table, _, chain = where.rpartition(" ")
    with host.rule(family, chain, *rule, table=table or "filter"):
        yield


@contextlib.contextmanager
def tarpit(lab, family, where, port, *options, source_rule=False):
    """The rule, the second uplink's mark before it, and an `ip rule` by address if asked for."""
    six = () if family is V4 else ("-6",)
    source = (*six, "rule", "{}", "from", other(family, 4, 2), "table", "2")
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            chain_rule(
                lab.server, family, where, "-p", "tcp", "--dport", port, "-j", "TARPIT", *options
            )
        )
        mark = ("PREROUTING", "-i", "s1", "-p", "tcp", "-j", "CONNMARK", "--set-mark", 2)
        stack.enter_context(lab.server.rule(family, *mark, table="mangle"))
        if source_rule:
            lab.server.run("ip", *(word.format("add") for word in source))
            stack.callback(lab.server.run, "ip", *(word.format("del") for word in source))
        yield


# Where the rule stands, its options, is there `ip rule from ADDRESS table 2`?, the replies' uplink.
WAYS = {
    "INPUT": ("INPUT", (), False, 1),
    "mangle INPUT": ("mangle INPUT", (), False, 1),
    "mangle PREROUTING": ("mangle PREROUTING", (), False, 1),
    "mangle PREROUTING, --hairpin": ("mangle PREROUTING", ("--hairpin",), False, 1),
    "raw, --hairpin": ("raw PREROUTING", ("--hairpin",), False, 1),
    "raw": ("raw PREROUTING", (), False, 0),
    "raw, rule for the address": ("raw PREROUTING", (), True, 1),
    "mangle PREROUTING, rule for the address": ("mangle PREROUTING", (), True, 1),
    "FORWARD": ("FORWARD", (), False, 1),
    "unused netblock, mangle PREROUTING": ("mangle PREROUTING", (), False, 1),
}


@pytest.mark.parametrize("name", WAYS)
def test_reply_leaves_by_the_uplink_of_its_packet(lab, family, name):
    """raw PREROUTING has no connection, so the address or the link decides there."""
    where, options, source_rule, uplink = WAYS[name]
    dst = family.nobody if where == "FORWARD" or "netblock" in name else other(family, 4, 2)
    with tarpit(lab, family, where, 5410, *options, source_rule=source_rule):
        with (
            lab.capture(family, both=False) as first,
            Capture(lab.client, "c1", family, both=False) as second,
        ):
            right, wrong = (second, first) if uplink else (first, second)
            for _ in range(2):
                puppet = Puppet(lab, family, right, dst=dst, dport=5410)
                for flags, at, payload in (("S", -1, b""), ("PA", 0, b"x" * 100)):
                    packet = puppet.packet(flags, at, payload)
                    frame(
                        lab, packet, lab.client.mac("c1").hex(), to=lab.server.mac("s1"), dev="c1"
                    )
                    answer = puppet.answer()
                    assert (answer.src, answer.sport) == (dst, 5410)
                    if flags == "S":
                        puppet.their_isn = answer.seq
                assert answer.window == 0
            assert not [s for s in wrong.segments() if not s.outgoing and s.sport == 5410], (
                "by the other uplink"
            )
        assert not lab.server.tracked(5410), "an entry of conntrack stays"


@pytest.mark.parametrize("where", ["INPUT", "mangle PREROUTING"])
def test_real_client_of_the_second_uplink_is_held(lab, family, where):
    """Its address is behind the first one by the main table."""
    source = PHANTOM_WITH_KERNEL[family.name]
    lab.client.ip(f"addr add {source} dev lo")
    try:
        with tarpit(lab, family, where, 5411):
            prepare = lambda sock: sock.bind((source.split("/")[0], 0))  # noqa: E731
            with lab.client.connect(family, 5411, other(family, 4, 2), prepare=prepare) as client:
                assert_held(client)
    finally:
        lab.client.ip(f"addr del {source} dev lo")


@pytest.mark.parametrize("where", ["INPUT", "FORWARD", "mangle PREROUTING"])
def test_nat_rules_for_what_goes_out_leave_a_reply_alone(lab, family, where):
    """MASQUERADE on both uplinks, and a redirection in nat OUTPUT: its addresses and ports stay."""
    dst = family.nobody if where == "FORWARD" else other(family, 4, 2)
    with contextlib.ExitStack() as stack:
        stack.enter_context(tarpit(lab, family, where, 5414))
        for chain, target in (
            ("POSTROUTING", ("MASQUERADE",)),
            ("OUTPUT", ("REDIRECT", "--to-ports", 9)),
        ):
            nat = (chain, "-p", "tcp", "-j", *target)
            stack.enter_context(lab.server.rule(family, *nat, table="nat"))
        capture = stack.enter_context(Capture(lab.client, "c1", family, both=False))
        for _ in range(2):
            puppet = Puppet(lab, family, capture, dst=dst, dport=5414)
            for flags, at, payload in (("S", -1, b""), ("PA", 0, b"x" * 100)):
                packet = puppet.packet(flags, at, payload)
                frame(lab, packet, lab.client.mac("c1").hex(), to=lab.server.mac("s1"), dev="c1")
                answer = puppet.answer()
                assert (answer.src, answer.sport) == (dst, 5414)
                if flags == "S":
                    puppet.their_isn = answer.seq
            assert answer.window == 0
        assert not lab.server.tracked(5414)


def test_recipe_for_two_uplinks_holds_a_client(fresh_lab):
    """The commands of docs/recipes.md, with the lab's name of the second interface."""
    lab = fresh_lab
    text = Path("/xt/docs/recipes.md").read_text(encoding="utf-8")
    commands = re.search(r"^## Two uplinks\n.*?^```sh\n(.*?)^```$", text, re.M | re.S)[1]
    link(lab.client, "c1", lab.server, "s1")
    for host, dev, at in ((lab.client, "c1", 1), (lab.server, "s1", 2)):
        host.ip(f"link set {dev} up", f"addr add 192.0.4.{at}/24 dev {dev}")
    source = PHANTOM_WITH_KERNEL["ipv4"]
    lab.client.ip(f"addr add {source} dev lo")
    for command in commands.splitlines():
        lab.server.run(*command.replace("wan2", "s1").split())
    wait_until(lambda: lab.server.running("s1"), what="the link is up")
    # The rule of the lab, in filter INPUT, must not be what holds.
    lab.server.iptables(V4, "-F", "INPUT")

    def prepare(sock):
        sock.bind((source.split("/")[0], 0))

    with Capture(lab.client, "c1", V4, both=False) as capture:
        with lab.client.connect(V4, PORT, "192.0.4.2", prepare=prepare) as client:
            assert_held(client)
        assert [s for s in capture.segments() if not s.outgoing and s.sport == PORT]


STATES = ("RELATED", "UNTRACKED", "NEW,ESTABLISHED,INVALID")


@pytest.mark.parametrize("where", ["raw PREROUTING", "mangle PREROUTING", "INPUT"])
@pytest.mark.parametrize("zone", [(), ("--zone", 5)], ids=["plain", "template"])
def test_conntracks_state_of_a_reply(lab, family, where, zone):
    """RELATED where the packet has an entry, also before routing; untracked where it has none."""
    with lab.capture(family, both=False) as capture, contextlib.ExitStack() as stack:
        match = ("-p", "tcp", "--dport", 5412)
        stack.enter_context(chain_rule(lab.server, family, where, *match, "-j", "TARPIT"))
        if zone:
            # What raw PREROUTING gives to conntrack, a template, is no connection.
            rule = chain_rule(lab.server, family, "raw PREROUTING", *match, "-j", "CT", *zone)
            stack.enter_context(rule)
        for state in reversed(STATES):
            match = ("-p", "tcp", "--sport", 5412, "-m", "conntrack", "--ctstate", state)
            stack.enter_context(lab.server.rule(family, "OUTPUT", *match))
        # In place, and as a new packet where a clone of the received one is kept.
        for both in (False, True):
            tap = stack.enter_context(lab.capture(family, both=both))
            puppet = Puppet(lab, family, tap if both else capture, dport=5412)
            puppet.connect()
            puppet.send("PA", payload=b"x" * 100)
            puppet.answer()
        found = {s: lab.server.rule_packets(family, "OUTPUT", n) for n, s in enumerate(STATES, 1)}
        right = "UNTRACKED" if "raw" in where else "RELATED"
        assert found == dict.fromkeys(STATES, 0) | {right: 4}
        assert not lab.server.tracked(5412)


def test_running_connection_behind_dnat_is_frozen_before_routing(lab, family):
    """Replies come from the address and port that the client called; the connection survives."""
    inner = other(family, 5, 5)
    target = (
        "PREROUTING",
        "-p",
        "tcp",
        "--dport",
        5413,
        "-j",
        "DNAT",
        "--to-destination",
        to(family, inner, 5061),
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(lab.server.rule(family, *target, table="nat"))
        listener = stack.enter_context(lab.inner.socket(family.af, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((inner, 5061))
        listener.listen()
        client = stack.enter_context(lab.client.connect(family, 5413))
        server = stack.enter_context(listener.accept()[0])
        server.settimeout(30)
        client.sendall(b"hello")
        assert receive(server, 5) == b"hello"
        capture = stack.enter_context(lab.capture(family))
        port, text = client.getsockname()[1], bytes(range(256)) * 10
        with chain_rule(
            lab.server, family, "mangle PREROUTING", "-p", "tcp", "--dport", 5413, "-j", "TARPIT"
        ):
            client.sendall(text)
            while not (
                found := [s for s in capture.segments() if s.dport == port and s.window == 0]
            ):
                assert capture.wait(10), "no reply"
            first = next(s for s in capture.segments() if s.sport == port and s.payload)
            assert (found[0].src, found[0].sport, found[0].ack) == (family.server, 5413, first.seq)
            assert found[0].right
            assert [state for state, _ in lab.server.tracked(5413)] == ["ESTABLISHED"]
        assert receive(server, len(text)) == text
    lab.server.run("conntrack", "-F")
