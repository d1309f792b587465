# SPDX-License-Identifier: GPL-2.0
"""Stealth: who scans the tarpit's port takes it for that of an ordinary Linux host.

The server has two addresses: on the first, port 23 is the tarpit's; on the second, a socket listens
there, the same kernel's own, and what it answers is the measure. docs/stealth.md has the results.
"""

import functools
import re
import socket
import subprocess
import threading
import time

import detectors
import pytest
import wire
from lab import FAMILIES, PEER, PORT, V4, V6, Capture, Lab, Puppet, load_peer, wait_until

TWIN = {V4: "192.0.2.3", V6: "2001:db8:1::3"}

HOLD, LINUX = (), ("--profile", "linux")


class Pair(Lab):
    """The tarpit and, on the server's other address, its twin: a socket that listens."""

    def __init__(self, rule):
        self.rule, self.options = rule, () if rule == PEER else rule
        self.listeners = []
        super().__init__()

    def rules(self):
        # What most Linux hosts have, however much memory they have: scale 7.
        self.server.sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456")
        # Or the twin's checksums would be left to a network card.
        self.server.run("ethtool", "-K", "s0", "tx", "off")
        for family, prefix in zip(FAMILIES, ("24", "64 nodad")):
            self.server.ip(f"addr add {TWIN[family]}/{prefix} dev s0")
            rule = (
                "-d",
                family.server,
                "-p",
                "tcp",
                "--dport",
                PORT,
                "-j",
                "TARPIT",
                *self.options,
            )
            self.server.iptables(family, "-A", "INPUT", *rule)
            listener = self.server.socket(family.af, socket.SOCK_STREAM)
            listener.bind((TWIN[family], PORT))
            listener.listen(1000)
            self.listeners.append(listener)

    def close(self):
        for listener in self.listeners:
            listener.close()
        super().close()

    def peer(self, family, capture, dst):
        """Makes puppets that talk to one address."""
        return functools.partial(Puppet, self, family, capture, dst)


@pytest.fixture(scope="module")
def lab(request):
    """One for each rule; with PEER, the module and plugin of xtables-addons."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == PEER:
            patch.setenv("XTABLES_LIBDIR", "")  # to be as it was afterwards
            load_peer()
        lab = Pair(request.param)
        yield lab
        lab.close()


def rules(*some):
    return pytest.mark.parametrize("lab", some, indirect=True, ids=IDS.get)


# In one order, so that pytest makes each lab but once.
IDS = {HOLD: "hold", LINUX: "linux", PEER: "xtables-addons"}
ours, each = rules(HOLD, LINUX), rules(HOLD, LINUX, PEER)


# --- Scanners


def nmap(lab, family, *options):
    """nmap's reports on the tarpit and on its twin."""
    six = ("-6",) if family is V6 else ()
    text = lab.client.run("nmap", "-n", "-Pn", *six, *options, family.server, TWIN[family])
    _, tarpit, twin = text.split("Nmap scan report for ")
    return tarpit, twin


# The guest's kernel answers for port 1. Without -d no print is shown of a host that nmap knows.
OS_SCAN = ("-O", "--osscan-guess", "--max-os-tries", 1, "-p", f"1,{PORT}", "-d")
# By this name nmap knows the tarpit of MikroTik, which is that of xtables-addons.
TARPIT_BY_NAME = "MikroTik RouterOS 5.24"


def guess(report):
    """nmap's first guess of the system, or what it says instead."""
    found = re.search(
        r"(?:OS details: |Aggressive OS guesses: |(?=No OS matches|No exact))(.*?\)|.*)", report
    )
    return found[1].split(" (If")[0]


def fingerprint(report):
    """nmap's print of a host: what it says of each reply to its TCP probes.

    Left out is what is random in either host: how the ISNs are spread (SP, ISR, GCD), and the rate
    of timestamps whose offset differs by flow (TS).
    """
    text = "".join(re.findall(r"^OS:(.*)$", report, re.M))
    prints = {}
    for test, values in re.findall(r"(SEQ|OPS|WIN|ECN|T\d)\((.*?)\)", text):
        prints |= {
            f"{test}.{field}": value
            for field, value in (pair.split("=") for pair in values.split("%"))
        }
    assert {"SEQ.TI", "OPS.O1", "WIN.W1", "ECN.R", "T1.R", "T4.R"} <= prints.keys(), report
    return {
        name: value
        for name, value in prints.items()
        if name not in ("SEQ.SP", "SEQ.ISR", "SEQ.GCD", "SEQ.TS")
    }


@ours
def test_nmap_finds_the_port_open(lab, family):
    """As the twin's, by the same answer."""
    for report in nmap(lab, family, "-sS", "-p", PORT, "--reason"):
        assert re.search(rf"^{PORT}/tcp +open +telnet +syn-ack ttl 64$", report, re.M), report


@ours
def test_masscan_finds_the_port_open(lab):
    argv = (
        "masscan", f"{V4.server}-{TWIN[V4]}", "-p", f"{PORT}-{PORT + 1}", "--rate", "1000",
        "--wait", "1", "-oL", "-",
        "-e", "c0", "--router-mac", lab.server_mac.hex(":"), "--adapter-ip", V4.client,
    )  # fmt: skip
    with lab.client.inside():
        masscan = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    try:
        # Its receiver only looks at its clock when a packet comes.
        with lab.server.socket(V4.af, socket.SOCK_DGRAM) as knock:
            end = time.monotonic() + 30
            while masscan.poll() is None and time.monotonic() < end:
                knock.sendto(b"", (V4.client, 9))
                time.sleep(0.1)
        assert masscan.poll() == 0
    finally:
        masscan.kill()
        text, _ = masscan.communicate()
    found = [line.split()[:4] for line in text.splitlines() if line.startswith("open")]
    assert sorted(found) == [
        ["open", "tcp", str(PORT), address] for address in (V4.server, TWIN[V4])
    ], text


@ours
def test_zmap_finds_the_port_open(lab):
    text = lab.client.run(
        "zmap", "-p", PORT, "-i", "c0", "-G", lab.server_mac.hex(":"), "-S", V4.client, "-r", 1000,
        "-c", 1, "-q",
        "-C", "/dev/null", "-b", "/dev/null", "192.0.2.0/29",
    )  # fmt: skip
    assert sorted(text.split()) == [V4.server, TWIN[V4]]


# Where the prints differ, and why.
ROOM = {
    "OPS.O4"
}  # a SYN with all options but MSS: there is no room for it in a reply that is no longer
SILENT = {"T4.R"}  # an ACK of no connection: Linux resets
SHAPE = {f"OPS.O{i}" for i in range(1, 6)} | {f"WIN.W{i}" for i in range(1, 7)} | {"ECN.O"}
PRINTS = {HOLD: ROOM | SILENT | SHAPE | {"ECN.CC"}, LINUX: ROOM | SILENT}


def show(tarpit, twin):
    """For -rP."""
    print(f"tarpit: {guess(tarpit)}\ntwin:   {guess(twin)}")


@each
def test_nmap_names_no_tarpit(lab):
    """It prints a Linux host, with the differences that are known; and it does name
    xtables-addons' tarpit.
    """
    tarpit, twin = nmap(lab, V4, *OS_SCAN)
    show(tarpit, twin)
    a, b = fingerprint(tarpit), fingerprint(twin)
    differ = {name for name in a.keys() & b.keys() if a[name] != b[name]}
    for name in sorted(differ):
        print(f"{name:7} {a[name]:12} {b[name]}")
    # Of Linux there are many in nmap's list, some of MikroTik too.
    assert "Linux" in guess(twin)
    assert TARPIT_BY_NAME not in twin
    if lab.rule == PEER:
        assert guess(tarpit).startswith(TARPIT_BY_NAME)
        return
    assert TARPIT_BY_NAME not in tarpit
    assert "Linux" in guess(tarpit)
    assert differ == PRINTS[lab.rule]


@ours
def test_nmap_names_no_tarpit_over_ipv6(lab):
    """There it judges by a model that says nothing of what it does not know."""
    tarpit, twin = nmap(lab, V6, *OS_SCAN)
    show(tarpit, twin)
    assert "Linux" in guess(twin)
    assert not re.search("mikrotik|tarpit", tarpit, re.I), tarpit


# --- Detectors of tarpits


class LaBrea(threading.Thread):
    """LaBrea on the unused netblock: window 10 and no options, an ACK for a probing octet, else
    silence.
    """

    def __init__(self, lab, family):
        super().__init__()
        self.family, self.mac, self.over = family, lab.client.mac("c0"), False
        self.capture = Capture(lab.server, "s0", family, both=False)
        self.out = lab.server.socket(socket.AF_PACKET, socket.SOCK_DGRAM)

    def run(self):
        taken = 0
        while not self.over:
            self.capture.wait(0.1)
            new, taken = self.capture.segments()[taken:], len(self.capture.seen)
            for s in new:
                if s.dst == self.family.nobody and s.flags == "S":
                    self.answer(s, "SA", 0x1A_B4EA, s.seq + 1, 10)
                elif s.dst == self.family.nobody and len(s.payload) == 1:
                    self.answer(s, "A", s.ack, s.seq, 0)

    def answer(self, s, flags, seq, ack, window):
        segment = wire.tcp(s.dst, s.src, s.dport, s.sport, flags, seq, ack, window)
        self.out.sendto(
            wire.ip(s.dst, s.src, segment), ("s0", self.family.ethertype, 0, 0, self.mac)
        )

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()
        self.capture.sock.close()
        self.out.close()


HOST = {"degreaser": "real host", "notarpit": False, "nessus_10796": False}
VERDICTS = {
    HOLD: HOST,
    LINUX: HOST,
    PEER: {"degreaser": "TARPIT", "notarpit": True, "nessus_10796": True},
}


@each
def test_detectors_take_it_for_a_host(lab, family):
    """As they take the twin; and they do find the tarpit of xtables-addons."""
    with lab.capture(family, both=False) as capture:
        assert detectors.verdicts(lab.peer(family, capture, family.server)) == VERDICTS[lab.rule]
        assert detectors.verdicts(lab.peer(family, capture, TWIN[family])) == HOST


@rules(HOLD)
def test_detectors_find_labrea(lab, family):
    """The control for what xtables-addons does not show."""
    with LaBrea(lab, family), lab.capture(family, both=False) as capture:
        verdicts = detectors.verdicts(lab.peer(family, capture, family.nobody))
    assert verdicts == {"degreaser": "LaBrea", "notarpit": True, "nessus_10796": True}


# --- Field by field


def fields(puppet, segment):
    """What a peer can see of an answer; numbers by their distance from the puppet's."""
    if segment is None:
        return {"answer": "none"}
    seen = {
        "answer": segment.flags,
        "ack": segment.ack - puppet.isn - 1 & 0xFFFFFFFF if "A" in segment.flags else segment.ack,
        "window": segment.window,
        "options": wire.option_kinds(segment.options),
        "mss": segment.mss,
        "wscale": segment.wscale,
        "echo": puppet.clock - segment.ts[1] if segment.ts else None,
        "reserved": segment.reserved,
        "urgent": segment.raw[puppet.family.header + 18 :][:2],
        "payload": segment.payload,
        "tos": segment.tos,
        "ttl": segment.ttl,
    }
    if puppet.their_isn is not None:
        seen["seq"] = segment.seq - puppet.their_isn & 0xFFFFFFFF
    if puppet.family is V4:
        return seen | {"flags": segment.raw[6] >> 5, "ident": any(segment.raw[4:6])}
    return seen | {"label": bool(segment.label)}


def syn(opts=None, flags="S", **how):
    """A SYN, by default with the options of Linux."""

    def play(p):
        p.send(flags, -1, opts=opts, **how)
        return fields(p, p.reply())

    return play


def alone(flags, **how):
    """A segment of no connection."""

    def play(p):
        p.send(flags, seq=0x10000000, ack=0x20000000, **how)
        return fields(p, p.reply())

    return play


def fin(p):
    """The end of a connection. Linux takes its time with the ACK, so this one is waited for."""
    p.connect()
    p.send("FA")
    return fields(p, p.answer())


def connected(flags, at=0, **how):
    """A segment of a connection."""

    def play(p):
        p.connect()
        p.send(flags, at, **how)
        return fields(p, p.reply())

    return play


def old_stamp(p):
    """Data with a timestamp from before the SYN."""
    p.connect()
    p.send("PA", payload=b"x", opts=wire.options(ts=(p.clock - 500, p.echo)))
    return fields(p, p.reply())


def congestion(p):
    """Data that a router has marked, after both agreed on ECN (RFC 3168, 6.1.3)."""
    p.send("SEC", -1)
    p.their_isn = p.answer().seq
    p.send("A")
    p.send("PA", payload=b"x", ip={"tos": 3})
    return fields(p, p.reply())


def again(isn):
    """A second SYN with the same ports."""

    def play(p):
        p.send("S", -1)
        p.their_isn = p.answer().seq
        p.isn += isn
        p.send("S", -1)
        return fields(p, p.reply())

    return play


def isn_clock(isn):
    """Whether the ISNs of one flow come from a clock: Linux adds one every 64 ns. Three flows,
    lest it be chance.
    """

    def play(p):
        later = []
        for _ in range(3):
            other = Puppet(p.lab, p.family, p.capture, p.dst)
            other.send("S", -1)
            first, asked = other.answer(), time.monotonic_ns()
            other.send("R")
            other.isn += isn
            # A kernel that has no better clock counts its ticks.
            wait_until(lambda: time.monotonic_ns() > asked, what="time has passed")
            other.send("S", -1)
            later.append(0 < other.answer().seq - first.seq & 0xFFFFFFFF < 1 << 26)
        return {"answer": "SA", "ISN later": all(later)}

    return play


def after_reset(p):
    """Data after the peer's own RST."""
    p.connect()
    p.send("RA")
    p.send("PA", payload=b"x")
    return fields(p, p.reply())


def clock(p):
    """Whether TSval is a clock of milliseconds, from one answer to the next."""
    last = p.connect()
    right = 0
    for _ in range(20):
        time.sleep(0.03)
        p.send("PA", payload=b"x")
        answer = p.answer()
        advance, elapsed = answer.ts[0] - last.ts[0] & 0xFFFFFFFF, 1000 * (answer.time - last.time)
        # Within these bounds what advances by 256 or not at all is never right; a busy machine is
        # late at times.
        right += 20 < elapsed < 200 and abs(advance - elapsed) < 10
        last = answer
    return {"answer": "A", "milliseconds": right > 3}


def low_bits(p):
    """Whether the low bits of the first TSvals tell one flow from another."""
    stamps = []
    for _ in range(8):
        other = Puppet(p.lab, p.family, p.capture, p.dst)
        other.send("S", -1)
        stamps.append(other.answer().ts[0] & 0xFF)
    return {"answer": "SA", "low bits": len(set(stamps)) > 1}


def probe(play, *differ, hold=()):
    """What to play; which fields then differ from the twin's for either profile, and which only
    for hold.
    """
    return play, {HOLD: {*differ, *hold}, LINUX: {*differ}}


# By design: hold lets 24 octets in where timestamps are on, and none of its windows is scaled.
SMALL, SCALE = {"hold": ("window",)}, {"hold": ("wscale",)}
SCALED = {"hold": ("window", "wscale")}
# What holds: the window is closed.
SHUT = ("window",)
MSS, TS = wire.options(1460), (77, 0)

PROBES = {
    "SYN": probe(syn(), **SCALED),
    "SYN without timestamps": probe(syn(wire.options(1460, True, wscale=7)), **SCALE),
    "SYN without SACK": probe(syn(wire.options(1460, False, TS, 7)), **SCALED),
    "SYN without scale": probe(syn(wire.options(1460, True, TS)), **SMALL),
    "SYN with MSS alone": probe(syn(MSS)),
    "SYN with a small MSS": probe(syn(wire.options(100))),
    # No answer has more bytes than its SYN.
    "SYN without options": probe(syn(b""), "options", "mss"),
    "SYN with all but MSS": probe(syn(wire.options(None, True, TS, 7)), "options", "mss", **SCALED),
    "SYN with another order": probe(
        syn(b"\1\1\x08\x0a" + bytes(8) + b"\3\3\7\1" + b"\1\1\4\2" + MSS), **SCALED
    ),
    "SYN with broken options": probe(syn(MSS + b"\x08\0\0\0")),
    "SYN that asks for a Fast Open cookie": probe(syn(MSS + b"\x22\2\1\1")),
    "SYN with an MD5 signature": probe(syn(MSS + b"\x13\x12" + bytes(16) + b"\1\1"), "answer"),
    "SYN with an authentication option": probe(syn(MSS + b"\x1d\x10" + bytes(14)), "answer"),
    "SYN with ECN": probe(syn(flags="SEC"), hold=("answer",)),
    "SYN with ECN and a marked packet": probe(syn(flags="SEC", ip={"tos": 2}), **SCALED),
    "SYN with accurate ECN": probe(syn(flags="SEC", reserved=1), hold=("answer",)),
    "SYN with data": probe(syn(payload=b"early"), **SCALED),
    "SYN with PSH and URG": probe(syn(flags="SPU"), **SCALED),
    "SYN with a class of service": probe(syn(ip={"tos": 0xB8}), **SCALED),
    # Linux resets what belongs to no connection. Here it may be of one that began before the rule.
    "ACK of no connection": probe(alone("A"), "answer"),
    "an octet of no connection": probe(alone("PA", payload=b"x"), "answer"),
    "data of no connection": probe(alone("PA", payload=b"xy"), "answer"),
    "FIN of no connection": probe(alone("FA"), "answer"),
    "SYN-ACK of no connection": probe(alone("SA")),
    "no flag": probe(alone("")),
    "Xmas": probe(alone("FPU")),
    "SYN and FIN": probe(alone("SF")),
    # The ISN must be made of the SYN alone, and it is not known whether the SYN is the first one.
    "SYN twice": probe(again(0), "echo", **SCALED),
    "SYN twice with another number": probe(again(1000), "answer"),
    "SYN, RST, SYN": probe(isn_clock(0), "ISN later"),
    "SYN, RST, SYN with another number": probe(isn_clock(1000), "ISN later"),
    "SYN when connected": probe(connected("S", -1), "answer"),
    "data": probe(connected("PA", payload=b"x"), *SHUT),
    "urgent data": probe(connected("PAU", payload=b"x"), *SHUT),
    "data beyond the first window": probe(connected("PA", payload=b"x" * 100), "ack", *SHUT),
    "data that is marked": probe(congestion, *SHUT, hold=("answer",)),
    # What is missing comes again, with what follows.
    "data after a gap": probe(connected("PA", 5, payload=b"x"), "answer"),
    "data without ACK": probe(connected("P", payload=b"x")),
    # What was negotiated is not known, nor which timestamp was the last one.
    "data without a timestamp": probe(
        connected("PA", payload=b"x", opts=b""), "ack", "options", "echo", *SHUT
    ),
    "data with an old timestamp": probe(old_stamp, "ack", "echo", *SHUT),
    "keep-alive": probe(connected("A", -1), "echo", *SHUT),
    "FIN": probe(fin, "ack", *SHUT),
    # Linux tells the right numbers, at most twice a second.
    "data far ahead": probe(connected("PA", 1 << 20, payload=b"x"), "answer"),
    "data far behind": probe(connected("PA", -1000, payload=b"x"), "answer"),
    "ACK of what was not sent": probe(connected("A", ack=5), "answer"),
    "RST within the window": probe(connected("RA", 10), "answer"),
    "data after RST": probe(after_reset, "answer"),
    # The timestamp carries what the tarpit has to know.
    "clock": probe(clock, "milliseconds"),
    "low bits of TSval": probe(low_bits),
}


@ours
def test_answers_differ_from_the_twins_only_where_known(lab, family):
    """And do differ there: what is no longer to be seen is to be taken off the list."""
    seen, known = {}, {}
    with lab.capture(family, both=False) as capture:
        for name, (play, differ) in PROBES.items():
            a, b = (
                play(Puppet(lab, family, capture, dst)) for dst in (family.server, TWIN[family])
            )
            seen[name] = {field for field in a.keys() & b.keys() if a[field] != b[field]}
            known[name] = set(differ[lab.rule])
            for of in (seen, known):
                if "answer" in of[name]:
                    of[name] = {"answer"}
            for field in sorted(seen[name]):
                print(f"{name:36} {field:9} {str(a[field]):18} {b[field]}")
    assert seen == known


@ours
def test_syn_ack_is_sent_but_once(lab, family):
    """Nothing is kept that could be sent again; Linux sends it again after a second."""
    with lab.capture(family, both=False) as capture:
        tarpit, twin = (Puppet(lab, family, capture, dst) for dst in (family.server, TWIN[family]))
        for puppet in (tarpit, twin):
            puppet.send("S", -1)
            puppet.answer()
        assert twin.answer().flags == "SA"
        assert not tarpit.answers()
