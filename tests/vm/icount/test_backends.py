# SPDX-License-Identifier: GPL-2.0
"""The hold behind NAT that chooses a backend for each packet, by the instruction clock.

A client that has written 200 bytes and closed its socket is held as long as without NAT, though
each of its packets goes to one of two backends, by chance.
"""

import contextlib
import time

import pytest
from lab import FAMILIES, V4, Lab, alive, tcp_info, wait_until

HELD = 36_000  # seconds of guest time, RTT 0
# The ports that clients call. In raw PREROUTING the rule comes before NAT.
DNAT, REDIRECT, RAW = 5501, 5502, 5503
BY_CHANCE = "-m statistic --mode random --probability 0.5"


class Random(Lab):
    """NAT of all kinds, each by chance; rules behind it, and one before."""

    def rules(self):
        for family in FAMILIES:
            address = "203.0.113.{}" if family is V4 else "[2001:db8:3::{}]"
            choices = {
                DNAT: [
                    f"DNAT --to-destination {address.format(11)}:8080",
                    f"DNAT --to-destination {address.format(12)}:9090",
                ],
                REDIRECT: ["REDIRECT --to-ports 8080", "REDIRECT --to-ports 9090"],
                RAW: [
                    f"DNAT --to-destination {address.format(11)}:8080",
                    f"DNAT --to-destination {address.format(12)}:9090",
                ],
            }
            nat = []
            for port, (first, second) in choices.items():
                nat.append(f"-A PREROUTING -p tcp --dport {port} {BY_CHANCE} -j {first}")
                nat.append(f"-A PREROUTING -p tcp --dport {port} -j {second}")
            lines = ["*nat", *nat, "COMMIT", "*filter"]
            lines += [f"-A {chain} -p tcp -j TARPIT" for chain in ("INPUT", "FORWARD")]
            lines += [
                "COMMIT",
                "*raw",
                f"-A PREROUTING -p tcp --dport {RAW} -j TARPIT",
                "COMMIT",
                "",
            ]
            self.server.run(f"{family.iptables}-restore", text="\n".join(lines))
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.server.sysctl(name, 1)


@pytest.fixture(scope="module")
def held():
    """{(family, port, number): seconds that a client was held}; three of each kind at once."""
    lab = Random()
    try:
        clients = {}
        for family in FAMILIES:
            for port in (DNAT, REDIRECT, RAW):
                for number in range(3):
                    with contextlib.closing(
                        lab.client.connect(family, port, orphan=True)
                    ) as client:
                        client.send(b"x" * 200)
                        wait_until(
                            lambda c=client: tcp_info(c)["acked"] >= 1,
                            what="the first data are answered",
                        )
                        clients[family, port, number] = client.getsockname()[1]
        begin, held = time.monotonic(), {}
        while time.monotonic() - begin < HELD:
            time.sleep(60)
            still = alive(lab)
            for key, port in clients.items():
                if port in still:
                    held[key] = time.monotonic() - begin
        yield held
    finally:
        lab.close()


@pytest.mark.parametrize("port", [DNAT, REDIRECT, RAW], ids=["dnat", "redirect", "raw"])
def test_orphan_is_held_behind_random_nat(held, family, port):
    """For ten hours, which is what the test lasts."""
    seconds = [held.get((family, port, number), 0) for number in range(3)]
    assert min(seconds) >= HELD, f"held for {seconds} s"
