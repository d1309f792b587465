# SPDX-License-Identifier: GPL-2.0
"""The handshake: it completes, and the SYN-ACK is a plausible one that never costs more than
the SYN.
"""

import pytest
import wire
from lab import ESTABLISHED, FIRST_WINDOW, Puppet, tcp_info, wait_until, wide_window


def test_real_client_connects_and_is_held(lab, family):
    """connect() returns, the first window's octets are acknowledged, the rest waits in the
    client.
    """
    with lab.client.connect(family) as client:
        client.send(b"x" * 1000)
        wait_until(
            lambda: tcp_info(client)["acked"] == FIRST_WINDOW,
            what="the first window is acknowledged",
        )
        # The window is closed: what is left is for the persist timer.
        listing = wait_until(
            lambda: (
                (text := lab.client.run("ss", "-Htino", "dport", "=", ":23"))
                and "persist" in text
                and text
            ),
            what="ss shows the persist timer",
        )
        assert f"{1000 - FIRST_WINDOW} " in listing, listing
        assert tcp_info(client)["state"] == ESTABLISHED


def test_syn_ack_offers_what_linux_offered(lab, family):
    """MSS of the link, SACK, timestamps with the SYN's own TSval echoed, scale 0, window 24."""
    with lab.capture(family) as capture:
        with lab.client.connect(family) as client:
            port = client.getsockname()[1]
            syn, syn_ack, ack = [s for s in capture.segments() if port in (s.sport, s.dport)][:3]
    assert (syn.flags, syn_ack.flags, ack.flags) == ("S", "SA", "A")
    assert syn_ack.right
    assert syn_ack.ack == syn.seq + 1 & 0xFFFFFFFF
    assert syn_ack.window == FIRST_WINDOW
    assert syn_ack.mss == 1500 - family.header - 20
    assert (syn_ack.sack, syn_ack.wscale) == (True, 0)
    assert syn_ack.ts[1] == syn.ts[0]
    assert syn_ack.payload == b"" and syn_ack.reserved == 0
    assert syn_ack.length <= syn.length
    assert ack.ack == syn_ack.seq + 1 & 0xFFFFFFFF and ack.ts[1] == syn_ack.ts[0]


def test_initial_sequence_number_tells_nothing(lab, family):
    """Neither our ISN nor its distance from the client's repeats, even for one flow."""
    seqs, distances, clocks = set(), set(), set()
    with lab.capture(family, both=False) as capture:
        for isn in range(0, 8):
            puppet = Puppet(lab, family, capture, sport=1024, isn=isn)
            puppet.answers()  # those of the puppets before
            puppet.send("S", -1)
            answer = puppet.answer()
            seqs.add(answer.seq)
            distances.add(answer.seq - isn & 0xFFFFFFFF)
        for _ in range(8):
            puppet = Puppet(lab, family, capture, isn=7)
            puppet.send("S", -1)
            answer = puppet.answer()
            seqs.add(answer.seq)
            clocks.add(answer.ts[0] >> 12)
    assert len(seqs) == 16 and len(distances) == 8
    assert len(clocks) > 4, "each flow has a clock of its own"


def test_retransmitted_syn_gets_the_same_answer(lab, family):
    """A SYN-ACK with another ISN would be a second connection (RFC 9293, 3.10.7.4)."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.send("S", -1)
        first = puppet.answer()
        puppet.send("S", -1)
        second = puppet.answer()
    assert first.seq == second.seq and first.ack == second.ack
    assert second.ts[1] == first.ts[1] + 1, "each echoes its own SYN"


TS = (77, 0)
SYNS = {
    # name: (the SYN's options, which of them are in the answer)
    "none": (b"", ""),
    "mss": (wire.options(1460), "mss"),
    "mss-sack": (wire.options(1460, sack=True), "mss sack"),
    "mss-ts": (wire.options(1460, ts=TS), "mss ts"),
    "mss-wscale": (wire.options(1460, wscale=14), "mss wscale"),
    "linux": (wire.options(1460, True, TS, 7), "mss sack ts wscale"),
    # MSS answers no offer: it comes with others if the SYN has room for it.
    "timestamps-alone": (b"\x08\x0a" + bytes(8) + b"\1\1", "ts"),
    "sack-alone": (wire.options(sack=True), "sack"),
    "wscale-alone": (wire.options(wscale=2), "wscale"),
    "wscale-and-room": (wire.options(wscale=2) + b"\1" * 4, "mss wscale"),
    # Packed without padding, but for the end.
    "packed": (b"\x08\x0a" + bytes(8) + b"\3\3\7" + b"\4\2" + b"\0", "ts wscale sack"),
    # What nobody knows is not offered back.
    "unknown": (b"\xfd\x04\xf9\x89" + wire.options(1460), "mss"),
    # Broken lists: what came before counts, nothing is read past the end.
    "length-zero": (wire.options(1460) + b"\x08\x00\x00\x00", "mss"),
    "length-beyond": (wire.options(1460) + b"\1\1\x08\x0a", "mss"),
    "forty": (wire.options(1460) + b"\1" * 36, "mss"),
}


@pytest.mark.parametrize("name", SYNS)
def test_options_follow_the_syn_and_fit_into_it(lab, family, name):
    """Only what was offered comes back, trimmed until the SYN-ACK is no longer than the SYN."""
    opts, expected = SYNS[name]
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        syn = puppet.send("S", -1, opts=opts)
        answer = puppet.answer()
    assert answer.flags == "SA"
    assert answer.window == (
        FIRST_WINDOW if "ts" in expected else wide_window(1500 - family.header - 20)
    )
    assert answer.length <= len(syn)
    assert answer.mss in (None, 1500 - family.header - 20)
    assert answer.wscale in (None, 0)
    found = {
        "mss": answer.mss,
        "sack": answer.sack or None,
        "ts": answer.ts,
        "wscale": answer.wscale,
    }
    assert {option for option, value in found.items() if value is not None} == set(expected.split())


def test_syn_with_data_acknowledges_the_syn_alone(lab, family):
    """TCP Fast Open data without a cookie is not taken (RFC 7413, 4.2.2)."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        puppet.send("S", -1, payload=b"early")
        answer = puppet.answer()
    assert answer.flags == "SA" and answer.ack == puppet.isn + 1 & 0xFFFFFFFF


def test_ecn_is_declined(lab, family):
    """Neither ECE, CWR nor the AccECN bit of the SYN comes back: that would promise what nobody
    keeps.
    """
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture)
        segment = bytearray(puppet.segment("SEC", -1))
        segment[12] |= 1  # AE
        segment[16:18] = b"\0\0"
        total = wire.checksum(wire.pseudo(puppet.src, puppet.dst, len(segment)) + segment)
        segment[16:18] = total.to_bytes(2)
        lab.inject(wire.ip(puppet.src, puppet.dst, bytes(segment)))
        answer = puppet.answer()
    assert answer.flags == "SA" and answer.reserved == 0
