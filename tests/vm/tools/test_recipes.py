# SPDX-License-Identifier: GPL-2.0
"""docs/recipes.md: tools that know nothing of us write the rules, and real clients are held by
them.
"""

import json
import os
import re
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from lab import FAMILIES, PORT, V4, V6, assert_held, tcp_info, wait_until
from recipes import Machine, put

# Of modules that Shorewall and FireHOL load, and of sshd's audit records.
NOISE = ("conntrack helper is scheduled for removal", "kauditd_printk_skb")


@pytest.fixture
def one_processor():
    """Nobody counts packets here: tools may use both."""


@pytest.fixture
def machine(kernel_log):
    kernel_log.expected += NOISE
    machine = Machine()
    yield machine
    machine.show()
    machine.close()


def holds(machine, port=PORT):
    for family in FAMILIES:
        with machine.client.connect(family, port) as client:
            assert_held(client)


def test_ferm(machine):
    machine.follow("ferm")
    holds(machine)


def test_ufw(machine):
    put("/etc/ufw/ufw.conf", "ENABLED=yes\nLOGLEVEL=low\n")
    machine.follow("ufw")
    holds(machine)


def test_firehol(machine):
    machine.follow("FireHOL")
    holds(machine)


SHOREWALL = {
    "zones": "fw firewall\nnet {0}\n",
    "interfaces": "?FORMAT 2\nnet eth0\n",
    "policy": "$FW all ACCEPT\nall all DROP\n",
}


def test_shorewall(machine):
    for folder, kind in (("shorewall", "ipv4"), ("shorewall6", "ipv6")):
        for name, text in SHOREWALL.items():
            put(f"/etc/{folder}/{name}", text.format(kind))
    machine.follow("Shorewall")
    holds(machine)
    for family in FAMILIES:
        with machine.client.connect(family, 25) as client:
            client.send(b"x" * 10000)
            wait_until(lambda: tcp_info(client)["acked"] == 10000, what="the honeypot takes it all")


def test_firewalld(machine):
    Path("/run/dbus").mkdir(exist_ok=True)
    machine.start("dbus", "dbus-daemon --system --nofork")
    wait_until(lambda: Path("/run/dbus/system_bus_socket").exists())
    machine.systemctl("start", "firewalld")
    wait_until(
        lambda: machine.server.run("firewall-cmd", "--state", check=False).returncode == 0, 60
    )
    machine.follow("firewalld")
    holds(machine)


class Decisions(BaseHTTPRequestHandler):
    """CrowdSec's local API, as far as the bouncer asks: all decisions at its start, and nothing
    new later.
    """

    BANNED = [
        {
            "value": family.phantom,
            "type": "ban",
            "scope": "Ip",
            "duration": "4h",
            "origin": "cscli",
            "scenario": "test",
        }
        for family in FAMILIES
    ]

    def do_GET(self):
        body = json.dumps(
            {"new": self.BANNED if "startup=true" in self.path else [], "deleted": []}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_crowdsec(machine):
    with machine.server.inside():
        api = HTTPServer(("127.0.0.1", 8080), Decisions)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    machine.follow("CrowdSec")
    for family in FAMILIES:
        wait_until(lambda: family.phantom in machine.server.run("ipset", "list"), 60)
    holds(machine)
    api.shutdown()
    api.server_close()


def test_rules_of_a_newer_bouncer(machine):
    """Debian has no bouncer that knows TARPIT. These are the commands that the source of newer
    ones has.
    """
    for family, name in ((V4, "crowdsec-blacklists-0"), (V6, "crowdsec6-blacklists-0")):
        words = "family inet6" if family is V6 else ""
        machine.type(f"ipset create {name} hash:net timeout 300 maxelem 131072 {words}")
        machine.type(f"ipset add {name} {family.phantom}")
        for rule in (
            "-N CROWDSEC_CHAIN -t filter",
            "-I INPUT -j CROWDSEC_CHAIN",
            "-N CROWDSEC_LOG -t filter",
            "-I CROWDSEC_LOG -j LOG --log-prefix crowdsec",
            "-A CROWDSEC_LOG -j TARPIT",
            f"-I CROWDSEC_CHAIN -m set --match-set {name} src -j CROWDSEC_LOG",
        ):
            machine.type(f"{family.iptables} {rule}")
    holds(machine)
    for family, name in ((V4, "crowdsec-blacklists-0"), (V6, "crowdsec6-blacklists-0")):
        machine.type(f"{family.iptables} -I CROWDSEC_CHAIN -m set --match-set {name} src -j TARPIT")
    holds(machine)


GUESS = (
    "while :; do sshpass -p $RANDOM"
    " ssh -o StrictHostKeyChecking=no -o NumberOfPasswordPrompts=1 root@{}; done"
)


def stuck(machine, family):
    """How many of the client's connections are established and try in vain to send, at growing
    intervals.

    A new one probes a closed window; one that was running when the ban came sends again what is
    frozen.
    """
    address = f"[{family.server}]" if family is V6 else family.server
    listing = machine.client.run("ss", "-Hntoi", "state", "established", "dst", f"{address}:22")
    return len(re.findall(r"backoff:([2-9]|\d\d)", listing))


def test_fail2ban(machine):
    """Brute-forcers guess passwords of a real sshd, until they are banned, and then sit in
    their connections.
    """
    for folder in ("/run/systemd/journal", "/run/sshd", "/run/fail2ban"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    put("/etc/machine-id", "0123456789abcdef" * 2 + "\n")
    machine.systemctl("start", "systemd-journald")
    wait_until(lambda: Path("/run/systemd/journal/dev-log").exists(), what="the journal is there")
    Path("/dev/log").symlink_to("/run/systemd/journal/dev-log")
    machine.systemctl("start", "ssh")
    machine.follow("fail2ban")
    ask = ("fail2ban-client", "get", "sshd", "banip")
    wait_until(
        lambda: machine.server.run(*ask, check=False).returncode == 0, 60, "fail2ban watches sshd"
    )
    for family in FAMILIES:
        guess = ["bash", "-c", GUESS.format(family.server)]
        with machine.client.inside():
            many = [
                subprocess.Popen(guess, stderr=subprocess.DEVNULL, start_new_session=True)
                for _ in range(5)
            ]
        try:
            wait_until(lambda: family.phantom in machine.server.run(*ask), 60, "a ban")
            wait_until(lambda: stuck(machine, family) == len(many), 60, "each of them is stuck")
        finally:
            for one in many:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()
    holds(machine, 22)
