# SPDX-License-Identifier: GPL-2.0
"""What one network namespace can learn of another one's connections, or take from it: nothing.

    client [socket] ------ wire ------ server [socket, rule]

    attacker: an unprivileged user's own namespace, a veth pair and a rule in it (attacker.py)

The attacker sends himself packets with the addresses and ports of the connections above. Key,
frozen connections and rate limits belong to a namespace, so his replies say nothing of the
server's, and his packets cost the server nothing.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
import wire
from lab import (
    FAMILIES,
    PORT,
    Host,
    Puppet,
    module_users,
    sh,
    strangers_may_share,
    unload,
    wait_until,
)
from test_counters import counts
from test_freeze import BURST, answers_to, closed, receive
from test_privilege import LOCK, NOBODY

SERVICE = 2401
MARKER = 1  # the attacker's port whose SYN-ACK says that all replies before it are here


class Attacker:
    """An unprivileged user in a network namespace of his own."""

    def __init__(self):
        argv = (*NOBODY, "env", LOCK, "unshare", "-Urn", "python3", "/xt/tests/vm/attacker.py")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._read() == "ready"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(20) == 0

    def _read(self):
        line = self.process.stdout.readline()
        assert line, f"the attacker ended: {self.process.wait(20)}"
        return json.loads(line)

    def do(self, verb, *args):
        self.process.stdin.write(json.dumps((verb, *args)) + "\n")
        self.process.stdin.flush()
        return self._read()

    def answers(self, family, packets):
        """The replies that packets get in his namespace."""
        syn = wire.tcp(family.phantom, family.server, MARKER, PORT, "S", 1, opts=wire.options(1460))
        packets = [*packets, wire.ip(family.phantom, family.server, syn)]
        found = [
            wire.parse(bytes.fromhex(data))
            for data in self.do("answers", [p.hex() for p in packets], MARKER, 20)
        ]
        assert found and found[-1].dport == MARKER, "no reply to the marker"
        return found[:-1]

    def counters(self):
        names, *cpus = self.do("counters").splitlines()
        columns = zip(*([int(figure, 16) for figure in cpu.split()] for cpu in cpus))
        return {name: sum(column) for name, column in zip(names.split(), columns)}


@pytest.fixture(scope="module", autouse=True)
def modules():
    """What the attacker's commands would otherwise load, which only root of the machine may."""
    for tool in ("iptables", "ip6tables"):
        sh("unshare", "-n", tool, "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "-j", "TARPIT")
    with contextlib.closing(Host()) as host:
        host.ip("link add v0 type veth peer name v1")


@pytest.fixture
def attacker():
    with Attacker() as attacker:
        yield attacker


def flow(client):
    """Addresses and ports of a real client's connection, as its packets have them."""
    (src, sport, *_), (dst, dport, *_) = client.getsockname(), client.getpeername()
    return src, dst, sport, dport


def data(flow, seq, payload=b"xy"):
    """Data that fit no reply of ours: of a connection that existed before the rule."""
    src, dst, sport, dport = flow
    return wire.ip(
        src, dst, wire.tcp(src, dst, sport, dport, "PA", seq, 0x20000000, payload=payload)
    )


# Ahead of RCV.NXT and behind it. Each is behind the one before, so that the attacker's own table
# takes it for a first segment.
DISTANCES = (0x30000000, 1000, 1, -1, -1000, -0x30000000)


def test_frozen_connection_is_hidden_from_another_namespace(lab, family, attacker):
    """The reply's ACK is the attacker's SEG.SEQ, not RCV.NXT, which he cannot move."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(lab.server.socket(family.af, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((family.server, SERVICE))
        listener.listen()
        client = stack.enter_context(lab.client.connect(family, SERVICE))
        server = stack.enter_context(listener.accept()[0])
        server.settimeout(30)
        client.sendall(b"hello")
        assert receive(server, 5) == b"hello"
        capture = stack.enter_context(lab.capture(family))
        text = bytes(range(256)) * 20
        with lab.server.rule(family, "INPUT", "-p", "tcp", "--dport", SERVICE, "-j", "TARPIT"):
            client.sendall(text)
            port = client.getsockname()[1]
            (first, *_) = wait_until(lambda: closed(capture, port), what="the connection is frozen")
            received = first.ack
            assert (
                received == next(s for s in capture.segments() if s.sport == port and s.payload).seq
            )
            for distance in DISTANCES:
                seq = received + distance & 0xFFFFFFFF
                (answer,) = attacker.answers(family, [data(flow(client), seq)])
                assert (answer.flags, answer.window) == ("A", 0)
                assert answer.ack == seq, f"RCV.NXT of the host is told: {answer.ack - received}"
            # The client asks again, and the reply is as before.
            before = len(closed(capture, port))
            wait_until(lambda: len(closed(capture, port)) > before, 30, "a probe is answered")
            assert {s.ack for s in closed(capture, port)} == {received}, (
                "the attacker moved RCV.NXT"
            )
        assert receive(server, len(text)) == text


def test_initial_sequence_number_differs_between_namespaces(lab, family, attacker):
    """For the same addresses, ports and client ISN, each has its own numbers and clock."""
    with lab.capture(family, both=False) as capture, Attacker() as other:
        seen = []
        for isn in (7, 0x80000000):
            puppet = Puppet(lab, family, capture, isn=isn)
            syn = puppet.send("S", -1)
            mine, his, others = (
                puppet.answer(),
                *attacker.answers(family, [syn]),
                *other.answers(family, [syn]),
            )
            assert [answer.flags for answer in (mine, his, others)] == ["SA"] * 3
            assert len({answer.seq for answer in (mine, his, others)}) == 3
            # Each flow's clock has an offset of its own.
            clocks = [answer.ts[0] for answer in (mine, his, others)]
            assert min(abs(a - b) for i, a in enumerate(clocks) for b in clocks[:i]) > 60_000
            seen += [his.seq]
        # Within the attacker's namespace all is as usual.
        (again,) = attacker.answers(family, [syn])
        assert again.seq == seen[-1]


@strangers_may_share
def test_source_rate_limits_belong_to_a_namespace(lab, family, attacker):
    """A source that has used up its limit in the attacker's namespace has all of the host's."""
    src = lab.stranger(family)
    packets = [
        data((src, family.server, 3000 + i, PORT), 0x10000000 + i * 99999) for i in range(60)
    ]
    begin = time.monotonic()
    found = attacker.answers(family, packets)
    assert BURST <= len(found) <= BURST + 1 + (time.monotonic() - begin) / 2
    # Before the budget could have come back: one reply in two seconds.
    with lab.capture(family, both=False) as capture:
        assert answers_to(lab, family, capture, src, 20) >= BURST


class TestSynLimit:
    """With a limit that is reached at once; the module is loaded anew here."""

    @pytest.fixture(autouse=True)
    def limited(self, lab):
        for family in FAMILIES:
            lab.server.iptables(family, "-F", "INPUT")
        unload()
        sh("modprobe", "xt_TARPIT", "syn_limit=50")
        lab.rules()
        yield
        for family in FAMILIES:
            lab.server.iptables(family, "-F", "INPUT")
        unload()
        sh("modprobe", "xt_TARPIT")
        lab.rules()

    def test_syn_limit_belongs_to_a_namespace(self, lab, family):
        """A SYN flood in the attacker's namespace, on the same CPU, costs the host no SYN-ACK."""
        with lab.capture(family, both=False) as capture, Attacker() as attacker:
            before = counts(lab.server)["limited"]
            flood = [
                wire.ip(
                    family.phantom,
                    family.server,
                    wire.tcp(family.phantom, family.server, port, PORT, "S", port),
                )
                for port in range(3000, 3100)
            ]
            attacker.do("flood", [packet.hex() for packet in flood])
            for _ in range(10):
                refused = attacker.counters()["limited"]
                wait_until(
                    lambda: attacker.counters()["limited"] > refused + 100,
                    what="the attacker is limited",
                )
                puppet = Puppet(lab, family, capture)
                puppet.send("S", -1)
                assert puppet.answer(limit=10).flags == "SA"
            attacker.do("stop")
            assert counts(lab.server)["limited"] == before
            # The host's own limit holds as before.
            for _ in range(120):
                Puppet(lab, family, capture, src=lab.stranger(family)).send("S", -1)
            wait_until(
                lambda: counts(lab.server)["limited"] > before, what="the host is limited, too"
            )


# --- Memory


TABLES = (
    48 << 10
)  # bytes of a namespace's tables: 4,096 rate limits of 4 bytes, 4,096 frozen connections of 8
NAMESPACES = 20
TOOLS = ("iptables-legacy", "ip6tables-nft")


@pytest.fixture
def memory():
    """A cgroup for what this test and its commands allocate; kernel memory of it in bytes."""
    root = Path("/tmp/cgroup2")
    root.mkdir(exist_ok=True)
    sh("mount", "-t", "cgroup2", "cgroup2", root)
    try:
        if "memory" not in (root / "cgroup.controllers").read_text().split():
            pytest.skip("this kernel has no memory controller (CONFIG_MEMCG)")
        (root / "cgroup.subtree_control").write_text("+memory")
        group = root / "tarpit"
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))

        def kernel():
            fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return int(fields["kernel"])

        try:
            yield kernel
        finally:
            (root / "cgroup.procs").write_text(str(os.getpid()))
            wait_until(lambda: removed(group), what="the cgroup is empty")
    finally:
        (root / "cgroup.subtree_control").write_text("-memory")
        sh("umount", root)


def removed(group):
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


@pytest.mark.counts_memory
@pytest.mark.parametrize("tool", TOOLS)
def test_tables_are_accounted_to_the_first_rules_cgroup(memory, tool):
    """48 KB for a namespace's first rule, none for its second one; all of it comes back."""
    rule = ("INPUT", "-p", "tcp", "--dport", "23", "-j")
    hosts, users = [], module_users()
    try:
        for _ in range(NAMESPACES):
            hosts.append(Host())
        for host in hosts:
            host.run(tool, "-A", *rule, "DROP"), host.run(tool, "-A", *rule, "DROP")
        # The kernel adds up its processors' figures every other second.
        without = settled(memory)
        for host in hosts:
            host.run(tool, "-R", *rule[:1], "1", *rule[1:], "TARPIT")
        first = settled(memory)
        for host in hosts:
            host.run(tool, "-R", *rule[:1], "2", *rule[1:], "TARPIT")
        second = settled(memory)
        one, two = (first - without) / NAMESPACES, (second - first) / NAMESPACES
        assert TABLES <= one < 2 * TABLES, f"{one:.0f} bytes for each namespace's first rule"
        assert two < TABLES / 4, f"{two:.0f} bytes for its second one"
    finally:
        for host in hosts:
            host.close()
    wait_until(lambda: module_users() == users, what="the namespaces have gone")
    wait_until(
        lambda: memory() < without + NAMESPACES * TABLES / 4, what="the memory has come back"
    )


def settled(figure):
    """The value of a figure that no longer changes much, for three seconds."""
    last, since = figure(), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.1)
        if abs((now := figure()) - last) > TABLES:
            last, since = now, time.monotonic()
    return figure()
