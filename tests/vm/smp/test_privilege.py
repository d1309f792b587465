# SPDX-License-Identifier: GPL-2.0
"""Who may load a rule, and what is left when a network namespace dies with its rules."""

import fcntl
import os
import socket
import struct
import threading

import pytest
from lab import (
    FAMILIES,
    PORT,
    V4,
    V6,
    Lab,
    Puppet,
    kernel_kb,
    module_users,
    sh,
    tcp_info,
    unload,
    wait_until,
)

TOOLS = ("iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft")
RULE = "-A INPUT -p tcp --dport 23 -j TARPIT"
ROUNDS = 100
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
LOCK = "XTABLES_LOCKFILE=/tmp/xtables.nobody"


@pytest.fixture(scope="module", autouse=True)
def module():
    sh("modprobe", "xt_TARPIT")
    # What these commands would otherwise load, which only root of the machine may.
    for tool in TOOLS:
        sh(tool, "-N", "made"), sh(tool, "-X", "made")
        sh("unshare", "-n", tool, *RULE.split())
    yield
    unload()


@pytest.mark.parametrize("tool", TOOLS)
def test_root_of_a_user_namespace_loads_a_rule_in_its_own_network(tool):
    """And it works there. Nobody of the machine will do; the module is let go when the
    namespace is.
    """
    address = "127.0.0.1" if tool.startswith("iptables") else "::1"
    script = (
        f"ip link set lo up && {tool} {RULE} && {tool} -S INPUT && "
        f"python3 -c \"import socket; s = socket.create_connection(('{address}', 23), 5); "
        "s.setsockopt(1, 13, b'\\1\\0\\0\\0\\0\\0\\0\\0'); print('connected', s.send(b'x' * 100))\""
    )
    text = sh(*NOBODY, "env", LOCK, "unshare", "-Urn", "sh", "-ec", script)
    assert f"{RULE} --tarpit" in text.replace("-m tcp ", "") and "connected 100" in text
    wait_until(lambda: module_users() == 0, what="the namespace has gone")


# What is not allowed in a network that is somebody else's.
STRANGERS = {
    "nobody": NOBODY,
    "root of another user namespace": ("unshare", "-Ur"),
    "nobody as root of another user namespace": (*NOBODY, "unshare", "-Ur"),
    "root without CAP_NET_ADMIN": ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"),
    "root of a namespace within": ("unshare", "-Urn", "unshare", "-Ur"),
}


@pytest.mark.parametrize("tool", ["iptables-legacy", "ip6tables-nft"])
@pytest.mark.parametrize("who", STRANGERS)
def test_stranger_loads_no_rule(tool, who):
    """Root's own command does work, so it is not for another reason."""
    sh("unshare", "-n", "env", LOCK, tool, *RULE.split())
    done = sh("unshare", "-n", "env", LOCK, *STRANGERS[who], tool, *RULE.split(), check=False)
    assert done.returncode != 0, "a rule was loaded"
    assert (
        "ermission" in done.stderr or "not permitted" in done.stderr or "denied" in done.stderr
    ), done.stderr
    assert "TARPIT" not in sh(tool, "-S")
    wait_until(lambda: module_users() == 0, what="nobody uses the module")


# --- The death of a namespace

RULES = (
    "*filter\n"
    "-A INPUT -p tcp --dport 23 -j TARPIT\n"
    "-A INPUT -p tcp --dport 24 -j TARPIT --honeypot\n"
    "COMMIT\n"
    "*raw\n"
    "-A PREROUTING -p tcp --dport 25 -j TARPIT --reset\n"
    "-A OUTPUT -p tcp --dport 9 -j TARPIT\n"
    "COMMIT\n"
)


def life(family, address):
    """A namespace with rules and clients over loopback, that ends with all of them in place."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    os.unshare(os.CLONE_NEWNET)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))  # SIOCSIFFLAGS: IFF_UP
        sh(f"{family.iptables}-legacy-restore", text=RULES)
        for port in (23, 24):
            with socket.socket(family.af, socket.SOCK_STREAM) as client:
                # An orphan would keep its namespace as long as it is held.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.settimeout(5)
                client.connect((address, port))
                client.send(b"x" * 1000)
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)


@pytest.mark.counts_memory
def test_hundred_namespaces_leave_nothing_behind():
    """No use of the module, no memory: 1 MB at most, where the tables of all of them are 4.8 MB."""
    for number in range(ROUNDS + 10):
        # What is allocated once has been after some.
        if number == 10:
            wait_until(lambda: module_users() == 0, what="the first ones have gone")
            before = kernel_kb()
        life(*((V4, "127.0.0.1") if number % 2 else (V6, "::1")))
    wait_until(lambda: module_users() == 0, what="all of them have gone")
    wait_until(
        lambda: kernel_kb() - before < 1024, what="the kernel's memory is as small as before"
    )
    print(f"\nthe kernel's memory has grown by {kernel_kb() - before} kB in {ROUNDS} namespaces")
    sh("rmmod", "xt_TARPIT")
    sh("modprobe", "xt_TARPIT")


def test_namespace_dies_under_traffic():
    """Its rules are never taken away, its clients never stop; the module is free at once."""
    lab = Lab()
    over = threading.Event()
    try:
        for family in FAMILIES:
            early = ("PREROUTING", "-p", "tcp", "--dport", 24, "-j", "TARPIT", "--hairpin")
            lab.server.iptables(family, "-t", "raw", "-A", *early)
            lab.server.iptables(
                family, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"
            )
        clients = [
            lab.client.connect(family, port)
            for family in FAMILIES
            for port in (PORT, 24)
            for _ in range(10)
        ]
        for client in clients:
            client.send(b"x" * 1000)

        with lab.capture(V4, both=False) as capture:
            packets = []
            for family in FAMILIES:
                for port in (PORT, 24):
                    puppet = Puppet(lab, family, capture, dport=port)
                    packets += [
                        puppet.packet("S", -1),
                        puppet.packet("PA", payload=b"x" * 500, ack=77),
                    ]
        lab.inject(packets[0])

        def flood():
            while not over.is_set():
                for packet in packets:
                    try:
                        lab.inject(packet)
                    except OSError:  # the wire has gone with the other end
                        return

        flooder = threading.Thread(target=flood)
        flooder.start()
        wait_until(lambda: lab.server.rule_packets(V4) > 500, what="there is traffic")
        lab.hosts.remove(lab.server)
        lab.server.close()
        wait_until(lambda: module_users() == 0, what="the module is free")
        over.set()
        flooder.join()
        assert all(tcp_info(client)["state"] == 1 for client in clients), "the clients wait"
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    finally:
        over.set()
        lab.close()
    sh("modprobe", "xt_TARPIT")
