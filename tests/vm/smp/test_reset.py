# SPDX-License-Identifier: GPL-2.0
"""--reset: the very answers of REJECT --reject-with tcp-reset, which stands beside it on
another port.
"""

import socket

import pytest
from lab import FAMILIES, PORT, Lab, Puppet, for_each

RESET, REJECT, SERVICE = 2300, 2301, 2302
TARGETS = {RESET: ("TARPIT", "--reset"), REJECT: ("REJECT", "--reject-with", "tcp-reset")}


class Refusal(Lab):
    """Both, and a server's conntrack."""

    def rules(self):
        super().rules()
        # Or REJECT's checksums would be left to a network card.
        self.server.run("ethtool", "-K", "s0", "tx", "off")
        for family in FAMILIES:
            for port, target in TARGETS.items():
                self.server.iptables(
                    family, "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", *target
                )
            accept = ("-m", "conntrack", "--ctstate", "NEW,ESTABLISHED,INVALID", "-j", "ACCEPT")
            self.server.iptables(family, "-A", "INPUT", "-p", "tcp", *accept)


@pytest.fixture(scope="module")
def lab():
    lab = Refusal()
    yield lab
    lab.close()


SEGMENTS = {
    "SYN": ("S", {}),
    "SYN without options": ("S", {"opts": b""}),
    "SYN with data": ("S", {"payload": b"early"}),
    "SYN with ECN": ("SEC", {"ip": {"tos": 3}}),
    "SYN with accurate ECN": ("SEC", {"reserved": 1}),
    "SYN and FIN": ("SF", {}),
    "SYN, FIN and data": ("SF", {"payload": b"x" * 99}),
    "SYN-ACK": ("SA", {}),
    "SYN-ACK with data": ("SA", {"payload": b"x" * 7}),
    "SYN, FIN and ACK": ("SFA", {}),
    "ACK": ("A", {}),
    "ACK that wraps": ("A", {"ack": 0xFFFFFFFF}),
    "data": ("PA", {"payload": b"GET / HTTP/1.0\r\n\r\n"}),
    "an octet": ("PA", {"payload": b"x"}),
    "data without options": ("PA", {"payload": b"x" * 50, "opts": b""}),
    "data with forty octets of options": ("PA", {"payload": b"x" * 50, "opts": b"\1" * 40}),
    "data at the end of the numbers": ("PA", {"payload": b"x" * 50, "seq": 0xFFFFFFF0}),
    "FIN": ("FA", {}),
    "FIN with data": ("FA", {"payload": b"bye"}),
    "FIN alone": ("F", {}),
    "FIN alone at the last number": ("F", {"seq": 0xFFFFFFFF}),
    "NULL": ("", {}),
    "NULL with data": ("", {"payload": b"x" * 1000}),
    "data without ACK": ("P", {"payload": b"x" * 31}),
    "data without ACK, with options": ("P", {"payload": b"x" * 31, "opts": b"\1" * 40}),
    "urgent": ("PAU", {"payload": b"!"}),
    "Xmas": ("FPU", {}),
    "every flag but SYN and RST": ("FPAUEC", {}),
    "RST": ("R", {}),
    "RST and ACK": ("RA", {}),
    "RST and SYN": ("SR", {}),
    "RST with data": ("RA", {"payload": b"why"}),
    "every flag": ("SFRPAUEC", {}),
    "wrong checksum": ("S", {"csum": 0x1234}),
}


def fields(puppet, answer):
    """All of an answer but ports, checksums, and IPv6's flow label."""
    if answer is None:
        return None
    six, tcp = puppet.family.header == 40, answer.raw[puppet.family.header :]
    ip = answer.raw[4:40] if six else answer.raw[:10] + answer.raw[12:20]
    return ip, answer.tos, tcp[4:16], tcp[18:]


def test_answer_is_that_of_reject(lab, family):
    """Byte for byte, or none at all."""

    def check(name):
        flags, how = SEGMENTS[name]
        how = {"seq": 0x01020304, "ack": 0x05060708} | how
        answers = {}
        for port in TARGETS:
            puppet = Puppet(lab, family, capture, dport=port)
            puppet.send(flags, **how)
            answers[port] = puppet.reply(PORT)
        ours = answers[RESET]
        assert fields(puppet, ours) == fields(puppet, answers[REJECT]), (
            f"{ours} and REJECT's {answers[REJECT]}"
        )
        # And what the specification says of it, should both be wrong.
        if "R" in flags or "csum" in how:
            assert ours is None
        elif "A" in flags:
            assert (ours.flags, ours.seq, ours.ack) == ("R", how["ack"], 0)
        else:
            size = len(how.get("payload", b"")) + ("S" in flags) + ("F" in flags)
            assert (ours.flags, ours.seq, ours.ack) == ("RA", 0, how["seq"] + size & 0xFFFFFFFF)
        if ours:
            assert (ours.window, ours.options, ours.payload, ours.reserved, ours.tos) == (
                0,
                b"",
                b"",
                0,
                0,
            )

    with lab.capture(family, both=False) as capture:
        for_each(SEGMENTS, check)


@pytest.mark.parametrize("doff", [0, 4, 15])
def test_malformed_segment_is_not_answered(lab, family, doff):
    """REJECT makes up an answer to a header that is not all there; we do not."""
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dport=RESET)
        puppet.send("S", -1, doff=doff)
        assert puppet.quiet()


@pytest.mark.parametrize("flags", ["S", "PA", "F"])
def test_answer_to_64_kb_is_that_of_reject(lab, family, flags):
    """As a card makes them of many: all of it is counted."""
    with lab.capture(family, both=False) as capture:
        answers = []
        for port in TARGETS:
            puppet = Puppet(lab, family, capture, dport=port)
            packet = puppet.packet(flags, payload=b"x" * 60000, seq=1000, ack=2000)
            header = len(packet) - 60000
            lab.inject_gso(packet, 1400, header)
            answers.append(puppet.answer())
        assert len({fields(puppet, answer) for answer in answers}) == 1, "\n".join(
            map(str, answers)
        )


def test_every_scan_gets_its_answer(lab, family):
    """There is none but that of all answers to strangers, as REJECT has none: a limit would
    tell a closed port from this one.
    """
    with lab.capture(family, both=False) as capture:
        for port in TARGETS:
            puppets = [Puppet(lab, family, capture, dport=port) for _ in range(60)]
            for puppet in puppets:
                puppet.send("S", -1)
            puppet.settle()
            assert [len(puppet.answers()) for puppet in puppets] == [1] * 60, TARGETS[port]


def test_real_client_is_refused(lab, family):
    for port in TARGETS:
        with pytest.raises(ConnectionRefusedError):
            lab.client.connect(family, port)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target[0])
def test_running_connection_is_reset(lab, family, target):
    """The client's next write, and conntrack's entry is closed, which is about to go."""
    with lab.server.socket(family.af, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((family.server, SERVICE))
        listener.listen()
        with lab.client.connect(family, SERVICE) as client:
            server, _ = listener.accept()
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"
            assert [state for state, _ in lab.server.tracked(SERVICE)] == ["ESTABLISHED"]
            with lab.server.rule(family, "INPUT", "-p", "tcp", "--dport", SERVICE, "-j", *target):
                client.sendall(b"are you there?")
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
                assert all(
                    state == "CLOSE" and left <= 10 for state, left in lab.server.tracked(SERVICE)
                )
            # REJECT leaves the server's socket alone.
            with pytest.raises(BlockingIOError):
                server.recv(1, socket.MSG_DONTWAIT)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
    lab.server.run("conntrack", "-F")


def test_conntrack_keeps_nothing_of_a_refused_client(lab, family):
    """The SYN that got a RST never became an entry."""
    for port in TARGETS:
        with pytest.raises(ConnectionRefusedError):
            lab.client.connect(family, port)
        assert lab.server.tracked(port) == []
