# SPDX-License-Identifier: GPL-2.0
"""A share of the segment zoo: `make soak` has the rest, tests/README.md says what it is."""

import random

import pytest
import zoo

pytestmark = pytest.mark.once

KEPT = "/xt/tests/zoo/kept"
SLICES = 5  # of each seed, 2,600 segments or so each


@pytest.mark.parametrize(
    ("defrag", "seen"), zoo.WORLDS, ids=["plain", "seen", "defrag", "defrag-seen"]
)
def test_whatever_comes_is_answered_as_documented_or_not_at_all(kernel_log, defrag, seen):
    """What failed once; segments of a seed that is always the same, and of one that never is and is
    printed.

    The module has nothing to say to any of them.
    """
    kept = [
        line
        for line in open(KEPT, encoding="ascii").read().splitlines()
        if not line.startswith("#")
    ]
    assert kept
    with zoo.Zoo(defrag, seen) as there:
        assert there.run("replay", *kept)
        for seed in (1, random.getrandbits(32)):
            assert there.run("run", seed, 0, SLICES), f"seed {seed}"
    assert not [text for _, text in kernel_log.read() if "xt_TARPIT" in text]
