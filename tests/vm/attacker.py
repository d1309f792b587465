#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""An attacker in a network namespace of his own: `unshare -Urn attacker.py`, unprivileged.

    [v0] ----- veth ----- [v1]    raw PREROUTING -i v1: -p tcp -j TARPIT --hairpin

He may load rules there and send himself packets with any addresses. Commands are lines of JSON on
stdin, and each one is answered by a line of JSON on stdout. The attacker ends with his stdin.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import wire

FAMILIES = {"iptables": 0x0800, "ip6tables": 0x86DD}


def mac(dev):
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
        sock.bind((dev, 0))
        return sock.getsockname()[4]


class Namespace:
    """The veth pair, the rules, and a packet socket on the attacker's end."""

    def __init__(self):
        lines = (
            "link set lo up\nlink add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n"
        )
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
        for tool in FAMILIES:
            rule = "-t raw -A PREROUTING -i v1 -p tcp -j TARPIT --hairpin"
            subprocess.run([tool, *rule.split()], check=True)
        self.to = mac("v1")
        self.socks = {}
        for ethertype in FAMILIES.values():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            sock.bind(("v0", ethertype))
            self.socks[ethertype] = sock
        self.flooder = None

    def _send(self, packet):
        ethertype = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        self.socks[ethertype].sendto(packet, ("v0", ethertype, 0, 0, self.to))

    def answers(self, packets, last, limit):
        """Sends packets; the replies, up to and including the one to the port `last`."""
        for packet in packets:
            self._send(bytes.fromhex(packet))
        end, found = time.monotonic() + limit, []
        while (left := end - time.monotonic()) > 0:
            for sock in select.select(list(self.socks.values()), [], [], left)[0]:
                data, origin = sock.recvfrom(70000)
                segment = origin[2] != socket.PACKET_OUTGOING and wire.parse(data)
                if segment:
                    found.append(data.hex())
                    if segment.dport == last:
                        return found
        return found

    def flood(self, packets):
        """Sends packets without end, in a process of its own."""
        packets = [bytes.fromhex(packet) for packet in packets]
        self.flooder = os.fork()
        if self.flooder == 0:
            while True:
                for packet in packets:
                    self._send(packet)

    def stop(self):
        if self.flooder:
            os.kill(self.flooder, signal.SIGKILL)
            os.waitpid(self.flooder, 0)
            self.flooder = None

    def counters(self):
        with open("/proc/thread-self/net/stat/xt_TARPIT", encoding="ascii") as file:
            return file.read()


def main():
    here = Namespace()
    print(json.dumps("ready"), flush=True)
    try:
        for line in sys.stdin:
            verb, *args = json.loads(line)
            print(json.dumps(getattr(here, verb)(*args)), flush=True)
    finally:
        here.stop()


if __name__ == "__main__":
    main()
