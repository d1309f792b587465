#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures for `make bench`, inside the guest: what a packet costs, in instructions (docs/performance.md).

The clock counts instructions, so the time that a row of packets takes is what they cost: from the generator's send
to the end of the reply's way. All of it happens within sendmmsg(), on one processor: a packet socket gives each packet
to a veth, whose other end is the server; the reply comes back over the same veth and is dropped by nftables as soon as
it arrives. /out gets bench.json and bench.txt.
"""

import ctypes
import itertools
import json
import os
import struct
import time

import wire
from lab import FAMILIES, FIRST_WINDOW, PORT, V4, Capture, Lab, Puppet, load_peer, unload, wait_until

CASES = ("syn", "probe", "data1400", "gso64k")
# What follows -j, and the hooks in which the target can be.
TARGETS = {
    "drop": (("DROP",), ("input", "forward", "raw")),
    "reject": (("REJECT", "--reject-with", "tcp-reset"), ("input", "forward")),
    "xt_TARPIT": (("TARPIT",), ("input", "forward")),
    "xtables-addons": (("TARPIT",), ("input", "forward")),
}
HOOKS = {
    "input": ("filter", "INPUT"),
    "forward": ("filter", "FORWARD"),
    "raw": ("raw", "PREROUTING"),
}
PLACES = [(hook, target) for hook in HOOKS for target, (_, hooks) in TARGETS.items() if hook in hooks]
ROUNDS = 3
CALLS, BATCH = 4, 1000  # of packets, in a round
SPREAD = 0.005  # of what rounds may differ by
SEGMENTS = 45  # in a packet as GRO makes them: the most that fit into 64 KB
PROBED = 40  # seconds after the answer before, when a held client probes

libc = ctypes.CDLL(None, use_errno=True)


class Bench(Lab):
    """The lab without rules; replies are dropped where they arrive, and no neighbour is ever asked for."""

    def __init__(self):
        super().__init__("bench")
        self.introduce()
        self.client.run("nft", "-f", "-", text=SINK)
        for sysctl in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.server.sysctl(sysctl, 1)
        self.sock = self.frame_socket()
        # Until the multicast groups of the new links have been announced.
        time.sleep(10)

    def rules(self):
        pass

    def rule(self, family, hook, target):
        """This rule and no other; whether it can be loaded."""
        self.server.run("nft", "flush", "ruleset")
        table, chain = HOOKS[hook]
        jump, _ = TARGETS[target]
        rule = ("-t", table, "-A", chain, "-p", "tcp", "--dport", PORT, "-j", *jump)
        return self.server.iptables(family, *rule, check=False).returncode == 0

    def arrived(self):
        """How many packets have come back so far."""
        (line,) = (line for line in self.client.proc("dev").splitlines() if line.strip().startswith("c0:"))
        return int(line.split()[2])


# After the packet sockets and before everything else.
SINK = """
table netdev sink {
    chain in { type filter hook ingress device c0 priority 0; policy drop; }
}
"""


def frame(lab, family, hook, target, case):
    """What is sent again and again. It is tried once, since what is counted later is only that an answer comes."""
    mss = 1448 if family is V4 else 1428
    with Capture(lab.client, "c0", family) as capture:
        puppet = Puppet(lab, family, capture, dst=family.nobody if hook == "forward" else family.server)
        if case != "syn" and target == "xt_TARPIT":
            puppet.connect()
        if case == "syn":
            data = lab.frame(puppet.packet("S", -1), 0, 0)
        elif case == "probe":
            if target == "xt_TARPIT":
                puppet.send("PA", 0, b"x" * 100)
                assert puppet.answer().window == 0
                time.sleep(PROBED)
            data = lab.frame(puppet.packet("A", FIRST_WINDOW - 1), 0, 0)
        elif case == "data1400":
            data = lab.frame(puppet.packet("PA", 0, b"x" * 1400), 0, 0)
        else:
            data = lab.frame(puppet.packet("PA", 0, b"x" * SEGMENTS * mss), mss, family.header + 32)
        if target != "drop":
            lab.sock.send(data)
            check(puppet, target, case)
    return data


def check(puppet, target, case):
    """The answer is the one that the row is about."""
    if target == "reject":
        # Its checksum is left to the card.
        (answer,) = wait_until(puppet.answers)
        assert "R" in answer.flags, answer
        return
    answer = puppet.answer()
    assert answer.flags == ("SA" if case == "syn" else "A"), answer
    if target == "xt_TARPIT":
        assert answer.ack - puppet.isn - 1 & 0xFFFFFFFF == (0 if case == "syn" else FIRST_WINDOW), answer
        assert answer.window == {"syn": FIRST_WINDOW, "probe": 1}.get(case, 0), answer


class Row:
    """A row of BATCH times the same packet, for sendmmsg()."""

    def __init__(self, data):
        self.data = ctypes.create_string_buffer(data, len(data))
        self.vector = (ctypes.c_uint64 * 2)(ctypes.addressof(self.data), len(data))
        # struct mmsghdr: msghdr of 56 bytes, msg_len and padding.
        one = struct.pack("=QIIQQQQiiII", 0, 0, 0, ctypes.addressof(self.vector), 1, 0, 0, 0, 0, 0, 0)
        self.messages = ctypes.create_string_buffer(one * BATCH, len(one) * BATCH)

    def send(self, sock):
        """Sends all of them; the instructions that it took."""
        begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        sent = libc.sendmmsg(sock, self.messages, BATCH, 0)
        took = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - begin
        assert sent == BATCH, f"sendmmsg: {sent}, errno {ctypes.get_errno()}"
        return took


def measure(lab, data, answers):
    """The instructions that a packet takes, in each round; `answers` is how many answers each packet gets."""
    row, sock = Row(data), lab.sock.fileno()
    row.send(sock)
    rounds = []
    for _ in range(ROUNDS):
        time.sleep(1)  # for all that had to wait
        before = lab.arrived()
        rounds.append(sum(row.send(sock) for _ in range(CALLS)) / (CALLS * BATCH))
        arrived = lab.arrived() - before
        assert arrived == answers * CALLS * BATCH, f"{arrived} answers to {CALLS * BATCH} packets"
    return rounds


def rows(lab, target):
    """Measures a target wherever it can be."""
    for family, hook in itertools.product(FAMILIES, HOOKS):
        known = (hook, target) in PLACES
        assert lab.rule(family, hook, target) == known, f"{target} in {hook}: TARGETS says otherwise"
        for case in CASES if known else ():
            rounds = measure(lab, frame(lab, family, hook, target, case), int(target != "drop"))
            what = {"case": case, "family": 4 if family is V4 else 6, "hook": hook, "target": target}
            spread = max(rounds) / min(rounds) - 1
            assert spread <= SPREAD, f"{what}: rounds differ by {spread:.2%}: {rounds}"
            yield what | {"insn_per_pkt": round(sum(rounds) / ROUNDS), "spread": spread}


def compare(found):
    """Adds over_drop and vs_xtables_addons."""
    cost = {(r["case"], r["family"], r["hook"], r["target"]): r["insn_per_pkt"] for r in found}
    for row in found:
        case, family, hook = row["case"], row["family"], row["hook"]
        drop, peer = cost[case, family, "input", "drop"], cost.get((case, family, hook, "xtables-addons"))
        row["over_drop"] = row["insn_per_pkt"] - drop
        comparable = peer and row["target"] != "drop"
        row["vs_xtables_addons"] = round(row["over_drop"] / (peer - drop), 3) if comparable else None


def table(found):
    """The rows as people read them: a column for each case."""
    lines = [("IPv", "hook", "target", *CASES)]
    cells = {(r["family"], r["hook"], r["target"], r["case"]): r for r in found}
    for family, (hook, target) in itertools.product((4, 6), PLACES):
        lines.append((str(family), hook, target, *(cell(cells[family, hook, target, case]) for case in CASES)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    texts = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
    nowhere = [f"{target} in {hook}" for hook in HOOKS for target in TARGETS if (hook, target) not in PLACES]
    spread = max(row["spread"] for row in found)
    return (
        "Instructions per packet; +: more than DROP in INPUT; x: that, over the same of xtables-addons in this hook\n\n"
        + "\n".join(texts)
        + f"\n\nCannot be loaded there: {', '.join(nowhere)}.\n"
        + f"{ROUNDS} rounds of {CALLS * BATCH:,} packets each, which differ by {spread:.2%} at most.\n"
    )


def cell(row):
    text = f"{row['insn_per_pkt']:6,} {row['over_drop']:+7,}"
    return text if row["vs_xtables_addons"] is None else f"{text} x{row['vs_xtables_addons']:.2f}"


def main():
    # Not to be interrupted by threads of the kernel's, which would be counted.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    lab, found = Bench(), []
    try:
        for target in TARGETS:
            if target == "xtables-addons":
                # Two modules of this name do not fit into one kernel.
                lab.server.run("nft", "flush", "ruleset")
                unload()
                load_peer()
            found += rows(lab, target)
            print(f"{target}: measured", flush=True)
    finally:
        lab.server.run("nft", "flush", "ruleset")
        lab.close()
    compare(found)
    with open("/out/bench.txt", "w", encoding="ascii") as file:
        file.write(table(found))
    for row in found:
        del row["spread"]
    with open("/out/bench.json", "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")


main()
