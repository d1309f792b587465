# SPDX-License-Identifier: GPL-2.0
"""The lab: network namespaces, the tarpit in one of them, and the verbs of the scenarios.

            client                                server
      192.0.2.1  2001:db8:1::1              192.0.2.2  2001:db8:1::2
            [c0] ------------- veth ------------- [s0]    INPUT: --dport 23 -j TARPIT
              |                                     |
    phantoms: addresses that nobody has   [dummy0]  unused netblock, routed here, nobody there:
    198.51.100.0/24  2001:db8:2::/48          203.0.113.0/24  2001:db8:3::/64
    198.18.0.0/16

The server sends what is for phantoms to the client, which sees it and drops it: a phantom is a peer
without a kernel. A `Puppet` is such a peer, played packet by packet; a real client is a socket in
the client's namespace.

Frames are seen by packet sockets. One that listens to all protocols clones every packet that its
side sends, so the server gets clones; one that listens to IP alone sees arrivals only and leaves
the packets alone. Both ways matter to a module that rewrites packets in place.
"""

import contextlib
import ctypes
import fcntl
import functools
import itertools
import os
import re
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass

import wire

CLIENT, SERVER, PHANTOM, NETBLOCK = range(4)

if not hasattr(os, "setns"):  # before Python 3.12: Debian 12
    libc = ctypes.CDLL(None, use_errno=True)

    def system_call(function):
        """The C function, whose failure is an OSError."""

        def call(*arguments):
            if function(*arguments):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        return call

    os.CLONE_NEWNET, os.setns, os.unshare = (
        0x40000000,
        system_call(libc.setns),
        system_call(libc.unshare),
    )


@dataclass(frozen=True)
class Family:
    """One IP version and the lab's addresses in it."""

    name: str
    af: int
    ethertype: int
    iptables: str
    addresses: tuple
    header: int

    @property
    def client(self):
        return self.addresses[CLIENT]

    @property
    def server(self):
        return self.addresses[SERVER]

    @property
    def phantom(self):
        return self.addresses[PHANTOM]

    @property
    def nobody(self):
        """An address of the unused netblock."""
        return self.addresses[NETBLOCK]


V4 = Family(
    "ipv4",
    socket.AF_INET,
    0x0800,
    "iptables",
    ("192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.9"),
    20,
)
V6 = Family(
    "ipv6",
    socket.AF_INET6,
    0x86DD,
    "ip6tables",
    ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2001:db8:3::9"),
    40,
)
FAMILIES = (V4, V6)
KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))
SANITIZER = os.uname().release.endswith("-sanitizer")  # the kernel of tests/sanitizer.config
PORT = 23
FIRST_WINDOW = 24  # octets; what a client with timestamps may send at first
# How a rule may answer.
MODES = {
    "tarpit": (),
    "linux": ("--profile", "linux"),
    "drip": ("--drip",),
    "honeypot": ("--honeypot",),
    "reset": ("--reset",),
}


def wide_window(mss, timestamps=False):
    """The first window of Linux, and of the tarpit for a client without timestamps: whole
    segments below 64 K.
    """
    return 65535 - 65535 % (mss - 12 * timestamps)


def sh(*argv, text=None, check=True):
    """Runs a command; what it prints. Its failure is the test's, with its words."""
    done = subprocess.run([str(arg) for arg in argv], input=text, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(map(str, argv))}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout if check else done


def wait_until(condition, limit=20, what="the condition"):
    """Waits for `condition()` to be true, at most `limit` seconds; its value."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {limit} s"
        time.sleep(0.02)
    return value


def for_each(cases, check):
    """Runs `check(case)` for each of them, in one lab and under one rule; whatever fails is
    named.
    """
    failed = []
    for case in cases:
        try:
            check(case)
        except AssertionError as failure:
            failed.append(f"{case}: {failure}")
    assert not failed, "\n\n".join(failed)


class Host:
    """A network namespace, which ends with its descriptor, its rules in it."""

    OWN = "/proc/thread-self/ns/net"
    ports = iter(range(11000, 20000))  # of clients

    def __init__(self):
        home = os.open(self.OWN, os.O_RDONLY | os.O_CLOEXEC)
        os.unshare(os.CLONE_NEWNET)
        self.fd = os.open(self.OWN, os.O_RDONLY | os.O_CLOEXEC)
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS: IFF_UP
        # Duplicate address detection would only cost time.
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.accept_ra", 0)
        self.sysctl("net.ipv6.conf.default.router_solicitations", 0)

    @property
    def path(self):
        """What `ip link` calls it."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self):
        os.close(self.fd)

    @contextlib.contextmanager
    def inside(self):
        """Sockets that are opened and commands that are run in here are in this namespace."""
        home = os.open(self.OWN, os.O_RDONLY | os.O_CLOEXEC)
        os.setns(self.fd, os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home, os.CLONE_NEWNET)
            os.close(home)

    def run(self, *argv, **how):
        with self.inside():
            return sh(*argv, **how)

    def ip(self, *lines):
        """Several `ip` commands at once."""
        return self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def iptables(self, family, *argv, **how):
        return self.run(family.iptables, "-w", *argv, **how)

    @contextlib.contextmanager
    def rule(self, family, *rule, table="filter"):
        """A rule at the head of its chain, while the block runs."""
        self.iptables(family, "-t", table, "-I", *rule)
        try:
            yield
        finally:
            self.iptables(family, "-t", table, "-D", *rule)

    def rule_packets(self, family, chain="INPUT", number=1, table="filter"):
        """How many packets a rule has matched."""
        listing = self.iptables(family, "-t", table, "-nvxL", chain, number)
        return int(listing.split()[0])

    def proc(self, path):
        with self.inside():
            return open(f"/proc/thread-self/net/{path}", encoding="ascii").read()

    def sysctl(self, name, value=None):
        path = "/proc/sys/" + name.replace(".", "/")
        with self.inside():
            if value is None:
                return open(path, encoding="ascii").read().strip()
            with open(path, "w", encoding="ascii") as file:
                file.write(str(value))

    def tcp_counter(self, name):
        """A counter of /proc/net/netstat or snmp, such as TCPChallengeACK."""
        for path in ("netstat", "snmp"):
            lines = self.proc(path).splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                found = dict(zip(names.split(), values.split()))
                if name in found:
                    return int(found[name])
        raise KeyError(name)

    def conntrack_entries(self):
        return int(self.sysctl("net.netfilter.nf_conntrack_count"))

    def tracked(self, port):
        """The connections to a port that conntrack knows, with their states."""
        ask = ("conntrack", "-L", "-p", "tcp", "--orig-port-dst", port, "-f")
        lines = "".join(self.run(*ask, family.name) for family in FAMILIES)
        # Behind the protocol's number are the timeout and the state.
        return [
            (state, int(timeout))
            for timeout, state in re.findall(r"^tcp +6 (\d+) ([A-Z_]+)", lines, re.M)
        ]

    def socket(self, *args):
        with self.inside():
            return socket.socket(*args)

    def connect(
        self, family, port=PORT, address=None, limit=10, prepare=None, scope=0, orphan=False
    ):
        """A real client: a connected TCP socket. `prepare(sock)` runs before it connects.

        What it has not sent dies with it, unless it may leave an orphan, whose probes go on into
        the next test.
        """
        sock = self.socket(family.af, socket.SOCK_STREAM)
        if not orphan:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if prepare:
            prepare(sock)
        if sock.getsockname()[1] == 0:
            # The kernel may give one port to two clients, of two families or with two destinations.
            sock.bind(("", next(Host.ports)))
        sock.settimeout(limit)
        where = (address or family.server, port)
        sock.connect(where + (0, scope) if family is V6 else where)
        return sock

    def running(self, dev):
        """Whether a link is up and has a carrier."""
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16sH22x", dev.encode(), 0)
            flags = struct.unpack_from("H", fcntl.ioctl(sock, 0x8913, request), 16)[
                0
            ]  # SIOCGIFFLAGS
        return flags & 0x40 != 0  # IFF_RUNNING

    def mac(self, dev):
        with self.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
            sock.bind((dev, 0))
            return sock.getsockname()[4]


class Capture:
    """A packet socket on one interface.

    With `both` it sees what is sent and what arrives, and makes clones of what is sent; without, it
    sees only the arrivals of one family.
    """

    SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33

    def __init__(self, host, dev, family, both=True):
        self.family = family
        ethertype = 0x0003 if both else family.ethertype
        with host.inside():
            # Without a protocol it hears nothing yet: not what other links get.
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self.sock.bind((dev, ethertype))
        self.sock.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, 64 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, self.SO_TIMESTAMPNS, 1)
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def only_tcp(self):
        """Keeps neighbour discovery out, for who counts packets: loads the protocol's byte,
        compares, returns.
        """
        offset = 9 if self.family is V4 else 6
        code = ((0x30, 0, 0, offset), (0x15, 0, 1, wire.TCP), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
        program = ctypes.create_string_buffer(
            b"".join(struct.pack("=HBBI", *line) for line in code)
        )
        self.sock.setsockopt(
            socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
        )
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.recv(1, socket.MSG_DONTWAIT)

    def segments(self):
        """All TCP segments of the family so far."""
        while True:
            try:
                data, control, _, origin = self.sock.recvmsg(70000, 128, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if origin[1] != self.family.ethertype or not (segment := wire.parse(data)):
                continue
            for level, kind, value in control:
                if (level, kind) == (socket.SOL_SOCKET, self.SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("qq", value)
                    segment.time = seconds + nanoseconds / 1e9
            segment.outgoing, segment.mac = origin[2] == socket.PACKET_OUTGOING, origin[4]
            self.seen.append(segment)
        # Dropped packets would be missed evidence.
        packets, drops = struct.unpack(
            "II", self.sock.getsockopt(263, 6, 8)
        )  # SOL_PACKET, STATISTICS
        assert drops == 0, f"the capture lost {drops} of {packets} packets"
        return self.seen

    def wait(self, limit):
        """Waits until something can be read."""
        return bool(select.select([self.sock], [], [], limit)[0])


class Lab:
    """Client and server, connected, the module loaded and a rule for port 23 in both families."""

    open_labs = 0
    wire = "c0"  # the client's end, where packets are injected and captured
    strangers = itertools.count(2)

    def __init__(self):
        self.hosts = []
        Lab.open_labs += 1
        try:
            sh("modprobe", "xt_TARPIT")
            self.client, self.server = self.host(), self.host()
            self.cable()
            self.client.ip(
                "addr add 192.0.2.1/24 brd + dev c0",
                "addr add 2001:db8:1::1/64 dev c0 nodad",
                "link set c0 up",
                "route add 203.0.113.0/24 via 192.0.2.2",
                "route add 2001:db8:3::/64 via 2001:db8:1::2",
            )
            self.server.ip(
                "link add dummy0 type dummy",
                "link set dummy0 up",
                "addr add 192.0.2.2/24 brd + dev s0",
                "addr add 2001:db8:1::2/64 dev s0 nodad",
                "link set s0 up",
                "route add 198.51.100.0/24 via 192.0.2.1",
                "route add 198.18.0.0/16 via 192.0.2.1",
                "route add 2001:db8:2::/48 via 2001:db8:1::1",
                "route add 203.0.113.0/24 dev dummy0",
                "route add 2001:db8:3::/64 dev dummy0",
            )
            # The kernel takes up to a second to notice that both ends are up.
            wait_until(
                lambda: self.client.running("c0") and self.server.running("s0"),
                what="the link is up",
            )
            self.server_mac = self.server.mac("s0")
            self.rules()
        except BaseException:
            self.close()
            raise

    def cable(self):
        """What is between client and server."""
        link(self.client, "c0", self.server, "s0")

    def rules(self):
        for family in FAMILIES:
            self.server.iptables(
                family, "-A", "INPUT", "-p", "tcp", "--dport", PORT, "-j", "TARPIT"
            )

    def host(self):
        host = Host()
        self.hosts.append(host)
        return host

    def close(self):
        """Undoes everything; the module must be free to go, unless another lab uses it."""
        for host in self.hosts:
            host.close()
        self.hosts = []
        if hasattr(self, "injector"):
            self.injector.close()
        Lab.open_labs -= 1
        if Lab.open_labs == 0:
            unload()

    def delay(self, ms, faults=""):
        """Delays each direction, and adds more of netem's words."""
        for seed, (host, dev) in enumerate(((self.client, "c0"), (self.server, "s0")), 1):
            if ms or faults:
                words = f"delay {ms}ms {faults}" + (f" seed {seed}" if faults else "")
                host.run("tc", "qdisc", "add", "dev", dev, "root", "netem", *words.split())

    def introduce(self):
        """Tells both hosts each other's link-layer address for good, so that they never ask."""
        ends = (
            (self.client, "c0", "server", self.server_mac),
            (self.server, "s0", "client", self.client.mac("c0")),
        )
        for host, dev, other, mac in ends:
            host.ip(
                *(
                    f"neigh add {getattr(f, other)} lladdr {mac.hex(':')} dev {dev}"
                    for f in FAMILIES
                )
            )

    def capture(self, family, both=True):
        """On the client's side of the wire."""
        return Capture(self.client, self.wire, family, both)

    def stranger(self, family):
        """A phantom that nobody has played yet: limits are per source."""
        number = next(Lab.strangers)
        return (
            f"198.18.{number >> 8}.{number & 255}" if family is V4 else f"2001:db8:2:{number:x}::1"
        )

    def inject(self, packet, mac=None):
        """Sends a packet over the client's wire as it is."""
        ethertype = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        if not hasattr(self, "injector"):
            self.injector = self.client.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.injector.sendto(packet, (self.wire, ethertype, 0, 0, mac or self.server_mac))

    def frame(self, packet, gso_size, linear):
        """A TCP packet as a packet socket with PACKET_VNET_HDR sends it: a card's, its checksum
        known to be right.

        With a `gso_size` it is one that a card would still have to cut.
        """
        six = packet[0] >> 4 == 6
        start = 40 if six else (packet[0] & 15) * 4
        # The checksum field holds the pseudo header's sum; flags: the rest is to be computed.
        length = len(packet) - start
        source = packet[8:24] + packet[24:40] if six else packet[12:20]
        partial = ~wire.checksum(source + struct.pack("!II", length, wire.TCP)) & 0xFFFF
        packet = packet[: start + 16] + struct.pack("!H", partial) + packet[start + 18 :]
        kind = (4 if six else 1) if gso_size else 0
        header = struct.pack("=BBHHHH", 1, kind, 14 + linear, gso_size, 14 + start, 16)
        ethernet = (
            self.server_mac + self.client.mac("c0") + struct.pack("!H", 0x86DD if six else 0x0800)
        )
        return header + ethernet + packet

    def frame_socket(self):
        """A packet socket for frames, on the client's wire."""
        sock = self.client.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        sock.bind(("c0", 0))
        return sock

    def inject_gso(self, packet, gso_size, linear):
        """Sends a TCP packet that a network card would still have to cut: the server gets it whole.

        Of its bytes `linear` are in the head of the skb, the others in its fragments (if the packet
        is longer than a page).
        """
        with self.frame_socket() as sock:
            sock.send(self.frame(packet, gso_size, linear))


def link(a, a_dev, b, b_dev):
    """A veth pair between two hosts."""
    a.ip(f"link add {a_dev} type veth peer name {b_dev} netns {b.path}")


def module_users():
    """How many rules hold the module, or None if it is not loaded."""
    for line in open("/proc/modules", encoding="ascii"):
        name, _, users, *_ = line.split()
        if name == "xt_TARPIT":
            return int(users)
    return None


def unload():
    """Removes the module, which nobody may use any more (namespaces end in the background)."""
    if module_users() is None:
        return
    wait_until(lambda: module_users() == 0, 20, "xt_TARPIT is free")
    sh("rmmod", "xt_TARPIT")


# xtables-addons' module and extension, which have the names of ours, and where iptables then looks.
PEER = "/opt/xtables-addons"
PLUGINS_LIBDIR = f"/usr/lib/{os.uname().machine}-linux-gnu/xtables"
PEERS_LIBDIR = f"{PEER}:{PLUGINS_LIBDIR}"


def load_peer():
    """Loads xtables-addons' module in place of what is there, and lets iptables find its
    extension.
    """
    unload()
    for needed in sh("modinfo", "-F", "depends", f"{PEER}/xt_TARPIT.ko").replace(",", " ").split():
        sh("modprobe", needed)
    sh("insmod", f"{PEER}/xt_TARPIT.ko")
    os.environ["XTABLES_LIBDIR"] = PEERS_LIBDIR


class Puppet:
    """A peer that is played packet by packet: no socket, no timers, any numbers.

    Its address is a phantom's, so nothing but the test answers for it.
    """

    ports = iter(range(20000, 60000))

    def __init__(
        self,
        lab,
        family,
        capture,
        dst=None,
        dport=PORT,
        src=None,
        sport=None,
        isn=0xFFFFFFF0,
        ts=True,
    ):
        self.lab, self.family, self.capture = lab, family, capture
        self.src, self.dst = src or family.phantom, dst or family.server
        self.sport, self.dport = sport or next(Puppet.ports), dport
        self.isn, self.their_isn = isn, None
        self.clock, self.echo, self.ts = 1000, 0, ts
        self.taken = 0

    def segment(self, flags, at=0, payload=b"", seq=None, ack=None, opts=None, **wrong):
        """A segment `at` octets into our stream; SYN is at -1."""
        self.clock += 1
        if opts is None:
            ts = (self.clock, self.echo) if self.ts else None
            opts = wire.options(1460, True, ts, 7) if "S" in flags else wire.options(ts=ts)
        if ack is None:
            ack = (self.their_isn or 0) + 1 if "A" in flags else 0
        seq = self.isn + 1 + at if seq is None else seq
        return wire.tcp(
            self.src,
            self.dst,
            self.sport,
            self.dport,
            flags,
            seq,
            ack,
            opts=opts,
            payload=payload,
            **wrong,
        )

    def packet(self, flags, at=0, payload=b"", ip=None, **fields):
        segment = self.segment(flags, at, payload, **fields)
        return wire.ip(self.src, self.dst, segment, **(ip or {}))

    def send(self, *args, mac=None, **fields):
        packet = self.packet(*args, **fields)
        self.lab.inject(packet, mac)
        return packet

    def answers(self):
        """What came for this puppet and was not yet taken."""
        mine = [
            s
            for s in self.capture.segments()
            if not s.outgoing and (s.dst, s.dport) == (self.src, self.sport)
        ]
        new, self.taken = mine[self.taken :], len(mine)
        return new

    def answer(self, limit=20):
        """The one answer that must come."""
        end = time.monotonic() + limit
        while not (new := self.answers()):
            left = end - time.monotonic()
            assert left > 0, "no answer"
            self.capture.wait(left)
        assert len(new) == 1, "more than one answer:\n" + "\n".join(map(str, new))
        if new[0].ts:
            self.echo = new[0].ts[0]
        assert new[0].right, f"a wrong checksum: {new[0]}"
        return new[0]

    def settle(self, dst=None, dport=PORT):
        """Waits until all that was sent before has been answered, if it is at all.

        The wire and the server's queue keep the order, so what was to be answered before a SYN has
        been answered when the SYN's answer is here. (The test runs on one processor.)
        """
        marker = Puppet(self.lab, self.family, self.capture, dst, dport)
        marker.send("S", -1)
        assert marker.answer().flags == "SA"
        marker.send("R")

    def reply(self, dport=None):
        """The answer to what was just sent, or None; `dport` is one where a SYN gets a SYN-ACK,
        if ours is none.
        """
        self.settle(self.dst, dport or self.dport)
        new = self.answers()
        assert len(new) <= 1, "more than one answer:\n" + "\n".join(map(str, new))
        if new and new[0].ts:
            self.echo = new[0].ts[0]
        assert not new or new[0].right, f"a wrong checksum: {new[0]}"
        return new[0] if new else None

    def connect(self):
        """The three-way handshake; the SYN-ACK."""
        self.send("S", -1)
        syn_ack = self.answer()
        self.their_isn = syn_ack.seq
        self.send("A")
        return syn_ack

    def quiet(self):
        """No answer has come, and none is under way."""
        self.settle()
        return not self.answers()


# struct tcp_info, as far as it is of use.
TCP_INFO = struct.Struct("=8B 24I 2Q 2Q 2I")


def tcp_info(sock):
    """What the client's kernel says of a connection."""
    data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    state, ca_state, retransmits, probes, backoff, opts = data[:6]
    u32 = struct.unpack_from("=24I", data, 8)
    acked, received, segs_out, segs_in = struct.unpack_from("=QQII", data, 120)
    return {
        "state": state,
        "probes": probes,
        "retransmits": retransmits,
        "backoff": backoff,
        "rto": u32[0],
        "mss": u32[2],
        "ts": bool(opts & 1),
        "wscale": bool(opts & 4),
        # Linux counts the SYN.
        "acked": acked - 1,
        "segs_out": segs_out,
        "segs_in": segs_in,
    }


def assert_held(client):
    """A real client sends more than the first window, and is answered when it probes the closed
    one.
    """
    client.send(b"x" * 1000)
    wait_until(
        lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first window is acknowledged"
    )
    wait_until(
        lambda: (info := tcp_info(client))["backoff"] >= 2 and info["probes"] == 0,
        what="probes are answered",
    )


ESTABLISHED = 1
TIME_WAIT = "06"
# 60/20/6.
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
)


def keep_alive(sock):
    """Turns KEEP_ALIVE on."""
    for option in KEEP_ALIVE:
        sock.setsockopt(*option)


def alive(lab):
    """The ports of the connections that the client's kernel still has."""
    lines = [
        line.split() for path in ("tcp", "tcp6") for line in lab.client.proc(path).splitlines()[1:]
    ]
    return {int(local.split(":")[1], 16) for _, local, _, state, *_ in lines if state != TIME_WAIT}


def strangers_may_share(test):
    """Tries a scenario of budgets with other strangers, up to three times.

    Two sources in 4,096 share an entry of the module's table, and so a budget that another scenario
    may have spent.
    """

    @functools.wraps(test)
    def tried(*args, **kwargs):
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                return test(*args, **kwargs)
        return test(*args, **kwargs)

    return tried


def slab_kb():
    for line in open("/proc/meminfo", encoding="ascii"):
        if line.startswith("Slab:"):
            return int(line.split()[1])
    raise KeyError("Slab")


def kernel_kb():
    """What the kernel has allocated for itself: slab, per-CPU memory and vmalloc."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = {name: int(value.split()[0]) for name, value in (line.split(":") for line in file)}
    return sum(fields[name] for name in ("Slab", "Percpu", "VmallocUsed"))


class KernelLog:
    """The kernel's log from now on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self.fd, 0, os.SEEK_END)
        self.lines = []

    def read(self):
        """All (level, text) since the beginning."""
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return self.lines
            head, text = record.split(";", 1)
            self.lines.append((int(head.split(",")[0]) & 7, text.splitlines()[0]))

    def close(self):
        os.close(self.fd)
