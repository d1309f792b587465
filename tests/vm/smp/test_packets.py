# SPDX-License-Identifier: GPL-2.0
"""Packets of every shape: in one piece or in fragments of memory, cloned, and 64 KB long.

The module rewrites the packet it got. What others still read (a capture, the sender's write queue) must
not change, and no shape may hurt the machine.
"""

import socket
import struct

import pytest
from lab import ESTABLISHED, FIRST_WINDOW, PORT, V6, Capture, Puppet, tcp_info, wait_until

TCP_REPAIR, TCP_REPAIR_WINDOW, TCP_REPAIR_OFF_NO_WP = 19, 29, -1


def forget_the_window(lab, client):
    """Makes a held socket believe in a window of 64 KB and a full MSS: it sends what no honest client does."""
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


# The lengths that made xtables-addons' IPv6 target panic are among them: packets of 217 to 256 bytes, and on.
@pytest.mark.parametrize("written", [1, 24, 25, 100, 150, 190, 216, 512, 1300])
@pytest.mark.parametrize("captured", [False, True], ids=["alone", "captured"])
def test_one_write_of_a_socket_over_veth(lab, family, path_mtu, written, captured):
    """A held socket sends `written` bytes at once: a non-linear, cloned skb arrives, and is answered."""
    with Capture(lab.server, "s0", family, both=captured) as server, lab.client.connect(family) as client:
        forget_the_window(lab, client)
        client.send(b"x" * written)
        wait_until(
            lambda: tcp_info(client)["acked"] == min(written, FIRST_WINDOW), what="the first octets are acknowledged"
        )
        port = client.getsockname()[1]
        data = [s for s in server.segments() if s.sport == port and s.payload]
        assert data[0].payload == b"x" * written, "one segment, and the capture shows it as it was sent"
        assert tcp_info(client)["state"] == ESTABLISHED
        assert tcp_info(client)["mss"] > 1300


@pytest.mark.parametrize("captured", [False, True], ids=["alone", "captured"])
def test_large_write_of_a_socket_over_veth(lab, family, path_mtu, captured):
    """20,000 bytes at once: skbs that a network card would have to cut (GSO), cloned, with fragments."""
    with Capture(lab.server, "s0", family, both=captured) as server, lab.client.connect(family) as client:
        forget_the_window(lab, client)
        client.send(b"x" * 20000)
        wait_until(lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first octets are acknowledged")
        port = client.getsockname()[1]
        assert max(len(s.payload) for s in server.segments() if s.sport == port) > 1500, "it came uncut"
        assert tcp_info(client)["state"] == ESTABLISHED


# A packet socket makes fragments of what is longer than a page, and a head of 32 KB or so at most.
SHAPES = [(0, "everything")]
SHAPES += [(size, head) for size in (3000, 9000) for head in ("headers", "half", "everything")]
SHAPES += [(65000, head) for head in ("headers", "half")]


@pytest.mark.parametrize(("size", "head"), SHAPES)
@pytest.mark.parametrize("seen_by", ["nobody", "the server's capture"])
def test_packet_that_a_card_would_cut(lab, family, size, head, seen_by):
    """Up to 64 KB in one skb, as GRO makes them, head and fragments split anywhere; seen by a capture or not."""
    headers = family.header + 32
    linear = {"headers": headers, "everything": headers + size, "half": headers + size // 2}[head]
    with lab.capture(family, both=False) as capture, Capture(lab.server, "s0", family, both=True) as server:
        if seen_by == "nobody":
            server.sock.close()
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        for at in (0, FIRST_WINDOW):
            payload = bytes(i & 0xFF for i in range(size)) or b"x" * 30
            packet = puppet.packet("PA", at, payload)
            lab.inject_gso(packet, 1400 if size else 0, linear)
            answer = puppet.answer()
            assert (answer.flags, answer.window, answer.length) == ("A", 0, headers)
            assert answer.ack == puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF
            if seen_by != "nobody":
                seen = [s for s in server.segments() if s.sport == puppet.sport and s.payload]
                assert seen[-1].payload == payload, "the capture shows what was sent"
                assert seen[-1].seq == puppet.isn + 1 + at & 0xFFFFFFFF
        assert puppet.quiet()


def test_capture_shows_the_packet_and_the_reply_is_right(lab, family):
    """A packet socket at the server holds clones of what arrives while it is being rewritten."""
    with lab.capture(family, both=False) as capture, Capture(lab.server, "s0", family) as server:
        puppet = Puppet(lab, family, capture)
        sent = [puppet.send("S", -1)]
        syn_ack = puppet.answer()
        puppet.their_isn = syn_ack.seq
        for at, payload in ((0, b"y" * 10), (10, b"y" * 14), (23, b""), (24, b"y"), (24, b"y" * 500)):
            sent.append(puppet.send("PA", at, payload))
            answer = puppet.answer()
            assert (answer.window, answer.seq) == (0, syn_ack.seq + 1)
        arrived = [s.raw for s in server.segments() if s.sport == puppet.sport]
        replies = [s for s in server.segments() if s.dport == puppet.sport]
    assert arrived == sent
    assert len(replies) == len(sent) and all(s.outgoing and s.right for s in replies)


def test_no_octet_is_taken_beyond_the_first_window_nor_taken_back(lab, family):
    """New, overlapping and missing data: RCV.NXT never falls, and stays within 24 octets."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.connect()
        acked = 0
        # An honest sender starts one octet before what it knows acknowledged at the earliest: a probe.
        sent = (0, 1), (1, 4), (4, 1), (5, 5), (9, 3), (20, 2), (21, 0), (30, 5), (24, 1400), (23, 1), (23, 0)
        for at, size in sent:
            puppet.send("PA", at, b"x" * size)
            answer = puppet.answer()
            now = answer.ack - puppet.isn - 1 & 0xFFFFFFFF
            assert now == max(acked, min(at + size, FIRST_WINDOW)), f"{size} octets at {at}"
            assert answer.window == 0
            acked = now
        # A FIN behind it all is not acknowledged.
        puppet.send("FA", FIRST_WINDOW)
        assert puppet.answer().ack - puppet.isn - 1 & 0xFFFFFFFF == FIRST_WINDOW


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
    """A client with a link-local address: the reply must leave through the link that it came from."""
    lab.client.ip("addr add fe80::c/64 dev c0 nodad")
    lab.server.ip("addr add fe80::5/64 dev s0 nodad")
    with lab.client.inside():
        scope = socket.if_nametoindex("c0")
    # A second link with the same prefix: without the link's index there is no telling.
    lab.server.ip("link add dummy1 type dummy", "link set dummy1 up", "addr add fe80::7/64 dev dummy1 nodad")
    try:
        with lab.client.connect(V6, PORT, "fe80::5", scope=scope) as client:
            assert client.getsockname()[0].startswith("fe80::")
            client.send(b"x" * 100)
            wait_until(lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first window is acknowledged")
    finally:
        lab.server.ip("link del dummy1", "addr del fe80::5/64 dev s0")
        lab.client.ip("addr del fe80::c/64 dev c0")
