#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Plays the clients of `make hold`, inside the guest, and writes what became of each to
/out/rows.json.

    hold.py BOOT [CLIENT...]

BOOT is one of BOOTS: two modules of the name xt_TARPIT do not fit into one kernel.

With CLIENTs it plays a short form: these clients at one RTT, without the other rules and paths.

All clients of a boot live through the same day. Nothing polls: a client is gone when its kernel
says that it has destroyed the socket (what `ss --events` shows), and what it has sent is counted by
nftables in its namespace.
"""

import errno
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, replace

import wire
from lab import FAMILIES, KEEP_ALIVE, Capture, Lab, alive, load_peer, sh

DAY = 24 * 3600
RTTS = (0, 100, 300)  # ms
SHORT_RTTS = (100,)


@dataclass(frozen=True)
class Behaviour:
    """What a client's application does with its connection."""

    writes: int = 0  # octets, as soon as it is connected
    waits: float | None = None  # seconds for data, before it closes; None: for ever
    again: bool = False  # what comes makes it wait as long once more; else it closes
    options: tuple = ()


CLIENTS = {
    "connect-wait": Behaviour(),
    "send-wait": Behaviour(200),
    "send-close": Behaviour(200, waits=0),
    "send-10s-close": Behaviour(200, waits=10),
    "connect-close": Behaviour(waits=0),
    "keepalive": Behaviour(options=KEEP_ALIVE),
    "user-timeout": Behaviour(200, options=((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30000),)),
    "inactivity-150": Behaviour(200, waits=150, again=True),
}


@dataclass(frozen=True)
class Rows:
    """Clients against one target, for each RTT and family."""

    target: str
    rule: str = ""
    path: str = ""  # what netem does besides the delay, in both directions
    clients: tuple = tuple(CLIENTS)
    count: int = 1  # of each; a row tells of the one that was held for the middle time

    @property
    def jump(self):
        """What follows -j. A responder of ours plays `silence`, and the server's kernel keeps
        out.
        """
        return ("DROP",) if self.target in ("DROP", "silence") else ("TARPIT", *self.rule.split())


FAULTS = {"": "", "loss 1%": "loss 1%", "loss 5%": "loss 5%", "reorder": "reorder 25% 50%"}
# Packets overtake others only where there is a delay, in ms.
LEAST_DELAY = {"reorder": 5}

ORPHAN = ("send-close",)
BOOTS = {
    "ours": (
        Rows("xt_TARPIT"),
        Rows("xt_TARPIT", "--drip"),
        Rows("xt_TARPIT", "--profile linux"),
        Rows("xt_TARPIT", path="loss 1%", clients=ORPHAN, count=45),
        Rows("xt_TARPIT", path="loss 5%", clients=ORPHAN, count=45),
        Rows("xt_TARPIT", path="reorder", clients=ORPHAN, count=5),
    ),
    # For each kernel that is supported (`make check_kernels`).
    "share": (Rows("xt_TARPIT", clients=("connect-wait", "send-wait", "send-close")),),
    "others": (Rows("xtables-addons"), Rows("DROP"), Rows("silence")),
}

ENDED = {errno.ETIMEDOUT: "timeout", errno.ECONNRESET: "reset", errno.ECONNREFUSED: "refused"}


class Place(Lab):
    """A lab with an RTT and faults, a rule for each set of rows, and the counters."""

    def __init__(self, rtt, path, sets, poll):
        self.rtt = rtt
        self.ports = {
            rows: 23 + number for number, rows in enumerate(sets)
        }  # which the lab's rules() is for
        self.sockets = []  # of ours, in the lab's namespaces
        super().__init__()
        self.delay(max(rtt / 2, LEAST_DELAY.get(path, 0)), FAULTS[path])
        # Neighbour discovery would be lost too, and take packets with it.
        self.introduce()
        ports = range(
            PORTS, PORTS + len(FAMILIES) * sum(rows.count * len(rows.clients) for rows in sets)
        )
        self.client.run("nft", "-f", "-", text=COUNTERS % ", ".join(map(str, ports)))
        with self.client.inside():
            self.destroyed = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW, 4
            )  # NETLINK_SOCK_DIAG
            self.destroyed.bind((0, 0b101))  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY
        self.sockets.append(self.destroyed)
        self.clients = {}  # by their port
        poll.add(self.destroyed, self.buried)
        for family, (rows, port) in itertools.product(FAMILIES, self.ports.items()):
            if rows.target == "silence":
                self.sockets.append(Silence(self, family, port, poll).capture.sock)

    def close(self):
        """Closes the sockets too: each keeps its namespace, and so the rules and the module, in
        use.
        """
        for sock in self.sockets:
            sock.close()
        super().close()

    def rules(self):
        for family, (rows, port) in itertools.product(FAMILIES, self.ports.items()):
            self.server.iptables(
                family, "-A", "INPUT", "-p", "tcp", "--dport", port, "-j", *rows.jump
            )

    def buried(self):
        """The client's kernel has destroyed a socket."""
        message = self.destroyed.recv(4096)  # ENOBUFS, should one have been lost
        _, kind = struct.unpack_from("=IH", message)
        assert kind == 20, f"not SOCK_DIAG_BY_FAMILY but {kind}"
        (port,) = struct.unpack_from("!H", message, 20)  # idiag_sport
        self.clients[port].gone()

    def sent(self):
        """{port: (packets, bytes)} of what left the client's stack."""
        listing = json.loads(self.client.run("nft", "-j", "list", "set", "inet", "hold", "sent"))
        (elements,) = (thing["set"]["elem"] for thing in listing["nftables"] if "set" in thing)
        counters = {e["elem"]["val"]: e["elem"]["counter"] for e in elements}
        return {port: (counter["packets"], counter["bytes"]) for port, counter in counters.items()}


PORTS = 20000  # of the clients, from here on
# Not a dynamic set: that one would be swept every second.
COUNTERS = """
table inet hold {
    set sent { type inet_service; counter; elements = { %s }; }
    chain out { type filter hook output priority 0; tcp sport @sent; }
}
"""


class Poll:
    """Calls who waits for a descriptor."""

    def __init__(self):
        self.epoll, self.waiting = select.epoll(), {}

    def add(self, sock, call, events=select.EPOLLIN):
        self.epoll.register(sock, events)
        self.waiting[sock.fileno()] = call

    def forget(self, sock):
        self.epoll.unregister(sock)
        del self.waiting[sock.fileno()]

    def wait(self, limit):
        for fd, _ in self.epoll.poll(limit):
            if fd in self.waiting:
                self.waiting[fd]()


class Silence:
    """Answers a SYN as LaBrea does, with a window of 10 and no options, and nothing else ever."""

    def __init__(self, lab, family, port, poll):
        self.family, self.port, self.to = family, port, lab.client.mac("c0")
        self.capture, self.seen = Capture(lab.server, "s0", family, both=False), 0
        poll.add(self.capture.sock, self.answer)

    def answer(self):
        segments = self.capture.segments()
        for its in segments[self.seen :]:
            if its.dport == self.port and "S" in its.flags:
                reply = wire.tcp(
                    its.dst, its.src, its.dport, its.sport, "SA", 0, its.seq + 1, window=10
                )
                where = ("s0", self.family.ethertype, 0, 0, self.to)
                self.capture.sock.sendto(wire.ip(its.dst, its.src, reply), where)
        self.seen = len(segments)


class Client:
    """One client: a socket, and the application behind it."""

    def __init__(self, lab, family, rows, name, poll):
        self.lab, self.family, self.rows, self.name, self.poll = lab, family, rows, name, poll
        self.does = CLIENTS[name]
        self.connected, self.ended, self.held, self.deadline = False, None, None, None
        self.port = PORTS + len(lab.clients)
        lab.clients[self.port] = self
        self.sock = lab.client.socket(family.af, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        for option in self.does.options:
            self.sock.setsockopt(*option)
        self.sock.bind((family.client, self.port))
        self.begin = time.monotonic()
        status = self.sock.connect_ex((family.server, lab.ports[rows]))
        assert status == errno.EINPROGRESS, f"{self}: connect: {os.strerror(status)}"
        poll.add(self.sock, self.proceed, select.EPOLLOUT)

    def __str__(self):
        rows = self.rows
        where = f"{self.family.name}, RTT {self.lab.rtt} ms {rows.path}"
        return f"{self.name}, {rows.target} {rows.rule}, {where}"

    def proceed(self):
        """Connected, or something came."""
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            assert error in ENDED, f"{self}: {os.strerror(error)}"
            self.close(ENDED[error])
            return
        if not self.connected:
            self.connected = True
            self.poll.epoll.modify(self.sock, select.EPOLLIN)
            assert self.sock.send(b"x" * self.does.writes) == self.does.writes
            self.wait()
        else:
            assert self.sock.recv(4096), f"{self}: the target has closed"
            if self.does.again:
                self.wait()
            elif self.does.waits is not None:
                self.close("closed")

    def wait(self):
        """For `waits` seconds from now."""
        if self.does.waits == 0:
            self.close("closed")
        elif self.does.waits:
            self.deadline = time.monotonic() + self.does.waits

    def close(self, why):
        self.ended, self.deadline = why, None
        self.poll.forget(self.sock)
        self.sock.close()

    def gone(self):
        assert self.ended, f"{self}: its socket went before it was closed"
        self.held = time.monotonic() - self.begin


def live(clients, poll, end):
    """Until the end, or until all clients are gone."""
    while (now := time.monotonic()) < end and any(client.held is None for client in clients):
        for client in clients:
            if client.deadline and client.deadline <= now:
                client.close("closed")
        poll.wait(min([end] + [c.deadline for c in clients if c.deadline]) - now)


def row(clients, sent):
    """What became of the clients of one row."""
    its = sorted(clients, key=lambda client: client.held)
    middle = its[len(its) // 2]
    hours = sum(c.held for c in its) / 3600
    packets, octets = (sum(sent[c.lab][c.port][i] for c in its) for i in range(2))
    result = {
        "client": middle.name,
        "rtt_ms": middle.lab.rtt,
        "family": 4 if middle.family.af == socket.AF_INET else 6,
        "target": middle.rows.target,
        "held_s": round(middle.held),
        "ended": middle.ended,
        "pkts_per_h": round(packets / hours, 1),
        "bytes_per_h": round(octets / hours),
        "rule": middle.rows.rule,
        "path": middle.rows.path,
    }
    if middle.rows.count > 1:
        result |= {"held_min_s": round(its[0].held), "held_max_s": round(its[-1].held)}
    return result


def main(boot, *names):
    sets, rtts, poll = BOOTS[boot], RTTS, Poll()
    if names:
        sets = [replace(rows, clients=names) for rows in sets if not rows.rule and not rows.path]
        rtts = SHORT_RTTS
    sh("modprobe", "-a", "tcp_diag", "x_tables")
    if boot == "others":
        load_peer()  # before the lab asks for the module of this name
    labs = [
        Place(rtt, path, [rows for rows in sets if rows.path == path], poll)
        for path in dict.fromkeys(rows.path for rows in sets)
        for rtt in rtts
    ]
    groups = [
        [Client(lab, family, rows, name, poll) for _ in range(rows.count)]
        for lab in labs
        for rows, family in itertools.product(lab.ports, FAMILIES)
        for name in rows.clients
    ]
    clients = list(itertools.chain(*groups))
    live(clients, poll, time.monotonic() + DAY)

    for lab in labs:
        left = {port for port, client in lab.clients.items() if client.held is None}
        assert left == alive(lab), "the kernel's list of sockets and its messages differ"
    sent = {lab: lab.sent() for lab in labs}
    for client in clients:
        if client.held is None or client.held >= DAY:
            client.held, client.ended = DAY, "held"
        assert sent[client.lab][client.port][0], f"{client}: sent nothing"
        assert client.connected == (client.rows.target != "DROP"), (
            f"{client}: connected is {client.connected}"
        )
    with open("/out/rows.json", "w", encoding="ascii") as file:
        json.dump([row(group, sent) for group in groups], file, indent=0)
    print(
        f"{boot}: {len(clients)} clients of {len(groups)} rows, "
        f"{sum(c.ended == 'held' for c in clients)} still held"
    )
    for client in clients:
        client.sock.close()
    for lab in labs:
        lab.close()


main(*sys.argv[1:])
