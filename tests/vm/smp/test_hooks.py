# SPDX-License-Identifier: GPL-2.0
"""The hooks: raw and mangle PREROUTING, OUTPUT, chains of users, and where a rule is refused.

INPUT and FORWARD have most other files; here they stand beside the others.
"""

import contextlib
import functools
import itertools
import socket

import pytest
import wire
from lab import (
    ESTABLISHED,
    FAMILIES,
    FIRST_WINDOW,
    KERNEL,
    MODES,
    PORT,
    V4,
    V6,
    Host,
    Lab,
    Puppet,
    for_each,
    tcp_info,
    wait_until,
)  # fmt: skip

TOOLS = ("iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft")
EARLY = ("raw", "mangle")


def assert_held(client, probes=True):
    client.send(b"x" * 1000)
    wait_until(
        lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first window is acknowledged"
    )
    if probes:
        wait_until(lambda: tcp_info(client)["backoff"] >= 1, what="probes go out")
        assert tcp_info(client)["probes"] == 0, "and are answered"
    assert tcp_info(client)["state"] == ESTABLISHED


# What conntrack takes replies for, and what it does not: mangle comes behind it, raw before it.
STATES = {
    "raw": ("UNTRACKED", "NEW,ESTABLISHED,RELATED,INVALID"),
    "mangle": ("RELATED", "NEW,ESTABLISHED,UNTRACKED,INVALID"),
}
# A rule of each mode in each table has a port of its own.
PORTS = {(table, mode): 4700 + i for i, (table, mode) in enumerate(itertools.product(EARLY, MODES))}
ports = iter(range(4000, 4100))


class Early(Lab):
    """Rules of PREROUTING, and conntrack sees all that is not untracked; in INPUT there is no
    rule of ours.
    """

    def rules(self):
        for family in FAMILIES:
            text = "*filter\n-A INPUT -m conntrack --ctstate INVALID\nCOMMIT\n"
            text += f"*raw\n-A PREROUTING -p tcp --dport {PORT} -j TARPIT\n"
            for table in EARLY:
                text += "" if table == "raw" else f"*{table}\n"
                for mode, options in MODES.items():
                    rule = " ".join(("-j TARPIT", *options))
                    text += f"-A PREROUTING -p tcp --dport {PORTS[table, mode]} {rule}\n"
                text += "COMMIT\n"
            self.server.run(f"{family.iptables}-restore", text=text)

    def early(self, family, table, *rule):
        """One more, for as long as the block runs."""
        return self.server.rule(family, "PREROUTING", *rule, table=table)


@pytest.fixture(scope="module")
def lab():
    lab = Early()
    yield lab
    lab.close()


# --- PREROUTING


@pytest.mark.parametrize("table", EARLY)
@pytest.mark.parametrize("where", ["own address", "unused netblock", "no route"])
def test_client_is_held_before_routing(lab, family, table, where):
    """Whether the address is ours, would be forwarded, or nobody knows a way to it; conntrack
    has nothing of it.
    """
    address = {
        "own address": family.server,
        "unused netblock": family.nobody,
        "no route": "203.0.114.1" if family is V4 else "2001:db8:9::1",
    }[where]
    port = next(ports)
    if where == "no route":
        lab.client.ip(f"route add {address} via {family.server}")
    try:
        rule, state = (
            ("-p", "tcp", "--dport", port),
            ("-p", "tcp", "--sport", port, "-m", "conntrack", "--ctstate"),
        )
        right, wrong = STATES[table]
        with (
            lab.early(family, table, *rule, "-j", "TARPIT"),
            lab.server.rule(family, "OUTPUT", *state, right),
        ):
            with lab.server.rule(family, "OUTPUT", *state, wrong):
                with lab.client.connect(family, port, address) as client:
                    assert_held(client, probes=where == "own address")
                    assert not lab.server.tracked(port)
                assert lab.server.rule_packets(family, "OUTPUT", 1) == 0
                assert lab.server.rule_packets(family, "OUTPUT", 2) >= 2, f"replies are {right}"
    finally:
        if where == "no route":
            lab.client.ip(f"route del {address}")


@pytest.mark.parametrize("table", EARLY)
def test_rule_before_routing_without_protocol(lab, family, table):
    """TCP is answered, the rest of that source is dropped."""
    with lab.capture(family, both=False) as capture:
        src = lab.stranger(family)
        with lab.early(family, table, "-s", src, "-j", "TARPIT"):
            puppet = Puppet(lab, family, capture, src=src, dport=4711)
            puppet.connect()
            lab.inject(
                wire.ip(src, family.server, bytes.fromhex("1234000900090000") + b"?", proto=17)
            )
            lab.inject(wire.ip(src, family.server, b"\0" * 20, proto=132))
            puppet.settle()
            assert lab.server.rule_packets(family, "PREROUTING", table=table) == 4
            assert not lab.server.tracked(4711)


MANY = {
    # name: (family, destination, MAC)
    "subnet broadcast": (V4, "192.0.2.255", "ffffffffffff"),
    "subnet broadcast in a unicast frame": (V4, "192.0.2.255", None),
    "limited broadcast": (V4, "255.255.255.255", None),
    "multicast": (V4, "224.0.0.1", None),
    "class E": (V4, "240.0.0.1", None),
    "nowhere": (V4, "0.0.0.0", None),
    "own address in a broadcast frame": (V4, "192.0.2.2", "ffffffffffff"),
    "own address in a multicast frame": (V4, "192.0.2.2", "01005e000001"),
    "own address in a frame to another": (V4, "192.0.2.2", "020000000099"),
    "netblock in a broadcast frame": (V4, "203.0.113.9", "ffffffffffff"),
    "all nodes": (V6, "ff02::1", "333300000001"),
    "all nodes in a unicast frame": (V6, "ff02::1", None),
    "nowhere, IPv6": (V6, "::", None),
    "own address in a multicast frame, IPv6": (V6, "2001:db8:1::2", "333300000001"),
    "own address in a frame to another, IPv6": (V6, "2001:db8:1::2", "020000000099"),
}


@pytest.mark.parametrize("table", EARLY)
@pytest.mark.parametrize("mode", ["tarpit", "reset"])
def test_syn_to_many_or_another_is_not_answered(lab, family, table, mode):
    """Routing has not sorted it out yet: the rule does."""

    def check(name):
        _, destination, mac = MANY[name]
        puppet = Puppet(lab, family, capture, dst=destination, dport=PORTS[table, mode])
        puppet.send("S", -1, mac=mac and bytes.fromhex(mac))
        assert puppet.quiet()
        assert not [s for s in capture.segments() if s.dport == puppet.sport]

    with lab.capture(family, both=False) as capture:
        for_each([name for name in MANY if MANY[name][0] is family], check)


NOBODY = {
    V4: (
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.255",
        "192.0.2.2",
        "240.0.0.1",
    ),
    V6: ("::", "::1", "ff02::1", "2001:db8:1::2"),
}


@pytest.mark.parametrize("table", EARLY)
def test_syn_from_nobody_is_not_answered(lab, family, table):
    """A source that is no single other host, our own among them."""

    def check(flow):
        source, dst = flow
        puppet = Puppet(lab, family, capture, dst=dst, src=source, dport=PORTS[table, "tarpit"])
        puppet.send("S", -1)
        assert puppet.quiet()
        assert not [s for s in capture.segments() if s.dport == puppet.sport]

    with lab.capture(family, both=False) as capture:
        for_each(itertools.product(NOBODY[family], (family.server, family.nobody)), check)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("table", EARLY)
def test_every_mode_answers_before_routing(lab, family, table, mode):
    """As it does in INPUT, with conntrack none the wiser; fragments and wrong checksums get
    nothing.
    """
    with lab.capture(family, both=False) as capture:
        puppet = Puppet(lab, family, capture, dport=PORTS[table, mode], src=lab.stranger(family))
        puppet.send("S", -1)
        answer = puppet.answer()
        assert answer.flags == ("RA" if mode == "reset" else "SA")
        puppet.their_isn = answer.seq
        puppet.send("PA", payload=b"x" * 100)
        answer = puppet.answer()
        assert answer.flags == ("R" if mode == "reset" else "A")
        assert (answer.window > 0) == (mode == "honeypot")
        puppet.send("S", -1, csum=0x1234)
        fragment = {"frag": 0x2000} if family is V4 else {"extensions": [(44, b"\0\0\1\0\0\0\7")]}
        puppet.send("S", -1, payload=b"x" * 8, ip=fragment)
        assert puppet.quiet()
        assert not lab.server.tracked(PORTS[table, mode])


def test_answer_before_routing_crosses_output(lab, family):
    """It is a packet that this host sends: its own rules may stop it."""
    with lab.capture(family, both=False) as capture:
        with lab.early(family, "raw", "-p", "tcp", "--dport", 4711, "-j", "TARPIT"):
            with lab.server.rule(family, "OUTPUT", "-p", "tcp", "--sport", 4711, "-j", "DROP"):
                puppet = Puppet(lab, family, capture, dport=4711)
                puppet.send("S", -1)
                assert puppet.quiet()
                assert lab.server.rule_packets(family, "OUTPUT") == 1


def test_running_connection_is_reset_before_routing(lab, family):
    """raw PREROUTING knows no connection, but the client does."""
    with lab.server.socket(family.af, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((family.server, 4712))
        listener.listen()
        with lab.client.connect(family, 4712) as client, listener.accept()[0]:
            with lab.early(family, "raw", "-p", "tcp", "--dport", 4712, "-j", "TARPIT", "--reset"):
                client.send(b"x")
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
    lab.server.run("conntrack", "-F")


# --- OUTPUT


@pytest.mark.parametrize("table", ["filter", "raw", "mangle"])
def test_rule_in_output_changes_nothing(lab, family, table):
    """FireHOL mirrors its rules there: what the host sends passes, and the rule behind decides."""
    port = 4800
    with lab.server.socket(family.af, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((family.server, port))
        listener.listen()
        mirrored = ("OUTPUT", "-p", "tcp", "--sport", port, "-j", "TARPIT")
        with lab.server.rule(family, *mirrored, table=table):
            with lab.client.connect(family, port) as client, listener.accept()[0] as server:
                client.sendall(b"x" * 50_000)
                got = 0
                while got < 50_000:
                    got += len(server.recv(65536))
                server.sendall(b"y" * 50_000)
                got = 0
                while got < 50_000:
                    got += len(client.recv(65536))
            assert lab.server.rule_packets(family, "OUTPUT", table=table) > 2
        # A rule behind it has the last word.
        lab.server.iptables(
            family, "-t", table, "-I", "OUTPUT", "-p", "tcp", "--sport", port, "-j", "DROP"
        )
        try:
            sock = lab.client.socket(family.af, socket.SOCK_STREAM)
            with sock, lab.server.rule(family, *mirrored, table=table):
                sock.setblocking(False)
                sock.connect_ex((family.server, port))
                dropped = functools.partial(
                    lab.server.rule_packets, family, "OUTPUT", 2, table=table
                )
                wait_until(dropped, what="a SYN-ACK is dropped")
                assert lab.server.rule_packets(family, "OUTPUT", 1, table=table)
        finally:
            lab.server.iptables(family, "-t", table, "-D", "OUTPUT", 1)
    lab.server.run("conntrack", "-F")


@pytest.mark.parametrize("mode", MODES)
def test_any_protocol_passes_a_rule_in_output(lab, family, mode):
    """Also one without -p tcp, in every mode; UDP, ICMP, and connections of the host's own."""
    with lab.server.rule(family, "OUTPUT", "-j", "TARPIT", *MODES[mode]):
        proto = socket.IPPROTO_ICMP if family is V4 else socket.IPPROTO_ICMPV6
        with lab.server.socket(family.af, socket.SOCK_RAW, proto) as icmp:
            icmp.settimeout(5)
            body = bytes([8 if family is V4 else 128, 0, 0, 0, 0, 1, 0, 1])
            total = wire.checksum(body) if family is V4 else 0  # which the kernel computes for IPv6
            icmp.sendto(body[:2] + total.to_bytes(2) + body[4:], (family.client, 0))
            while icmp.recv(100)[20 if family is V4 else 0] != (0 if family is V4 else 129):
                pass
        with lab.client.socket(family.af, socket.SOCK_DGRAM) as receiver:
            receiver.bind((family.client, 9999))
            receiver.settimeout(5)
            with lab.server.socket(family.af, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hello", (family.client, 9999))
            assert receiver.recv(10) == b"hello"
        with lab.client.socket(family.af, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((family.client, 9998))
            listener.listen()
            with (
                lab.server.connect(family, 9998, family.client) as sock,
                listener.accept()[0] as other,
            ):
                sock.sendall(b"hello")
                assert other.recv(5) == b"hello"
        assert lab.server.rule_packets(family, "OUTPUT") >= 4
    lab.server.run("conntrack", "-F")


def test_chain_that_input_and_output_call(lab, family):
    """One chain for both: in INPUT it holds, in OUTPUT it lets pass, the answers too, which
    come back to it.
    """
    lab.server.iptables(family, "-N", "both")
    lab.server.iptables(family, "-A", "both", "-p", "tcp", "--dport", 4900, "-j", "TARPIT")
    lab.server.iptables(family, "-A", "both", "-p", "tcp", "--sport", 4900, "-j", "TARPIT")
    try:
        with (
            lab.server.rule(family, "INPUT", "-j", "both"),
            lab.server.rule(family, "OUTPUT", "-j", "both"),
        ):
            with lab.client.connect(family, 4900) as client:
                assert_held(client)
            # To another host's port of this number the server may go.
            with lab.client.socket(family.af, socket.SOCK_STREAM) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((family.client, 4901))
                listener.listen()
                with lab.server.connect(family, 4901, family.client):
                    pass
            assert lab.server.rule_packets(family, "both", 2) >= 2, "the answers went by it"
    finally:
        lab.server.iptables(family, "-F", "both")
        lab.server.iptables(family, "-X", "both")
        lab.server.run("conntrack", "-F")


@pytest.mark.parametrize(
    "table, chain", [("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT")]
)
def test_users_chain(lab, family, table, chain):
    lab.server.iptables(family, "-t", table, "-N", "mine")
    lab.server.iptables(family, "-t", table, "-A", "mine", "-p", "tcp", "-j", "TARPIT")
    try:
        with lab.server.rule(
            family, chain, "-p", "tcp", "--dport", 4950, "-j", "mine", table=table
        ):
            with lab.client.connect(family, 4950) as client:
                assert_held(client, probes=False)
    finally:
        lab.server.iptables(family, "-t", table, "-F", "mine")
        lab.server.iptables(family, "-t", table, "-X", "mine")


# --- Where a rule is refused

LOADED = [
    ("filter", "INPUT"), ("filter", "FORWARD"), ("filter", "OUTPUT"),
    ("raw", "PREROUTING"), ("raw", "OUTPUT"),
    ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("mangle", "FORWARD"), ("mangle", "OUTPUT"),
    ("nat", "INPUT"),
]  # fmt: skip
REFUSED = [
    ("mangle", "POSTROUTING"),
    ("nat", "PREROUTING"),
    ("nat", "OUTPUT"),
    ("nat", "POSTROUTING"),
]


@pytest.mark.parametrize("tool", TOOLS)
def test_where_a_rule_loads(lab, tool):
    """In every mode."""
    text = ""
    for table, chain in LOADED:
        text += f"*{table}\n"
        for options in MODES.values():
            text += " ".join(("-A", chain, "-p tcp --dport 1 -j TARPIT", *options)) + "\n"
        text += "COMMIT\n"
    host = lab.client  # which has no rules
    host.run(f"{tool}-restore", "-n", text=text)
    assert host.run(f"{tool}-save").count("TARPIT") == len(LOADED) * len(MODES)
    host.run(
        f"{tool}-restore",
        text="".join(f"*{table}\nCOMMIT\n" for table in {table for table, _ in LOADED}),
    )


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("where", REFUSED)
def test_where_a_rule_is_refused(lab, tool, where, kernel_log):
    """With a reason in the kernel's log; also by way of a chain of the user's."""
    table, chain = where
    kernel_log.expected += ["TARPIT"]
    done = lab.client.run(tool, "-t", table, "-A", chain, "-p", "tcp", "-j", "TARPIT", check=False)
    assert done.returncode != 0 and done.stderr.strip()
    text = f"*{table}\n:mine - [0:0]\n-A mine -p tcp -j TARPIT\n-A {chain} -j mine\nCOMMIT\n"
    done = lab.client.run(f"{tool}-restore", "-n", text=text, check=False)
    assert done.returncode != 0, "called from a chain of its own it loads"
    assert "TARPIT" not in lab.client.run(f"{tool}-save", "-t", table)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("by", ["T", "U"], ids=["a jump", "two jumps"])
def test_chain_of_nat_is_checked_where_it_is_called_from(lab, tool, by, kernel_log):
    """A chain that nothing jumps to may have a rule; from there on only nat INPUT may call it,
    by whatever way.
    """
    kernel_log.expected += ["TARPIT"]
    with contextlib.closing(Host()) as host:

        def nat(*argv, **how):
            return host.run(tool, "-t", "nat", *argv, **how)

        def refused(*argv):
            done = nat(*argv, check=False)
            assert done.returncode != 0, f"{' '.join(argv)} is accepted"

        nat("-N", "T"), nat("-N", "U"), nat("-A", "U", "-j", "T")
        rule = ("T", "-p", "tcp", "-j", "TARPIT")
        if KERNEL < (7, 2):
            # xt_target has no check_hooks there, so nothing would ask again when a chain jumps to
            # T.
            refused("-A", *rule)
            return
        nat("-A", *rule)
        for chain in ("PREROUTING", "OUTPUT", "POSTROUTING"):
            refused("-A", chain, "-j", by)
        nat("-A", "INPUT", "-j", by)
        saved = host.run(f"{tool}-save", "-t", "nat")
        assert (
            f"-A INPUT -j {by}\n" in saved
            and saved.count("TARPIT") == 1
            and saved.count(f"-j {by}\n") == 1 + (by == "T")
        )
        # The rule comes into a chain that is called already.
        nat("-D", *rule)
        nat("-A", *rule)
        nat("-D", *rule)
        for chain in ("PREROUTING", "OUTPUT", "POSTROUTING"):
            nat("-A", chain, "-j", by)
            refused("-A", *rule)
            nat("-D", chain, "-j", by)
        nat("-A", *rule)
        # All at once.
        text = "*nat\n:T - [0:0]\n-A {} -j T\n-A T -p tcp -j TARPIT\nCOMMIT\n"
        for chain, accepted in (
            ("INPUT", True),
            ("PREROUTING", False),
            ("OUTPUT", False),
            ("POSTROUTING", False),
        ):
            done = host.run(f"{tool}-restore", text=text.format(chain), check=False)
            assert (done.returncode == 0) == accepted, chain


def test_nat_input_holds(lab, family):
    """Only the first packet of a connection comes by there, so it is the SYN that is answered.
    (No more is asked.)
    """
    with lab.capture(family, both=False) as capture:
        with lab.server.rule(
            family, "INPUT", "-p", "tcp", "--dport", 4960, "-j", "TARPIT", table="nat"
        ):
            puppet = Puppet(lab, family, capture, dport=4960)
            puppet.send("S", -1)
            assert puppet.answer().flags == "SA"
            assert not lab.server.tracked(4960)
