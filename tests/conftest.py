"""For all tests: development recordings, skips named once, and how they are run side by side."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter

import pytest

from tests.places import SHARED

# A shell that starts something in the background has it ignore interruptions, and nohup the end of
# its terminal; so would every command that a test ends.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

EXPECT_SHARED = bool(os.environ.get("DOA_EXPECT_SHARED"))  # set by .ci/run where it has them

# Run by one process each: sound in real time, and exports, which are made once for several files.
TOGETHER = {
    "real time": (
        "tests/edge/input/live/test_live",
        "tests/edge/sinks/test_live_outputs",
    ),
    "exports": ("tests/export/",),
}
APART = "tests/fuzz/"  # a kind takes its own process in any case
# What takes longest begins first, so that all processes end at about the same time.
LONGEST_FIRST = (
    *TOGETHER["real time"],
    "tests/crash/",
    "tests/export/",
    "tests/tf/training/",
    "tests/experiments/",
    "tests/fuzz/",
    "tests/test_readme.py",
    "tests/tf/",
)


STARTED = time.monotonic()
BEYOND = "beyond the minutes that this run may take"


def pytest_addoption(parser):
    parser.addoption(
        "--minutes", type=float, metavar="N", help="skip what has not begun after so many minutes"
    )
    parser.addoption(
        "--write-skipped",
        metavar="FILE",
        help="write what was skipped, one test a line; `pytest @FILE` runs just that",
    )


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        # Programs of JAX are compiled once for all tests, and without making them fast.
        folder = tempfile.TemporaryDirectory(prefix="doa-jax-")
        config.add_cleanup(folder.cleanup)
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder.name)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        os.environ.setdefault(
            "XLA_FLAGS",
            "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        )
    # Beside other tests, everything has one processor. Programs that tests start inherit this.
    if config.getoption("numprocesses", None):
        config.option.loadscopereorder = False  # see `LONGEST_FIRST`
        for name in (
            *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
            *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
        ):
            os.environ.setdefault(name, "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than there are processors, as some tests wait; a process takes up to 1.5 GB."""
    return min(len(os.sched_getaffinity(0)) + 1, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file is run by one process, and so is what belongs `TOGETHER`; what is `APART` is not."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            path = super()._split_scope(nodeid)
            if path.startswith(APART):
                return nodeid
            names = (name for name, paths in TOGETHER.items() if path.startswith(paths))
            return next(names, path)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    def rank(item):
        matches = (n for n, path in enumerate(LONGEST_FIRST) if item.nodeid.startswith(path))
        return next(matches, len(LONGEST_FIRST))

    items.sort(key=rank)  # stable
    for item in items:
        if "shared_data" in item.fixturenames:
            item.add_marker(pytest.mark.shared)
        if item.nodeid.startswith(TOGETHER["real time"]):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - STARTED > 60 * minutes:
        pytest.skip(BEYOND)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of development recordings, which lies beside the project; skips without it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the development recordings in ../shared/data")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    expected = EXPECT_SHARED and item.get_closest_marker("shared")
    if expected and report.skipped and BEYOND not in report.longrepr[2]:
        report.outcome = "failed"
        report.longrepr = f"skipped where DOA_EXPECT_SHARED is set: {report.longrepr[2]}"
    return report


def pytest_terminal_summary(terminalreporter, config):
    """Each reason for a skip once."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:4d}  {reason}")
    if config.getoption("write_skipped"):
        with open(config.getoption("write_skipped"), "w", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in sorted({each.nodeid for each in skipped}))
