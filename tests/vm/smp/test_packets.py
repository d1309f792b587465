# SPDX-License-Identifier: GPL-2.0
"""Packets of every shape: in one piece or in fragments of memory, cloned, and 64 KB long.

The module rewrites the packet it got. What others still read (a capture, the sender's write queue)
must not change, and no shape may hurt the machine.
"""

import socket
import struct

import pytest
from lab import ESTABLISHED, FIRST_WINDOW, PORT, V6, Capture, Puppet, tcp_info, wait_until

TCP_REPAIR, TCP_REPAIR_WINDOW, TCP_REPAIR_OFF_NO_WP = 19, 29, -1


def forget_the_window(lab, client):
    """Makes a held socket believe in a window of 64 KB and a full MSS: it sends what no honest
    client does.
    """
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    window = bytearray(client.getsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, 20))
    struct.pack_into("=II", window, 4, 65535, 65535)  # snd_wnd, max_window
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_WINDOW, bytes(window))
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)
    # The MSS follows the window only when the path's MTU changes.
    lab.client.ip("link set c0 mtu 1480")


@pytest.fixture
def path_mtu(lab):
    yield
    lab.client.ip("link set c0 mtu 1500")


# The lengths that made xtables-addons' IPv6 target panic are among them: packets of 217 to 256
# bytes, and on.
@pytest.mark.parametrize("written", [1, 24, 25, 100, 150, 190, 216, 512, 1300])
@pytest.mark.parametrize("captured", [False, True], ids=["alone", "captured"])
def test_one_write_of_a_socket_over_veth(lab, family, path_mtu, written, captured):
    """A held socket sends `written` bytes at once: a non-linear, cloned skb arrives, and is
    answered.
    """
    with (
        Capture(lab.server, "s0", family, both=captured) as server,
        lab.client.connect(family) as client,
    ):
        forget_the_window(lab, client)
        client.send(b"x" * written)
        wait_until(
            lambda: tcp_info(client)["acked"] == (FIRST_WINDOW if written >= FIRST_WINDOW else 1),
            what="the first octets are acknowledged",
        )
        port = client.getsockname()[1]
        data = [s for s in server.segments() if s.sport == port and s.payload]
        assert data[0].payload == b"x" * written, (
            "one segment, and the capture shows it as it was sent"
        )
        assert tcp_info(client)["state"] == ESTABLISHED
        assert tcp_info(client)["mss"] > 1300


@pytest.mark.parametrize("captured", [False, True], ids=["alone", "captured"])
def test_large_write_of_a_socket_over_veth(lab, family, path_mtu, captured):
    """20,000 bytes at once: skbs that a network card would have to cut (GSO), cloned, with
    fragments.
    """
    with (
        Capture(lab.server, "s0", family, both=captured) as server,
        lab.client.connect(family) as client,
    ):
        forget_the_window(lab, client)
        client.send(b"x" * 20000)
        wait_until(
            lambda: tcp_info(client)["acked"] >= FIRST_WINDOW,
            what="the first octets are acknowledged",
        )
        port = client.getsockname()[1]
        assert max(len(s.payload) for s in server.segments() if s.sport == port) > 1500, (
            "it came uncut"
        )
        assert tcp_info(client)["state"] == ESTABLISHED


# A packet socket makes fragments of what is longer than a page, and a head of 32 KB or so at most.
SHAPES = [(0, "everything")]
SHAPES += [(size, head) for size in (3000, 9000) for head in ("headers", "half", "everything")]
SHAPES += [(65000, head) for head in ("headers", "half")]


@pytest.mark.parametrize(("size", "head"), SHAPES)
@pytest.mark.parametrize("seen_by", ["nobody", "the server's capture"])
def test_packet_that_a_card_would_cut(lab, family, size, head, seen_by):
    """Up to 64 KB in one skb, as GRO makes them, head and fragments split anywhere; seen by a
    capture or not.
    """
    headers = family.header + 32
    linear = {"headers": headers, "everything": headers + size, "half": headers + size // 2}[head]
    with (
        lab.capture(family, both=False) as capture,
        Capture(lab.server, "s0", family, both=True) as server,
    ):
        if seen_by == "nobody":
            server.sock.close()
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        payload = bytes(i & 0xFF for i in range(size)) or b"x" * 30
        packet = puppet.packet("PA", 0, payload)
        lab.inject_gso(packet, 1400 if size else 0, linear)
        answer = puppet.answer()
        assert (answer.flags, answer.window, answer.length) == ("A", 0, headers)
        assert answer.ack == puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF
        if seen_by != "nobody":
            seen = [s for s in server.segments() if s.sport == puppet.sport and s.payload]
            assert seen[-1].payload == payload, "the capture shows what was sent"
            assert seen[-1].seq == puppet.isn + 1 & 0xFFFFFFFF
        # The same again, as if the answer had been lost: the same answer. After it, the rest stays
        # in flight.
        lab.inject_gso(packet, 1400 if size else 0, linear)
        assert puppet.answer().ack == answer.ack
        lab.inject_gso(puppet.packet("PA", FIRST_WINDOW, payload), 1400 if size else 0, linear)
        assert puppet.quiet()


def test_capture_shows_the_packet_and_the_reply_is_right(lab, family):
    """A packet socket at the server holds clones of what arrives while it is being rewritten."""
    with lab.capture(family, both=False) as capture, Capture(lab.server, "s0", family) as server:
        puppet = Puppet(lab, family, capture)
        sent = [puppet.send("S", -1)]
        syn_ack = puppet.answer()
        puppet.their_isn = syn_ack.seq
        for at, payload in ((0, b"y" * 500), (23, b""), (23, b"y"), (23, b"")):
            sent.append(puppet.send("PA", at, payload))
            answer = puppet.answer()
            assert (answer.window, answer.seq) == (0, syn_ack.seq + 1)
        arrived = [s.raw for s in server.segments() if s.sport == puppet.sport]
        replies = [s for s in server.segments() if s.dport == puppet.sport]
    assert arrived == sent
    assert len(replies) == len(sent) and all(s.outgoing and s.right for s in replies)


TAKEN = {
    # name: (with timestamps?, [(flags, where, how much, what is acknowledged then; None for
    # silence), ...])
    "a little": (
        True,
        [("PA", 0, 10, 1), ("PA", 1, 9, None), ("PA", 0, 1, 1), ("A", 0, 0, 1), ("FA", 1, 0, 1)],
    ),
    "much": (
        True,
        [
            ("PA", 0, 99, 24),
            ("PA", 24, 75, None),
            ("A", 23, 0, 24),
            ("PA", 23, 1, 24),
            ("FA", 24, 0, 24),
        ],
    ),
    "a gap": (
        True,
        [("PA", 10, 9, None), ("PA", 40, 90, None), ("PA", 0, 10, 1), ("PA", 30, 9, None)],
    ),
    "with FIN": (True, [("FA", 0, 50, 1), ("FA", 1, 49, None), ("A", 0, 0, 1)]),
    "no timestamps": (
        False,
        [("PA", 0, 9, 1), ("PA", 1, 8, 2), ("PA", 0, 9, 1), ("A", 1, 0, None), ("PA", 8, 1, 8)],
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_and_what_stays_in_flight(lab, family, name):
    """New, repeated, overlapping and missing data, all at once: one octet, or the first window
    when it is full.
    """
    ts, sent = TAKEN[name]
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, ts=ts)
        puppet.connect()
        for flags, at, size, expected in sent:
            puppet.send(flags, at, b"x" * size)
            if expected is None:
                assert puppet.quiet(), f"{size} octets at {at}"
            else:
                answer = puppet.answer()
                assert answer.ack - puppet.isn - 1 & 0xFFFFFFFF == expected, (
                    f"{size} octets at {at}"
                )
                assert answer.window == 0


def test_nothing_of_the_urgent_pointer_window_or_reserved_bits_comes_back(lab, family):
    """The reply is written from nothing."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        puppet.send("PAUEC", payload=b"x" * 30, window=0xABCD)
        answer = puppet.answer()
    tcp = answer.raw[family.header :]
    assert (answer.flags, answer.window, answer.reserved) == ("A", 0, 0)
    assert tcp[18:20] == b"\0\0"


def test_link_local_client_is_held(lab):
    """A client with a link-local address: the reply must leave through the link that it came
    from.
    """
    lab.client.ip("addr add fe80::c/64 dev c0 nodad")
    lab.server.ip("addr add fe80::5/64 dev s0 nodad")
    with lab.client.inside():
        scope = socket.if_nametoindex("c0")
    # A second link with the same prefix: without the link's index there is no telling.
    lab.server.ip(
        "link add dummy1 type dummy", "link set dummy1 up", "addr add fe80::7/64 dev dummy1 nodad"
    )
    try:
        with lab.client.connect(V6, PORT, "fe80::5", scope=scope) as client:
            assert client.getsockname()[0].startswith("fe80::")
            client.send(b"x" * 100)
            wait_until(
                lambda: tcp_info(client)["acked"] == FIRST_WINDOW,
                what="the first window is acknowledged",
            )
    finally:
        lab.server.ip("link del dummy1", "addr del fe80::5/64 dev s0")
        lab.client.ip("addr del fe80::c/64 dev c0")
