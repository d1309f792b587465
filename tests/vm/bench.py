#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures for `make bench`, inside the guest: what a packet costs, in instructions
(docs/performance.md).

The clock counts instructions, so the time that a row of packets takes is what they cost: from the
generator's send to the end of the reply's way. All of it happens within sendmmsg(), on one
processor: a packet socket gives each packet to a veth, whose other end is the server; the reply
comes back over the same veth and is dropped by nftables as soon as it arrives. /out gets bench.json
and bench.txt; `bench.py processors`, on two of them, processors.txt.
"""

import ctypes
import io
import itertools
import json
import lzma
import os
import struct
import subprocess
import sys
import time

from lab import (
    FAMILIES,
    FIRST_WINDOW,
    PEER,
    PORT,
    V4,
    Capture,
    Lab,
    Puppet,
    load_peer,
    sh,
    unload,
    wait_until,
)

CASES = ("syn", "probe", "data1400", "gso64k")
# What follows -j, and the hooks in which the target can be.
TARGETS = {
    "drop": (("DROP",), ("input", "forward", "raw")),
    "reject": (("REJECT", "--reject-with", "tcp-reset"), ("input", "forward")),
    "xt_TARPIT": (("TARPIT",), ("input", "forward", "raw")),
    "xt_TARPIT --hairpin": (("TARPIT", "--hairpin"), ("input", "forward", "raw")),
    "xtables-addons": (("TARPIT",), ("input", "forward")),
}
HOOKS = {
    "input": ("filter", "INPUT"),
    "forward": ("filter", "FORWARD"),
    "raw": ("raw", "PREROUTING"),
}
PLACES = [
    (hook, target) for hook in HOOKS for target, (_, hooks) in TARGETS.items() if hook in hooks
]
ROUNDS = 3
CALLS, BATCH = 4, 1000  # of packets, in a round
SPREAD = 0.005  # of what rounds may differ by
FLAT = 0.01  # of what numbers of connections may differ by
NOISE_KB = 256  # of what a quiet guest's kernel memory may grow by meanwhile
SEGMENTS = 45  # in a packet as GRO makes them: the most that fit into 64 KB
PROBED = 40  # seconds after the answer before, when a held client probes

libc = ctypes.CDLL(None, use_errno=True)


class Bench(Lab):
    """The lab without rules; replies are dropped where they arrive, and no neighbour is ever
    asked for.
    """

    def __init__(self):
        super().__init__()
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
        (line,) = (
            line for line in self.client.proc("dev").splitlines() if line.strip().startswith("c0:")
        )
        return int(line.split()[2])


# After the packet sockets and before everything else.
SINK = """
table netdev sink {
    chain in { type filter hook ingress device c0 priority 0; policy drop; }
}
"""


def frame(lab, family, hook, target, case):
    """What is sent again and again. It is tried once, since what is counted later is only that
    an answer comes.
    """
    mss = 1448 if family is V4 else 1428
    with Capture(lab.client, "c0", family) as capture:
        puppet = Puppet(
            lab, family, capture, dst=family.nobody if hook == "forward" else family.server
        )
        ours = target.startswith("xt_TARPIT")
        if case != "syn" and ours:
            puppet.connect()
        if case == "syn":
            data = lab.frame(puppet.packet("S", -1), 0, 0)
        elif case == "probe":
            if ours:
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
    if target.startswith("xt_TARPIT"):
        assert answer.ack - puppet.isn - 1 & 0xFFFFFFFF == (0 if case == "syn" else FIRST_WINDOW), (
            answer
        )
        assert answer.window == {"syn": FIRST_WINDOW, "probe": 1}.get(case, 0), answer


class Row:
    """A row of BATCH times the same packet, for sendmmsg()."""

    def __init__(self, data):
        self.data = ctypes.create_string_buffer(data, len(data))
        self.vector = (ctypes.c_uint64 * 2)(ctypes.addressof(self.data), len(data))
        # struct mmsghdr: msghdr of 56 bytes, msg_len and padding.
        one = struct.pack(
            "=QIIQQQQiiII", 0, 0, 0, ctypes.addressof(self.vector), 1, 0, 0, 0, 0, 0, 0
        )
        self.messages = ctypes.create_string_buffer(one * BATCH, len(one) * BATCH)

    def send(self, sock):
        """Sends all of them; the instructions that it took."""
        begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        sent = libc.sendmmsg(sock, self.messages, BATCH, 0)
        took = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - begin
        assert sent == BATCH, f"sendmmsg: {sent}, errno {ctypes.get_errno()}"
        return took


def measure(lab, data, answers):
    """The instructions that a packet takes, in each round; `answers` is how many answers each
    packet gets.
    """
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


class Flows:
    """Rows of SYNs of which each is of another connection: other ports within a row, other
    addresses from row to row.
    """

    def __init__(self, lab, family):
        with Capture(lab.client, "c0", family) as capture:
            self.puppet = Puppet(lab, family, capture, isn=0x10000000)
        self.lab, self.family = lab, family
        frames = [self.frame(family.phantom, port) for port in range(BATCH)]
        self.size = len(frames[0])
        self.data = bytearray(b"".join(frames))
        self.memory = (ctypes.c_char * len(self.data)).from_buffer(self.data)
        self.row = Row(frames[0])
        start = ctypes.addressof(self.memory)
        self.vectors = (ctypes.c_uint64 * (2 * BATCH))()
        self.vectors[::2], self.vectors[1::2] = (
            range(start, start + len(self.data), self.size),
            [self.size] * BATCH,
        )
        for i in range(BATCH):
            struct.pack_into(
                "=Q", self.row.messages, i * 64 + 16, ctypes.addressof(self.vectors) + i * 16
            )

    def frame(self, source, port):
        self.puppet.src, self.puppet.sport, self.puppet.clock = source, port, 1000
        return self.lab.frame(self.puppet.packet("S", -1), 0, 0)

    def send(self, count):
        """Sends so many SYNs; the instructions that one takes."""
        took, before = 0, None
        for i in range(count // BATCH):
            source = self.family.phantom[:-1] + (
                f"{1 + i % 250}" if self.family is V4 else f"{1 + i % 250:x}"
            )
            new = self.frame(source, 1000 * (i // 250))
            if before is None:
                before = self.frame(self.family.phantom, 0)
            ports = slice(*self.port_bytes())
            for at, (old, octet) in enumerate(zip(before, new)):
                # The same in all frames but for the ports, whose first octet moves on after 250
                # rows.
                if old != octet and not ports.start <= at < ports.stop:
                    self.data[at :: self.size] = bytes([octet]) * BATCH
            if i % 250 == 0:
                for n in range(BATCH):
                    at = n * self.size + ports.start
                    self.data[at : at + 2] = struct.pack("!H", 1000 * (i // 250) + n)
            before = new
            took += self.row.send(self.lab.sock.fileno())
        return took / count

    def port_bytes(self):
        start = 10 + 14 + self.family.header  # virtio's header, Ethernet's
        return start, start + 2


def flat(lab):
    """What a SYN costs in INPUT when there are so many connections, and what they leave behind."""
    found = []
    for family in FAMILIES:
        assert lab.rule(family, "input", "xt_TARPIT")
        flows = Flows(lab, family)
        flows.send(BATCH)
        cost = {}
        for count in (1, 1_000, 1_000_000):
            time.sleep(1)
            arrived, memory = lab.arrived(), kept()
            if count == 1:
                cost[count] = sum(measure(lab, flows.frame(family.phantom, 1), 1)) / ROUNDS
            else:
                cost[count] = flows.send(count)
                assert lab.arrived() - arrived == count, "an answer for each"
        grown = {name: value - memory[name] for name, value in kept().items()}
        spread = max(cost.values()) / min(cost.values()) - 1
        costs = ", ".join(f"{count:,}: {round(each):,}" for count, each in cost.items())
        found.append(
            f"IPv{family.name[-1]}, a SYN in INPUT by the number of connections: {costs} "
            f"({spread:.2%}); "
            f"a million left {grown} KB"
        )
        assert spread <= FLAT, found[-1]
        assert max(grown.values()) <= NOISE_KB, found[-1]
    return found


def kept():
    """Kernel memory in KB, by kind."""
    lines = (line.split() for line in open("/proc/meminfo", encoding="ascii"))
    return {
        name[:-1]: int(value)
        for name, value, *_ in lines
        if name in ("Slab:", "Percpu:", "KernelStack:")
    }


def rows(lab, target):
    """Measures a target wherever it can be."""
    for family, hook in itertools.product(FAMILIES, HOOKS):
        known = (hook, target) in PLACES
        assert lab.rule(family, hook, target) == known, (
            f"{target} in {hook}: TARGETS says otherwise"
        )
        for case in CASES if known else ():
            rounds = measure(lab, frame(lab, family, hook, target, case), int(target != "drop"))
            what = {
                "case": case,
                "family": 4 if family is V4 else 6,
                "hook": hook,
                "target": target,
            }
            spread = max(rounds) / min(rounds) - 1
            assert spread <= SPREAD, f"{what}: rounds differ by {spread:.2%}: {rounds}"
            yield what | {"insn_per_pkt": round(sum(rounds) / ROUNDS), "spread": spread}


def peers_cost(cost, case, family, hook):
    """What xtables-addons' target costs in this hook, or in INPUT where it cannot be loaded in
    it.
    """
    return next(
        cost[key] for h in (hook, "input") if (key := (case, family, h, "xtables-addons")) in cost
    )


def compare(found):
    """Adds over_drop and vs_xtables_addons."""
    cost = {(r["case"], r["family"], r["hook"], r["target"]): r["insn_per_pkt"] for r in found}
    for row in found:
        case, family, hook = row["case"], row["family"], row["hook"]
        drop, peer = cost[case, family, "input", "drop"], peers_cost(cost, case, family, hook)
        row["over_drop"] = row["insn_per_pkt"] - drop
        row["vs_xtables_addons"] = (
            None if row["target"] == "drop" else round(row["over_drop"] / (peer - drop), 3)
        )


def table(found):
    """The rows as people read them: a column for each case."""
    lines = [("IPv", "hook", "target", *CASES)]
    cells = {(r["family"], r["hook"], r["target"], r["case"]): r for r in found}
    for family, (hook, target) in itertools.product((4, 6), PLACES):
        lines.append(
            (
                str(family),
                hook,
                target,
                *(cell(cells[family, hook, target, case]) for case in CASES),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines)]
    texts = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines
    ]
    nowhere = [
        f"{target} in {hook}"
        for hook in HOOKS
        for target in TARGETS
        if (hook, target) not in PLACES
    ]
    spread = max(row["spread"] for row in found)
    return (
        "Instructions per packet; +: more than DROP in INPUT; x: that, over the same of "
        "xtables-addons\n\n"
        + "\n".join(texts)
        + f"\n\nCannot be loaded there: {', '.join(nowhere)}.\n"
        + f"{ROUNDS} rounds of {CALLS * BATCH:,} packets each, which differ by {spread:.2%} at "
        f"most.\n"
    )


def cell(row):
    text = f"{row['insn_per_pkt']:6,} {row['over_drop']:+7,}"
    return text if row["vs_xtables_addons"] is None else f"{text} x{row['vs_xtables_addons']:.2f}"


def load(name, path):
    """Loads the module anew, from a file that is not compressed; what that costs."""
    plain = f"/tmp/{name}.ko"
    with (lzma if path.endswith(".xz") else io).open(path, "rb") as file, open(plain, "wb") as copy:
        copy.write(file.read())
    begin = time.monotonic_ns()
    subprocess.run(["insmod", plain], check=True)
    took = time.monotonic_ns() - begin
    with open("/sys/module/xt_TARPIT/coresize", encoding="ascii") as file:
        return f"{name}: {int(file.read()):,} bytes of memory, loaded in {took / 1e6:.1f} ms"


def alone():
    """Keeps the threads of the kernel's from interrupting, which would be counted."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def processors():
    """What a SYN costs on the one processor and on the other."""
    alone()
    lab = Bench()
    with open("/out/processors.txt", "w", encoding="ascii") as out:
        for family, hook in itertools.product(FAMILIES, ("input", "raw")):
            assert lab.rule(family, hook, "xt_TARPIT")
            data, costs = frame(lab, family, hook, "xt_TARPIT", "syn"), []
            for cpu in (0, 1):
                os.sched_setaffinity(0, {cpu})
                costs.append(sum(measure(lab, data, 1)) / ROUNDS)
            spread = max(costs) / min(costs) - 1
            line = f"IPv{family.name[-1]}, a SYN in {hook}, by the processor: " + ", ".join(
                f"{c:,.0f}" for c in costs
            )
            out.write(f"{line} ({spread:.2%})\n")
            assert spread <= FLAT, line
    lab.server.run("nft", "flush", "ruleset")
    lab.close()


def main():
    alone()
    lab, found, modules = Bench(), [], []
    try:
        for target in TARGETS:
            if target == "xtables-addons":
                # Two modules of this name do not fit into one kernel.
                lab.server.run("nft", "flush", "ruleset")
                ours = sh("modinfo", "-n", "xt_TARPIT").strip()
                for name, path in (("xt_TARPIT", ours), ("xtables-addons", f"{PEER}/xt_TARPIT.ko")):
                    unload()
                    modules.append(load(name, path))
                load_peer()
            found += rows(lab, target)
            print(f"{target}: measured", flush=True)
            if target == "xt_TARPIT":
                many = flat(lab)
    finally:
        lab.server.run("nft", "flush", "ruleset")
        lab.close()
    compare(found)
    with open("/out/bench.txt", "w", encoding="ascii") as file:
        file.write(table(found) + "\n".join(many + modules) + "\n")
    for row in found:
        del row["spread"]
    with open("/out/bench.json", "w", encoding="ascii") as file:
        file.write("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")


if __name__ == "__main__":
    {"": main, "processors": processors}[" ".join(sys.argv[1:])]()
