# SPDX-License-Identifier: GPL-2.0
"""What every scenario gets: the address family, the lab, and a look at the kernel's log
afterwards.
"""

import os

import lab as the_lab
import pytest

# What the kernel says aloud though all is well.
EXPECTED = (
    "loading out-of-tree module taints kernel",
    "module verification failed: signature and/or required key missing",
    # Of a line that is limited, in whatever test comes next.
    "callbacks suppressed",
)


def pytest_configure(config):
    config.addinivalue_line("markers", "counts_memory: looks at how much memory the kernel uses")
    config.addinivalue_line(
        "markers", "once: finds what is there now and then, so it has no second try"
    )


def pytest_collection_modifyitems(session, items):
    """These scenarios rewrite the network and load modules: only where nobody lives."""
    for item in items:
        if item.get_closest_marker("once"):
            item.add_marker(pytest.mark.flaky(reruns=0))
        if the_lab.SANITIZER and item.get_closest_marker("counts_memory"):
            item.add_marker(
                pytest.mark.skip(
                    reason="KASAN keeps what was freed; kmemleak looks for what is lost"
                )
            )
    if items and not os.path.exists("/xt/tests"):
        pytest.exit(
            "these scenarios run in the guest: tests/machine run -- python3 -m pytest tests/vm/smp",
            2,
        )


@pytest.fixture(params=the_lab.FAMILIES, ids=lambda family: family.name)
def family(request):
    return request.param


@pytest.fixture(autouse=True)
def one_processor():
    """Packets keep their order only within one processor's queue."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


@pytest.fixture(autouse=True)
def kernel_log():
    """Fails the very test in which the kernel warned of anything.

    A test that expects lines removes them from `kernel_log.expected`.
    """
    log = the_lab.KernelLog()
    log.expected = list(EXPECTED)
    yield log
    noise = [
        text
        for level, text in log.read()
        if level <= 4 and not any(known in text for known in log.expected)
    ]
    log.close()
    assert not noise, "the kernel's log:\n" + "\n".join(noise)


@pytest.fixture(scope="module")
def lab():
    """One lab for all tests of a file, which must leave it as they found it."""
    lab = the_lab.Lab()
    yield lab
    lab.close()


@pytest.fixture
def fresh_lab():
    """A lab for one test that changes it."""
    lab = the_lab.Lab()
    yield lab
    lab.close()
