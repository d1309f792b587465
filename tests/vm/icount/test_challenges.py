# SPDX-License-Identifier: GPL-2.0
"""What a far client's kernel challenges (RFC 5961, 5.2), in an hour by the instruction clock.

Linux 7.3 answers an acknowledgment of data that it has not sent with a challenge ACK, one in 500 ms
for a socket. A rule that takes this ACK for a keep-alive acknowledges such data once more.
"""

import itertools
import socket
import time
from dataclasses import dataclass

import pytest
import wire
from lab import ESTABLISHED, FAMILIES, KEEP_ALIVE, V6, Lab, keep_alive, tcp_info, wait_until

HOUR = 3600
HONEYPOT, LINUX = 2323, 1002
# Seconds. From 1 s on the client sends its SYN more than once, and challenges all SYN-ACKs but the
# first.
FAR = (1.2, 2.1)
# Above the 500 ms, so that the client's own limit does not end the exchange.
NEAR = 0.6
# With one byte acknowledged, 31 are in flight, which is as many as a timestamp does not tell from
# none but one.
IN_FLIGHT = 32
# How many bytes a client with keep-alives has written; an idle one has neither.
IDLE, WROTE = None, (0, 1, 100, 5000)


class RuledLab(Lab):
    """Two rules, a path with a round trip of `rtt` seconds, and a source for each client: all
    have one rate limit.
    """

    def __init__(self, rtt):
        super().__init__()
        self.introduce()
        self.delay(rtt * 500)

    def rules(self):
        for family in FAMILIES:
            for port, rule in ((HONEYPOT, ("--honeypot",)), (LINUX, ("--profile", "linux"))):
                self.server.iptables(
                    family, "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", "TARPIT", *rule
                )

    def start(self, family, port, wrote):
        """A client from an address of its own that has written so many bytes."""
        address = self.stranger(family)
        self.client.ip(f"addr add {address} dev c0" + (" nodad" if family is V6 else ""))

        def prepare(sock):
            sock.bind((address, 0))
            if wrote is not IDLE:
                keep_alive(sock)

        client = self.client.connect(family, port, prepare=prepare)
        if wrote:
            client.send(b"x" * wrote)
        return client

    def forge_syn(self, family, client):
        """Sends a SYN to an open connection, which challenges it, whatever its number (RFC
        5961, 4.2).
        """
        source, destination = client.getpeername()[:2], client.getsockname()[:2]
        syn = wire.tcp(source[0], destination[0], source[1], destination[1], "S", 0x12345678)
        with self.server.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
            packet = wire.ip(source[0], destination[0], syn)
            sock.sendto(packet, ("s0", family.ethertype, 0, 0, self.client.mac("c0")))


@dataclass
class Evidence:
    """What a client's hour came to."""

    info: dict
    # How many bytes the replies acknowledge, the SYN not counted, in their order.
    acknowledged: list
    # The times of its bare ACKs at SND.NXT.
    acks: list


def evidence(client, capture):
    """What became of a client, by its kernel and by a capture on its side."""
    port = client.getsockname()[1]
    segments = [s for s in capture.segments() if port in (s.sport, s.dport)]
    isn = next(s.seq for s in segments if s.outgoing)
    acked = [s.ack - isn - 1 & 0xFFFFFFFF for s in segments if not s.outgoing]
    info = tcp_info(client)
    sent = max(
        (s.seq + len(s.payload) - isn - 1 & 0xFFFFFFFF for s in segments if s.payload), default=0
    )
    acks = [
        s.time
        for s in segments
        if s.outgoing and s.flags == "A" and not s.payload and s.seq - isn - 1 == sent
    ]
    return Evidence(info, acked, acks)


@pytest.fixture(scope="module")
def hour():
    """{(RTT, family, wrote): Evidence} of a honeypot's clients, and {family: Evidence} of
    profile linux.
    """
    labs, captures, clients, near = {}, {}, {}, {}
    try:
        for rtt in (NEAR, *FAR):
            labs[rtt] = RuledLab(rtt)
            for family in FAMILIES:
                captures[rtt, family] = labs[rtt].capture(family)
        for rtt, family, wrote in itertools.product(FAR, FAMILIES, (IDLE, *WROTE)):
            clients[rtt, family, wrote] = labs[rtt].start(family, HONEYPOT, wrote)
        for family in FAMILIES:
            near[family] = client = labs[NEAR].start(family, LINUX, IN_FLIGHT)
            wait_until(lambda: tcp_info(client)["acked"] == 1, what="one byte is acknowledged")
            labs[NEAR].forge_syn(family, client)
        time.sleep(HOUR)
        challenges = {rtt: lab.client.tcp_counter("TCPChallengeACK") for rtt, lab in labs.items()}
        yield (
            {key: evidence(client, captures[key[:2]]) for key, client in clients.items()},
            {family: evidence(client, captures[NEAR, family]) for family, client in near.items()},
            challenges,
        )
        for client in (*clients.values(), *near.values()):
            client.close()
    finally:
        for capture in captures.values():
            capture.sock.close()
        for lab in labs.values():
            lab.close()


@pytest.mark.parametrize("rtt", FAR)
def test_honeypot_is_challenged_for_its_syn_acks_only(hour, rtt):
    """Each client challenges the SYN-ACKs after the first one, and nothing in the hour that
    follows.
    """
    clients = len(FAMILIES) * (1 + len(WROTE))
    print(f"\nRTT {rtt} s: {hour[2][rtt]} challenges of {clients} clients in an hour")
    assert hour[2][rtt] <= 3 * clients


@pytest.mark.parametrize("rtt", FAR)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
@pytest.mark.parametrize("wrote", (IDLE, *WROTE))
def test_honeypot_acknowledges_what_was_sent_and_holds(hour, rtt, family, wrote):
    """All that was sent and no byte more; a client with keep-alives has an answer to each of
    them.
    """
    it = hour[0][rtt, family, wrote]
    print(f"\nRTT {rtt} s, {family.name}, wrote {wrote}: {len(it.acks)} bare ACKs")
    assert max(it.acknowledged) == (wrote or 0)
    assert it.acknowledged == sorted(it.acknowledged)
    # A probe may be under way.
    assert it.info["state"] == ESTABLISHED and it.info["probes"] <= 1
    if wrote is not IDLE:
        # One each 60 s and a round trip.
        keep_idle = KEEP_ALIVE[1][2]
        assert len(it.acknowledged) >= HOUR // (keep_idle + rtt) - 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_profile_linux_stops_when_an_ack_passes_for_a_probe(hour, family):
    """Such ACKs are answered within the rate limit of the source, so the challenges end after a
    few.
    """
    it, challenges = hour[1][family], hour[2][NEAR]
    print(
        f"\n{family.name}: {len(it.acks)} bare ACKs, {challenges} challenges of {len(FAMILIES)} "
        f"clients"
    )
    # The challenge for the SYN at least; at most as many as the limit lets through.
    assert 1 <= len(it.acks) <= 16
    assert challenges <= 16 * len(FAMILIES)
    assert it.info["state"] == ESTABLISHED
    assert 20 <= it.info["acked"] < IN_FLIGHT
