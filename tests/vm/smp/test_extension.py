# SPDX-License-Identifier: GPL-2.0
"""The extensions and the kernel: iptables and ip6tables, legacy and nft, ours and
xtables-addons'.
"""

import ctypes
import errno
import os
import re
import socket
import struct
from pathlib import Path

import pytest
from lab import (
    FIRST_WINDOW,
    PEER,
    PEERS_LIBDIR,
    PLUGINS_LIBDIR,
    V4,
    Host,
    sh,
    tcp_info,
    unload,
    wait_until,
)

TOOLS = ("iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft")
# Another libxtables and C library, where both families load the same extension.
OTHERS = [
    f"/opt/iptables/{suite}/iptables-{variant}"
    for suite in ("bookworm", "sid")
    for variant in ("legacy", "nft")
]
with_every_version = pytest.mark.parametrize("tool", [*TOOLS, *OTHERS], indirect=True)
RULE = ("INPUT", "-p", "tcp", "-m", "tcp", "--dport", "23", "-j", "TARPIT")
SAVED = "-A INPUT -p tcp -m tcp --dport 23 -j TARPIT --tarpit"

# Where iptables looks for the plugins that the peer's folder does not have.
OWN = PLUGINS_LIBDIR


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.close()
    unload()


EMPTY = "".join(f"*{table}\nCOMMIT\n" for table in ("filter", "raw", "mangle", "nat"))


@pytest.fixture(params=TOOLS)
def tool(request, host):
    """One of the commands, with empty tables before and after."""
    yield request.param
    host.run(f"{request.param}-restore", text=EMPTY)


@pytest.fixture
def peers_plugin(monkeypatch):
    """iptables uses xtables-addons' libxt_TARPIT.so."""
    if not os.path.exists(f"{PEER}/libxt_TARPIT.so"):
        pytest.skip("xtables-addons' plugin is not in this guest")
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)


def saved(host, tool):
    """What iptables-save says of the INPUT chain."""
    return [
        line.rstrip()
        for line in host.run(f"{tool}-save").splitlines()
        if line.startswith("-A INPUT")
    ]


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
        host.run(f"{command}-restore", text=EMPTY)
    unload()


def log_of(kernel_log):
    return [text for _, text in kernel_log.read() if "xt_TARPIT" in text or "TARPIT" in text]


# Options, how they are saved behind the target's name, and how they are listed.
OPTIONS = [
    ("", "--tarpit", "tarpit"),
    ("--honeypot", "--honeypot", "honeypot"),
    ("--reset", "--reset", "reset"),
    ("--profile hold", "--tarpit", "tarpit"),
    ("--profile=linux --tarpit", "--tarpit --profile linux", "tarpit profile linux"),
    ("--drip", "--tarpit --drip", "tarpit drip"),
    ("--ttl 0xff", "--tarpit --ttl 255", "tarpit ttl 255"),
    ("--hairpin --reset --ttl 1", "--reset --ttl 1 --hairpin", "reset ttl 1 hairpin"),
    ("--window=65535 --honeypot", "--honeypot --window 65535", "honeypot window 65535"),
    (
        "--hairpin --window 100 --ttl 64 --profile linux",
        "--tarpit --profile linux --ttl 64 --window 100 --hairpin",
        "tarpit profile linux ttl 64 window 100 hairpin",
    ),
]


@with_every_version
def test_options_survive_save_and_restore(host, tool):
    """Rules with all options are restored, listed, saved, and deleted as what they are."""
    rule = f"-A {' '.join(RULE)}"
    text = "\n".join(["*filter", *(f"{rule} {options}" for options, _, _ in OPTIONS), "COMMIT", ""])
    for _ in range(2):
        host.run(f"{tool}-restore", text=text)
        assert saved(host, tool) == [f"{rule} {kept}" for _, kept, _ in OPTIONS]
        text = host.run(f"{tool}-save")
    assert host.run(tool, "-S", "INPUT").splitlines()[1:] == [
        f"{rule} {kept}" for _, kept, _ in OPTIONS
    ]
    listing = host.run(tool, "-nL", "INPUT")
    assert re.findall(r"^TARPIT +.*tcp dpt:23 (.*?) *$", listing, re.M) == [
        listed for _, _, listed in OPTIONS
    ]

    options, kept, listed = OPTIONS[-1]
    assert f" {listed}\n" in host.run(tool, "-v", "-A", *RULE, *options.split())
    for _ in range(2):  # there are two of it now, and no other rule is like it
        host.run(tool, "-C", *RULE, *options.split())
        host.run(tool, "-D", *RULE, *kept.split())
    assert host.run(tool, "-C", *RULE, *options.split(), check=False).returncode == 1
    assert saved(host, tool) == [f"{rule} {kept}" for _, kept, _ in OPTIONS[:-1]]


@with_every_version
def test_help_names_every_option(host, tool):
    """Behind the general help, once each."""
    text = host.run(tool, "-j", "TARPIT", "-h")
    found = re.findall(r"^  --(\w+)", text[text.index("TARPIT target options") :], re.M)
    assert found == ["tarpit", "honeypot", "reset", "profile", "drip", "ttl", "window", "hairpin"]


WRONG = [
    ("--ttl 256", 'bad value for option "--ttl"'),
    ("--drip --reset", '"--reset" cannot be used together with "--drip"'),
    ("--drop", 'unknown option "--drop"'),
    # The commands of other versions get these three.
    ("--honeypot --profile linux", '"--honeypot" cannot be used together with "--profile"'),
    ("--window 1 --reset", '"--reset" cannot be used together with "--window"'),
    ("--drip --window 1", '"--drip" cannot be used together with "--window"'),
    (
        "--tarpit --honeypot",
        "cannot be used together with",
    ),  # xtables-addons' extension takes the last one
    ("--window 0", "out of range (1-65535)"),
    ("--profile windows", 'unknown profile "windows"; it can be "hold" or "linux"'),
    ("--profile", '"--profile" requires an argument'),
    ("--hairpin --hairpin", '"--hairpin" can only be used once'),
    ("! --drip", '"--drip" cannot be inverted'),
]


@with_every_version
def test_wrong_options_load_nothing(host, tool):
    """The program says which option and why, ends with 2, and no rule of a restored table is
    there.
    """
    rule = f"-A {' '.join(RULE)}"
    for options, why in WRONG if tool in TOOLS else WRONG[:3]:
        done = host.run(tool, *f"{rule} {options}".split(), check=False)
        assert done.returncode == 2 and why in done.stderr, done.stderr
    text = f"*filter\n{rule}\n{rule} {options}\nCOMMIT\n"
    done = host.run(f"{tool}-restore", text=text, check=False)
    assert done.returncode == 2 and why in done.stderr, done.stderr
    assert saved(host, tool) == []


def load_raw(host, data):
    """Loads the IPv4 filter table again with this data in its TARPIT rule, which no extension
    has judged.
    """
    libc = ctypes.CDLL(None)

    def ask(what, question, size):
        answer, length = ctypes.create_string_buffer(question, size), ctypes.c_uint(size)
        assert (
            libc.getsockopt(sock.fileno(), socket.IPPROTO_IP, what, answer, ctypes.byref(length))
            == 0
        )
        return answer.raw

    # struct ipt_getinfo, ipt_get_entries and ipt_replace.
    with host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        hooks, *places, count, size = struct.unpack("=32x13I", ask(64, b"filter", 84))
        entries = ask(65, struct.pack("=32sI", b"filter", size), 40 + size)[40:]
        start = entries.index(b"TARPIT\0") + 30  # the name's 29 bytes, the revision
        entries = entries[:start] + data + entries[start + len(data) :]
        counters = ctypes.create_string_buffer(16 * count)
        head = struct.pack(
            "=32s14IQ", b"filter", hooks, count, size, *places, count, ctypes.addressof(counters)
        )
        sock.setsockopt(socket.IPPROTO_IP, 64, head + entries)


# Variant, profile, flags, ttl, window, reserved.
RIGHT = [
    (0, 0, 0, 0, 0, 0),
    (0, 1, 2, 255, 65535, 0),
    (0, 0, 3, 1, 0, 0),
    (1, 0, 2, 255, 1, 0),
    (2, 0, 2, 1, 0, 0),
]
UNKNOWN = [
    (3, 0, 0, 0, 0, 0),
    (0, 2, 0, 0, 0, 0),
    (1, 1, 0, 0, 0, 0),
    (2, 0, 1, 0, 0, 0),
    (0, 1, 1, 0, 0, 0),
    (0, 0, 4, 0, 0, 0),
    (0, 0, 1, 0, 1, 0),
    (2, 0, 0, 0, 1, 0),
    (0, 0, 0, 0, 0, 256),
]


def test_rule_of_another_version_is_refused_with_one_line(host, kernel_log):
    """What no option of ours makes does not load, and the kernel's log says once what it was."""
    host.run("iptables-legacy", "-A", *RULE, "--ttl", "77")
    for rule in RIGHT:
        load_raw(host, struct.pack("=4B2H", *rule))
    kept = saved(host, "iptables-legacy")
    assert kept == [SAVED.replace("--tarpit", "--reset --ttl 1 --hairpin")]
    before = len(log_of(kernel_log))
    for rule in UNKNOWN:
        with pytest.raises(OSError) as refused:
            load_raw(host, struct.pack("=4B2H", *rule))
        assert refused.value.errno == errno.EINVAL
    assert saved(host, "iptables-legacy") == kept
    form = (
        "a rule with mode {}, profile {}, flags {:#x}, ttl {} and window {} "
        "is not supported by this version"
    )
    lines = log_of(kernel_log)[before:]
    assert [line.removeprefix("xt_TARPIT: ") for line in lines] == [
        form.format(*rule) for rule in UNKNOWN
    ]
    host.run("iptables-legacy", "-F")


@pytest.mark.parametrize(
    "where", [("mangle", "POSTROUTING"), ("nat", "PREROUTING"), ("nat", "OUTPUT")], ids="-".join
)
def test_hook_where_it_could_not_work_is_refused(host, tool, where, kernel_log):
    """Where packets leave, and in nat, which sees the first of a connection only; of the latter
    the log says why.
    """
    kernel_log.expected += ["TARPIT"]
    table, chain = where
    before = len(log_of(kernel_log))
    done = host.run(tool, "-t", table, "-A", chain, *RULE[1:], check=False)
    assert done.returncode not in (0, 2) and done.stderr.strip()
    assert "TARPIT" not in host.run(f"{tool}-save", "-t", table)
    if table == "nat":
        assert any(
            "in the nat table, TARPIT is for INPUT only" in line
            for line in log_of(kernel_log)[before:]
        )


@pytest.mark.parametrize("variant", ["legacy", "nft"])
def test_examples_of_the_man_page_load(host, variant):
    """All of them, one after the other, and each is then found as it was typed."""
    page = Path("/usr/share/man/man8/xt_TARPIT.8").read_text(encoding="ascii").replace("\\-", "-")
    examples = [
        line
        for block in re.findall(r"^\.nf\n(.*?)^\.fi$", page, re.M | re.S)
        for line in block.splitlines()
    ]
    commands = {line.split()[0] for line in examples}
    assert commands == {"iptables", "ip6tables"} and page.count("\n-A ") == 0
    for line in examples:
        command, *words = line.split()
        host.run(f"{command}-{variant}", *words)
    for command in commands:
        theirs = [line for line in examples if line.startswith(command + " ")]
        text = host.run(f"{command}-{variant}-save")
        assert len(re.findall("^-A", text, re.M)) == len(theirs)
        assert len(re.findall("-j TARPIT", text)) == sum("-j TARPIT" in line for line in theirs)
        host.run(f"{command}-{variant}-restore", text=EMPTY)


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


@with_every_version
def test_rule_of_the_peers_plugin_is_ours(host, tool, monkeypatch):
    """Loaded, listed and saved by xtables-addons' plugin; what it saved restores with ours, and
    back.
    """
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


@with_every_version
def test_rules_of_both_revisions_are_listed_together(host, tool, monkeypatch):
    """One of xtables-addons' plugin, which is revision 0, among ours; and what the plugin shows
    of ours.
    """
    if not os.path.exists(f"{PEER}/libxt_TARPIT.so"):
        pytest.skip("xtables-addons' plugin is not in this guest")
    rule = f"-A {' '.join(RULE)}"
    lines = [f"{rule} --tarpit", f"{rule} --honeypot --ttl 9", f"{rule} --tarpit"]
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)
    host.run(tool, "-A", *RULE)
    monkeypatch.setenv("XTABLES_LIBDIR", OWN)
    host.run(tool, "-A", *RULE, "--honeypot", "--ttl", "9")
    host.run(tool, "-A", *RULE)
    for _ in range(2):
        done = host.run(f"{tool}-save", check=False)
        assert [line for line in done.stdout.splitlines() if "TARPIT" in line] == lines
        assert "TARPIT" not in done.stderr
        listing = host.run(tool, "-nL", "INPUT", check=False)
        assert (
            len(
                re.findall(
                    r"^TARPIT +.*tcp dpt:23 (tarpit|honeypot ttl 9) *$", listing.stdout, re.M
                )
            )
            == 3
        )
        assert "TARPIT" not in listing.stderr
        host.run(f"{tool}-restore", text=done.stdout)

    # What the man page says that the other plugin makes of our rules.
    monkeypatch.setenv("XTABLES_LIBDIR", PEERS_LIBDIR)
    theirs = [line.rstrip() for line in saved(host, tool)]
    if tool.endswith("legacy"):
        assert theirs == [f"{rule} [unsupported revision]"] * 3
    else:
        assert theirs == [lines[0], f"{rule} --honeypot", lines[0]]


@with_every_version
def test_module_without_revision_1_is_named(host, peers_module, tool):
    """What needs revision 1 is refused with the reason; all else is loaded and listed as ever,
    without a word.
    """
    for option, *value in (
        ["--profile", "hold"],
        ["--drip"],
        ["--ttl", "64"],
        ["--window", "1"],
        ["--hairpin"],
    ):
        done = host.run(tool, "-A", *RULE, option, *value, check=False)
        assert done.returncode == 2
        assert (
            f'option "{option}" needs revision 1 of the target, which the kernel does not have'
            in done.stderr
        )
        assert "that of xtables-addons" in done.stderr
    assert saved(host, tool) == []

    lines = [f"-A {' '.join(RULE)} {mode}" for mode in ("--tarpit", "--honeypot", "--reset")]
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    done = host.run(f"{tool}-restore", text=text, check=False)
    assert done.returncode == 0 and "TARPIT" not in done.stderr, done.stderr
    done = host.run(tool, "-S", "INPUT", check=False)
    assert done.stdout.splitlines()[1:] == lines and "TARPIT" not in done.stderr, done.stderr
    host.run(tool, "-C", *RULE)


# Where the extension is looked for: bookworm's with later commands, trixie's with bookworm's.
FOREIGN = [
    (tool, "/opt/iptables/bookworm/lib/xtables") for tool in ("iptables-legacy", "iptables-nft")
]
FOREIGN += [(tool, f"{OWN}:") for tool in OTHERS if "bookworm" in tool]


@pytest.mark.parametrize("command, where", FOREIGN)
def test_extension_for_another_libxtables_says_so(host, monkeypatch, command, where):
    """The option tables of 1.8.9 and 1.8.11 differ: one sentence, where the options would be
    read from nowhere.
    """
    monkeypatch.setenv("XTABLES_LIBDIR", where)
    for options in ((), ("--ttl", "1")):
        done = host.run(command, "-A", "INPUT", "-j", "TARPIT", *options, check=False)
        assert done.returncode == 1, done.stderr
        assert (
            "libxt_TARPIT.so was built for another version of iptables; build it again"
            in done.stderr
        )
    monkeypatch.delenv("XTABLES_LIBDIR")
    assert saved(host, command) == []


@pytest.mark.parametrize("backend", ["legacy", "nft"])
def test_client_is_held_by_a_rule_of_the_peers_plugin(fresh_lab, peers_plugin, family, backend):
    """The peer's plugin and our module, end to end."""
    tool = f"{'iptables' if family is V4 else 'ip6tables'}-{backend}"
    fresh_lab.server.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", 2323, "-j", "TARPIT")
    try:
        with fresh_lab.client.connect(family, 2323) as client:
            client.send(b"x" * 100)
            wait_until(
                lambda: tcp_info(client)["acked"] == FIRST_WINDOW,
                what="the first window is acknowledged",
            )
    finally:
        fresh_lab.server.run(tool, "-F", "INPUT")
