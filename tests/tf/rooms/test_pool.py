"""Processes of this machine: nothing lost, nothing twice, nothing left, and no way in."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from doa_core.errors import InputError
from doa_tf.rooms import simulate
from doa_tf.rooms.pool import process_pool
from doa_tf.rooms.simulate import simulate_bank
from tests.places import PROJECT
from tests.processes import gone

HANG_S = 180  # far beyond what anything here takes


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def square(number):
    return number**2


def refuse(number):
    raise ValueError(f"not {number}")


def fail(number):
    raise OSError(f"the disk of {number} is full")


def die_once(folder, number):
    """The process of an odd number is killed, the first time."""
    seen = Path(folder) / str(number)
    if number % 2 and not seen.exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def what_a_process_has(_number):
    """Its variables of threads and memory, and whether Ctrl-C is blocked."""
    names = ("OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [os.environ.get(name) for name in names], blocked


def sleep_for_ever(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(HANG_S)


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No process outlives its test but multiprocessing's resource tracker."""
    before = children()
    yield
    left = []
    for pid in children() - before:
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            left.append(psutil.Process(pid).cmdline())
    assert [line for line in left if not any("resource_tracker" in word for word in line)] == []


def test_each_part_is_answered_once():
    with process_pool(2) as pool:
        answers = list(pool.run(square, range(20)))
    assert sorted(answers) == [(number, number**2) for number in range(20)]
    with process_pool(2) as pool:
        assert list(pool.run(square, [])) == []


def test_parts_of_processes_that_were_killed_are_done_again(tmp_path):
    with process_pool(2) as pool:
        answers = list(pool.run(partial(die_once, str(tmp_path)), range(6)))
    assert sorted(answers) == [(number, number**2) for number in range(6)]


def test_a_part_that_kills_process_after_process_is_an_error():
    with process_pool(2) as pool, pytest.raises(OSError, match=r"3 worker processes .*memory\?"):
        list(pool.run(die, range(6)))


@pytest.mark.parametrize(
    ("task", "error", "message"), [(refuse, InputError, "not 0"), (fail, OSError, "disk of 0")]
)
def test_what_a_task_raises_comes_here(task, error, message):
    with process_pool(1) as pool, pytest.raises(error, match=message):
        list(pool.run(task, range(3)))


def test_processes_have_one_thread_keep_memory_and_leave_control_c_to_their_parent(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with process_pool(1) as pool:
        assert list(pool.run(what_a_process_has, [0])) == [(0, (["1", None], True))]
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_bank_made_by_processes_is_that_of_one(tmp_path, room_settings):
    settings = replace(room_settings, sources=1, rt60=(0.2, 0.3))
    made = {"rooms": 12, "seed": 5, "settings": settings, "rooms_per_shard": 4}
    simulate_bank(tmp_path / "one", workers=1, **made)
    simulate_bank(tmp_path / "two", workers=2, **made)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_no_port_is_open_while_rooms_are_simulated(tmp_path, room_settings):
    ports = []

    def look(done, _total):
        if done:
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            assert len(family) >= 3, "this process and two that simulate"
            for one in family:
                with suppress(psutil.NoSuchProcess):  # another test's, or one that a task has ended
                    ports.extend(c for c in one.net_connections() if c.status == "LISTEN")

    before = [c for c in psutil.Process().net_connections() if c.status == "LISTEN"]
    settings = replace(room_settings, dry_share=1.0, sources=1)
    simulate_bank(tmp_path / "bank", rooms=10, settings=settings, workers=2, progress=look)
    assert [port for port in ports if port not in before] == []


def test_the_local_case_needs_no_dask(tmp_path, room_settings, monkeypatch):
    def refuse(_scheduler):
        raise AssertionError

    monkeypatch.setattr(simulate, "dask_client", refuse)
    settings = replace(room_settings, dry_share=1.0, sources=1)
    simulate_bank(tmp_path / "bank", rooms=2, settings=settings, workers=2)
    assert (tmp_path / "bank" / "index.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.tf.rooms.test_pool import sleep_for_ever\n"
        "from doa_tf.rooms.pool import process_pool\n"
        "if __name__ == '__main__':\n"
        "    with process_pool(2) as pool:\n"
        f"        list(pool.run(sleep_for_ever, {[str(tmp_path / name) for name in 'ab']}))\n"
    )
    for name in "ab":
        (tmp_path / name).mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    process = subprocess.Popen([sys.executable, str(script)], env=environment)
    deadline = time.monotonic() + HANG_S
    while len(found := [path.name for path in tmp_path.glob("[ab]/*")]) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.wait()
    while not all(gone(int(pid)) for pid in found):
        assert time.monotonic() < deadline, "a worker outlives the process that started it"
        time.sleep(0.05)
