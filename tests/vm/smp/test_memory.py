# SPDX-License-Identifier: GPL-2.0
"""Memory: what 100,000 flows leave behind, which is nothing.

The flows come from a packet socket: no socket, no timer and no connection of the client's is in
this kernel, so what grows would be the tarpit's, or conntrack's. Each flow is a SYN, the ACK of the
very SYN-ACK that it got, and a segment with data or a FIN, which is answered; every answer is
counted.
"""

import contextlib
import ctypes
import socket
import struct
import time

import pytest
import wire
from lab import FAMILIES, PORT, Capture, Lab, slab_kb, wait_until

pytestmark = pytest.mark.once

FLOWS = 100_000
BATCH = 500  # flows that are under way at once
STRIDE = 128  # bytes between two packets of a batch
FIRST_PORT = 1024

libc = ctypes.CDLL(None, use_errno=True)

# One number holds a field of all packets of a batch, in lanes of 64 bits: Python adds and compares
# all lanes at once.
LANE = 8
EACH = int.from_bytes(b"\0\0\0\0\0\0\0\1" * BATCH)


class Batch:
    """A row of packets that one system call sends or receives."""

    def __init__(self, count=BATCH):
        self.data = bytearray(count * STRIDE)
        base = ctypes.addressof((ctypes.c_char * len(self.data)).from_buffer(self.data))
        self.vectors = (ctypes.c_uint64 * (2 * count))()
        # struct mmsghdr: msghdr of 56 bytes, msg_len and padding.
        self.messages = bytearray(64 * count)
        self.address = ctypes.addressof(
            (ctypes.c_char * len(self.messages)).from_buffer(self.messages)
        )
        start = ctypes.addressof(self.vectors)
        for i in range(count):
            self.vectors[2 * i], self.vectors[2 * i + 1] = base + i * STRIDE, STRIDE
            struct.pack_into(
                "=QIIQQQQiiII", self.messages, 64 * i, 0, 0, 0, start + 16 * i, 1, 0, 0, 0, 0, 0, 0
            )

    def fill(self, packet):
        """The same packet everywhere."""
        self.data[:] = packet.ljust(STRIDE, b"\0") * BATCH
        # Of each length there is but one octet.
        memoryview(self.vectors).cast("B")[8::16] = bytes([len(packet)]) * BATCH

    def put(self, at, size, lanes):
        """Writes a field of each packet."""
        column = lanes.to_bytes(LANE * BATCH)
        for i in range(size):
            self.data[at + i :: STRIDE] = column[LANE - size + i :: LANE]

    def get(self, at, size):
        """A field of each packet."""
        column = bytearray(LANE * BATCH)
        for i in range(size):
            column[LANE - size + i :: LANE] = self.data[at + i :: STRIDE]
        return int.from_bytes(column)

    def send(self, sock):
        done = 0
        while done < BATCH:
            sent = libc.sendmmsg(
                sock.fileno(), ctypes.c_void_p(self.address + 64 * done), BATCH - done, 0
            )
            assert sent > 0, f"sendmmsg: errno {ctypes.get_errno()}"
            done += sent

    def receive(self, sock):
        """Receives just so many packets."""
        done, end = 0, time.monotonic() + 20
        while done < BATCH:
            address = ctypes.c_void_p(self.address + 64 * done)
            got = libc.recvmmsg(sock.fileno(), address, BATCH - done, 0x40, None)  # MSG_DONTWAIT
            done += max(got, 0)
            assert time.monotonic() < end, f"{done} answers where {BATCH} were expected"


class Generator:
    """Flows from consecutive ports of one phantom."""

    def __init__(self, lab, family, capture):
        self.family, self.capture = family, capture
        self.sock = lab.client.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        with lab.client.inside():
            index = socket.if_nametoindex("c0")
        # struct sockaddr_ll.
        to = struct.pack(
            "=HHiHBB8s",
            17,
            socket.htons(family.ethertype),
            index,
            0,
            0,
            6,
            lab.server_mac + b"\0\0",
        )
        self.to = ctypes.create_string_buffer(to, len(to))
        self.out, self.back = Batch(), Batch()
        for i in range(BATCH):
            struct.pack_into("=QI", self.out.messages, 64 * i, ctypes.addressof(self.to), len(to))

    def _send(self, src, flags, opts, payload, ports, acks):
        """One packet from each port; only ports, acknowledgments and checksums differ."""
        segment = wire.tcp(
            src, self.family.server, 0, PORT, flags, self.isn, 0, opts=opts, payload=payload
        )
        self.out.fill(wire.ip(src, self.family.server, segment))
        # The checksum of the template, undone, and what each packet adds to it.
        total = EACH * (~struct.unpack_from("!H", segment, 16)[0] & 0xFFFF) + ports
        total += (acks >> 16 & EACH * 0xFFFF) + (acks & EACH * 0xFFFF)
        for _ in range(2):
            total = (total & EACH * 0xFFFF) + (total >> 16 & EACH * 0xFFFF)
        at = self.family.header
        self.out.put(at, 2, ports)
        self.out.put(at + 8, 4, acks)
        self.out.put(at + 16, 2, total ^ EACH * 0xFFFF)
        self.out.send(self.sock)

    def run(self, src, first, last, payload):
        """One batch of flows from the ports that begin here, from the SYN to the answer to the
        last segment.
        """
        ports = int.from_bytes(
            b"".join(port.to_bytes(LANE) for port in range(first, first + BATCH))
        )
        self.isn, at, back = 0x01020304, self.family.header, self.back
        self._send(src, "S", wire.options(1460, True, (5, 0), 7), b"", ports, 0)
        back.receive(self.capture.sock)
        assert back.get(at + 2, 2) == ports, "in order, each SYN its answer"
        assert (back.get(at + 8, 4), back.get(at + 13, 1)) == (
            EACH * (self.isn + 1),
            EACH * 0x12,
        ), "a SYN-ACK"
        acks = back.get(at + 4, 4) + EACH & EACH * 0xFFFFFFFF
        self.isn += 1
        # Without timestamps, so that the tarpit has nothing but the numbers.
        self._send(src, "A", b"", b"", ports, acks)
        self._send(src, last, b"", payload, ports, acks)
        back.receive(self.capture.sock)
        assert (back.get(at + 2, 2), back.get(at + 4, 4)) == (ports, acks), (
            "in order, each flow its answer"
        )
        assert back.get(at + 8, 4) == EACH * (self.isn + bool(payload)), "the octet that is taken"
        assert (back.get(at + 13, 1), back.get(at + 14, 2)) == (EACH * 0x10, 0), (
            "an ACK with a closed window"
        )


def conntrack_objects():
    """The connection entries of all namespaces that are in memory."""
    for line in open("/proc/slabinfo", encoding="ascii"):
        if line.startswith("nf_conntrack "):
            return int(line.split()[1])
    pytest.fail("/proc/slabinfo does not know nf_conntrack")


SETUPS = {
    # name: (notrack?, the last segment's flags and payload)
    "tracked": (False, "PA", b"x" * 20),
    "untracked": (True, "PA", b"x" * 20),
    # What was never confirmed cannot be closed: to conntrack the FIN comes out of nowhere.
    "connect and close": (False, "FA", b""),
}


@pytest.fixture
def tracking_lab():
    """Conntrack sees all packets of the server, in and out."""
    lab = Lab()
    for tables in ("iptables", "ip6tables"):
        lab.server.run(
            tables, "-I", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"
        )
    yield lab
    lab.close()


@pytest.mark.counts_memory
@pytest.mark.parametrize("setup", SETUPS)
def test_100000_flows_leave_nothing_behind(tracking_lab, setup):
    """conntrack count 0 all along; slab as before within 2 MB, conntrack's objects within 512 (20
    bytes a flow).

    Half of them are of each family, batch by batch: what is kept for one would be seen among them.
    """
    notrack, last, payload = SETUPS[setup]
    lab = tracking_lab
    with contextlib.ExitStack() as stack:
        generators = []
        for family in FAMILIES:
            if notrack:
                lab.server.iptables(
                    family, "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "-j", "CT", "--notrack"
                )
            capture = stack.enter_context(Capture(lab.client, "c0", family, both=False))
            capture.only_tcp()
            generators.append(Generator(lab, family, capture))
            # The first batch makes what is made once.
            generators[-1].run(family.phantom, 60000, last, payload)
        slab, objects = slab_kb(), conntrack_objects()
        begin = time.monotonic()
        entries = set()
        for first in range(FIRST_PORT, FIRST_PORT + FLOWS // 2, BATCH):
            for generator in generators:
                generator.run(generator.family.phantom, first, last, payload)
            entries.add(lab.server.conntrack_entries())
        took = time.monotonic() - begin
        # Freed entries go after a grace period.
        wait_until(
            lambda: conntrack_objects() - objects < 512,
            what="conntrack's objects are as few as before",
        )
        wait_until(lambda: slab_kb() - slab < 2048, what="the slab is as small as before")
        print(
            f"\n{setup}: {FLOWS} flows in {took:.0f} s; slab {slab_kb() - slab:+} kB, "
            f"nf_conntrack objects {conntrack_objects() - objects:+}, entries {entries}"
        )
        assert entries == {0}
        for generator in generators:
            generator.sock.close()


def test_fin_out_of_nowhere_makes_no_entry(tracking_lab, family):
    """Nothing before it at all: INVALID to conntrack, foreign to us; no answer, no entry."""
    lab = tracking_lab
    with lab.capture(family, both=False) as capture:
        lab.server.iptables(family, "-I", "INPUT", "-m", "conntrack", "--ctstate", "INVALID")
        for port in range(2000, 2100):
            segment = wire.tcp(
                family.phantom, family.server, port, PORT, "FA", port * 77777, port * 99999
            )
            lab.inject(wire.ip(family.phantom, family.server, segment))
        wait_until(
            lambda: lab.server.rule_packets(family) == 100, what="conntrack calls them invalid"
        )
        assert not capture.segments()
        assert lab.server.conntrack_entries() == 0
