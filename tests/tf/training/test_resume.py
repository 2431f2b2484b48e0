"""A run that is killed goes on as if it had not been: real processes, real signals."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from doa_tf.training.run_folder import read_state

PROGRAM = Path(__file__).with_name("training_program.py")
WAIT_S = 900.0  # seconds; a minute on an idle machine


def start(run, scenes, *options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_CONFIG", None)
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(run), str(scenes), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors[-3000:]


def wait_until(process, run, epoch, step):
    """Wait for a backup at or after a batch, within its epoch."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()[-3000:]
        if (run / "last.keras").exists():
            state = read_state(run / "last.keras")
            if (state.epoch, state.step) >= (epoch, step) and state.step:
                return state
        time.sleep(0.02)
    raise TimeoutError(f"no backup at epoch {epoch}, batch {step}")


def history(run):
    with (run / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, scenes):
    run = tmp_path_factory.mktemp("unbroken") / "run"
    finish(start(run, scenes))
    return run


def test_a_killed_run_ends_as_one_that_was_not(tmp_path, scenes, unbroken):
    run = tmp_path / "run"
    for epoch, how in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)):
        process = start(run, scenes, "--slow", "0.3")
        wait_until(process, run, epoch, 2)  # in the middle of an epoch
        process.send_signal(how)
        process.communicate(timeout=WAIT_S)
        assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
        state = read_state(run / "last.keras")
        assert state.epoch == epoch
        assert 0 < state.step < 6
    finish(start(run, scenes))

    one, other = (keras.saving.load_model(path / "last.keras") for path in (unbroken, run))
    assert int(one.optimizer.iterations) == int(other.optimizer.iterations) == 18
    # One thread each: the same sums in the same order. The tolerance is for another processor.
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-5, atol=1e-6)
    assert len(read_state(run / "last.keras").seeds) >= 3  # of three dropouts, and the LSTMs'
    assert read_state(run / "last.keras").seeds == read_state(unbroken / "last.keras").seeds
    rows, broken = history(unbroken), history(run)
    assert [row["epoch"] for row in broken] == [0, 1, 2]
    for ours, theirs in zip(rows, broken, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4)
    assert read_state(run / "last.keras").best == pytest.approx(
        read_state(unbroken / "last.keras").best, rel=1e-5
    )
