# SPDX-License-Identifier: GPL-2.0
"""A rule behind NFQUEUE: packets that user space gives back come to it in process context.

    mangle INPUT -j NFQUEUE ---> a process that accepts everything ---> filter INPUT -j TARPIT

iptables-nft does not disable bottom halves around its rules, so there the target is preemptible.
The sanitizer kernel (CONFIG_DEBUG_PREEMPT) reports any per-CPU access that a migration to another
CPU could spoil.
"""

import os
import signal
import socket
import struct

import pytest
from lab import FAMILIES, FIRST_WINDOW, PORT, Lab, Puppet, assert_held

QUEUE = 7
NETLINK_NETFILTER, NFNL_SUBSYS_QUEUE = 12, 3
NFQNL_MSG_PACKET, NFQNL_MSG_VERDICT, NFQNL_MSG_CONFIG = 0, 1, 2
NFQA_CFG_CMD, NFQA_CFG_PARAMS = 1, 2
NFQA_PACKET_HDR, NFQA_VERDICT_HDR = 1, 2
NFQNL_CFG_CMD_BIND, NFQNL_COPY_META = 1, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
NF_ACCEPT = 1


def attribute(kind, value):
    """A netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind, flags, attributes):
    """A message of nfnetlink_queue for our queue."""
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, socket.htons(QUEUE)) + attributes
    return struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | kind, flags, 1, 0) + body


def open_queue():
    """A netlink socket that gets what is queued."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    bind = attribute(NFQA_CFG_CMD, struct.pack("!BxH", NFQNL_CFG_CMD_BIND, 0))
    params = attribute(NFQA_CFG_PARAMS, struct.pack("!IB", 0, NFQNL_COPY_META))
    for attributes in (bind, params):
        sock.send(message(NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, attributes))
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", sock.recv(65536))
        assert (kind, error) == (NLMSG_ERROR, 0), f"nfnetlink_queue refused: {error}"
    return sock


def accept_everything(sock):
    """Gives each packet back, without end."""
    while True:
        data = sock.recv(65536)
        while len(data) >= 20:
            length, kind = struct.unpack_from("=IH", data)
            # The packet's header is the first attribute: its number in network order.
            at, end = 20, length
            while kind == NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET and at < end:
                size, name = struct.unpack_from("=HH", data, at)
                if name == NFQA_PACKET_HDR:
                    verdict = struct.pack("!I", NF_ACCEPT) + data[at + 4 : at + 8]
                    sock.send(
                        message(
                            NFQNL_MSG_VERDICT, NLM_F_REQUEST, attribute(NFQA_VERDICT_HDR, verdict)
                        )
                    )
                at += size + 3 & ~3
            data = data[length + 3 & ~3 :]


class Queued(Lab):
    """All TCP goes by user space before the rule in filter INPUT; both are iptables-nft's."""

    def rules(self):
        with self.server.inside():
            self.queue = open_queue()
        self.accepter = os.fork()
        if self.accepter == 0:
            # A task that is bound to one CPU may use per-CPU data, so this one must not be.
            os.sched_setaffinity(0, range(os.cpu_count()))
            try:
                accept_everything(self.queue)
            finally:
                os._exit(1)
        for family in FAMILIES:
            for port, options in ((PORT, ""), (24, " --honeypot"), (25, " --reset")):
                rule = f"INPUT -p tcp --dport {port} -j TARPIT{options}"
                self.server.run(f"{family.iptables}-nft", "-A", *rule.split())
            queue = f"-t mangle -A INPUT -p tcp -j NFQUEUE --queue-num {QUEUE}"
            self.server.run(f"{family.iptables}-nft", *queue.split())

    def close(self):
        if getattr(self, "accepter", None):
            os.kill(self.accepter, signal.SIGKILL)
            os.waitpid(self.accepter, 0)
            self.queue.close()
        super().close()


@pytest.fixture(scope="module")
def lab():
    lab = Queued()
    yield lab
    lab.close()


def test_packets_given_back_by_user_space_are_answered(lab, family):
    """SYNs, SYN-ACKs, resets, data of held and of older connections: each rate limit is used."""
    with lab.capture(family, both=False) as capture:
        for _ in range(50):
            puppet = Puppet(lab, family, capture, src=lab.stranger(family))
            assert puppet.connect().window == FIRST_WINDOW
            puppet.send("PA", payload=b"x" * 100)
            assert puppet.answer().ack == puppet.isn + 1 + FIRST_WINDOW & 0xFFFFFFFF
            for flags, fields in (
                ("SA", {"seq": 7, "ack": 9}),
                ("PA", {"seq": 0x10000000, "ack": 9, "payload": b"xyz"}),
            ):
                other = Puppet(lab, family, capture, src=lab.stranger(family))
                other.send(flags, **fields)
                assert other.answer()
            reset = Puppet(lab, family, capture, src=lab.stranger(family), dport=25)
            reset.send("S", -1)
            assert reset.answer().flags == "RA"
        assert lab.server.rule_packets(family, "INPUT", 1, table="mangle") >= 50 * 6, (
            "they went by the queue"
        )


def test_real_client_behind_nfqueue_is_held(lab, family):
    with lab.client.connect(family) as client:
        assert_held(client)
