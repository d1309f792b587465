# SPDX-License-Identifier: GPL-2.0
"""A network card's timestamp on a packet, which the reply in the same memory must not have.

No device of the guest stamps. But BPF's test run makes a packet with such a stamp, and a program
of four instructions sends a clone of it, which netem holds until the original is gone:

    BPF_PROG_TEST_RUN ---> bpf_clone_redirect(c0) ---> netem ---> [c0] ------ [s0]  rule
"""

import ctypes
import os
import socket
import struct

import pytest
from lab import PORT, Lab, Puppet

SYS_BPF = 321  # x86-64
BPF_PROG_LOAD, BPF_PROG_TEST_RUN = 5, 10
BPF_PROG_TYPE_SCHED_CLS = 3
CLONE_REDIRECT = 13
STAMP = 1_234_567_890_123_456_789  # nanoseconds
SO_TIMESTAMPING, RX_HARDWARE, RAW_HARDWARE = 37, 1 << 2, 1 << 6

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """The system call; what it returns."""
    attributes = ctypes.create_string_buffer(attributes, len(attributes))
    done = libc.syscall(SYS_BPF, command, attributes, len(attributes))
    assert done >= 0, f"bpf({command}): {os.strerror(ctypes.get_errno())}"
    return done


def send_stamped(host, dev, frame):
    """Sends a frame by an interface whose skb has STAMP as the time of its arrival."""
    with host.inside():
        index = socket.if_nametoindex(dev)
        # r2 = index, r3 = 0, call, exit: opcode, registers, offset, immediate.
        code = b"".join(
            struct.pack("=BBhi", *line)
            for line in (
                (0xB7, 2, 0, index), (0xB7, 3, 0, 0), (0x85, 0, 0, CLONE_REDIRECT), (0x95, 0, 0, 0),
            )
        )  # fmt: skip
        code, words = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
        where = ctypes.addressof(code), ctypes.addressof(words)
        load = struct.pack("=IIQQ", BPF_PROG_TYPE_SCHED_CLS, 4, *where)
        program = bpf(BPF_PROG_LOAD, load + bytes(120))
        try:
            data = ctypes.create_string_buffer(frame, len(frame))
            # struct __sk_buff: the interface is at 40, hwtstamp at 184.
            ctx = ctypes.create_string_buffer(
                bytes(40) + struct.pack("=I", index) + bytes(140) + struct.pack("=Q", STAMP), 192
            )
            # prog_fd, retval, sizes in and out, data in and out, repeat, duration, context.
            run = struct.pack(
                "=IIIIQQIIIIQQIIII", program, 0, len(frame), 0, ctypes.addressof(data), 0,
                1, 0, 192, 0, ctypes.addressof(ctx), 0, 0, 0, 0, 0,
            )  # fmt: skip
            bpf(BPF_PROG_TEST_RUN, run)
        finally:
            os.close(program)


def hardware_time(sock):
    """The card's stamp on the next TCP packet of a packet socket, in nanoseconds; 0 if none."""
    while True:
        data, control, _, _ = sock.recvmsg(2000, 256)
        if data[9 if data[0] >> 4 == 4 else 6] != 6:
            continue
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPING):
                # Software, nothing, hardware.
                *_, seconds, nanoseconds = struct.unpack("=6q", value)
                return seconds * 10**9 + nanoseconds
        return 0


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    lab.introduce()
    lab.client.run("tc", "qdisc", "add", "dev", "c0", "root", "netem", "delay", "30ms")
    yield lab
    lab.close()


@pytest.mark.parametrize("options", [(), ("--hairpin",)], ids=["routed", "hairpin"])
def test_reply_has_no_hardware_timestamp(lab, family, options):
    """The packet arrives with one, as a counter at the same place sees; the reply has none."""
    rule = ("PREROUTING", "-p", "tcp", "--dport", 5700, "-j", "TARPIT", *options)
    with lab.capture(family, both=False) as capture, lab.server.rule(family, *rule, table="raw"):
        with lab.client.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RX_HARDWARE | RAW_HARDWARE)
            sock.bind(("c0", family.ethertype))
            sock.settimeout(20)
            puppet = Puppet(lab, family, capture, dport=5700)
            ethernet = lab.server_mac + lab.client.mac("c0")
            packet = puppet.packet("S", -1)
            send_stamped(lab.client, "c0", ethernet + family.ethertype.to_bytes(2) + packet)
            assert puppet.answer().flags == "SA"
            assert hardware_time(sock) == 0, "the time of the packet's arrival"


def test_stamped_packet_arrives_with_its_stamp(lab, family):
    """Else the test above could not fail."""
    with lab.server.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RX_HARDWARE | RAW_HARDWARE)
        sock.bind(("s0", family.ethertype))
        sock.settimeout(20)
        with lab.capture(family, both=False) as capture:
            puppet = Puppet(lab, family, capture, dport=PORT)
            ethernet = lab.server_mac + lab.client.mac("c0")
            packet = puppet.packet("R")
            send_stamped(lab.client, "c0", ethernet + family.ethertype.to_bytes(2) + packet)
            assert hardware_time(sock) == STAMP
