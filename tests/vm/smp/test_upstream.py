# SPDX-License-Identifier: GPL-2.0
"""The test programs of iptables' own authors, with several versions of iptables, on what we
wrote in their grammars.
"""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from lab import Host, sh, unload

PROGRAMS = Path("/opt/iptables")
RULES = Path("/xt/libxt_TARPIT.t")
TRANSLATIONS = Path("/xt/libxt_TARPIT.txlate")

# Where the commands are of 1.8.9, 1.8.11 and what is the newest.
VERSIONS = {"bookworm": PROGRAMS / "bookworm", "trixie": Path("/usr/sbin"), "sid": PROGRAMS / "sid"}


@pytest.fixture(scope="module")
def host():
    sh("modprobe", "xt_TARPIT")
    host = Host()
    yield host
    host.close()
    unload()


@pytest.fixture(params=VERSIONS)
def version(request, monkeypatch):
    """The suite whose version of the commands the programs find."""
    monkeypatch.setenv("PATH", f"{VERSIONS[request.param]}:/usr/sbin:/usr/bin:/sbin:/bin")
    return request.param


def test_versions_differ(host):
    """What this file is about; each also has a C library of its own. A guest of forky has sid's."""
    found = [sh(path / "xtables-nft-multi", "iptables", "--version") for path in VERSIONS.values()]
    numbers = [tuple(map(int, re.findall(r"v1\.(\d+)\.(\d+)", line)[0])) for line in found]
    assert numbers == sorted(numbers) and numbers[0] < numbers[-1], found


def run(host, program, *words):
    done = host.run("python3", PROGRAMS / program, "--host", "--no-netns", *words, check=False)
    return done.returncode, done.stdout, done.stderr


def by_table(folder, name):
    """RULES as a file for each table: of such files the program loads all at once what must
    load.
    """
    lines = defaultdict(list)
    for line in RULES.read_text(encoding="ascii").splitlines():
        if line.startswith("*"):
            table = line[1:]
        if not line.startswith("#"):
            lines[table].append(line)
    files = {table: folder / table / name for table in lines}
    for table, file in files.items():
        file.parent.mkdir()
        file.write_text("\n".join(lines[table]) + "\n", encoding="ascii")
    return files.values(), sum(
        line.startswith("-") for all_of_it in lines.values() for line in all_of_it
    )


@pytest.mark.parametrize("variant", ["legacy", "nft"])
def test_rules_are_as_iptables_test_wants_them(host, version, variant, tmp_path):
    """Every line passes: for both families, which a name with `xt` stands for, with the guest's
    own version.
    """
    families, name = (2, RULES.name) if version == "trixie" else (1, "libipt_TARPIT.t")
    files, tests = by_table(tmp_path, name)
    tests *= families
    code, out, errors = run(host, "iptables-test.py", f"-{variant[0]}", *files)
    assert (
        out.splitlines()[-1]
        == f"{variant}: {len(files)} test files, {tests} unit tests, {tests} passed"
    )
    assert (code, errors, "fast mode failed" in out) == (0, "", False)


@pytest.mark.parametrize("variant", ["legacy", "nft"])
def test_wrong_rules_are_found_by_iptables_test(host, variant, tmp_path):
    """What is saved in another way, and what should fail and does not: the test above can fail."""
    wrong = tmp_path / RULES.name
    wrong.write_text(":INPUT\n-j TARPIT;=;OK\n-j TARPIT --tarpit;;FAIL\n", encoding="ascii")
    code, out, errors = run(host, "iptables-test.py", f"-{variant[0]}", wrong)
    assert out.splitlines()[-1] == f"{variant}: 1 test files, 4 unit tests, 0 passed"
    assert code != 0 and errors.count("cannot find") == 2 and errors.count("should fail") == 2


def test_translations_are_as_xlate_test_wants_them(host, version, tmp_path):
    """iptables-translate makes a comment of every rule; one that is promised as something else
    fails.
    """
    text = TRANSLATIONS.read_text(encoding="ascii")
    tests = text.count("\nnft ")
    end = "{} tests, {} tests passed, 0 tests failed, {} errors"
    code, out, _ = run(host, "xlate-test.py", TRANSLATIONS)
    assert out.splitlines()[-1] == "1 test file, " + end.format(tests, tests, 0)
    assert code == 0

    wrong = tmp_path / TRANSLATIONS.name
    wrong.write_text(
        text.replace("nft # -A INPUT", "nft add rule ip filter INPUT", 1), encoding="ascii"
    )
    code, out, errors = run(host, "xlate-test.py", wrong)
    assert out.splitlines()[-1] == "1 test file, " + end.format(tests, tests - 1, 1)
    assert code != 0 and "nft # -A INPUT" in errors
