"""The experiment: the heads on the same data with the same budget, from rooms to a report.

    DIR/experiment.json     the plan; another plan needs another folder
    DIR/speech, DIR/noise   links to the recordings of each part, where they had to be split
    DIR/rooms/PART          banks for train, valid and test
    DIR/scenes/PART         rendered scenes, valid and test, of each condition
    DIR/features            features of the training scenes, mixed once for all runs
    DIR/runs/NAME           a run for each head
    DIR/results/SCENES      every answer of every model
    DIR/report.md           tables and answers, with report.json and pictures

Every stage leaves finished work alone: a run that was killed goes on when it is started again.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from doa_core.errors import InputError
from doa_core.reading.json_text import read_json
from doa_tf.files import write_json
from doa_tf.scenes.folder import read_scenes
from doa_tf.scenes.preparation import Bars
from doa_tf.scenes.speaker_split import PARTS
from experiments.reproduce import stages
from experiments.reproduce.plan import FRESH_ENGINES, PLAN_FILE, TIMES_FILE, Plan
from experiments.reproduce.report import write_experiment_report
from experiments.reproduce.results import collect_results
from experiments.reproduce.trainings import train_all, train_on_accelerator


@contextmanager
def claim(folder: Path, plan: Plan) -> Iterator[None]:
    """Hold an experiment's folder for this process.

    More runs may be added to an old experiment, by either of `FRESH_ENGINES` if it had one;
    anything else must be as it was.

    Raises:
        InputError: the folder has an experiment of another plan, or is in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN_FILE
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"Another process is working on the experiment {folder}") from error
        asked = plan.to_dict()
        if path.exists():
            found = read_json(path, finite=False)
            alike = {asked["engine"], found.get("engine")} <= set(FRESH_ENGINES)
            free = {"runs", "engine"} if alike else {"runs"}
            others = [name for name in asked if name not in free and asked[name] != found.get(name)]
            if others:
                raise InputError(
                    f"The experiment {folder} was begun with other {', '.join(others)}: give the "
                    "same ones, or another folder"
                )
        elif any(p.name != "lock" for p in folder.iterdir()):
            raise InputError(
                f"An experiment needs a new folder, or that of an experiment. Received: {folder}"
            )
        write_json(path, asked)
        yield


def run_experiment(
    folder: str | Path,
    plan: Plan,
    *,
    jobs: int,
    threads: int = 1,
    also: Sequence[str | Path] = (),
    bars: Bars,
) -> Path:
    """Do what is not yet done, and write the report.

    Args:
        folder: new, or of an experiment with the same plan.
        plan: what to do.
        jobs: trainings side by side.
        threads: of each training.
        also: further scenes folders that every model is judged on.
        bars: makes a progress bar for a stage.

    Returns:
        Path of the report.

    Raises:
        InputError: another plan, bad recordings, or bad scenes in `also`.
        OSError: a training failed, or a file cannot be written.
    """
    folder = Path(folder)
    others = [read_scenes(path) for path in also]  # before hours of work
    with claim(folder, plan):
        recordings = stages.recordings_of(folder, plan)
        with timed(folder, "rooms"):
            for part in PARTS:
                stages.make_rooms(folder, plan, part, bars=bars)
        with timed(folder, "scenes"):
            for part in PARTS[1:]:
                stages.make_scenes(folder, plan, part, recordings, bars=bars)
        if plan.engine not in FRESH_ENGINES:
            with timed(folder, "features"), bars("features") as progress:
                stages.make_features(folder, plan, progress=progress)
        with timed(folder, "training"), bars("epochs, all runs") as progress:
            if plan.engine == "jax":
                mixer = stages.training_mixer(folder, plan)
                train_on_accelerator(folder, plan, mixer, progress=progress)
            else:
                train_all(folder, plan, jobs=jobs, threads=threads, progress=progress)
        scenes = [read_scenes(folder / "scenes" / "test"), *others]
        with timed(folder, "evaluation"):
            comparisons = collect_results(folder, plan, scenes, bars=bars)
        return write_experiment_report(folder, plan, comparisons)


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the time of a stage to `times.json`, over all runs of the experiment."""
    start = time.monotonic()
    try:
        yield
    finally:
        path = folder / TIMES_FILE
        times = read_json(path, finite=False) if path.exists() else {}
        times[stage] = round(times.get(stage, 0.0) + time.monotonic() - start, 1)
        write_json(path, times)
