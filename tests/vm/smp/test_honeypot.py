# SPDX-License-Identifier: GPL-2.0
"""The honeypot: it takes whatever a client sends, with an open window, and never says a word."""

import socket

import pytest
import wire
from lab import (
    ESTABLISHED,
    FAMILIES,
    Lab,
    Puppet,
    alive,
    for_each,
    strangers_may_share,
    tcp_info,
    wait_until,
    wide_window,
)

HONEYPOT = 2323
# MSS of the lab's wire.
MSS = {family: 1500 - family.header - 20 for family in FAMILIES}
timestamps = pytest.mark.parametrize("ts", [True, False], ids=["timestamps", "none"])


class Trap(Lab):
    """A honeypot beside the tarpit, and conntrack on the server."""

    def rules(self):
        super().rules()
        for family in FAMILIES:
            self.server.iptables(
                family,
                "-A",
                "INPUT",
                "-p",
                "tcp",
                "--dport",
                HONEYPOT,
                "-j",
                "TARPIT",
                "--honeypot",
            )
            self.server.iptables(
                family, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"
            )


@pytest.fixture(scope="module")
def lab():
    lab = Trap()
    yield lab
    lab.close()


@pytest.fixture
def stamps(lab, ts):
    """Whether real clients use timestamps."""
    lab.client.sysctl("net.ipv4.tcp_timestamps", int(ts))
    yield ts
    lab.client.sysctl("net.ipv4.tcp_timestamps", 1)


def connected(lab, family, capture, ts=True, **how):
    puppet = Puppet(lab, family, capture, dport=HONEYPOT, ts=ts, **how)
    puppet.window = puppet.connect().window
    assert puppet.window == wide_window(MSS[family], ts)
    return puppet


def taken(puppet, answer):
    """How many octets an answer acknowledges; all else of it is always the same."""
    assert (answer.flags, answer.window, answer.payload) == ("A", puppet.window, b""), answer
    assert answer.seq == puppet.their_isn + 1 & 0xFFFFFFFF
    assert (answer.sack, answer.mss, answer.wscale, bool(answer.ts)) == (
        False,
        None,
        None,
        puppet.ts,
    )
    return answer.ack - puppet.isn - 1 & 0xFFFFFFFF


# --- The handshake


TS = (77, 0)
SYNS = {
    "linux": (wire.options(1460, True, TS, 7), "mss sack ts wscale"),
    "no timestamps": (wire.options(1460, True, None, 7), "mss sack wscale"),
    "mss": (wire.options(1460), "mss"),
    "none": (b"", ""),
    "timestamps alone": (b"\x08\x0a" + bytes(8) + b"\1\1", "ts"),
}


@pytest.mark.parametrize("name", SYNS)
def test_syn_ack_offers_what_was_offered(lab, family, name):
    """The options of the SYN, scale 0, the window of Linux; never longer than the SYN."""
    opts, expected = SYNS[name]
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dport=HONEYPOT)
        syn = puppet.send("S", -1, opts=opts)
        answer = puppet.answer()
    assert (answer.flags, answer.ack) == ("SA", puppet.isn + 1 & 0xFFFFFFFF)
    found = {
        "mss": answer.mss,
        "sack": answer.sack or None,
        "ts": answer.ts,
        "wscale": answer.wscale,
    }
    assert {option for option, value in found.items() if value is not None} == set(expected.split())
    assert answer.window == wide_window(MSS[family], "ts" in expected.split())
    assert answer.mss in (None, MSS[family]) and answer.wscale in (None, 0)
    assert answer.length <= len(syn)


ECN = {
    "ECN": ("SEC", 0),
    "accurate ECN": ("SEC", 1),
    "AE alone": ("S", 1),
    "reserved": ("S", 0xF),
    "marked": ("SEC", 0),
}


@pytest.mark.parametrize("name", ECN)
def test_ecn_is_declined(lab, family, name):
    """A SYN with ECN bits, old or accurate, gets a plain SYN-ACK, and data that are marked a
    plain ACK.
    """
    flags, reserved = ECN[name]
    ip = {"tos": 3} if name == "marked" else {}
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dport=HONEYPOT)
        puppet.send(flags, -1, reserved=reserved, ip=ip)
        answer = puppet.answer()
        assert (answer.flags, answer.reserved, answer.tos) == ("SA", 0, 0)
        puppet.their_isn, puppet.window = answer.seq, answer.window
        puppet.send("PAEC", payload=b"x" * 50, reserved=reserved, ip={"tos": 3})
        answer = puppet.answer()
        assert (taken(puppet, answer), answer.reserved, answer.tos) == (50, 0, 0)


def test_data_in_a_syn_is_not_taken(lab, family):
    """They come again after the handshake, and are taken then."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dport=HONEYPOT)
        puppet.send("S", -1, payload=b"early")
        answer = puppet.answer()
        assert (answer.flags, answer.ack) == ("SA", puppet.isn + 1 & 0xFFFFFFFF)
        puppet.their_isn, puppet.window = answer.seq, answer.window
        puppet.send("PA", payload=b"early")
        assert taken(puppet, puppet.answer()) == 5


# --- Data


@timestamps
@pytest.mark.parametrize("size", [1, 100, 1400])
def test_data_are_acknowledged_at_once(lab, family, ts, size):
    """All of the segment and nothing of its header: with options of any length the same."""
    with lab.capture(family, both=False) as capture:
        for length in (None, 4, 12, 40):
            puppet = connected(lab, family, capture, ts)
            stamp = wire.options(ts=(puppet.clock, puppet.echo)) if ts else b""
            opts = None if length is None else stamp + b"\1" * (length - len(stamp))
            puppet.send("PA", payload=b"x" * size, opts=opts)
            assert taken(puppet, puppet.answer()) == size
            # What follows starts where the last one ended.
            puppet.send("PA", size, payload=b"y" * size, opts=opts)
            assert taken(puppet, puppet.answer()) == 2 * size


@timestamps
@pytest.mark.parametrize("head", ["headers", "half"])
def test_64_kb_in_one_packet_are_acknowledged_at_once(lab, family, ts, head):
    """As GRO makes them, the options of all segments in one header."""
    size = 65000
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts)
        headers = family.header + (32 if ts else 20)
        packet = puppet.packet("PA", 0, b"x" * size)
        assert len(packet) == headers + size
        lab.inject_gso(packet, 1400, headers + (0 if head == "headers" else 16000))
        assert taken(puppet, puppet.answer()) == size
        puppet.send("PA", size, payload=b"x" * 10)
        assert taken(puppet, puppet.answer()) == size + 10


@timestamps
def test_what_comes_again_is_acknowledged_again(lab, family, ts):
    """Each segment for itself: repeated, overlapping, cut otherwise."""
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts)
        for at, size in (
            (0, 100),
            (0, 100),
            (0, 50),
            (50, 100),
            (100, 1),
            (149, 1),
            (150, 1000),
            (0, 1150),
        ):
            puppet.send("PA", at, payload=b"x" * size)
            assert taken(puppet, puppet.answer()) == at + size, (at, size)


@timestamps
def test_data_far_from_the_start_are_still_ours(lab, family, ts):
    """A segment a megabyte into the stream; the numbers wrap on the way."""
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts)
        at = 0
        while at < 1 << 20:
            puppet.send("A", at, payload=b"x" * 1400)
            at += 1400
            if at % 70000 == 0:
                assert (
                    max(taken(puppet, answer) for answer in puppet.answers() or [puppet.answer()])
                    <= at
                )
        puppet.settle()
        assert taken(puppet, puppet.answers()[-1]) == at


# --- The end


@timestamps
@pytest.mark.parametrize("before", [0, 100])
@pytest.mark.parametrize("with_it", [0, 1, 700])
def test_fin_is_answered_with_fin(lab, family, ts, before, with_it):
    """FIN and ACK of everything; the same again when the FIN comes again."""
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts)
        if before:
            puppet.send("PA", payload=b"x" * before)
            assert taken(puppet, puppet.answer()) == before
        for _ in range(2):
            puppet.send("FA", before, payload=b"y" * with_it)
            answer = puppet.answer()
            assert (answer.flags, answer.window, answer.payload) == ("FA", puppet.window, b"")
            assert answer.seq == puppet.their_isn + 1 & 0xFFFFFFFF
            assert answer.ack == puppet.isn + 1 + before + with_it + 1 & 0xFFFFFFFF


@timestamps
def test_last_ack_is_not_answered(lab, family, ts):
    """That of our FIN, after which the connection is over; one in 58,000 passes for a
    keep-alive, by chance.
    """
    with lab.capture(family, both=False) as capture:
        puppets = [connected(lab, family, capture, ts) for _ in range(40)]
        for puppet in puppets:
            puppet.send("FA", payload=b"bye")
            answer = puppet.answer()
            puppet.send("A", 4, ack=answer.seq + 1)
        puppets[0].settle()
        assert sum(len(puppet.answers()) for puppet in puppets) <= 3


# --- Probes, and what gets no answer


@strangers_may_share
def test_keep_alive_is_answered_with_timestamps(lab, family):
    """Of one octet and empty, at once; before any data and after."""
    with lab.capture(family, both=False) as capture:
        for size in (0, 1, 300, 1400, 60000):
            puppet = connected(lab, family, capture, src=lab.stranger(family))
            if size:
                lab.inject_gso(
                    puppet.packet("PA", 0, b"x" * size),
                    1400 if size > 1400 else 0,
                    family.header + 32,
                )
                assert taken(puppet, puppet.answer()) == size
            puppet.send("A", size - 1, payload=b"x")
            assert taken(puppet, puppet.answer()) == size
            for _ in range(3):
                puppet.send("A", size - 1)
                assert taken(puppet, puppet.answer()) == size
                # An ACK behind none, or some, in flight is none.
                for in_flight in (0, 1, 254, 256):
                    puppet.send("A", size + in_flight)
                    assert puppet.quiet(), f"an ACK with {in_flight} in flight"


def test_keep_alive_is_answered_without_timestamps_before_the_first_octet(lab, family):
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts=False)
        for payload in (b"", b"\0"):
            puppet.send("A", -1, payload=payload)
            assert taken(puppet, puppet.answer()) == 0


SILENT = {
    "bare ACK": ("A", {}),
    "RST": ("R", {}),
    "RST and ACK": ("RA", {}),
    "RST with data": ("RA", {"payload": b"why"}),
    "RST and FIN": ("RFA", {}),
    "NULL": ("", {}),
    "data without ACK": ("P", {"payload": b"x" * 40}),
    "FIN without ACK": ("F", {}),
    "Xmas": ("FPU", {}),
    "SYN and FIN": ("SF", {"at": -1}),
    "SYN, FIN and ACK": ("SFA", {"at": -1}),
    "wrong checksum": ("PA", {"payload": b"x" * 40, "csum": 0xABCD}),
    "data offset below 5": ("PA", {"payload": b"x" * 40, "doff": 4}),
    "data offset beyond": ("PA", {"payload": b"x" * 4, "doff": 15}),
}


@timestamps
def test_segment_is_not_answered(lab, family, ts):
    """And the connection is still there afterwards."""

    def check(name):
        flags, fields = SILENT[name]
        puppet = connected(lab, family, capture, ts)
        puppet.send(flags, **fields)
        assert puppet.quiet()
        puppet.send("PA", payload=b"still there")
        assert taken(puppet, puppet.answer()) == 11

    with lab.capture(family, both=False) as capture:
        before = lab.server.rule_packets(family, number=2)
        for_each(SILENT, check)
        # Each came to the rule, beside two of the handshake and the data.
        assert lab.server.rule_packets(family, number=2) == before + 4 * len(SILENT)


@timestamps
def test_foreign_segments_are_not_answered(lab, family, ts):
    """ACKs, data and FINs of connections that never were; a guess passes by chance, once in a
    few hundred.
    """
    with lab.capture(family, both=False) as capture:
        puppets = [
            Puppet(lab, family, capture, src=lab.stranger(family), dport=HONEYPOT, ts=ts)
            for _ in range(60)
        ]
        for i, puppet in enumerate(puppets):
            puppet.echo = 0x9E3779B9 * (i + 7) & 0xFFFFFFFF
            flags, payload = (("A", b""), ("PA", b"x" * 30), ("FA", b""))[i % 3]
            puppet.send(flags, seq=0x85EBCA6B * (i + 1), ack=0x7FEB352D * (i + 3), payload=payload)
        puppets[0].settle()
        assert sum(len(puppet.answers()) for puppet in puppets) <= 3


@timestamps
def test_bare_ack_after_data_is_not_answered(lab, family, ts):
    """Or two honeypots would talk to each other for ever."""
    with lab.capture(family, both=False) as capture:
        puppet = connected(lab, family, capture, ts)
        at = 0
        for size in (1, 31, 32, 33, 256, 1400):
            puppet.send("PA", at, payload=b"x" * size)
            at += size
            assert taken(puppet, puppet.answer()) == at
            puppet.send("A", at)
            assert puppet.quiet(), f"a bare ACK at {at}"


@strangers_may_share
def test_syn_ack_is_told_that_nobody_asked_within_limits(lab, family):
    with lab.capture(family, both=False) as capture:
        src = lab.stranger(family)
        puppets = [Puppet(lab, family, capture, src=src, dport=HONEYPOT) for _ in range(40)]
        for puppet in puppets:
            puppet.send("SA", -1, ack=0xCAFE)
        puppet.settle()
        told = [answer for puppet in puppets for answer in puppet.answers()]
    assert {(s.flags, s.seq, s.payload) for s in told} == {("R", 0xCAFE, b"")}
    assert 1 <= len(told) <= 10, len(told)


# --- Real clients


@timestamps
def test_real_client_sends_a_megabyte_and_leaves(lab, family, ts, stamps):
    """At once, with a window that never changes; no octet comes back; close() ends in TIME_WAIT
    soon.
    """
    size = 1 << 20
    with (
        lab.capture(family) as capture,
        lab.client.connect(family, HONEYPOT, orphan=True) as client,
    ):
        port = client.getsockname()[1]
        client.settimeout(20)
        client.sendall(b"x" * size)
        wait_until(lambda: tcp_info(client)["acked"] == size, what="all is acknowledged")
        info = tcp_info(client)
        assert (info["state"], info["ts"], info["probes"]) == (ESTABLISHED, ts, 0)
        segments = capture.segments()
        sent = max(len(s.payload) for s in segments if s.sport == port)
        answers = [s for s in segments if s.dport == port]
        assert sent > 10000, "uncut segments came"
        assert {s.window for s in answers} == {wide_window(MSS[family], ts)}
        assert {s.payload for s in answers} == {b""} and all(s.right for s in answers)
        acks = [s.ack - answers[0].ack & 0xFFFFFFFF for s in answers]
        assert acks == sorted(acks) and acks[-1] == size
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.close()
        wait_until(lambda: port not in alive(lab), what="the client's kernel is done")
        assert f":{port} " in lab.client.run("ss", "-Htan", "state", "time-wait"), (
            "it ended in good order"
        )
    assert not lab.server.tracked(HONEYPOT)


@timestamps
def test_real_client_that_closes_its_side_reads_the_end(lab, family, ts, stamps):
    """shutdown(): data, FIN, and the honeypot's FIN comes back."""
    with lab.client.connect(family, HONEYPOT, orphan=True) as client:
        port = client.getsockname()[1]
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    wait_until(lambda: port not in alive(lab), what="the client's kernel is done")


def test_real_clients_with_keep_alive_stay(lab):
    """Probes each second, each of which is answered; with timestamps also after data."""
    clients = []
    for ts in (1, 0):
        lab.client.sysctl("net.ipv4.tcp_timestamps", ts)
        for family in FAMILIES:
            for payload in (b"", b"x" * 500)[: 1 + ts]:
                client = lab.client.connect(family, HONEYPOT)
                client.sendall(payload)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                    client.setsockopt(socket.IPPROTO_TCP, option, 1)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
                clients.append((client, tcp_info(client)["segs_out"], (family.name, ts, payload)))
    for client, out, who in clients:
        # Those of the payload and four probes; what the kernel gave up is no longer ESTABLISHED.
        wait_until(
            lambda: (
                tcp_info(client)["segs_out"] >= out + 4 or tcp_info(client)["state"] != ESTABLISHED
            ),
            what="probes",
        )
        info = tcp_info(client)
        assert (info["state"], info["probes"] <= 1) == (ESTABLISHED, True), who
        client.close()
    lab.client.sysctl("net.ipv4.tcp_timestamps", 1)
