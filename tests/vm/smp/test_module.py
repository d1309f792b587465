# SPDX-License-Identifier: GPL-2.0
"""The module's life: it goes while clients are held, and comes back with another key."""

import contextlib

from lab import FAMILIES, FIRST_WINDOW, Lab, Puppet, module_users, sh, slab_kb, tcp_info, wait_until

CLIENTS = 100


def test_module_leaves_while_clients_are_held_and_comes_back(family):
    """100 real clients in persist; rule deleted, module gone, no leak; back: new ones held, the old unanswered."""
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
                wait_until(lambda c=client: tcp_info(c)["acked"] == FIRST_WINDOW, what="a client is held")
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
                wait_until(lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="a new client is held")
    finally:
        lab.close()


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
