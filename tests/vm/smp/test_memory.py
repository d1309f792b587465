# SPDX-License-Identifier: GPL-2.0
"""Memory: what 100,000 flows leave behind, which is nothing.

The flows come from a packet socket: no socket, no timer and no connection of the client's is in this
kernel, so what grows would be the tarpit's, or conntrack's. Each flow is a SYN, the ACK of the very SYN-ACK
that it got, and a segment with data or a FIN, which is answered; every answer is counted.
"""

import ctypes
import socket
import struct
import time

import pytest
import wire
from lab import PORT, V4, Capture, Lab, slab_kb, wait_until

FLOWS = 100_000
BATCH = 500  # flows that are under way at once
STRIDE = 128  # bytes between two packets of a batch
FIRST_PORT = 1024

libc = ctypes.CDLL(None, use_errno=True)


class Batch:
    """A row of packets that one system call sends or receives."""

    def __init__(self, count):
        self.data = bytearray(count * STRIDE)
        base = ctypes.addressof((ctypes.c_char * len(self.data)).from_buffer(self.data))
        self.vectors = (ctypes.c_uint64 * (2 * count))()
        # struct mmsghdr: msghdr of 56 bytes, msg_len and padding.
        self.messages = bytearray(64 * count)
        self.address = ctypes.addressof((ctypes.c_char * len(self.messages)).from_buffer(self.messages))
        start = ctypes.addressof(self.vectors)
        for i in range(count):
            self.vectors[2 * i], self.vectors[2 * i + 1] = base + i * STRIDE, STRIDE
            struct.pack_into("=QIIQQQQiiII", self.messages, 64 * i, 0, 0, 0, start + 16 * i, 1, 0, 0, 0, 0, 0, 0)

    def length(self, length):
        for i in range(1, len(self.vectors), 2):
            self.vectors[i] = length

    def send(self, sock, count):
        done = 0
        while done < count:
            sent = libc.sendmmsg(sock.fileno(), ctypes.c_void_p(self.address + 64 * done), count - done, 0)
            assert sent > 0, f"sendmmsg: errno {ctypes.get_errno()}"
            done += sent

    def receive(self, sock, count):
        """Receives just so many packets, within a second each."""
        done, end = 0, time.monotonic() + 20
        while done < count:
            address = ctypes.c_void_p(self.address + 64 * done)
            got = libc.recvmmsg(sock.fileno(), address, count - done, 0x40, None)  # MSG_DONTWAIT
            done += max(got, 0)
            assert time.monotonic() < end, f"{done} answers where {count} were expected"


class Generator:
    """Flows from consecutive ports of one phantom."""

    def __init__(self, lab, family, capture):
        self.family, self.capture = family, capture
        self.sock = lab.client.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        with lab.client.inside():
            index = socket.if_nametoindex("c0")
        # struct sockaddr_ll.
        to = struct.pack("=HHiHBB8s", 17, socket.htons(family.ethertype), index, 0, 0, 6, lab.server_mac + b"\0\0")
        self.to = ctypes.create_string_buffer(to, len(to))
        self.out, self.back = Batch(BATCH), Batch(BATCH)
        for i in range(BATCH):
            struct.pack_into("=QI", self.out.messages, 64 * i, ctypes.addressof(self.to), len(to))

    def _fill(self, src, flags, opts, payload, ports, acks):
        """Writes one packet a port; only ports, acknowledgments and checksums differ."""
        segment = wire.tcp(src, self.family.server, 0, PORT, flags, self.isn, 0, opts=opts, payload=payload)
        packet = wire.ip(src, self.family.server, segment)
        at, data = self.family.header, self.out.data
        # The checksum of the template, undone: what each packet adds to it is added below.
        base = ~struct.unpack_from("!H", segment, 16)[0] & 0xFFFF
        for i, (port, ack) in enumerate(zip(ports, acks)):
            total = base + port + (ack >> 16) + (ack & 0xFFFF)
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            offset = i * STRIDE
            data[offset : offset + len(packet)] = packet
            struct.pack_into("!H", data, offset + at, port)
            struct.pack_into("!I", data, offset + at + 8, ack)
            struct.pack_into("!H", data, offset + at + 16, ~total & 0xFFFF)
        self.out.length(len(packet))

    def run(self, src, ports, last, payload):
        """One batch of flows, from the SYN to the answer to the last segment."""
        self.isn = 0x01020304
        at, count = self.family.header, len(ports)
        self._fill(src, "S", wire.options(1460, True, (5, 0), 7), b"", ports, [0] * count)
        self.out.send(self.sock, count)
        self.back.receive(self.capture.sock, count)
        acks = []
        for i, port in enumerate(ports):
            to, seq, ack, _, bits = struct.unpack_from("!HIIBB", self.back.data, i * STRIDE + at + 2)
            assert (to, ack, bits) == (port, self.isn + 1, 0x12), "in order, each SYN its SYN-ACK"
            acks.append(seq + 1 & 0xFFFFFFFF)
        self.isn += 1
        # Without timestamps, so that the tarpit has nothing but the numbers.
        self._fill(src, "A", b"", b"", ports, acks)
        self.out.send(self.sock, count)
        self._fill(src, last, b"", payload, ports, acks)
        self.out.send(self.sock, count)
        self.back.receive(self.capture.sock, count)
        for i, port in enumerate(ports):
            to, seq, ack, _, bits, window = struct.unpack_from("!HIIBBH", self.back.data, i * STRIDE + at + 2)
            assert (to, seq, ack, bits, window) == (port, acks[i], self.isn + bool(payload), 0x10, 0)


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
    lab = Lab("memory")
    for tables in ("iptables", "ip6tables"):
        lab.server.run(tables, "-I", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    yield lab
    lab.close()


@pytest.mark.counts_memory
@pytest.mark.parametrize("setup", SETUPS)
def test_100000_flows_leave_nothing_behind(tracking_lab, family, setup):
    """conntrack count 0 all along; slab as before within 2 MB, conntrack's objects within 512 (20 bytes a flow)."""
    notrack, last, payload = SETUPS[setup]
    lab = tracking_lab
    if notrack:
        lab.server.iptables(family, "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "-j", "CT", "--notrack")
    source = ("198.51.100.{}" if family is V4 else "2001:db8:2::{}").format
    with Capture(lab.client, "c0", family, both=False) as capture:
        capture.only_tcp()
        generator = Generator(lab, family, capture)
        # The first batch makes what is made once.
        generator.run(source(1), range(60000, 60000 + BATCH), last, payload)
        slab, objects = slab_kb(), conntrack_objects()
        begin = time.monotonic()
        entries = set()
        for number in range(FLOWS // BATCH):
            address, first = divmod(number * BATCH, 50_000)
            generator.run(source(2 + address), range(FIRST_PORT + first, FIRST_PORT + first + BATCH), last, payload)
            entries.add(lab.server.conntrack_entries())
        took = time.monotonic() - begin
        # Freed entries go after a grace period.
        wait_until(lambda: conntrack_objects() - objects < 512, what="conntrack's objects are as few as before")
        wait_until(lambda: slab_kb() - slab < 2048, what="the slab is as small as before")
        print(
            f"\n{family.name}, {setup}: {FLOWS} flows in {took:.0f} s; slab {slab_kb() - slab:+} kB, "
            f"nf_conntrack objects {conntrack_objects() - objects:+}, entries {entries}"
        )
        assert entries == {0}
        generator.sock.close()


def test_fin_out_of_nowhere_makes_no_entry(tracking_lab, family):
    """Nothing before it at all: INVALID to conntrack, foreign to us; no answer, no entry."""
    lab = tracking_lab
    with lab.capture(family, both=False) as capture:
        lab.server.iptables(family, "-I", "INPUT", "-m", "conntrack", "--ctstate", "INVALID")
        for port in range(2000, 2100):
            segment = wire.tcp(family.phantom, family.server, port, PORT, "FA", port * 77777, port * 99999)
            lab.inject(wire.ip(family.phantom, family.server, segment))
        wait_until(lambda: lab.server.rule_packets(family) == 100, what="conntrack calls them invalid")
        assert not capture.segments()
        assert lab.server.conntrack_entries() == 0
