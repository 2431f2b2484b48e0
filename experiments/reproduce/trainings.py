"""The trainings of an experiment, several processes side by side.

python -m experiments.reproduce.trainings DIR NAME THREADS PARENT      one of them
"""

from __future__ import annotations

import csv
import logging
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from doa_core.errors import InputError
from doa_tf.evaluation.calibration import calibrate_model
from doa_tf.files import HISTORY, Progress, write_json
from doa_tf.scenes.folder import read_scenes
from doa_tf.scenes.mixer import SceneMixer
from experiments.reproduce.plan import FRESH_ENGINES, Plan, features_of, head_of
from experiments.reproduce.stages import cache_sources, training_mixer

logger = logging.getLogger(__name__)

DONE_FILE, LOG_FILE = "done.json", "train.log"
_PROJECT = Path(__file__).parents[2]  # experiments are not installed
_POLL_SECONDS = 0.5
_LAST_CHARACTERS = 300  # of a failed training's log


def train_all(folder: Path, plan: Plan, *, jobs: int, threads: int, progress: Progress) -> None:
    """Train every run that is not done, `jobs` at a time.

    Two trainings of one thread each do more on two cores than one of two threads. Ctrl-C ends
    them; each loses at most the epoch that was running.

    Raises:
        OSError: a training failed. The others were ended, and go on with the next call.
    """
    waiting = [name for name in plan.runs if not (folder / "runs" / name / DONE_FILE).exists()]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                running[name] = _start(folder, name, threads)
            time.sleep(_POLL_SECONDS)
            for name, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode:
                    raise ChildProcessError(_failure(folder / "runs" / name, process.returncode))
            done = sum(_epochs_done(folder / "runs" / name) for name in plan.runs)
            progress(done, plan.size.epochs * len(plan.runs))
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def train_one(folder: Path, plan: Plan, name: str) -> None:
    """Train a run of an experiment, or go on with it; returns at once if it is done."""
    run = folder / "runs" / name
    if _epochs_done(run) < plan.size.epochs:
        live = plan.engine in FRESH_ENGINES
        mixer = partial(training_mixer, folder, plan) if live else _no_mixer
        _train(folder, plan, name, mixer=mixer, cache=folder / "features")
    _finish(run, folder, plan)


def train_on_accelerator(
    folder: Path, plan: Plan, mixer: SceneMixer, *, progress: Progress
) -> None:
    """Train every run that is not done, one after the other, by the engine `jax`."""
    from doa_tf.training.jax_engine.mixing import scene_arrays

    arrays = None
    for number, name in enumerate(plan.runs):
        run = folder / "runs" / name
        if (run / DONE_FILE).exists():
            continue
        if _epochs_done(run) < plan.size.epochs:
            arrays = scene_arrays(mixer) if arrays is None else arrays
            _train(folder, plan, name, mixer=lambda: mixer, arrays=arrays)
        _finish(run, folder, plan)
        progress(plan.size.epochs * (number + 1), plan.size.epochs * len(plan.runs))


def _train(folder: Path, plan: Plan, name: str, **data: Any) -> None:
    """Train a run, whatever engine does it; `data` as in `TrainingData`."""
    from doa_tf.training import TrainingData, TrainSettings, train

    valid = folder / "scenes" / "valid"
    train(
        folder / "runs" / name,
        TrainingData(valid=valid, sources=cache_sources(plan), **data),
        settings=TrainSettings(
            head=head_of(name),
            epochs=plan.size.epochs,
            sequences=plan.size.sequences,
            batch_size=plan.size.batch_size,
            patience=plan.size.epochs,  # the same budget for all
            seed=plan.seed,
            live=plan.engine == "live",
            highpass_hz=0.0,  # the paper's features
        ),
        features=features_of(name),
        engine="jax" if plan.engine == "jax" else "keras",
    )


def _finish(run: Path, folder: Path, plan: Plan) -> None:
    """Make the confidence of a run's best epoch a probability, where that can be done."""
    calibration = None
    try:
        calibration = calibrate_model(run / "model.keras", read_scenes(folder / "scenes" / "valid"))
    except InputError as error:  # too few scenes, or a network that says the same of all of them
        logger.warning("not calibrated: %s", error)
    done = {"epochs": plan.size.epochs, "engine": plan.engine, "calibration": calibration}
    write_json(run / DONE_FILE, done)


def main() -> None:
    """Train one run in this process; what is said goes to the run's log."""
    folder, name, threads, parent = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    plan = Plan.read(folder)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    train_one(folder, plan, name)


def _start(folder: Path, name: str, threads: int) -> subprocess.Popen[bytes]:
    run = folder / "runs" / name
    run.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH")))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-m", "experiments.reproduce.trainings"]
    with (run / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            [*command, str(folder), name, str(threads), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def _no_mixer() -> None:
    raise RuntimeError("The features of an experiment must be mixed before its trainings")


def _end_with_parent(parent: int) -> None:
    """An experiment that was killed leaves no trainings behind that its next run would meet."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _epochs_done(run: Path) -> int:
    path = run / HISTORY
    if not path.exists():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _failure(run: Path, status: int) -> str:
    text = (run / LOG_FILE).read_text(encoding="utf-8", errors="replace").strip()
    return (
        f"The training {run.name} ended with status {status}; {run / LOG_FILE} ends with: "
        f"{text[-_LAST_CHARACTERS:]}"
    )


if __name__ == "__main__":
    main()
