# SPDX-License-Identifier: GPL-2.0
"""The machine itself: is this the guest that the other scenarios count on?"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from lab import PEERS_LIBDIR, SANITIZER

PEER = Path("/opt/xtables-addons")


def sh(command):
    return subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout


OUT_OF_TREE, UNSIGNED = (
    1 << 12,
    1 << 13,
)  # what a module of ours may add, Documentation/admin-guide/tainted-kernels.rst


@pytest.mark.skipif(SANITIZER, reason="this kernel is ours")
def test_kernel_is_debians_own_and_well():
    # Debian 12 has another form: 6.1.0-50-cloud-amd64.
    assert re.search(r"(\+deb\d+|^6\.1\.0-\d+)-(cloud-)?(amd64|arm64)$", os.uname().release)
    tainted = int(Path("/proc/sys/kernel/tainted").read_text())
    assert tainted & ~(OUT_OF_TREE | UNSIGNED) == 0
    assert os.cpu_count() == 2


def test_peer_answers_a_syn_over_veth():
    try:
        sh(f"""set -e
        modprobe x_tables
        insmod {PEER}/xt_TARPIT.ko
        ip netns add client
        ip link add to_client type veth peer name to_server netns client
        ip addr add 192.0.2.1/24 dev to_client
        ip link set to_client up
        ip -n client addr add 192.0.2.2/24 dev to_server
        ip -n client link set to_server up
        XTABLES_LIBDIR={PEERS_LIBDIR} \
            iptables-legacy -A INPUT -p tcp --dport 23 -j TARPIT --tarpit
        ip netns exec client nc -z -w 5 192.0.2.1 23
        """)
    finally:
        sh("""iptables-legacy -F INPUT
        ip netns del client
        until rmmod xt_TARPIT; do sleep 0.1; done""")
