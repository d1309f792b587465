#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The lab of the segment zoo, inside the guest; what is sent and how it is judged is in ../zoo.

zoo.py replay LINE...           in all worlds, what a failure printed
zoo.py run SEED FROM TO WORLD   slices of a seed, in one of the worlds
"""

import contextlib
import fcntl
import itertools
import os
import socket
import struct
import subprocess
import sys

from lab import FAMILIES, Host, link, sh, unload, wait_until

PROGRAM = "/opt/zoo/zoo"
MTU = 9000
LINKS = {"veth": "s0", "tap": "t0", "frags": "t1", "tun": "u0"}
IFF_TUN, IFF_TAP, IFF_NAPI, IFF_NAPI_FRAGS, IFF_NO_PI, IFF_VNET_HDR = (
    0x1,
    0x2,
    0x10,
    0x20,
    0x1000,
    0x4000,
)
TUNSETIFF = 0x400454CA
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 15, 23, 33
ETH_P_ALL = 3
# What may be different about the world: whether fragments are put together before all hooks, and
# whether a packet socket of the server has clones of all that comes.
WORLDS = tuple(itertools.product((False, True), repeat=2))


def mac(side, way):
    return f"02:00:00:00:{side:02x}:{way:02x}"


class Zoo:
    """A server with a rule of each kind in each hook, and four links to it."""

    def __init__(self, defrag, seen):
        self.hosts, self.fds = [], contextlib.ExitStack()
        try:
            sh("modprobe", "xt_TARPIT")
            sh("modprobe", "tun")
            self.server, self.client = self.host(), self.host()
            link(self.client, "c0", self.server, "s0")
            links = {"veth": self.veth(mac(2, 0))}
            links |= {
                "tap": self.tun("t0", IFF_TAP),
                "frags": self.tun("t1", IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS),
            }
            links |= {"tun": self.tun("u0", IFF_TUN)}
            self.server.ip(
                "link add dummy0 type dummy",
                f"link set dummy0 mtu {MTU} up",
                "route add 203.0.113.0/24 dev dummy0",
                "route add 2001:db8:3::/64 dev dummy0",
            )
            for way, dev in enumerate(LINKS.values()):
                self.way(way, dev)
            wait_until(
                lambda: self.client.running("c0") and self.server.running("s0"),
                what="the link is up",
            )
            self.server.ip(
                *(
                    f"addr add {own} dev dummy0" + " nodad" * (":" in own)
                    for own in sh(PROGRAM, "addresses").split()
                )
            )
            for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                self.server.sysctl(name, 1)
            for family in FAMILIES:
                self.server.run(
                    f"{family.iptables}-restore", text=sh(PROGRAM, "rules", family.name[-1])
                )
                if defrag:
                    # The rule's state match lets conntrack see all that comes; nothing is in that
                    # state.
                    self.server.iptables(
                        family, "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "DNAT", "-j", "DROP"
                    )
            sniffer = self.packet_socket(self.server, None) if seen else None
            with self.server.inside():
                replies = os.open("/proc/thread-self/net/stat/xt_TARPIT", os.O_RDONLY)
            self.fds.callback(os.close, replies)
            self.environment = {
                "ZOO_LINKS": " ".join(
                    f"{name}={send},{receive}" for name, (send, receive) in links.items()
                ),
                "ZOO_SEEN": str(sniffer.fileno()) if sniffer else "",
                "ZOO_REPLIES": str(replies),
                "ZOO_DEFRAG": str(int(defrag)),
            }
            self.passed = {fd for ends in links.values() for fd in ends} | {replies}
            self.passed |= {sniffer.fileno()} if sniffer else set()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.fds.close()
        for host in self.hosts:
            host.close()
        unload()

    def host(self):
        host = Host()
        self.hosts.append(host)
        return host

    def packet_socket(self, host, dev):
        """Everything that comes in there, and what is sent for who listens everywhere."""
        sock = self.fds.enter_context(
            host.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL) if not dev else 0
            )
        )
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        sock.setblocking(False)
        if dev:
            sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            sock.bind((dev, ETH_P_ALL))
        return sock

    def veth(self, address):
        self.client.ip(f"link set c0 address {address} mtu {MTU} up")
        sender = self.fds.enter_context(self.client.socket(socket.AF_PACKET, socket.SOCK_RAW))
        sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sender.bind(("c0", 0))
        receiver = self.packet_socket(self.client, "c0")
        return sender.fileno(), receiver.fileno()

    def tun(self, dev, flags):
        with self.server.inside():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self.fds.callback(os.close, fd)
            fcntl.ioctl(
                fd,
                TUNSETIFF,
                struct.pack("16sH22x", dev.encode(), flags | IFF_NO_PI | IFF_VNET_HDR),
            )
        return fd, fd

    def way(self, way, dev):
        """The server's end of a link, and what is behind it; see world.rs."""
        lines = [
            f"link set {dev} mtu {MTU} up",
            f"addr add 192.0.2.{16 * way + 2}/28 brd + dev {dev}",
            f"addr add 2001:db8:1:{way}::2/64 dev {dev} nodad",
        ]
        if dev != LINKS["tun"]:
            lines.insert(0, f"link set {dev} address {mac(1, way)}")
            lines += [f"link add link {dev} name {dev}.7 type vlan id 7", f"link set {dev}.7 up"]
            lines += [
                f"neigh add {gateway} lladdr {mac(2, way)} dev {dev}"
                for gateway in (f"192.0.2.{16 * way + 1}", f"2001:db8:1:{way}::1")
            ]
        lines += [
            f"route add 10.{32 * (1 + way)}.0.0/11 via 192.0.2.{16 * way + 1} dev {dev}",
            f"route add 2001:db8:{0x10 + way:x}::/48 via 2001:db8:1:{way}::1 dev {dev}",
        ]
        self.server.ip(*lines)
        # Answers keep their order, on which the end of a step relies; fq_codel may change it.
        self.server.run("tc", "qdisc", "replace", "dev", dev, "root", "noqueue")

    def run(self, *words):
        """Runs the program; whether the judge was content. What it prints goes where ours does."""
        words = [PROGRAM, *map(str, words)]
        with self.client.inside():
            return (
                subprocess.run(
                    words, env=os.environ | self.environment, pass_fds=self.passed
                ).returncode
                == 0
            )


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    match sys.argv[1:]:
        case ["replay", *lines]:
            for world in WORLDS:
                with Zoo(*world) as zoo:
                    if not zoo.run("replay", *lines):
                        sys.exit(f"zoo: with defrag, seen = {world}")
        case ["run", *slices, world]:
            with Zoo(*WORLDS[int(world)]) as zoo:
                sys.exit(not zoo.run("run", *slices))
        case _:
            sys.exit(__doc__)
