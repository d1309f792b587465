# SPDX-License-Identifier: GPL-2.0
"""The hold: what a real client's kernel goes through in a day, by the instruction clock.

`time.sleep` is guest time here: idle time is skipped, and the hours are what is measured. An idle
day costs most of a minute all the same, so all clients live through the same one: the fixture
`day`.
"""

import itertools
import socket
import struct
import time
from dataclasses import dataclass

import pytest
from lab import ESTABLISHED, FAMILIES, FIRST_WINDOW, Lab, alive, keep_alive, tcp_info, wait_until

HOUR = 3600
DAY = 24 * HOUR

RTTS = (0, 0.1, 0.3)
# What a client does, and the options of its connection.
WRITES, SILENT, WROTE_LITTLE = (
    "wrote 1,000 bytes and waits",
    "keep-alive",
    "keep-alive, wrote 10 bytes",
)
# Linux sends no FIN into a closed window: of these only the last one does.
ORPHAN, NOTHING_LEFT, FIN_ONLY = (
    "wrote 200 bytes and closed",
    "wrote 10 bytes and closed",
    "closed at once",
)
AT_ONCE = "wrote 200 bytes and closed before it was answered"
LIVE, CLOSED = (WRITES, SILENT, WROTE_LITTLE), (ORPHAN, AT_ONCE, NOTHING_LEFT, FIN_ONLY)
BYTES = {
    WRITES: 1000,
    SILENT: 0,
    WROTE_LITTLE: 10,
    ORPHAN: 200,
    AT_ONCE: 200,
    NOTHING_LEFT: 10,
    FIN_ONLY: 0,
}


@dataclass(frozen=True)
class Case:
    """One client of the day."""

    family: object
    what: str
    rtt: float
    timestamps: bool

    def __str__(self):
        stamps = "timestamps" if self.timestamps else "no timestamps"
        return f"{self.family.name}, {self.what}, RTT {self.rtt * 1000:.0f} ms, {stamps}"


def cases(subjects):
    everything = itertools.product(FAMILIES, subjects, RTTS, (True, False))
    return pytest.mark.parametrize("case", [Case(*case) for case in everything], ids=str)


@dataclass
class Exchange:
    """Both directions of one connection, as the client's interface saw them."""

    out: list
    back: list
    all: list

    def hourly(self):
        """The client's packets in each full hour."""
        begin = self.all[0].time
        hours = [0] * int((self.all[-1].time - begin) // HOUR + 1)
        for segment in self.out:
            hours[int((segment.time - begin) // HOUR)] += 1
        return hours

    def check_every_answer_has_one_cause(self, rtt):
        """No packet of the client is answered twice, and none is an answer to ours but the
        handshake's.

        Some are not answered: an octet that was offered is left in flight for a while. The capture
        is on the client's side: an answer is seen one round trip after its cause, and what the
        client's kernel would send in reply, a challenge, directly after the answer.
        """
        last_cause, settled = self.all[0], False
        for before, after in zip(self.all, self.all[1:]):
            if settled:
                # In turn: each packet of the client, then its only answer.
                left = before.outgoing and before.payload and after.seq == before.seq
                assert before.outgoing != after.outgoing or left, f"not in turn:\n{before}\n{after}"
            if after.outgoing:
                last_cause = after
                # From the first answer after the handshake on everything is timer driven.
                if settled:
                    assert after.time - before.time > 0.15, (
                        f"the client answers our answer:\n{before}\n{after}"
                    )
            else:
                assert after.time - last_cause.time < rtt + 0.02, (
                    f"an answer without a cause:\n{after}"
                )
                settled = settled or "S" not in after.flags
        assert settled, "nothing was answered after the handshake"
        assert len(self.back) <= len(self.out)


def counters(host):
    """What a client counts when it is told nonsense, or lets go."""
    names = (
        "TCPChallengeACK", "TCPSYNChallenge", "PAWSEstab", "TCPACKSkippedSeq", "TCPACKSkippedPAWS",
        "TCPACKSkippedChallenge", "TCPAbortOnTimeout", "EstabResets", "TCPDSACKRecv",
    )  # fmt: skip
    return {name: host.tcp_counter(name) for name in names}


def start(lab, case):
    """The client of a case, connected and with its bytes written; and its port."""
    lab.client.sysctl("net.ipv4.tcp_timestamps", int(case.timestamps))
    prepare = keep_alive if case.what in (SILENT, WROTE_LITTLE) else None
    client = lab.client.connect(case.family, prepare=prepare, orphan=True)
    if BYTES[case.what]:
        client.send(b"x" * BYTES[case.what])
        if case.what is not AT_ONCE:
            wait_until(lambda: tcp_info(client)["acked"] >= 1, what="the first data are answered")
    return client, client.getsockname()[1]


@dataclass
class Evidence:
    """What a client's day came to."""

    exchange: Exchange
    info: dict | None = None
    listing: str = ""
    held: float = 0.0


def trapped(lab):
    """The seconds that clients have spent, as the server counts them."""
    names, *cpus = (line.split() for line in lab.server.proc("stat/xt_TARPIT").splitlines())
    return sum(int(cpu[names.index("trapped_ms")], 16) for cpu in cpus) / 1000


@pytest.fixture(scope="module")
def day():
    """All cases live through one day; {case: Evidence}, what the clients' kernels counted, and
    the servers'.
    """
    labs, captures, running, evidence = {}, {}, {}, {}
    try:
        for rtt in RTTS:
            lab = labs[rtt] = Lab()
            lab.delay(rtt * 500)
            for family in FAMILIES:
                captures[rtt, family] = lab.capture(family)
        before = {rtt: counters(lab.client) for rtt, lab in labs.items()}

        for case in (
            Case(*case) for case in itertools.product(FAMILIES, LIVE, RTTS, (True, False))
        ):
            running[case] = start(labs[case.rtt], case)
        time.sleep(DAY)
        lost = {rtt: [trapped(lab)] for rtt, lab in labs.items()}
        counted = {
            rtt: {k: v - before[rtt][k] for k, v in counters(lab.client).items()}
            for rtt, lab in labs.items()
        }
        for case, (client, port) in running.items():
            evidence[case] = Evidence(
                exchange(captures[case.rtt, case.family], port),
                tcp_info(client),
                labs[case.rtt].client.run("ss", "-Htino", "sport", "=", f":{port}"),
            )
            # With a reset: it would be held for half a day more.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        running = {}
        for case in (
            Case(*case) for case in itertools.product(FAMILIES, CLOSED, RTTS, (True, False))
        ):
            client, port = start(labs[case.rtt], case)
            client.close()
            running[case] = port, time.monotonic()
        begin_of_all = time.monotonic()
        while running:
            # Guest time: the grain of the figure.
            time.sleep(5 if time.monotonic() - begin_of_all < 900 else 300)
            there = {rtt: alive(lab) for rtt, lab in labs.items()}
            for case, (port, begin) in list(running.items()):
                held = time.monotonic() - begin
                if held > DAY or port not in there[case.rtt]:
                    evidence[case] = Evidence(
                        exchange(captures[case.rtt, case.family], port), held=held
                    )
                    del running[case]
        for rtt, lab in labs.items():
            lost[rtt].append(trapped(lab) - lost[rtt][0])
        yield evidence, counted, lost
    finally:
        for capture in captures.values():
            capture.sock.close()
        for lab in labs.values():
            lab.close()


def exchange(capture, port):
    """What the connection from this port was."""
    segments = [s for s in capture.segments() if port in (s.sport, s.dport)]
    return Exchange(
        [s for s in segments if s.outgoing], [s for s in segments if not s.outgoing], segments
    )


def acknowledged(seen):
    """How many octets each answer has acknowledged."""
    return [s.ack - seen.out[0].seq - 1 & 0xFFFFFFFF for s in seen.back]


def still_there(day, case):
    """What a live client's day came to, and its packets by hour: it is held, and nothing was
    taken back.
    """
    it = day[0][case]
    hours = it.exchange.hourly()
    print(f"\n{case}: the client's packets by hour: {hours}; {it.info['acked']} octets taken")
    assert it.info["state"] == ESTABLISHED
    assert it.info["probes"] == 0
    taken = acknowledged(it.exchange)
    assert taken == sorted(taken), "never taken back"
    return it, hours


@cases([WRITES])
def test_client_that_wrote_and_waits_is_held_for_a_day(day, case):
    """After 24 hours still there, nothing given up, few octets taken, few packets an hour."""
    it, hours = still_there(day, case)
    if case.timestamps:
        # An octet in every four minutes or so, three or four packets for each.
        assert FIRST_WINDOW + DAY / 310 <= it.info["acked"] <= FIRST_WINDOW + DAY / 180
        assert max(hours[1:24]) <= 60
    else:
        # All is in flight, and comes again every 120 s.
        assert DAY / 130 <= it.info["acked"] <= DAY / 115
        assert "timer:(on," in it.listing
        assert 28 <= min(hours[1:24]) and max(hours[1:24]) <= 32


@cases([SILENT, WROTE_LITTLE])
def test_client_with_keep_alive_is_held_for_a_day(day, case):
    """Keep-alive 60/20/6: after 24 hours established, no probe unanswered, at most 62 packets
    an hour.
    """
    it, hours = still_there(day, case)
    if case.what is WROTE_LITTLE and not case.timestamps:
        # The last octet is not taken, comes again every 120 s, and keeps the keep-alive away.
        assert it.info["acked"] == BYTES[case.what] - 1
        assert 28 <= min(hours[1:24]) and max(hours[1:24]) <= 32
    else:
        assert it.info["acked"] == BYTES[case.what]
        assert max(hours[1:24]) <= 62
        assert min(hours[1:24]) >= 55


@cases(LIVE)
def test_every_answer_has_one_cause(day, case):
    """Both directions of the day, packet by packet: nothing is answered twice, nothing feeds
    itself.
    """
    seen = day[0][case].exchange
    assert all(s.right for s in seen.back), "a wrong checksum"
    assert bool(seen.back[-1].ts) == case.timestamps
    seen.check_every_answer_has_one_cause(case.rtt)


@pytest.mark.parametrize("rtt", RTTS)
def test_no_client_was_told_nonsense(day, rtt):
    """No challenge, no segment discarded as old or wrapped, no connection given up, in any of
    them.
    """
    assert not {name: count for name, count in day[1][rtt].items() if count}


@cases([ORPHAN, AT_ONCE])
def test_client_that_wrote_and_closed_is_held_for_half_a_day(day, case):
    """With timestamps 12 hours and more, with less than 60 packets an hour; without, an octet
    every 120 s.
    """
    it = day[0][case]
    hourly = len(it.exchange.out) * HOUR / it.held
    print(f"\n{case}: held {it.held:.0f} s, {hourly:.0f} packets an hour")
    if case.timestamps:
        assert it.held >= 12 * HOUR and hourly < 60
        assert max(acknowledged(it.exchange)) == BYTES[case.what], (
            "it went when nothing was left to take"
        )
    else:
        assert it.held >= 6 * HOUR and hourly < 40
        assert max(acknowledged(it.exchange)) == BYTES[case.what] - 1


@cases([NOTHING_LEFT])
def test_client_that_wrote_little_and_closed_is_held_by_what_is_in_flight(day, case):
    """Octet by octet: with timestamps 120 s for each; without, most of them go in the first
    minute.
    """
    it = day[0][case]
    assert acknowledged(it.exchange)[:3] == [0, 1, 2]
    if case.timestamps:
        assert it.held >= 1000


@pytest.mark.parametrize("rtt", RTTS)
def test_trapped_time_is_counted(day, rtt):
    """The sum over the answers is the time that the clients were held, within 5 %, without a
    table of them.
    """
    live, closed = day[2][rtt]
    held = [
        it.held
        for case, it in day[0].items()
        if case.rtt == rtt and case.timestamps and case.what in CLOSED
    ]
    clients = len(
        [case for case in day[0] if case.rtt == rtt and case.timestamps and case.what in LIVE]
    )
    print(
        f"\nRTT {rtt * 1000:.0f} ms: {live:.0f} s of {clients * DAY}, {closed:.0f} s of "
        f"{sum(held):.0f}"
    )
    assert live == pytest.approx(clients * DAY, rel=0.05)
    assert closed == pytest.approx(sum(held), rel=0.05)


@cases(CLOSED)
def test_fin_is_never_acknowledged(day, case):
    """Written and closed: an orphan stays until its kernel gives up; no answer ever takes its
    FIN.
    """
    it = day[0][case]
    print(f"\n{case}: held {it.held:.0f} s, {len(it.exchange.out)} packets of the client")
    assert it.held > 60
    assert max(acknowledged(it.exchange)) <= BYTES[case.what]
    assert not [s for s in it.exchange.back if set(s.flags) & set("FR")]
    if case.what is FIN_ONLY:
        fins = [s for s in it.exchange.out if "F" in s.flags]
        assert len(fins) > 3, "the FIN was sent, and sent again"
        assert [s for s in it.exchange.back if s.window == 0], "and answered"
    assert all(s.right for s in it.exchange.back)
