# SPDX-License-Identifier: GPL-2.0
"""The module's life: it goes while clients are held, and comes back with another key."""

import contextlib
import ctypes
import errno
import os
import socket
import struct

import pytest
from lab import (
    FAMILIES,
    FIRST_WINDOW,
    V4,
    Lab,
    Puppet,
    module_users,
    sh,
    slab_kb,
    tcp_info,
    wait_until,
)

pytestmark = pytest.mark.once

CLIENTS = 100


def test_module_leaves_while_clients_are_held_and_comes_back(family):
    """100 real clients in persist; rule deleted, module gone, no leak; back: new ones held, the
    old unanswered.
    """
    lab = Lab()
    try:
        with contextlib.ExitStack() as stack:
            capture = stack.enter_context(lab.capture(family, both=False))
            # Everything that is allocated once has been.
            with lab.client.connect(family) as client:
                client.send(b"x" * 100)
            puppet = Puppet(lab, family, capture)
            puppet.connect()
            puppet.send("PA", payload=b"x" * 100)
            assert puppet.answer().window == 0

            clients = [stack.enter_context(lab.client.connect(family)) for _ in range(CLIENTS)]
            for client in clients:
                client.send(b"x" * 100)
            for client in clients:
                wait_until(
                    lambda c=client: tcp_info(c)["acked"] == FIRST_WINDOW, what="a client is held"
                )
            assert module_users() == 2, "a rule in each family"

            for each in FAMILIES:
                lab.server.iptables(each, "-F", "INPUT")
            wait_until(lambda: module_users() == 0, what="the rules are gone")
            sh("rmmod", "xt_TARPIT")
            assert module_users() is None

            # The rule pulls the module in by itself.
            lab.rules()
            assert module_users() == 2
            # Another key: what the old one signed is foreign now.
            for what in (("A", FIRST_WINDOW - 1), ("PA", FIRST_WINDOW, b"x"), ("FA", FIRST_WINDOW)):
                puppet.send(*what)
            assert puppet.quiet()
            answered = {(s.dport) for s in capture.segments() if s.flags == "A"}
            seen = len(capture.segments())
            # The clients' probes go unanswered: wait until each has failed once.
            for client in clients:
                wait_until(lambda c=client: tcp_info(c)["probes"] > 0, 30, "a probe has failed")
            ports = {client.getsockname()[1] for client in clients}
            assert ports <= answered
            assert not [s for s in capture.segments()[seen:] if s.dport in ports]

            with lab.client.connect(family) as client:
                client.send(b"x" * 100)
                wait_until(
                    lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="a new client is held"
                )
    finally:
        lab.close()


@pytest.mark.counts_memory
def test_loading_and_unloading_leaks_nothing(family):
    """Eight lives with traffic in each: the slab is what it was, within 1 MB."""
    lab = Lab()
    try:
        with lab.capture(family, both=False) as capture:
            for life in range(9):
                if life == 1:
                    before = slab_kb()
                puppet = Puppet(lab, family, capture)
                puppet.connect()
                puppet.send("PA", payload=b"x" * 1000)
                assert puppet.answer().window == 0
                for each in FAMILIES:
                    lab.server.iptables(each, "-F", "INPUT")
                wait_until(lambda: module_users() == 0, what="the rules are gone")
                sh("rmmod", "xt_TARPIT")
                sh("modprobe", "xt_TARPIT")
                lab.rules()
            grown = slab_kb() - before
            print(f"\n{family.name}: slab grown by {grown} kB in 8 lives of the module")
            assert grown < 1024
    finally:
        lab.close()


def test_module_says_what_it_is():
    """modinfo: aliases that the kernel asks for, licence, no signature of a place."""
    info = sh("modinfo", "xt_TARPIT")
    for line in ("ipt_TARPIT", "ip6t_TARPIT", "license:        GPL"):
        assert line in info


class Table:
    """The filter table of one family as the kernel has it, to be put back with other bytes in
    it (ip_tables.h).
    """

    INFO, ENTRIES, REPLACE = 64, 65, 64
    TARGET = b"TARPIT".ljust(29, b"\0") + b"\1"  # xt_entry_target: name, revision

    def __init__(self, host, family):
        self.level = socket.IPPROTO_IP if family is V4 else socket.IPPROTO_IPV6
        self.sock = host.socket(family.af, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.libc = ctypes.CDLL(None, use_errno=True)
        # Hooks; for each hook its first entry; for each its policy; how many entries, and their
        # size.
        info = self.get(self.INFO, bytes(84))[32:]
        self.hooks, self.at, self.count, self.size = (
            info[:4],
            info[4:44],
            *struct.unpack("II", info[44:]),
        )
        self.entries = self.get(
            self.ENTRIES, bytes(32) + struct.pack("I4x", self.size) + bytes(self.size)
        )[40:]

    def get(self, what, ask):
        buffer = ctypes.create_string_buffer(b"filter".ljust(32, b"\0") + ask[32:], len(ask))
        length = ctypes.c_uint32(len(ask))
        done = self.libc.getsockopt(
            self.sock.fileno(), self.level, what, buffer, ctypes.byref(length)
        )
        assert done == 0, os.strerror(ctypes.get_errno())
        return buffer.raw

    def put(self, entries):
        """The errno of a replacement, or 0."""
        counters = ctypes.create_string_buffer(16 * self.count)
        head = (
            b"filter".ljust(32, b"\0")
            + self.hooks
            + struct.pack("II", self.count, self.size)
            + self.at
        )
        head += struct.pack("I", self.count)
        head += bytes(-len(head) % 8) + struct.pack("P", ctypes.addressof(counters))
        try:
            self.sock.setsockopt(self.level, self.REPLACE, head + entries)
        except OSError as failure:
            return failure.errno
        return 0

    def rule(self):
        """The data of the one rule of ours."""
        return self.entries.partition(self.TARGET)[2][:8]

    def with_rule(self, data):
        """The entries, with other data in the one rule of ours."""
        at = self.entries.index(self.TARGET) + len(self.TARGET)
        return self.entries[:at] + data + self.entries[at + 8 :]


def data(variant=0, profile=0, flags=0, ttl=0, window=0, reserved=b"\0\0"):
    """struct xt_tarpit_tginfo_v1"""
    return bytes((variant, profile, flags, ttl)) + window.to_bytes(2, "little") + reserved


GOOD = [
    data(ttl=1), data(ttl=255), data(window=1), data(window=65535), data(flags=2), data(1), data(2),
    data(1, ttl=64, window=1000, flags=2), data(2, ttl=9, flags=2), data(0, 1, 2, 3, 4),
    data(0, 0, 3, 200),
]  # fmt: skip
BAD = [
    data(2, window=1), data(2, window=65535), data(1, 1), data(2, 1), data(1, flags=1),
    data(2, flags=1), data(3),
    data(255), data(profile=2), data(profile=255), data(flags=4), data(flags=0x80),
    data(flags=0xFF), data(0, 1, 1),
    data(reserved=b"\1\0"), data(reserved=b"\0\1"), data(1, reserved=b"\0\1"),
]  # fmt: skip


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_kernel_judges_rule_data_itself(lab, family, good, kernel_log):
    """Whatever writes them: EINVAL and at most one line each, or a rule that is loaded."""
    kernel_log.expected += ["TARPIT"]
    command = f"{family.iptables}-legacy"
    host = lab.client  # which has no other rules
    host.run(command, "-A", "FORWARD", "-p", "tcp", "-j", "TARPIT", "--tarpit")
    try:
        table = Table(host, family)
        with table.sock:
            for rule in GOOD if good else BAD:
                said = len(kernel_log.read())
                assert table.put(table.with_rule(rule)) == (0 if good else errno.EINVAL), rule.hex(
                    " "
                )
                new = [
                    text
                    for _, text in kernel_log.read()[said:]
                    if "TARPIT" in text and "suppressed" not in text
                ]
                assert len(new) <= (0 if good else 1), new
                if not good:
                    assert Table(host, family).rule() == table.rule()
    finally:
        host.run(command, "-F", "FORWARD")
