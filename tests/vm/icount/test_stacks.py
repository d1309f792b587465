# SPDX-License-Identifier: GPL-2.0
"""Clients that are not Linux: how other TCPs are held, by the instruction clock.

smoltcp and lwIP are the real ones (tests/stacks), each a process behind a TUN interface of the
client's namespace. The BSDs and Windows are in no archive: a `Prober` plays what matters of them
here, the window probe that carries an octet. All of them live through the same hours, at a round
trip of 100 ms.
"""

import heapq
import os
import select
import subprocess
import time
from dataclasses import dataclass

import pytest
from lab import FAMILIES, FIRST_WINDOW, V4, V6, Lab, Puppet, sh

HOUR = 3600
HOURS = int(os.environ.get("HOURS", "2"))  # after forty minutes nothing new happens
RTT = 0.1

# Their addresses. A phantom's is the probers'.
STACKS = {"smoltcp": "198.51.100.1", "lwip": "198.51.100.2"}
PROBERS = {V4: "198.51.100.9", V6: "2001:db8:2::9"}


@dataclass(frozen=True)
class Rules:
    """How a sender probes a closed window, and when it gives up."""

    name: str
    first: float  # the first interval, in seconds; doubled nine times,
    least: float = 0  # but not below
    most: float = 60  # and not above
    late: float = 0  # the part of an interval by which the timer is late
    silence: float = float("inf")  # of the peer, after which a closed connection is given up


# FreeBSD 14 and 15, sys/netinet: tcp_setpersist() begins with eight round trips when one was
# measured, within net.inet.tcp.persmin and persmax. The probe is tcp_output() with TF_FORCEDATA,
# for which a closed window has room for an octet; snd_max counts it, snd_nxt does not.
# tcp_timer_persist() drops a live connection after two hours of silence, one in a state behind
# CLOSE_WAIT after TCPTV_PERSMAX, 60 s, when it would probe. In the end the interval is 60 s as
# well, and the answer came a round trip after its beginning: what decides is how late the timer is.
# tcp_timer_activate() allows callout_when()'s precision, a sixteenth of the interval (tc_precexp
# 4). OpenBSD's tcp_timer_persist() and xnu's TCPT_PERSIST do not ask whether the socket is closed.
FREEBSD = Rules("FreeBSD", 8 * RTT, least=5, silence=60)
FREEBSD_LATE = Rules("FreeBSD, late timers", 8 * RTT, least=5, late=1 / 16, silence=60)
OPENBSD = Rules("OpenBSD", 8 * RTT, least=5, late=1 / 16)
# Windows' source is not public. Its probes carry an octet and no timestamps; the rest is as RFC
# 9293, 3.8.6.1 wants it: from the retransmission timeout on, doubled, for ever.
RFC = Rules("RFC 9293", 3 * RTT)

TWICE, CLOSED = "wrote 10 bytes, then 190, and waits", "wrote 200 bytes and closed"
WRITTEN = {TWICE: (10, 190), CLOSED: (200,)}


class Prober(Puppet):
    """A sender whose probes carry the next octet: if that is acknowledged, the stream goes on
    behind it.
    """

    def __init__(self, lab, family, capture, rules, what, timestamps):
        super().__init__(lab, family, capture, src=PROBERS[family], ts=timestamps)
        stamps = "timestamps" if timestamps else "no timestamps"
        self.name = f"{rules.name} prober, {family.name}, {what}, {stamps}"
        self.rules, self.closed, self.writes = rules, what is CLOSED, list(WRITTEN[what])
        self.end = self.una = self.max = self.backoff = 0
        self.due = self.held = None

    def open(self):
        self.begin = time.monotonic()
        self.window = self.connect().window
        self.write()

    def put(self, length):
        self.clock = int(time.monotonic() * 1000)
        self.send("PA", self.una, b"x" * length)
        self.max = max(self.max, self.una + length)

    def write(self):
        self.end += self.writes.pop(0)
        self.go_on()

    def go_on(self):
        """Uses a window at once, and waits for one with probes."""
        if self.una == self.end:
            self.due = None
            if self.writes:
                self.write()
        elif self.window:
            self.put(min(self.end - self.una, self.window))
            # Nothing is lost here.
            self.due = None
        else:
            rules = self.rules
            interval = min(max(rules.first * 2**self.backoff, rules.least), rules.most)
            self.due = time.monotonic() + interval * (1 + rules.late)
            self.backoff = min(self.backoff + 1, 9)

    def hear(self, answer):
        new = answer.ack - self.isn - 1 & 0xFFFFFFFF
        assert answer.flags == "A" and answer.seq == self.their_isn + 1 & 0xFFFFFFFF, answer
        assert self.una <= new <= self.max, (
            f"acknowledges what was not sent, or takes back: {answer}"
        )
        if self.ts:
            assert answer.ts[0] - self.echo & 0xFFFFFFFF < 1 << 31, (
                f"older than {self.echo}: {answer}"
            )
            self.echo = answer.ts[0]
        self.heard, self.window = time.monotonic(), answer.window
        if new > self.una:
            self.una, self.backoff = new, 0
        # A timer that runs stays as it was set.
        if self.una == self.end or self.window or not self.due:
            self.go_on()

    def probe(self):
        now = time.monotonic()
        if self.closed and now - self.heard >= self.rules.silence:
            self.due, self.held = None, now - self.begin
        else:
            self.put(1)
            self.go_on()


def play(probers, captures, end):
    """The probers' timers and what comes for them, until `end`."""
    by_port = {prober.sport: prober for prober in probers}
    seen = dict.fromkeys(captures, 0)
    timers = []
    while (now := time.monotonic()) < end:
        for family, capture in captures.items():
            segments = capture.segments()
            for segment in segments[seen[family] :]:
                # The answer to the handshake is known.
                if segment.dport in by_port and "S" not in segment.flags:
                    prober = by_port[segment.dport]
                    prober.hear(segment)
                    if prober.due:
                        heapq.heappush(timers, (prober.due, prober.sport))
            seen[family] = len(segments)
        while timers and timers[0][0] <= now:
            due, port = heapq.heappop(timers)
            prober = by_port[port]
            if prober.due == due:
                prober.probe()
                if prober.due:
                    heapq.heappush(timers, (prober.due, port))
        until = min(timers[0][0] if timers else end, end)
        select.select([c.sock for c in captures.values()], [], [], max(until - time.monotonic(), 0))


@dataclass
class Evidence:
    """What became of a client."""

    name: str
    held: float | None  # seconds, or nothing if it is still there
    all: list  # its packets and ours

    @property
    def out(self):
        return [s for s in self.all if s.outgoing]

    @property
    def back(self):
        return [s for s in self.all if not s.outgoing]

    @property
    def taken(self):
        """How many octets each answer has acknowledged."""
        return [s.ack - self.all[0].seq - 1 & 0xFFFFFFFF for s in self.back]

    def hourly(self):
        """The client's packets in each hour but the first."""
        hours = [0] * HOURS
        for segment in self.out:
            hours[min(int((segment.time - self.all[0].time) // HOUR), HOURS - 1)] += 1
        return hours[1:]

    def __str__(self):
        held = f"after {HOURS} h still there" if self.held is None else f"{self.held:,.0f} s"
        return f"{self.name} | {held} | {max(self.hourly())} | {max(self.taken)}"


def behind_tun(lab, stack):
    """A stack's process on an interface of its own, which the client's namespace forwards to
    the wire.
    """
    dev, address = f"tun-{stack}", STACKS[stack]
    lab.client.ip(
        f"tuntap add dev {dev} mode tun", f"link set {dev} up", f"route add {address} dev {dev}"
    )
    lab.client.sysctl(f"net.ipv6.conf.{dev}.disable_ipv6", 1)
    argv = [f"/opt/stacks/{stack}-clients", dev, address, V4.server, "23", str(HOURS * HOUR)]
    with lab.client.inside():
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def clients():
    """All of them live through the same hours; {name: Evidence}."""
    lab, captures, processes = Lab(), {}, {}
    try:
        sh("modprobe", "tun")
        # What is for probers ends here, without a word.
        lab.client.ip("route add blackhole 198.51.100.0/24")
        lab.client.sysctl("net.ipv4.ip_forward", 1)
        lab.delay(RTT * 500)
        for family in FAMILIES:
            captures[family] = lab.capture(family)
            captures[family].only_tcp()
        processes = {stack: behind_tun(lab, stack) for stack in STACKS}
        probers = [
            Prober(lab, family, captures[family], *how)
            for family, *how in (
                (V4, FREEBSD, TWICE, True),
                (V6, FREEBSD, TWICE, True),
                (V4, FREEBSD, CLOSED, True),
                (V4, FREEBSD_LATE, CLOSED, True),
                (V4, OPENBSD, CLOSED, True),
                (V4, RFC, TWICE, False),
                (V6, RFC, TWICE, False),
            )
        ]
        for prober in probers:
            prober.open()
        play(probers, captures, time.monotonic() + HOURS * HOUR)

        evidence = {prober.name: (prober.held, prober.family, prober.sport) for prober in probers}
        for stack, process in processes.items():
            # Their time has passed.
            out, error = process.communicate(timeout=60)
            assert process.returncode == 0, f"{stack}: {error}"
            for port, name, held in (line.split("\t") for line in out.splitlines()):
                evidence[f"{stack}, {name}"] = (None if held == "-" else int(held), V4, int(port))
        everything = {family: capture.segments() for family, capture in captures.items()}
        yield {
            name: Evidence(
                name, held, [s for s in everything[family] if port in (s.sport, s.dport)]
            )
            for name, (held, family, port) in evidence.items()
        }
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
        for capture in captures.values():
            capture.sock.close()
        lab.close()


# Who goes, and what is the least that he was held, in seconds.
LEAVE = {
    # The FIN is never acknowledged; lwIP sends it 13 times.
    "lwip, closed at once, no timestamps": 1800,
    # See its rules.
    "FreeBSD, late timers prober, ipv4, wrote 200 bytes and closed, timestamps": 120,
}

# Without timestamps, an octet that comes again (lwIP's probe) or never was one (smoltcp's
# keep-alive) is taken for a probe of the next: the answer is one octet too low. That is no sign of
# life to smoltcp, which goes by its own time limit.
LEAVE |= {
    f"smoltcp, wrote 200 bytes and {then}, keep-alive, no timestamps": 140
    for then in ("waits", "closed")
}

# Whose retransmissions nothing slows down: smoltcp's FIN, each ten seconds.
SIX_A_MINUTE = {f"smoltcp, closed at once, {stamps}timestamps" for stamps in ("", "no ")}


def test_who_stays_and_who_goes(clients):
    """Held to the end, but for those that are known to go."""
    print("\nclient | held | packets an hour from it | octets taken", *clients.values(), sep="\n")
    assert len(clients) == 7 + 14 + 7
    assert {name for name, it in clients.items() if it.held is not None} == set(LEAVE)
    for name, least in LEAVE.items():
        print(
            f"{name}: {len(clients[name].out)} packets, "
            f"{sum('F' in s.flags for s in clients[name].out)} FINs"
        )
        assert clients[name].held >= least


def test_no_exchange_feeds_itself(clients):
    """About one packet a minute, each answered at most once and after one round trip."""
    for name, it in clients.items():
        assert max(it.hourly()) <= (362 if name in SIX_A_MINUTE else 62), name
        assert len(it.back) <= len(it.out), name
        cause = it.all[0]
        for segment in it.all:
            if segment.outgoing:
                cause = segment
            elif "S" not in segment.flags:  # which may wait for the neighbour's address
                assert segment.time - cause.time < RTT + 0.02, (
                    f"{name}: an answer without a cause: {segment}"
                )


def test_only_what_was_sent_is_acknowledged(clients):
    """Never an octet that was not sent, a FIN, or less than before; of what is in flight,
    little.
    """
    for name, it in clients.items():
        sent = before = 0
        for segment in it.all:
            if segment.outgoing:
                end = segment.seq - it.all[0].seq - 1 + len(segment.payload) & 0xFFFFFFFF
                # A keep-alive's octet lies before the stream, and so does the SYN.
                sent = max(sent, end if end < 1 << 31 else 0)
            else:
                assert segment.right and set(segment.flags) <= set("SA"), f"{name}: {segment}"
                taken = segment.ack - it.all[0].seq - 1 & 0xFFFFFFFF
                assert taken <= sent, f"{name}: {sent} octets were sent: {segment}"
                assert before <= taken + ("no timestamps" in name), f"{name}: taken back: {segment}"
                before = max(before, taken)
        assert before <= FIRST_WINDOW, name


def test_probed_octets_are_not_taken(clients):
    """Of ten octets the first one is taken; the one in each probe is not, or nothing would be
    left to probe for.
    """
    for name, it in clients.items():
        if TWICE in name and "prober" in name:
            assert set(it.taken) == {0, 1}, name
