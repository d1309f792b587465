# SPDX-License-Identifier: GPL-2.0
"""Life under load: rules, tables, namespaces, links and the module come and go while packets pour
in.

On each processor a sender puts SYNs, data, ends of connections and junk of both families on the
wire as fast as it can. ROUNDS times (from the environment) something comes and goes; then the
senders stop, and the books must balance:

    what the senders have sent = packets in the server's raw PREROUTING
    SYNs in raw PREROUTING = SYN-ACKs in OUTPUT + SYNs in filter INPUT, behind the rule
    all answers in OUTPUT = packets in the client's raw PREROUTING
        + what the server's queue and link count as dropped

Where links go, the left side may be the larger one: what is sent to a link that is down, was under
way, waited in its queue or lacked a route, is freed by the kernel and counted by nobody.

The rule stands in mangle INPUT, so that filter INPUT sees what passes it. Then a client is held as
ever, and the kernel has as many packets, connections, routes and namespaces in its memory as
before.
"""

import contextlib
import ctypes
import itertools
import math
import mmap
import os
import re
import signal
import socket
import struct
from collections import Counter
from pathlib import Path

import pytest
import wire
from lab import (
    FAMILIES,
    KERNEL,
    PORT,
    SANITIZER,
    V4,
    Capture,
    Lab,
    Puppet,
    module_users,
    sh,
    wait_until,
)
from test_memory import STRIDE, Batch

pytestmark = pytest.mark.once

ROUNDS = int(os.environ.get("ROUNDS", 5))
# The numbers of the client's links: the lab's, and one to a victim that comes and goes.
WIRE, VICTIM = 70, 71
VICTIMS_MAC = bytes.fromhex("020000000071")


def mixture(family, count=90):
    """(SYN?, packet), all with an IP header that is right, so that each gets as far as raw
    PREROUTING.
    """
    for number in range(count):
        src = f"198.51.100.{2 + number}" if family is V4 else f"2001:db8:2:{number:x}::1"
        isn = 0x01020304 * number
        flags, fields = (
            ("S", {"opts": wire.options(1460, True, (number, 0), 7)}),
            ("S", {}),
            ("PA", {"ack": isn, "payload": b"x" * 30}),
            ("FA", {"ack": isn, "opts": wire.options(ts=(5, 6))}),
            ("", {}),
            ("R", {}),
            ("SF", {}),
            ("PA", {"ack": isn, "payload": b"y" * 20, "csum": 0xDEAD}),
            ("A", {"doff": 15}),
        )[number % 9]
        segment = wire.tcp(src, family.server, 20000 + number, PORT, flags, isn, **fields)
        yield (
            flags == "S",
            wire.ip(src, family.server, segment[:13] if number % 18 == 4 else segment),
        )


class Sender:
    """A process on a processor of its own that sends the mixture again and again, to a victim
    as well if told so.
    """

    def __init__(self, lab, cpu):
        self.sock, self.cpu, self.pid = (
            lab.client.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
            cpu,
            None,
        )
        mixed = [(family, *packet) for family in FAMILIES for packet in mixture(family)]
        self.count = len(mixed)
        self.batch, self.keep = Batch(2 * self.count), []
        for i, (family, _, packet) in enumerate(2 * mixed):
            self.batch.data[i * STRIDE : i * STRIDE + len(packet)] = packet
            self.batch.vectors[2 * i + 1] = len(packet)
            dev, mac = (WIRE, lab.server_mac) if i < self.count else (VICTIM, VICTIMS_MAC)
            # struct sockaddr_ll.
            to = struct.pack(
                "=HHiHBB8s", 17, socket.htons(family.ethertype), dev, 0, 0, 6, mac + b"\0\0"
            )
            self.keep.append(ctypes.create_string_buffer(to, len(to)))
            struct.pack_into(
                "=QI", self.batch.messages, 64 * i, ctypes.addressof(self.keep[-1]), len(to)
            )
        self.syns = [0, *itertools.accumulate(syn for _, syn, _ in mixed)]
        # Shared: packets and SYNs on the wire so far; whether to go on; whether there is a victim.
        self.shared = memoryview(mmap.mmap(-1, 4096)).cast("Q")

    sent = property(lambda self: self.shared[0])
    sent_syns = property(lambda self: self.shared[1])

    def start(self):
        self.shared[2] = 1
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.sched_setaffinity(0, {self.cpu})
                os.nice(10)  # the test itself has to get on
                self.send()
            finally:
                os._exit(1)

    def send(self):
        libc = ctypes.CDLL(None, use_errno=True)
        at = 0
        while self.shared[2]:
            end = 2 * self.count if self.shared[3] else self.count
            done = libc.sendmmsg(
                self.sock.fileno(), ctypes.c_void_p(self.batch.address + 64 * at), end - at, 0
            )
            if done > 0 and at < self.count:
                upto = min(at + done, self.count)
                self.shared[0] += upto - at
                self.shared[1] += self.syns[upto] - self.syns[at]
            # What was refused is left out: the link is down, has no room, or is not there.
            at += done if done > 0 else 1
            if at >= end:
                at = 0
        os._exit(0)

    def stop(self):
        if self.pid:
            pid, self.pid, self.shared[2] = self.pid, None, 0
            os.kill(pid, signal.SIGCONT)
            assert os.waitpid(pid, 0)[1] == 0, "a sender failed"


# What counts, in the order of the books. The hosts' own few words to their neighbours are not TCP.
FIXED = """*raw
-A PREROUTING -i s0 -p tcp
-A PREROUTING -i s0 -p tcp --syn
COMMIT
*filter
-A INPUT -i s0 -p tcp --syn -j DROP
-A INPUT -i s0 -p tcp -j DROP
-A INPUT -m conntrack --ctstate NEW -j ACCEPT
-A OUTPUT -o s0 -p tcp --tcp-flags ALL SYN,ACK
-A OUTPUT -o s0 -p tcp
COMMIT
"""
BACK = "*raw\n-A PREROUTING -i c0 -p tcp\nCOMMIT\n"
RULE = f"-A INPUT -p tcp --dport {PORT} -j TARPIT"
ROUTES = "rtable" if Path("/sys/kernel/slab/rtable").exists() else "ip_dst_cache"  # its name in 6.1
CACHES = ("skbuff_head_cache", "nf_conntrack", ROUTES, "ip6_dst_cache", "net_namespace")
if KERNEL >= (6, 3):  # before, small heads come from kmalloc()
    CACHES += ("skbuff_small_head",)
OBJECTS = 256  # that may be more than before, of each: what processors keep for themselves


def queue(host, dev):
    """How many packets a link's queue has dropped, and how many wait in it."""
    text = host.run("tc", "-s", "qdisc", "show", "dev", dev)
    return [int(re.search(what, text)[1]) for what in (r"dropped (\d+)", r"backlog \w+ (\d+)p")]


class Load(Lab):
    """The client is a wire and its counters: without addresses it sends nothing of its own."""

    def __init__(self):
        self.senders = []
        super().__init__()
        try:
            self.client.ip("addr flush dev c0", "link set c0 arp off")
            self.ways()
            self.senders = [Sender(self, cpu) for cpu in range(os.cpu_count())]
        except BaseException:
            self.close()
            raise

    def host(self):
        host = super().host()
        # Only addresses that are given: no link-local one that would be announced.
        host.sysctl("net.ipv6.conf.default.addr_gen_mode", 1)
        return host

    def cable(self):
        self.client.ip(f"link add c0 index {WIRE} type veth peer name s0 netns {self.server.path}")

    def rules(self):
        for family in FAMILIES:
            self.server.run(f"{family.iptables}-restore", text=FIXED)
            self.client.run(f"{family.iptables}-restore", text=BACK)
        self.tarpit()

    def ways(self):
        """What a link that went down has forgotten."""
        mac = self.client.mac("c0").hex(":")
        self.server.ip(
            "addr replace 2001:db8:1::2/64 dev s0 nodad",
            "route replace 198.51.100.0/24 via 192.0.2.1",
            "route replace 2001:db8:2::/48 via 2001:db8:1::1",
            *(f"neigh replace {family.client} lladdr {mac} dev s0" for family in FAMILIES),
        )

    def tarpit(self, *rules):
        """Replaces mangle, by default with the rule."""
        text = "\n".join(("*mangle", *(rules or (RULE,)), "COMMIT", ""))
        for family in FAMILIES:
            self.server.run(f"{family.iptables}-restore", text=text)

    def close(self):
        for sender in self.senders:
            sender.stop()
        super().close()

    @contextlib.contextmanager
    def flood(self):
        try:
            for sender in self.senders:
                sender.start()
            yield
        finally:
            for sender in self.senders:
                sender.stop()

    def passing(self, count=300, senders=None):
        """Waits for so many packets more of each of these senders."""
        goals = [(sender, sender.sent + count) for sender in senders or self.senders]
        wait_until(
            lambda: all(sender.sent >= goal for sender, goal in goals), 120, "the senders send"
        )

    def counters(self):
        """The books so far."""
        now = Counter(
            sent=sum(s.sent for s in self.senders), sent_syns=sum(s.sent_syns for s in self.senders)
        )
        for family in FAMILIES:
            for host, table, chain, names in (
                (self.server, "raw", "PREROUTING", ("arrived", "syns")),
                (self.server, "filter", "INPUT", ("passed_syns", "passed")),
                (self.server, "filter", "OUTPUT", ("syn_acks", "answers")),
                (self.client, "raw", "PREROUTING", ("back",)),
            ):
                lines = host.iptables(family, "-t", table, "-nvxL", chain).splitlines()[2:]
                now.update({name: int(line.split()[0]) for name, line in zip(names, lines)})
        # Behind the colon: eight figures of what was received; packets, bytes, errors and drops of
        # what was sent.
        now["dropped"] = int(re.search(r"s0:(.*)", self.server.proc("dev"))[1].split()[11])
        dropped, now["waiting"] = queue(self.server, "s0")
        now["dropped"] += dropped
        return now

    def settled(self):
        """The books when nothing is under way any more."""
        last = None
        while last != (last := self.counters()) or last["waiting"]:
            pass
        return last


def objects():
    """How many of each of CACHES are in memory, without those that are kept free for the next
    to come.
    """
    found = {}
    for cache in CACHES:
        with open(f"/sys/kernel/slab/{cache}/shrink", "w", encoding="ascii") as file:
            file.write("1")
        found[cache] = int(
            open(f"/sys/kernel/slab/{cache}/objects", encoding="ascii").read().split()[0]
        )
    return found


def assert_holds(load):
    """A client is held."""
    for family in FAMILIES:
        with Capture(load.client, "c0", family, both=False) as capture:
            puppet = Puppet(load, family, capture)
            puppet.connect()
            puppet.send("PA", payload=b"x" * 100)
            assert puppet.answer().window == 0


@pytest.fixture(scope="module")
def load():
    load = Load()
    yield load
    load.close()


@contextlib.contextmanager
def story(load, lost=0):
    """Under load; what comes after is the same for all. `lost`: how many packets may go
    uncounted.
    """
    with load.flood():
        load.passing(1000)
    before, memory = load.settled(), objects()
    with load.flood():
        yield
    now = load.settled()
    book = {name: now[name] - before[name] for name in now}
    print(f"\n{ROUNDS} rounds: {book}")
    assert 0 <= book["sent"] - book["arrived"] <= lost
    assert 0 <= book["sent_syns"] - book["syns"] <= lost
    assert 0 <= book["syns"] - book["syn_acks"] - book["passed_syns"] <= lost
    assert 0 <= book["answers"] - book["back"] - book["dropped"] <= lost
    assert book["syn_acks"] > 100 * ROUNDS, "that was no load"
    assert_holds(load)
    if not SANITIZER:  # where KASAN keeps what was freed, and kmemleak looks for what was lost
        wait_until(
            lambda: all(count <= memory[name] + OBJECTS for name, count in objects().items()),
            what=f"the memory is as before: {memory}, then {objects()}",
        )


def test_rules_come_and_go(load):
    with story(load):
        for _ in range(ROUNDS):
            for family in FAMILIES:
                load.server.iptables(family, "-t", "mangle", "-F", "INPUT")
            load.passing()
            for family in FAMILIES:
                load.server.iptables(family, "-t", "mangle", *RULE.split())
            load.passing()


def test_tables_are_replaced(load):
    other = f"{RULE} --profile linux"
    tables = ((RULE,), (f"{RULE} --honeypot", other), ("-A INPUT -p udp -j TARPIT",), (other,) * 20)
    with story(load):
        for number in range(ROUNDS):
            load.tarpit(*tables[number % 4])
            load.passing()
        load.tarpit()


def test_module_comes_and_goes(load):
    with story(load):
        for _ in range(ROUNDS):
            load.tarpit("-A INPUT -p tcp")
            wait_until(lambda: module_users() == 0, what="nobody uses the module")
            sh("rmmod", "xt_TARPIT")
            load.passing()
            sh("modprobe", "xt_TARPIT")
            load.tarpit()
            load.passing()


def test_namespaces_and_their_links_come_and_go(load, kernel_log):
    """Another host ends under load, with its rules, its link, and answers in its queue."""
    # Of the senders' packets, when the link that they are for is going.
    kernel_log.expected.append("v0 selects TX queue")
    with story(load):
        for _ in range(ROUNDS):
            victim = load.host()
            load.client.ip(f"link add v0 index {VICTIM} type veth peer name v1 netns {victim.path}")
            victim.ip(
                f"link set v1 address {VICTIMS_MAC.hex(':')} up",
                "addr add 192.0.2.2/24 dev v1", "addr add 2001:db8:1::2/64 dev v1 nodad",
                "route add default via 192.0.2.1", "route add default via 2001:db8:1::1",
            )  # fmt: skip
            load.client.ip("link set v0 arp off up")
            mac = load.client.mac("v0").hex(":")
            for family in FAMILIES:
                victim.run(f"{family.iptables}-restore", text=f"*filter\n{RULE}\nCOMMIT\n")
            victim.ip(
                *(f"neigh replace {family.client} lladdr {mac} dev v1" for family in FAMILIES)
            )
            victim.run(
                "tc", "qdisc", "add", "dev", "v1", "root", "netem", "delay", "1s", "limit", "10000"
            )
            for sender in load.senders:
                sender.shared[3] = 1
            wait_until(
                lambda: queue(victim, "v1")[1] > 20, what="answers wait in the victim's queue"
            )
            load.hosts.remove(victim)
            victim.close()
            for sender in load.senders:
                sender.shared[3] = 0
            wait_until(lambda: module_users() == 2, what="the victim's rules are gone")


def test_links_go_down_with_packets_under_way(load):
    """Answers wait 50 ms in the server's queue while one end goes, then the other."""
    load.server.sysctl("net.ipv6.conf.s0.keep_addr_on_down", 1)
    load.server.run(
        "tc", "qdisc", "add", "dev", "s0", "root", "netem", "delay", "50ms", "limit", "10000"
    )
    with story(load, lost=math.inf):
        for number in range(ROUNDS):
            host, dev = ((load.server, "s0"), (load.client, "c0"))[number % 2]
            host.ip(f"link set {dev} down")
            host.ip(f"link set {dev} up")
            wait_until(
                lambda: load.client.running("c0") and load.server.running("s0"),
                what="the link is up",
            )
            load.ways()
            load.passing()
    load.server.run("tc", "qdisc", "del", "dev", "s0", "root")


def test_senders_are_suspended_and_resumed(load):
    with story(load):
        for number in range(ROUNDS):
            stopped = load.senders[number % 2]
            os.kill(stopped.pid, signal.SIGSTOP)
            load.passing(senders=[load.senders[1 - number % 2]])
            os.kill(stopped.pid, signal.SIGCONT)
            load.passing()


# --- No memory

FAILSLAB = Path("/sys/kernel/debug/failslab")
REFUSED = (
    "skbuff_head_cache",
    "skbuff_small_head",
    "skbuff_fclone_cache",
    "nf_conntrack",
    "rtable",
    "ip6_dst_cache",
)
REFUSED += ("kmalloc-256", "kmalloc-512", "kmalloc-1k")  # what a packet's bytes are in


@pytest.fixture
def refused():
    """Sets how many in a hundred allocations from REFUSED fail that must not wait; what tells
    how many have failed.
    """
    many = 10**9

    def failed():
        return many - int((FAILSLAB / "times").read_text())

    def refuse(probability):
        (FAILSLAB / "times").write_text(str(many))
        (FAILSLAB / "probability").write_text(str(probability))
        return failed

    def only(what):
        for cache in REFUSED:
            Path(f"/sys/kernel/slab/{cache}/failslab").write_text(what)

    for name, value in (
        ("cache-filter", "Y"),
        ("ignore-gfp-wait", "Y"),
        ("task-filter", "N"),
        ("verbose", "0"),
    ):
        (FAILSLAB / name).write_text(value)
    only("1")
    refuse(0)
    yield refuse
    refuse(0)
    only("0")


@pytest.mark.skipif(not SANITIZER, reason="this kernel cannot be made to refuse memory")
@pytest.mark.parametrize("probability", [1, 10, 100])
@pytest.mark.parametrize("captured", [False, True], ids=["in place", "as new packets"])
def test_refused_memory_costs_answers_only(load, refused, probability, captured):
    """As many as it may; afterwards clients are held again."""
    with contextlib.ExitStack() as stack:
        if captured:  # Who looks on has clones of the packets, so that each answer needs memory.
            stack.enter_context(Capture(load.server, "s0", V4))
        before = load.settled()
        with load.flood():
            load.passing()
            failed = refused(probability)
            wait_until(lambda: failed() > 20, 120, "memory is refused")
            load.passing()
            many = failed()
            refused(0)
            load.passing()
        now = load.settled()
    answered, asked = (now[name] - before[name] for name in ("syn_acks", "syns"))
    print(f"\n{many} allocations were refused; {answered} answers to {asked} SYNs")
    assert answered < asked
    assert_holds(load)
