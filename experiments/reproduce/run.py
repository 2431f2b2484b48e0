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
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError
from doa_tf.files import Progress, write_json
from doa_tf.scenes.speaker_split import PARTS, split_folder
from experiments.reproduce.plan import (
    CONDITIONS,
    FRESH_ENGINES,
    PLAN_FILE,
    SHARES,
    TIMES_FILE,
    Plan,
)

if TYPE_CHECKING:
    from doa_tf.scenes.mixer import SceneMixer

_FEW_ROOMS = 16  # sooner made in this process than others are started
_SNR_DB = _SIR_DB = (0.0, 20.0)  # the paper's ranges

Bars = Callable[[str], AbstractContextManager[Progress]]


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
            found = json.loads(path.read_text(encoding="utf-8"))
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
    from doa_tf.scenes.folder import read_scenes
    from experiments.reproduce.report import write_experiment_report
    from experiments.reproduce.results import collect_results
    from experiments.reproduce.trainings import train_all, train_on_accelerator

    folder = Path(folder)
    others = [read_scenes(path) for path in also]  # before hours of work
    with claim(folder, plan):
        data = _recordings(folder, plan)
        with timed(folder, "rooms"):
            for number, part in enumerate(PARTS):
                with bars(f"rooms, {part}") as progress:
                    _simulate(folder, plan, part, number, progress)
        with timed(folder, "scenes"):
            for number, part in enumerate(PARTS[1:], start=1):
                if not (folder / "scenes" / part).exists():
                    with bars(f"scenes, {part}") as progress:
                        _render(folder, plan, part, number, data, progress)
        if plan.engine == "jax":
            with timed(folder, "training"), bars("epochs, all runs") as progress:
                mixer = training_mixer(folder, plan)
                train_on_accelerator(folder, plan, mixer, progress=progress)
        else:
            if plan.engine not in FRESH_ENGINES:
                with timed(folder, "features"), bars("features") as progress:
                    training_cache(folder, plan, data, progress)
            with timed(folder, "training"), bars("epochs, all runs") as progress:
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
        times = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        times[stage] = round(times.get(stage, 0.0) + time.monotonic() - start, 1)
        write_json(path, times)


def training_mixer(folder: Path, plan: Plan) -> SceneMixer:
    """What the training scenes are mixed by."""
    return _mixer(folder, plan, "train", 0, _recordings(folder, plan))


def training_cache(
    folder: Path, plan: Plan, data: dict[str, dict[str, Path]] | None, progress: Any = None
) -> Any:
    """The features of the training scenes, mixed where they are not there yet."""
    from doa_tf.data.cache import FeatureCache

    def mixer() -> Any:
        if data is None:
            raise InputError(f"The features of {folder} must be mixed before a training")
        return _mixer(folder, plan, "train", 0, data)

    return FeatureCache(
        folder / "features",
        mixer=mixer,
        made_with=cache_sources(plan),
        scenes=plan.size.sequences,
        seed=plan.seed,
        progress=progress,
    )


def cache_sources(plan: Plan) -> dict[str, Any]:
    """What the training scenes depend on."""
    return {name: value for name, value in plan.to_dict().items() if name != "runs"}


def _recordings(folder: Path, plan: Plan) -> dict[str, dict[str, Path]]:
    """Folders of speech, and of noise if there is some, by part."""
    data = {"speech": split_folder(plan.speech, folder / "speech", seed=plan.seed)}
    if plan.noise is not None:
        data["noise"] = split_folder(plan.noise, folder / "noise", seed=plan.seed)
    return data


def _simulate(folder: Path, plan: Plan, part: str, number: int, progress: Progress) -> None:
    from doa_tf.rooms.plan import RoomSettings
    from doa_tf.rooms.simulate import simulate_bank

    size = plan.size
    # What chooses epochs and what judges share no approximation with the training rooms.
    reference = {} if part == "train" else {"mixing_time": None, "sources": 2, "dry_share": 0.0}
    rooms = size.train_rooms if part == "train" else size.other_rooms
    simulate_bank(
        folder / "rooms" / part,
        rooms=rooms,
        workers=1 if rooms <= _FEW_ROOMS else None,
        seed=3 * plan.seed + number,
        settings=RoomSettings(rt60=size.rt60, **reference),
        progress=progress,
    )


def _mixer(
    folder: Path, plan: Plan, part: str, number: int, data: dict[str, dict[str, Path]]
) -> SceneMixer:
    from doa_tf.rooms.bank.bank import read_bank
    from doa_tf.scenes.draw import MixSettings
    from doa_tf.scenes.mixer import SceneMixer
    from doa_tf.scenes.recordings import read_recordings

    return SceneMixer(
        read_bank(folder / "rooms" / part),
        read_recordings(data["speech"][part]),
        read_recordings(data["noise"][part]) if "noise" in data else (),
        settings=MixSettings(shares=SHARES, snr_db=_SNR_DB, sir_db=_SIR_DB),
        seed=3 * plan.seed + number,
    )


def _render(
    folder: Path,
    plan: Plan,
    part: str,
    number: int,
    data: dict[str, dict[str, Path]],
    progress: Progress,
) -> None:
    from doa_tf.scenes.render import render_scenes

    size = plan.size
    render_scenes(
        folder / "scenes" / part,
        mixer=_mixer(folder, plan, part, number, data),
        conditions=CONDITIONS,
        scenes=size.valid_scenes if part == "valid" else size.test_scenes,
        seed=plan.seed,
        progress=progress,
    )
