"""Children end with their parent, and what a process may have written is known by its start."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from doa_core.process.children import may_have_written
from tests.processes import gone

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
PARENT = """
import subprocess, sys
child = [sys.executable, "-c", sys.argv[1]]
with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as process:
    print(process.stdout.readline(), end="", flush=True)
    input()
"""
CHILD = """
import os, time
from doa_core.process.children import end_with
end_with(os.getppid())
print(os.getpid(), flush=True)
time.sleep(600)
"""


@LINUX
def test_a_child_ends_with_its_killed_parent():
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    deadline = time.monotonic() + 60.0
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@LINUX
def test_a_child_whose_parent_is_gone_ends_at_once():
    program = "from doa_core.process.children import end_with; end_with(1 << 22); print('lives')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert (done.returncode, done.stdout) == (-9, b"")


def test_a_process_that_runs_may_have_written():
    now = time.time()
    assert may_have_written(os.getpid(), now)
    assert may_have_written(os.getppid(), now)


@LINUX
def test_a_process_that_began_later_has_not():
    assert not may_have_written(os.getpid(), 1.0)  # its number was another's


def test_a_process_that_is_gone_has_not():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert not may_have_written(process.pid, time.time())
    assert not may_have_written(1 << 70, time.time())


def test_the_first_process_of_the_system_has_not():
    assert not may_have_written(1, time.time())
