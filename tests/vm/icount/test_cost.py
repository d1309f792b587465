# SPDX-License-Identifier: GPL-2.0
"""What a packet costs, relative to xtables-addons' TARPIT: what was reached is not lost.

A short form of `make bench` (docs/performance.md has the goals, and how it is measured).
"""

import os

import bench
import pytest
from lab import FAMILIES, V4, load_peer

# Over DROP, by xtables-addons': docs/performance.md.
REACHED = {
    ("syn", "input", "xt_TARPIT"): (0.856, 0.919),
    ("syn", "raw", "xt_TARPIT"): (0.735, 0.707),
    ("data1400", "input", "xt_TARPIT"): (0.684, 0.749),
    ("gso64k", "input", "xt_TARPIT"): (0.078, 0.114),
    ("syn", "raw", "xt_TARPIT --hairpin"): (0.563, 0.386),
}
LOST = 1.02  # of what was reached may be lost
CASES = sorted({case for case, _, _ in REACHED})


@pytest.fixture(scope="module")
def cost():
    """The instructions that a packet takes, by case, family, hook and target."""
    bench.alone()
    lab, found = bench.Bench(), {}

    def measure(case, family, hook, target):
        assert lab.rule(family, hook, target)
        data = bench.frame(lab, family, hook, target, case)
        found[case, family, hook, target] = (
            sum(bench.measure(lab, data, int(target != "drop"))) / bench.ROUNDS
        )

    try:
        for family in FAMILIES:
            for case in CASES:
                measure(case, family, "input", "drop")
            for case, hook, target in REACHED:
                measure(case, family, hook, target)
        lab.server.run("nft", "flush", "ruleset")
        load_peer()
        for family in FAMILIES:
            for case in CASES:
                measure(case, family, "input", "xtables-addons")
        yield found
    finally:
        lab.server.run("nft", "flush", "ruleset")
        lab.close()
        os.environ.pop("XTABLES_LIBDIR", None)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.mark.parametrize("row", REACHED, ids=" ".join)
def test_is_as_cheap_as_it_was(cost, family, row):
    """Over DROP, at most so much of what xtables-addons costs over DROP in INPUT."""
    case, _, _ = row
    drop, peer = (cost[case, family, "input", target] for target in ("drop", "xtables-addons"))
    relative = (cost[row[0], family, *row[1:]] - drop) / (peer - drop)
    print(f"{family.name}, {' '.join(row)}: {relative:.3f}")
    assert relative <= REACHED[row][family is not V4] * LOST
