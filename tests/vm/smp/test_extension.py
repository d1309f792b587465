# SPDX-License-Identifier: GPL-2.0
"""The extensions and the kernel: iptables and ip6tables, legacy and nft, ours and xtables-addons'."""

import os
import re

import pytest
from lab import FIRST_WINDOW, PEER, PEERS_LIBDIR, V4, Host, sh, tcp_info, unload, wait_until

TOOLS = ("iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft")
RULE = ("INPUT", "-p", "tcp", "-m", "tcp", "--dport", "23", "-j", "TARPIT")
SAVED = "-A INPUT -p tcp -m tcp --dport 23 -j TARPIT --tarpit"

# Where iptables looks for the plugins that the peer's folder does not have.
OWN = "/usr/lib/x86_64-linux-gnu/xtables"


@pytest.fixture(scope="module")
def host():
    host = Host("rules")
    yield host
    host.close()
    unload()


@pytest.fixture(params=TOOLS)
def tool(request, host):
    """One of the four commands, with empty tables before and after."""
    yield request.param
    for table in ("filter", "raw", "mangle"):
        host.run(request.param, "-t", table, "-F")


@pytest.fixture
def peers_plugin(monkeypatch):
    """iptables uses xtables-addons' libxt_TARPIT.so."""
    if not os.path.exists(f"{PEER}/libxt_TARPIT.so"):
        pytest.skip("xtables-addons' plugin is not in this guest")
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)


def saved(host, tool):
    """What iptables-save says of the INPUT chain."""
    return [line.rstrip() for line in host.run(f"{tool}-save").splitlines() if line.startswith("-A INPUT")]


@pytest.fixture
def peers_module(host, kernel_log):
    """xtables-addons' xt_TARPIT.ko in the place of ours: revision 0 and no other."""
    if not os.path.exists(f"{PEER}/xt_TARPIT.ko"):
        pytest.skip("xtables-addons' module is not in this guest")
    kernel_log.expected += ["xt_TARPIT", "TARPIT"]
    unload()
    sh("modprobe", "-a", "x_tables", "ip6_tables", "nf_conntrack")
    sh("insmod", f"{PEER}/xt_TARPIT.ko")
    yield
    for command in TOOLS:
        host.run(command, "-F")
    unload()


def log_of(kernel_log):
    return [text for _, text in kernel_log.read() if "xt_TARPIT" in text or "TARPIT" in text]


def test_add_check_list_save_restore_delete(host, tool):
    """-A, -C, -S, -L, save, restore, -D: the rule stays what it is."""
    host.run(tool, "-A", *RULE)
    host.run(tool, "-C", *RULE, "--tarpit")
    assert SAVED in host.run(tool, "-S").splitlines()
    assert re.search(r"^TARPIT +.*tcp dpt:23 tarpit *$", host.run(tool, "-nL", "INPUT"), re.M)
    text = host.run(f"{tool}-save")
    assert saved(host, tool) == [SAVED]
    host.run(tool, "-D", *RULE)
    assert saved(host, tool) == []
    host.run(f"{tool}-restore", text=text)
    assert host.run(f"{tool}-save", "-t", "filter").count(SAVED) == 1


# Options, how they are saved behind the target's name, and how they are listed.
OPTIONS = [
    ("--tarpit", "--tarpit", "tarpit"),
    ("--profile hold", "--tarpit", "tarpit"),
    ("--profile linux", "--tarpit --profile linux", "tarpit profile linux"),
    ("--drip", "--tarpit --drip", "tarpit drip"),
    ("--profile=linux --tarpit", "--tarpit --profile linux", "tarpit profile linux"),
]


@pytest.mark.parametrize("options, kept, listed", OPTIONS)
def test_options_survive_save_and_restore(host, tool, options, kept, listed):
    """Every combination is added, shown, checked, listed, saved, restored and deleted as what it is."""
    options, line = options.split(), SAVED.replace("--tarpit", kept)
    assert f" {listed}\n" in host.run(tool, "-v", "-A", *RULE, *options)
    host.run(tool, "-C", *RULE, *options)
    host.run(tool, "-C", *RULE, *kept.split())
    assert saved(host, tool) == [line]
    assert line in host.run(tool, "-S").splitlines()
    assert re.search(rf"^TARPIT +.*tcp dpt:23 {listed} *$", host.run(tool, "-nL", "INPUT"), re.M)

    text = host.run(f"{tool}-save")
    host.run(tool, "-F")
    host.run(f"{tool}-restore", text=text)
    assert saved(host, tool) == [line]

    for other in {kept for _, kept, _ in OPTIONS} - {kept}:
        assert host.run(tool, "-C", *RULE, *other.split(), check=False).returncode == 1, other
    host.run(tool, "-D", *RULE, *options)
    assert saved(host, tool) == []


WRONG = [
    ("--honeypot --drip", '"--honeypot" cannot be used together with "--drip"'),
    ("--drip --reset", '"--reset" cannot be used together with "--drip"'),
    ("--honeypot --profile linux", '"--honeypot" cannot be used together with "--profile"'),
    ("--profile hold --reset", '"--reset" cannot be used together with "--profile"'),
    ("--profile windows", 'unknown profile "windows"; it can be "hold" or "linux"'),
    ("--profile", '"--profile" requires an argument'),
    ("--profile linux --profile linux", '"--profile" can only be used once'),
    ("--drip --profile linux", 'cannot be used together with'),
    ("--drip --drip", '"--drip" can only be used once'),
    ("! --profile linux", '"--profile" cannot be inverted'),
    ("! --drip", '"--drip" cannot be inverted'),
]


def test_wrong_options_load_nothing(host, tool):
    """The program says which option and why, ends with 2, and no rule of a restored table is there."""
    rule = f"-A {' '.join(RULE)}"
    for options, why in WRONG:
        done = host.run(tool, *f"{rule} {options}".split(), check=False)
        assert done.returncode == 2 and why in done.stderr, done.stderr
        text = f"*filter\n{rule}\n{rule} {options}\nCOMMIT\n"
        done = host.run(f"{tool}-restore", text=text, check=False)
        assert done.returncode == 2 and why in done.stderr, done.stderr
    assert saved(host, tool) == []


@pytest.mark.parametrize("mode", [("--honeypot", 1), ("--reset", 2)], ids=lambda mode: mode[0])
def test_mode_of_another_version_is_refused_with_one_line(host, tool, mode, kernel_log):
    """The rule does not load, and the kernel's log says once which mode and why."""
    option, variant = mode
    kernel_log.expected += ["is not supported by this version"]
    before = len(log_of(kernel_log))
    done = host.run(tool, "-A", *RULE, option, check=False)
    assert done.returncode != 0
    assert done.stderr.strip()
    lines = log_of(kernel_log)[before:]
    lines = [line for line in lines if "taint" not in line and "verification" not in line]
    assert len(lines) == 1, lines
    assert f"mode {variant}, profile 0 and flags 0x0 " in lines[0]
    assert saved(host, tool) == []


REFUSED = [("filter", "OUTPUT"), ("mangle", "POSTROUTING"), ("raw", "PREROUTING")]


@pytest.mark.parametrize("where", REFUSED, ids="-".join)
def test_hook_without_incoming_packets_is_refused(host, tool, where, kernel_log):
    """Only INPUT and FORWARD; the kernel says so."""
    table, chain = where
    kernel_log.expected += ["TARPIT"]
    done = host.run(tool, "-t", table, "-A", chain, *RULE[1:], check=False)
    assert done.returncode != 0 and done.stderr.strip()


def test_rule_in_a_users_chain_and_without_protocol(host, tool):
    """What fail2ban (no -p tcp) and firewall generators (chains of their own) write."""
    host.run(tool, "-N", "f2b")
    try:
        host.run(tool, "-A", "f2b", "-j", "TARPIT")
        host.run(tool, "-A", "INPUT", "-j", "f2b")
        assert "-A f2b -j TARPIT --tarpit" in host.run(tool, "-S")
    finally:
        host.run(tool, "-F")
        host.run(tool, "-X", "f2b")


def test_two_modes_are_refused(host, tool):
    """xtables-addons' plugin takes the last one; that was never meant."""
    done = host.run(tool, "-A", *RULE, "--tarpit", "--honeypot", check=False)
    assert done.returncode != 0
    assert saved(host, tool) == []


def test_rule_of_the_peers_plugin_is_ours(host, tool, monkeypatch):
    """Loaded, listed and saved by xtables-addons' plugin; what it saved restores with ours, and back."""
    if not os.path.exists(f"{PEER}/libxt_TARPIT.so"):
        pytest.skip("xtables-addons' plugin is not in this guest")

    def use(path):
        monkeypatch.setenv("XTABLES_LIBDIR", path)

    use(PEERS_LIBDIR)
    host.run(tool, "-A", *RULE)
    host.run(tool, "-C", *RULE, "--tarpit")
    assert "TARPIT" in host.run(tool, "-nL", "INPUT")
    theirs = host.run(f"{tool}-save")
    assert SAVED in theirs

    use(OWN)
    assert saved(host, tool) == [SAVED]
    host.run(tool, "-C", *RULE)
    host.run(tool, "-F")
    host.run(f"{tool}-restore", text=theirs)
    ours = host.run(f"{tool}-save")
    assert saved(host, tool) == [SAVED]

    use(PEERS_LIBDIR)
    host.run(tool, "-F")
    host.run(f"{tool}-restore", text=ours)
    assert [line.split() for line in saved(host, tool)] == [SAVED.split()]
    host.run(tool, "-D", *RULE)
    assert saved(host, tool) == []


def test_rules_of_both_revisions_are_listed_together(host, tool, monkeypatch):
    """One of xtables-addons' plugin, which is revision 0, among ours; and what the plugin shows of ours."""
    if not os.path.exists(f"{PEER}/libxt_TARPIT.so"):
        pytest.skip("xtables-addons' plugin is not in this guest")
    rule = f"-A {' '.join(RULE)}"
    lines = [f"{rule} --tarpit", f"{rule} --tarpit --drip", f"{rule} --tarpit"]
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)
    host.run(tool, "-A", *RULE)
    monkeypatch.setenv("XTABLES_LIBDIR", OWN)
    host.run(tool, "-A", *RULE, "--drip")
    host.run(tool, "-A", *RULE)
    for _ in range(2):
        done = host.run(f"{tool}-save", check=False)
        assert [line for line in done.stdout.splitlines() if "TARPIT" in line] == lines
        assert "TARPIT" not in done.stderr
        listing = host.run(tool, "-nL", "INPUT", check=False)
        assert len(re.findall(r"^TARPIT +.*tcp dpt:23 tarpit( drip)? *$", listing.stdout, re.M)) == 3
        assert "TARPIT" not in listing.stderr
        host.run(f"{tool}-restore", text=done.stdout)

    # What the man page says that the other plugin makes of our rules.
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)
    theirs = [line.rstrip() for line in saved(host, tool)]
    if tool.endswith("legacy"):
        assert theirs == [f"{rule} [unsupported revision]"] * 3
    else:
        assert theirs == [lines[0]] * 3


def test_module_without_revision_1_is_named(host, peers_module, tool):
    """What needs revision 1 is refused with the reason; all else is loaded and listed as ever, without a word."""
    for option, *value in (["--profile", "linux"], ["--profile", "hold"], ["--drip"]):
        done = host.run(tool, "-A", *RULE, option, *value, check=False)
        assert done.returncode == 2
        assert f'option "{option}" needs revision 1 of the target, which the kernel does not have' in done.stderr
        assert "that of xtables-addons" in done.stderr
    assert saved(host, tool) == []

    lines = [f"-A {' '.join(RULE)} {mode}" for mode in ("--tarpit", "--honeypot", "--reset")]
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    done = host.run(f"{tool}-restore", text=text, check=False)
    assert done.returncode == 0 and "TARPIT" not in done.stderr, done.stderr
    done = host.run(tool, "-S", "INPUT", check=False)
    assert done.stdout.splitlines()[1:] == lines and "TARPIT" not in done.stderr, done.stderr
    host.run(tool, "-C", *RULE)


@pytest.mark.parametrize("backend", ["legacy", "nft"])
def test_client_is_held_by_a_rule_of_the_peers_plugin(fresh_lab, peers_plugin, family, backend):
    """The peer's plugin and our module, end to end."""
    tool = f"{'iptables' if family is V4 else 'ip6tables'}-{backend}"
    fresh_lab.server.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", 2323, "-j", "TARPIT")
    try:
        with fresh_lab.client.connect(family, 2323) as client:
            client.send(b"x" * 100)
            wait_until(lambda: tcp_info(client)["acked"] == FIRST_WINDOW, what="the first window is acknowledged")
    finally:
        fresh_lab.server.run(tool, "-F", "INPUT")
