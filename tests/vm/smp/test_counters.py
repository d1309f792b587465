# SPDX-License-Identifier: GPL-2.0
"""What the kernel counts and traces: each packet that a rule matches moves the columns that it
should, and no others.
"""

import contextlib
import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
import wire
from lab import FAMILIES, MODES, PORT, V4, Lab, Puppet, sh, wait_until
from test_silence import fragments

KINDS = """syn established data probe keepalive ack fin rst synack midstream
    truncated malformed fragment nottcp notunicast badflags notours checksum""".split()
COLUMNS = [*KINDS, "replies", "limited", "failed", "refused", "bytes_in", "bytes_out", "trapped_ms"]
PORTS = {mode: 6100 + number for number, mode in enumerate(MODES)}
# Whatever comes from these, to whomever, is the tarpit's before anybody looks at it; there is no
# way to the second.
ODD = {"ipv4": "198.51.100.200", "ipv6": "2001:db8:2:200::1"}
AWAY = {"ipv4": "100.64.0.1", "ipv6": "2001:db8:ffff::1"}


class Counting(Lab):
    """A rule for each mode; no conntrack, so fragments stay what they are. Nobody asks for a
    neighbour.
    """

    def rules(self):
        for family in FAMILIES:
            lines = [f"-A INPUT -p tcp --dport {PORT} -j TARPIT"]
            lines += [
                f"-A INPUT -p tcp --dport {port} -j TARPIT {' '.join(MODES[mode])}"
                for mode, port in PORTS.items()
            ]
            odd = [f"-A PREROUTING -s {nobody[family.name]} -j TARPIT" for nobody in (ODD, AWAY)]
            text = "\n".join(["*filter", *lines, "COMMIT", "*raw", *odd, "COMMIT", ""])
            self.server.run(f"{family.iptables}-restore", text=text)
        self.introduce()


@pytest.fixture(scope="module")
def lab():
    lab = Counting()
    yield lab
    lab.close()


def table(host):
    """The columns' names, and a list of figures for each processor."""
    names, *cpus = host.proc("stat/xt_TARPIT").splitlines()
    assert all(re.fullmatch(r"([0-9a-f]{8,} ?)+", cpu) for cpu in cpus), cpus
    return names.split(), [[int(figure, 16) for figure in cpu.split()] for cpu in cpus]


def counts(host):
    names, cpus = table(host)
    return Counter(
        {name: sum(column) for name, column in zip(names, zip(*cpus, strict=True), strict=True)}
    )


class Books:
    """What is sent and seen while the block runs, and what the server counts of it."""

    def __init__(self, lab, family):
        self.lab, self.family = lab, family

    def __enter__(self):
        self.capture = self.lab.capture(self.family, both=False)
        self.sent = []
        for verb in ("inject", "inject_gso"):
            setattr(self.lab, verb, self.noted(getattr(self.lab, verb)))
        self.before = counts(self.lab.server)
        return self

    def noted(self, inject):
        return lambda packet, *how: (self.sent.append(packet), inject(packet, *how))

    def moved(self):
        now = counts(self.lab.server)
        return {
            name: now[name] - self.before[name] for name in now if now[name] != self.before[name]
        }

    def __exit__(self, failed, *_):
        del self.lab.inject, self.lab.inject_gso
        with self.capture:
            if failed:
                return
            wait_until(
                lambda: sum(self.moved().get(kind, 0) for kind in KINDS) >= len(self.sent),
                what="all have come",
            )
            replies = self.moved().get("replies", 0)
            wait_until(
                lambda: len(self.capture.segments()) >= replies, what="all answers have come"
            )
            self.answers = self.capture.segments()
            self.all = self.moved()

    def puppet(self, mode="tarpit", **how):
        how = {"dport": PORTS[mode], "src": self.lab.stranger(self.family)} | how
        return Puppet(self.lab, self.family, self.capture, **how)

    def connected(self, mode="tarpit", **how):
        puppet = self.puppet(mode, **how)
        puppet.connect()
        return puppet

    def odd(self, data, mac=None, dst=None, **ip):
        """A packet of any kind from ODD."""
        self.lab.inject(wire.ip(ODD[self.family.name], dst or self.family.server, data, **ip), mac)


def after_data(books, size, **how):
    puppet = books.connected(**how)
    puppet.send("PA", payload=b"x" * size)
    puppet.answer()
    return puppet


def told(puppet, *sent):
    """Sends segments one after the other, each after the answer to the one before."""
    for flags, at, payload in sent:
        puppet.send(flags, at, payload)
        puppet.answer()


def handshakes(books):
    for mode in ("tarpit", "linux", "drip", "honeypot"):
        for ts in (True, False):
            books.connected(mode, ts=ts)
    books.puppet().send("S", -1, payload=b"x" * 100)


def data(books):
    puppet = after_data(books, 100)
    puppet.send("PA", payload=b"x" * 100)  # again
    puppet.send("PA", 200, b"x" * 100)  # behind a gap
    books.connected().send("PA", payload=b"x")
    books.connected(ts=False).send("PA", payload=b"x")
    books.connected("honeypot").send("PA", 500, b"x" * 100)
    # One packet of many segments, with the options in another piece of memory.
    books.lab.inject_gso(
        books.connected().packet("PA", payload=b"x" * 30000), 1400, books.family.header + 20
    )


def probes(books):
    told(after_data(books, 100), ("A", 23, b""), ("A", 23, b""))
    told(after_data(books, 24), ("A", 24, b"x"))
    told(after_data(books, 100, ts=False), ("A", 1, b"x"))


def keep_alives(books):
    told(books.connected(), ("A", -1, b""), ("A", -1, b""), ("A", -1, b"x"))
    told(books.connected(ts=False), ("A", -1, b""), ("A", -1, b"x"))
    told(books.connected("honeypot", ts=False), ("A", -1, b""), ("A", -1, b"x"))


def acknowledgments(books):
    after_data(books, 100).send("A", 100)
    after_data(books, 100, mode="honeypot").send("A", 100)
    after_data(books, 100, ts=False).send("A", 100)


def ends(books):
    books.connected().send("FA")
    after_data(books, 100).send("FA", 100)
    after_data(books, 100, ts=False).send("FA", 100)
    books.connected().send("FPA", payload=b"x" * 100)
    books.connected("honeypot").send("FPA", payload=b"x" * 100)
    books.connected("honeypot").send("FA")


def resets(books):
    books.connected().send("R")
    for mode in MODES:
        books.puppet(mode).send("RA", csum=0x1234)
        books.puppet(mode).send("SFRPAUEC")


def running(books):
    for mode in ("tarpit", "linux", "drip"):
        for flags, payload in (("PA", b"xx"), ("PA", b"x"), ("FPA", b"x" * 100)):
            books.puppet(mode).send(flags, payload=payload, seq=0x10000000, ack=0x20000000)


def strangers(books):
    for mode in ("tarpit", "drip", "honeypot"):
        books.puppet(mode).send("A", seq=1, ack=1)
        books.puppet(mode).send("FA", seq=0x10000000, ack=0x20000000)
    books.puppet("honeypot").send("PA", payload=b"xx", seq=0x10000000, ack=0x20000000)


def nonsense(books):
    for mode in MODES:
        for flags in ("", "FPU", "SF", "SFA"):
            books.puppet(mode).send(flags)


def told_off(books):
    """--reset looks at the bits alone."""
    for flags, payload in (("S", b""), ("SA", b""), ("A", b""), ("PA", b"x"), ("FA", b"")):
        books.puppet("reset").send(flags, payload=payload, ack=7 if "A" in flags else 0)


def wrong_sums(books):
    books.puppet().send("S", -1, csum=0xBEEF)
    books.puppet().send("PA", payload=b"xx", seq=0x10000000, ack=0x20000000, csum=0xBEEF)
    books.connected().send("PA", payload=b"x" * 20, csum=0x1234)
    books.puppet("reset").send("A", csum=0x1234)
    # There would be no answer, so nobody has looked.
    books.connected().send("A", csum=0x1234)


def malformed(books):
    books.puppet().send("S", -1, doff=4)
    books.puppet().send("S", -1, doff=15)


def truncated(books):
    for cut in (0, 1, 13, 19):
        books.odd(books.puppet().segment("S", -1)[:cut])


def in_pieces(books):
    puppet = books.puppet(src=ODD[books.family.name])
    for packet in fragments(books.family, puppet, puppet.segment("PA", payload=b"x" * 100), 48):
        books.lab.inject(packet)


def other_protocols(books):
    for proto in (17, 132):
        books.odd(bytes(20), proto=proto)


def to_many(books):
    family, syn = books.family, books.puppet().segment("S", -1)
    many, mac = ("224.0.0.1", "01005e000001") if family is V4 else ("ff02::1", "333300000001")
    books.odd(syn, dst=many)
    books.odd(syn, dst=many, mac=bytes.fromhex(mac))
    books.odd(syn, mac=bytes.fromhex(mac))


def many_of_one_source(books):
    src = books.lab.stranger(books.family)
    for _ in range(20):
        books.puppet(src=src).send("SA", -1, ack=1)


def without_a_way_back(books):
    puppet = books.puppet(src=AWAY[books.family.name])
    for _ in range(3):
        puppet.send("S", -1)


# What is sent, and what moves but for answers, bytes and time.
CASES = {
    handshakes: {"syn": 9, "established": 8},
    data: {"syn": 5, "established": 5, "data": 7},
    probes: {"syn": 3, "established": 3, "data": 3, "probe": 4},
    keep_alives: {"syn": 3, "established": 3, "keepalive": 7},
    acknowledgments: {"syn": 3, "established": 3, "data": 3, "ack": 3},
    ends: {"syn": 6, "established": 6, "data": 2, "fin": 6},
    resets: {"syn": 1, "established": 1, "rst": 11},
    running: {"midstream": 9},
    strangers: {"notours": 7},
    nonsense: {"badflags": 20},
    told_off: {"syn": 1, "synack": 1, "ack": 1, "data": 1, "fin": 1},
    wrong_sums: {"syn": 2, "established": 3, "checksum": 4},
    malformed: {"malformed": 2},
    truncated: {"truncated": 4},
    in_pieces: {"fragment": 3},
    other_protocols: {"nottcp": 2},
    to_many: {"notunicast": 3},
    without_a_way_back: {"syn": 3, "refused": 3},
}
DONE = ("replies", "bytes_in", "bytes_out", "trapped_ms")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_each_packet_moves_its_columns_and_no_others(lab, family, case):
    """And the bytes are those that were sent and seen; nothing moves where the packets come
    from.
    """
    elsewhere = counts(lab.client)
    with Books(lab, family) as books:
        case(books)
    moved = Counter(books.all)
    assert {name: count for name, count in moved.items() if name not in DONE} == CASES[case]
    assert sum(moved[kind] for kind in KINDS) == len(books.sent)
    assert moved["replies"] == len(books.answers)
    assert moved["bytes_in"] == sum(map(len, books.sent))
    assert moved["bytes_out"] == sum(answer.length for answer in books.answers)
    assert counts(lab.client) == elsewhere


# --- Replies that are refused on their way out


def policy(lab, family, _):
    lab.server.iptables(family, "-P", "OUTPUT", "DROP")
    try:
        yield
    finally:
        lab.server.iptables(family, "-P", "OUTPUT", "ACCEPT")


def rejecting(lab, family, _):
    with lab.server.rule(family, "OUTPUT", "-p", "tcp", "-j", "DROP"):
        yield


def behind_routing(lab, family, _):
    with lab.server.rule(family, "POSTROUTING", "-p", "tcp", "-j", "DROP", table="mangle"):
        yield


def route(kind):
    def by_route(lab, _, src):
        lab.server.ip(f"route add {kind} {src}")
        try:
            yield
        finally:
            lab.server.ip(f"route del {kind} {src}")

    by_route.__name__ = kind
    return by_route


def own_address(lab, family, src):
    address = f"{src}/{32 if family is V4 else 128} dev dummy0"
    lab.server.ip(f"addr add {address} {'' if family is V4 else 'nodad'}")
    # IPv4 drops a packet with a source of ours before INPUT.
    rule = ("PREROUTING", "-p", "tcp", "-s", src, "-j", "TARPIT")
    try:
        with lab.server.rule(family, *rule, table="raw"):
            yield
    finally:
        lab.server.ip(f"addr del {address}")


def queue(lab, *_):
    """One that has room for no packet."""
    lab.server.run("tc", "qdisc", "add", "dev", "s0", "root", "pfifo", "limit", 0)
    try:
        yield
    finally:
        lab.server.run("tc", "qdisc", "del", "dev", "s0", "root")


def queue_by_the_link(lab, family, src):
    rule = ("PREROUTING", "-p", "tcp", "-s", src, "-j", "TARPIT", "--hairpin")
    with lab.server.rule(family, *rule, table="raw"):
        yield from queue(lab)


REFUSED = (
    policy, rejecting, behind_routing,
    *map(route, ("blackhole", "unreachable", "prohibit", "throw")), own_address, queue,
    queue_by_the_link,
)  # fmt: skip


@pytest.mark.parametrize("by", REFUSED, ids=lambda by: by.__name__)
def test_refused_reply_is_counted_as_such(lab, family, by):
    """By rules, by the route, by the link: no reply, none of its bytes, and no lack of memory."""
    src = lab.stranger(family)
    with contextlib.contextmanager(by)(lab, family, src):
        before = counts(lab.server)
        with lab.capture(family, both=False) as capture:
            Puppet(lab, family, capture, src=src).send("S", -1)
            wait_until(lambda: counts(lab.server)["syn"] > before["syn"], what="the SYN has come")
            moved = counts(lab.server) - before
            assert not [s for s in capture.segments() if s.dst == src]
    columns = ("syn", "refused", "replies", "bytes_out", "failed")
    assert {name: moved[name] for name in columns} == dict.fromkeys(columns, 0) | {
        "syn": 1,
        "refused": 1,
    }
    # As before when nothing refuses any more.
    with Books(lab, family) as books:
        books.puppet(src=lab.stranger(family)).send("S", -1)
    moved = Counter(books.all)
    assert (moved["replies"], moved["refused"], moved["failed"], len(books.answers)) == (1, 0, 0, 1)


def test_reply_that_a_congested_queue_took_is_not_refused(lab, family):
    """NET_XMIT_CN: the queue dropped a packet of the flow, maybe another one (net_xmit_eval())."""
    src = lab.stranger(family)
    # Some packets go at once, then two wait, and each further one drops one that waits.
    # (At a lower rate tc of Debian forky refuses the burst, which would take too long.)
    tbf = "root handle 1: tbf rate 64bit burst 1540 limit 100000"
    try:
        for words in (tbf, "parent 1:1 handle 2: sfq limit 2"):
            lab.server.run("tc", "qdisc", "add", "dev", "s0", *words.split())
        before = counts(lab.server)
        with lab.capture(family, both=False) as capture:
            puppet = Puppet(lab, family, capture, dport=PORT, src=src)
            for _ in range(60):
                puppet.send("S", -1)
            wait_until(
                lambda: counts(lab.server)["syn"] - before["syn"] == 60, what="all have come"
            )
        listing = lab.server.run("tc", "-s", "qdisc", "show", "dev", "s0")
        dropped = [int(number) for number in re.findall(r"dropped (\d+)", listing)]
        assert max(dropped) > 10, f"nothing was dropped:\n{listing}"
        moved = counts(lab.server) - before
        assert (moved["replies"], moved["refused"], moved["failed"]) == (60, 0, 0)
    finally:
        lab.server.run("tc", "qdisc", "del", "dev", "s0", "root")


def test_answers_without_budget_are_counted(lab, family):
    with Books(lab, family) as books:
        many_of_one_source(books)
    moved = books.all
    assert moved["synack"] == 20 == moved["replies"] + moved["limited"]
    assert moved["replies"] == len(books.answers) and 8 <= moved["replies"] < 20


def test_the_time_of_a_client_is_counted(lab, family):
    """To a step of the clock, of 256 ms."""
    with Books(lab, family) as books:
        puppet = books.connected()
        asked = puppet.capture.segments()[-1].time
        wait_until(lambda: time.time() - asked > 1, what="a second")
        puppet.send("PA", payload=b"x" * 100)
        took = puppet.answer()
    waited = books.answers[-1].time - asked
    assert took.window == 0 and abs(books.all["trapped_ms"] / 1000 - waited) < 0.3


def test_the_columns_are_these_and_anybody_may_read_them(lab):
    path = "/proc/net/stat/xt_TARPIT"
    text = lab.server.run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path
    )
    names, *cpus = text.splitlines()
    assert names.split() == COLUMNS
    assert len(cpus) == len(
        sh("ls", "-d", *Path("/sys/devices/system/cpu").glob("cpu[0-9]*")).splitlines()
    )
    assert lab.server.run("stat", "-c", "%a", path).strip() == "444"


def test_each_processor_has_its_line(lab, family):
    _, before = table(lab.server)
    sent = {0: 3, 1: 5}
    with lab.capture(family, both=False) as capture:
        for cpu, count in sent.items():
            os.sched_setaffinity(0, {cpu})
            for _ in range(count):
                puppet = Puppet(lab, family, capture)
                puppet.send("S", -1)
                puppet.answer()
    _, after = table(lab.server)
    syn, replies = COLUMNS.index("syn"), COLUMNS.index("replies")
    for cpu, count in sent.items():
        assert [after[cpu][column] - before[cpu][column] for column in (syn, replies)] == [
            count,
            count,
        ]


def test_what_this_host_sends_is_not_counted(lab, family):
    """A rule in OUTPUT lets everything through."""
    with (
        lab.server.rule(family, "OUTPUT", "-p", "tcp", "-j", "TARPIT"),
        lab.capture(family, both=False) as capture,
    ):
        before = counts(lab.server)
        with lab.server.socket(family.af, 1) as sock:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect((family.phantom, 9))
            wait_until(lambda: capture.segments(), what="it is sent")
        assert counts(lab.server) == before


# --- The tracepoint

TRACING = Path("/sys/kernel/tracing")
FIELDS = {
    "netns": 4, "age_ms": 4, "class": 1, "family": 2, "sport": 2, "dport": 2, "saddr": 4,
    "daddr": 4, "saddr_v6": 16, "daddr_v6": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def tracing():
    """A trace of its own."""
    if not (TRACING / "instances").exists():
        sh("mount", "-t", "tracefs", "tracefs", TRACING)
    instance = TRACING / "instances" / "tarpit"
    instance.mkdir()
    yield instance
    instance.rmdir()


@contextlib.contextmanager
def traced(tracing):
    """The text of the events while the block runs, without what is said of when and where."""
    lines = []
    switch = tracing / "events/xt_tarpit/xt_tarpit_segment/enable"
    (tracing / "trace").write_text("")
    switch.write_text("1")
    try:
        yield lines
    finally:
        switch.write_text("0")
        lines += re.findall(r" xt_tarpit_segment: (.*)", (tracing / "trace").read_text())


def test_each_segment_is_traced(lab, family, tracing):
    """Answered or not; what is no segment is not. The times add up to what is counted."""
    with traced(tracing) as lines, Books(lab, family) as books:
        puppet = after_data(books, 100)
        puppet.send("A", 23)
        puppet.answer()
        puppet.send("R", csum=0)
        puppet.send("PA", payload=b"xx", csum=1)
        puppet.send("S", -1, doff=4)
        books.odd(bytes(20), proto=17)
        books.odd(puppet.segment("S", -1)[:13])
        books.odd(puppet.segment("S", -1), mac=bytes.fromhex("ffffffffffff"))
    brackets = "{}" if family is V4 else "[{}]"
    src, dst = brackets.format(puppet.src), brackets.format(puppet.dst)
    events = [
        re.fullmatch(r"netns=(\d+) class=(\w+) src=(.*):(\d+) dst=(.*):(\d+) age_ms=(\d+)", line)
        for line in lines
    ]
    assert all(events), lines
    netns = os.fstat(lab.server.fd).st_ino
    for event in events:
        assert event.group(1, 3, 4, 5, 6) == (
            str(netns),
            src,
            str(puppet.sport),
            dst,
            str(puppet.dport),
        )
    assert [event[2] for event in events] == [
        "syn",
        "established",
        "data",
        "probe",
        "rst",
        "checksum",
    ]
    assert sum(int(event[7]) for event in events) == books.all.get("trapped_ms", 0)


def test_each_kind_has_its_name(lab, family, tracing):
    """The names of the text are those of the columns, for all kinds that can be traced."""
    with traced(tracing) as lines, Books(lab, family) as books:
        for case in CASES:
            case(books)
    names = Counter(re.search(r"class=(\w+)", line)[1] for line in lines)
    untraced = ("truncated", "malformed", "fragment", "nottcp", "notunicast")
    assert names == {kind: books.all[kind] for kind in KINDS if kind not in untraced}


def test_fields_are_as_documented(tracing):
    text = (tracing / "events/xt_tarpit/xt_tarpit_segment/format").read_text()
    found = {
        name: int(size)
        for name, size in re.findall(
            r"field:u\d+ (\w+)(?:\[\d+\])?;\toffset:\d+;\tsize:(\d+);", text
        )
    }
    assert {name: found.get(name) for name in FIELDS} == FIELDS
