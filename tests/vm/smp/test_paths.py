# SPDX-License-Identifier: GPL-2.0
"""Where packets come from and how replies leave: FORWARD, loopback, NAT, marks."""

import pytest
from lab import PORT, V4, Puppet, assert_held


@pytest.fixture
def router(fresh_lab, family):
    """The server forwards, and tarpits what it would forward to the unused netblock."""
    server = fresh_lab.server
    server.sysctl("net.ipv4.ip_forward" if family is V4 else "net.ipv6.conf.all.forwarding", 1)
    server.iptables(family, "-A", "FORWARD", "-p", "tcp", "-j", "TARPIT")
    return fresh_lab


def test_unused_netblock_holds(router, family):
    """Nobody has the address, and the client is held by it all the same."""
    with router.client.connect(family, 4711, family.nobody) as client:
        assert client.getpeername()[0] == family.nobody
        assert_held(client)


def test_forward_leaks_nothing_of_the_packet(router, family):
    """The reply to a forwarded packet has TOS 0 and a full hop limit of its own."""
    with router.capture(family, both=False) as capture:
        puppet = Puppet(router, family, capture, dst=family.nobody)
        puppet.send("S", -1, ip={"tos": 0xB8, "ttl": 3})
        answer = puppet.answer()
        assert (answer.flags, answer.tos, answer.ttl) == ("SA", 0, 64)
        # Its last hop was here: a router answers with an error, the tarpit never sees it.
        puppet = Puppet(router, family, capture, dst=family.nobody)
        puppet.send("S", -1, ip={"ttl": 1})
        assert puppet.quiet()


def test_forward_with_conntrack_leaves_no_entry(router, family):
    """In FORWARD, tracked: the client is held, and conntrack has forgotten each packet."""
    router.server.iptables(
        family, "-I", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"
    )
    with router.client.connect(family, 4711, family.nobody) as client:
        assert_held(client)
        assert router.server.conntrack_entries() == 0


def test_client_on_the_host_itself_is_held(fresh_lab, family):
    """Over loopback, where packets keep their sender's route and are not checksummed."""
    server = fresh_lab.server
    address = "127.0.0.1" if family is V4 else "::1"
    with server.connect(family, PORT, address) as client:
        assert_held(client)
    # To its own address of the wire.
    with server.connect(family, PORT, family.server) as client:
        assert_held(client)


def test_reply_has_no_trace_of_the_packets_class(fresh_lab, family):
    """DSCP and ECN are ours: none. So is the flow label. The hop limit is the route's."""
    with fresh_lab.capture(family, both=False) as capture:
        puppet = Puppet(fresh_lab, family, capture)
        ip = (
            {"tos": 0xFF, "ttl": 200}
            if family is V4
            else {"tos": 0xFF, "ttl": 200, "label": 0xABCDE}
        )
        puppet.send("S", -1, ip=ip)
        syn_ack = puppet.answer()
        puppet.their_isn = syn_ack.seq
        puppet.send("PA", payload=b"x" * 30, ip=ip)
        for answer in (syn_ack, puppet.answer()):
            assert (answer.tos, answer.ttl) == (0, 64)
            assert family is V4 or answer.label not in (0, 0xABCDE), "a label of its own"
        if family is V4:
            assert answer.raw[6:8] == b"\x40\0", "DF, no fragment"


@pytest.mark.parametrize("reflect", [0, 1])
def test_mark_is_reflected_only_where_asked(fresh_lab, family, reflect):
    """fwmark_reflect decides whether the reply has the packet's mark; other replies carry none."""
    server = fresh_lab.server
    server.sysctl("net.ipv4.fwmark_reflect" if family is V4 else "net.ipv6.fwmark_reflect", reflect)
    server.iptables(
        family, "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "-j", "MARK", "--set-mark", 7
    )
    for match in (("--mark", 7), ("--mark", 0)):
        server.iptables(family, "-A", "OUTPUT", "-p", "tcp", "-m", "mark", *match)
    for both in (False, True):  # in place, and from a clone
        with fresh_lab.capture(family, both) as capture:
            puppet = Puppet(fresh_lab, family, capture)
            puppet.connect()
            puppet.send("PA", payload=b"x" * 5)
            assert puppet.answer().flags == "A"
    marked, unmarked = (server.rule_packets(family, "OUTPUT", n) for n in (1, 2))
    assert (marked, unmarked) == ((4, 0) if reflect else (0, 4))
    server.iptables(family, "-t", "mangle", "-F")


def test_reply_is_a_locally_sent_packet(fresh_lab, family):
    """It crosses OUTPUT and POSTROUTING, where rules may still stop it."""
    server = fresh_lab.server
    with fresh_lab.capture(family, both=False) as capture:
        server.iptables(family, "-t", "mangle", "-A", "POSTROUTING", "-p", "tcp", "--sport", PORT)
        puppet = Puppet(fresh_lab, family, capture)
        puppet.connect()
        listing = server.iptables(family, "-t", "mangle", "-nvxL", "POSTROUTING", 1)
        assert listing.split()[0] == "1"
        server.iptables(family, "-A", "OUTPUT", "-p", "tcp", "--sport", PORT, "-j", "DROP")
        puppet.send("PA", payload=b"x")
        puppet.send("S", -1)
        assert server.rule_packets(family, "OUTPUT") == 2
        assert not puppet.answers()
    server.iptables(family, "-t", "mangle", "-F")


def test_nat_is_undone(fresh_lab, family):
    """REDIRECT from port 2323: the client sees answers from the port that it called, and is
    held.
    """
    server = fresh_lab.server
    redirect = ("-p", "tcp", "--dport", 2323, "-j", "REDIRECT", "--to-ports", PORT)
    server.iptables(family, "-t", "nat", "-A", "PREROUTING", *redirect)
    try:
        with fresh_lab.client.connect(family, 2323) as client:
            assert_held(client)
        assert server.conntrack_entries() == 0
    finally:
        server.iptables(family, "-t", "nat", "-F")
