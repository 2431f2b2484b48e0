"""Two processes on loopback train as one does."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.training.distribute import is_chief, make_strategy
from doa_tf.training.settings import TrainSettings
from doa_tf.training.start import Run
from tests.processes import free_port

PROGRAM = Path(__file__).with_name("training_program.py")
WAIT_S = 900.0  # seconds; a minute on an idle machine


def start(run, scenes, strategy, config=None):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_CONFIG", None)
    if config is not None:
        environment["TF_CONFIG"] = json.dumps(config)
    command = [sys.executable, str(PROGRAM), str(run), str(scenes), "--dropout", "0"]
    command += ["--epochs", "2", "--strategy", strategy]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(processes):
    try:
        errors = [process.communicate(timeout=WAIT_S)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, said in zip(processes, errors, strict=True):
        assert process.returncode == 0, said[-3000:]


def curve(run, name):
    with (run / "history.csv").open(newline="") as file:
        return np.array([float(row[name]) for row in csv.DictReader(file)])


@pytest.fixture(scope="module")
def one_process(tmp_path_factory, scenes):
    run = tmp_path_factory.mktemp("one") / "run"
    finish([start(run, scenes, "none")])
    return run


def same_curves(run, one_process):
    for name in ("loss", "val_loss", "angular_error", "val_angular_error"):
        # Sums of gradients and of batch statistics in another order: float32 over twelve steps.
        np.testing.assert_allclose(curve(run, name), curve(one_process, name), rtol=2e-3)


def test_two_processes_have_the_loss_curve_of_one(tmp_path, scenes, one_process):
    ports = {free_port(), free_port()}
    while len(ports) < 2:
        ports.add(free_port())
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    run = tmp_path / "run"
    finish(
        [
            start(
                run,
                scenes,
                "multiworker",
                {"cluster": cluster, "task": {"type": "worker", "index": index}},
            )
            for index in range(2)
        ]
    )
    same_curves(run, one_process)
    assert (run / "model.keras").exists()


def test_mirrored_on_one_device_is_plain_training(tmp_path, scenes, one_process):
    run = tmp_path / "run"
    finish([start(run, scenes, "mirrored")])
    same_curves(run, one_process)


def test_statistics_are_common_to_all_replicas_where_there_are_several():
    settings = TrainSettings(head="gibbs", filters=(2, 2, 2), lstm_units=2, dense_units=4)
    run = Run(None, settings, FeatureSpec(), None, None, None)
    for synchronized in (False, True):
        model = run.new_network(synchronized=synchronized)
        layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        assert [layer.synchronized for layer in layers] == [synchronized] * 3


def test_who_writes(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert is_chief()
    for index, writes in ((0, True), (1, False)):
        task = {"task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(task))
        assert is_chief() == writes


def test_bad_strategies_are_refused(monkeypatch):
    with pytest.raises(InputError, match="must be one of none, mirrored, multiworker"):
        make_strategy("tpu", batch_size=4)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="needs the environment variable TF_CONFIG"):
        make_strategy("multiworker", batch_size=4)
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(InputError, match="TF_CONFIG must be JSON"):
        make_strategy("multiworker", batch_size=4)
