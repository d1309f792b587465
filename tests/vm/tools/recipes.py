# SPDX-License-Identifier: GPL-2.0
"""Follows docs/recipes.md on the lab's server: writes its files, types its commands.

In a section, a fenced block after a line that begins with a file in backquotes and ends in a colon
goes into that file and any others named there; "after" and a line in backquotes say where. A block
of `sh` without such a line is typed.
"""

import re
import shlex
import subprocess
from pathlib import Path

from lab import FAMILIES, Lab, sh

TEXT = Path("/xt/docs/recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^(`/[^\n]*):\n\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
UNITS, CGROUPS = Path("/usr/lib/systemd/system"), Path("/sys/fs/cgroup")


def steps(title):
    """The recipe's blocks: (files, line after which, text), without files for what is typed."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)[1]
    for where, language, text in BLOCK.findall(section):
        where, _, after = where.partition(" after ")
        if where or language == "sh":
            yield re.findall("`(.*?)`", where), after.strip("`"), text


def put(path, text, after=""):
    """Writes a file, or adds to it after a line that it must have."""
    path = Path(path)
    if after:
        head, line, tail = path.read_text(encoding="utf-8").partition(after + "\n")
        assert line, f"{path}: no line {after}"
        text = head + line + text + tail
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Machine(Lab):
    """The lab with a server that has Debian's packages and no rule yet; its interface is eth0.

    The client's address is one behind a router: a rule for all protocols must not stop neighbour
    discovery.
    """

    def __init__(self):
        self.units = {}
        super().__init__()

    def rules(self):
        self.server.ip("link set s0 name eth0")
        self.client.ip(
            "addr add 198.51.100.1 dev lo",
            "addr add 2001:db8:2::1 dev lo nodad",
            "route replace 192.0.2.0/24 dev c0 src 198.51.100.1",
            "route add 2001:db8:1::/64 dev c0 src 2001:db8:2::1 metric 1",
        )

    def follow(self, title):
        for files, after, text in steps(title):
            for file in files:
                put(file, text, after)
            for line in () if files else text.splitlines():
                self.type(line)

    def type(self, line):
        """Types a line of shell; `systemctl` is a method of this class, since there is no
        systemd.
        """
        word, *words = shlex.split(line)
        if word == "systemctl":
            self.systemctl(*words)
        else:
            print(self.server.run("bash", "-c", line))

    def systemctl(self, verb, unit):
        """What systemd would do with a service that is not running: the unit's own command."""
        text = (UNITS / f"{unit}.service").read_text(encoding="utf-8")
        if verb == "reload":
            self.type(re.search("^ExecReload=(.*)", text, re.M)[1])
        else:
            self.start(unit, re.search("^ExecStart=(.*)", text, re.M)[1])

    def start(self, unit, line):
        """Runs a service in the control group that systemd would give it; the journal names it
        after that.
        """
        group = CGROUPS / "system.slice" / f"{unit}.service"
        if not CGROUPS.joinpath("cgroup.procs").exists():
            sh("mount", "-t", "cgroup2", "none", CGROUPS)
        group.mkdir(parents=True, exist_ok=True)
        with open(f"/out/{unit}.log", "a", encoding="utf-8") as log, self.server.inside():
            argv = ["bash", "-c", f"echo $$ >{group}/cgroup.procs; exec {line}"]
            self.units[group] = subprocess.Popen(argv, stdout=log, stderr=log)

    def show(self):
        """For who reads of a failure: all rules, and how many packets each of them has matched."""
        for variant in ("nft", "legacy"):
            for family in FAMILIES:
                print(self.server.run(f"{family.iptables}-{variant}-save", "-c"))
        print(self.client.run("ss", "-ntoi"))

    def close(self):
        for group, process in reversed(self.units.items()):
            process.terminate()
            process.wait(20)
            (group / "cgroup.kill").write_text("1", encoding="ascii")
        self.units = {}
        super().close()
