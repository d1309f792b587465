# SPDX-License-Identifier: GPL-2.0
"""What an answer is made of, in every mode and at every hook: --ttl, --window, and nothing that was
the peer's.

The packets that ask have everything set that a header has room for; of the answer each field is
known.
"""

import pytest
import wire
from lab import FAMILIES, MODES, V4, Lab, Puppet, wait_until

HOOKS = {"INPUT": "filter", "FORWARD": "filter", "PREROUTING": "raw"}
# Where a rule stands, its options, and the hop limit of its answers.
PLACES = [
    ("INPUT", "", 64), ("FORWARD", "--ttl 1", 1), ("PREROUTING", "--ttl 255", 255),
    ("INPUT", "--hairpin --ttl 254", 254), ("FORWARD", "--hairpin", 64),
    ("PREROUTING", "--hairpin --ttl 65", 65),
]  # fmt: skip
places = pytest.mark.parametrize("place", range(len(PLACES)), ids=lambda i: " ".join(PLACES[i][:2]))
TARGETS = {
    (mode, place): 6000 + i
    for i, (mode, place) in enumerate((m, p) for m in MODES for p in range(len(PLACES)))
}


@pytest.fixture(scope="module")
def lab():
    """A rule for each mode at each hook, on ports of their own; what goes to the netblock is
    forwarded.
    """
    lab = Lab()
    lab.server.sysctl("net.ipv4.ip_forward", 1)
    lab.server.sysctl("net.ipv6.conf.all.forwarding", 1)
    for family in FAMILIES:
        tables = {"filter": [], "raw": []}
        for (mode, place), port in TARGETS.items():
            chain, options, _ = PLACES[place]
            rule = " ".join((*MODES[mode], options))
            tables[HOOKS[chain]].append(f"-A {chain} -p tcp --dport {port} -j TARPIT {rule}")
        # Any mark that an answer has is counted, and the packets that ask do have one.
        text = "".join(
            f"*{name}\n" + "\n".join(lines) + "\nCOMMIT\n" for name, lines in tables.items()
        )
        text += "*mangle\n-A OUTPUT -p tcp -m mark ! --mark 0\nCOMMIT\n"
        text += "*raw\n-I PREROUTING -p tcp -j MARK --set-mark 7\nCOMMIT\n"
        lab.server.run(f"{family.iptables}-restore", "-n", text=text)
    yield lab
    lab.close()


# A payload that is found wherever it is.
SECRET = b"\xde\xc0\xad\x0b" * 25
ECHO = 0xA1B2C3D4


def conversation(lab, family, capture, mode, dst, port):
    """Every answer that the mode gives: (what was asked, the answer)."""
    ip = {"tos": 0xFF, "ttl": 201} | ({"ident": 0xBEEF} if family is V4 else {"label": 0xABCDE})
    puppet = Puppet(lab, family, capture, dst=dst, dport=port, src=lab.stranger(family))

    def ask(flags, at=0, payload=b"", answered=True, **fields):
        packet = bytearray(
            puppet.segment(flags, at, payload, reserved=0xF, window=0xDEC0, **fields)
        )
        packet[16:20] = b"\0\0\xde\xc0"  # the urgent pointer
        total = wire.checksum(wire.pseudo(puppet.src, puppet.dst, len(packet)) + packet)
        packet[16:18] = total.to_bytes(2)
        lab.inject(wire.ip(puppet.src, puppet.dst, bytes(packet), **ip))
        return (flags, puppet.answer()) if answered else None

    yield (first := ask("SEC", -1, SECRET))
    puppet.their_isn = first[1].seq
    yield ask("PAUEC", 0, SECRET)
    # Of no connection: a freeze in the tarpit's modes, nothing in a honeypot.
    if mode != "honeypot":
        stamp = wire.options(ts=(5, ECHO))
        yield ask("PAUEC", 0, SECRET, seq=0x01000000, ack=0x02000000, opts=stamp)
    yield ask("SAEC", -1, SECRET, ack=0x03000000)
    if mode == "honeypot":
        yield ask("FAUEC", len(SECRET), SECRET)
    if mode == "reset":
        yield ask("UEC", 0, SECRET)


@places
@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_the_peers_packet_is_in_the_answer(lab, family, mode, place):
    dst = family.nobody if PLACES[place][0] == "FORWARD" else family.server
    marked = lab.server.rule_packets(family, "OUTPUT", table="mangle")
    with lab.capture(family, both=False) as capture:
        answers = list(conversation(lab, family, capture, mode, dst, TARGETS[mode, place]))
    assert len(answers) >= 3
    for _, answer in answers:
        tcp = answer.raw[family.header :]
        assert (answer.tos, answer.ttl, answer.reserved, tcp[18:20]) == (
            0,
            PLACES[place][2],
            0,
            b"\0\0",
        ), answer
        # Linux' promise of ECN is the one thing, of the profile that plays Linux.
        promise = {"E"} if mode == "linux" else set()
        assert not set(answer.flags) & {"U", "C", "P"} and set(answer.flags) & {"E"} <= promise, (
            answer
        )
        assert b"\xde\xc0" not in answer.raw[family.header + 12 :] and SECRET[:8] not in answer.raw
        assert answer.payload == b""
        if family is V4:
            assert answer.raw[0] == 0x45 and answer.raw[4:6] != b"\xbe\xef"
            assert answer.raw[6:8] == b"\x40\0", "DF, no fragment"
        else:
            assert answer.label != 0xABCDE
        if answer.ts:
            # The peer's clock comes back as the echo, where it belongs; its echo only to who is
            # frozen.
            frozen = answer.ts == (ECHO, 5)
            assert frozen or answer.ts[0] != ECHO
    assert lab.server.rule_packets(family, "OUTPUT", table="mangle") == marked, (
        "no answer has a mark"
    )


# --- --window, and what the kernel takes


@pytest.mark.parametrize("window", [1, 100, 65535])
@pytest.mark.parametrize("mode", ["tarpit", "linux", "honeypot"])
def test_window_is_that_of_the_syn_ack(lab, family, mode, window):
    """And of each answer of a honeypot; in the tarpit's modes the window then closes."""
    rule = ("INPUT", "-p", "tcp", "--dport", 6900, "-j", "TARPIT", *MODES[mode], "--window", window)
    with lab.server.rule(family, *rule), lab.capture(family, both=False) as capture:
        for ts in (True, False):
            puppet = Puppet(lab, family, capture, dport=6900, ts=ts)
            assert puppet.connect().window == window
            size = min(window, 1400)
            puppet.send("PA", payload=b"x" * size)
            answer = puppet.answer()
            taken = answer.ack - puppet.isn - 1 & 0xFFFFFFFF
            if mode == "honeypot":
                assert (answer.window, taken) == (window, size)
            else:
                # Without timestamps a single octet may be a probe, and is not taken.
                assert answer.window == 0 and (ts or window > 1) <= taken <= size
        # A real client sends no more than that.
        with lab.client.connect(family, 6900) as client:
            port = client.getsockname()[1]
            client.send(b"x" * 1000)
            wait_until(
                lambda: len([s for s in capture.segments() if s.dport == port]) > 1,
                what="an answer to data",
            )
            first, *rest = [s for s in capture.segments() if s.dport == port]
            assert first.window == window
            if mode != "honeypot":
                assert all(s.window == 0 and s.ack - first.ack & 0xFFFFFFFF <= window for s in rest)
