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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_edge.errors import InputError
from doa_tf.bank import write_json
from doa_tf.speaker_split import PARTS, split_folder

if TYPE_CHECKING:
    from doa_tf.mixing import SceneMixer

SIX_HEADS = ("spherical", "spherical-angular", "cartesian", "onehot", "gibbs", "gibbs-weighted")
SEVENTH_HEAD = "gibbs-harmonic"
CONDITIONS = ("diffuse", "interferer")
LEVEL_SUFFIX = "-level"  # of a run with the level as a seventh channel
_FEW_ROOMS = 16  # sooner made in this process than others are started
PLAN_FILE, TIMES_FILE = "experiment.json", "times.json"
# New scenes in every epoch, the same of both: mixed on the processor, or on an accelerator.
FRESH_ENGINES = ("live", "jax")
_SHARES = (0.1, 0.45, 0.45)  # of clean, diffuse and interferer scenes in training
_SNR_DB = _SIR_DB = (0.0, 20.0)  # the paper's ranges

Progress = Callable[[int, int], None]
Bars = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything.

    Attributes:
        train_rooms: rooms to train in.
        other_rooms: rooms each of validation and test, traced in full.
        rt60: (low, high) [seconds].
        valid_scenes, test_scenes: of each condition.
        sequences: mixed scenes that an epoch goes through.
        batch_size: sequences a step.
        epochs: of every run; none stops early, so that all have the same budget.
    """

    train_rooms: int
    other_rooms: int
    rt60: tuple[float, float] = (0.2, 0.8)
    valid_scenes: int
    test_scenes: int
    sequences: int
    batch_size: int = 32
    epochs: int


SIZES = {
    # Minutes: shows that everything works, and nothing about the heads.
    "tiny": Size(
        train_rooms=12,
        other_rooms=3,
        rt60=(0.2, 0.3),
        valid_scenes=8,
        test_scenes=12,
        sequences=64,
        batch_size=16,
        epochs=2,
    ),
    "small": Size(
        train_rooms=1000,
        other_rooms=50,
        valid_scenes=150,
        test_scenes=500,
        sequences=4096,
        epochs=16,
    ),
    "medium": Size(
        train_rooms=3000,
        other_rooms=100,
        valid_scenes=200,
        test_scenes=2000,
        sequences=16_384,
        batch_size=128,
        epochs=16,
    ),
    "large": Size(
        train_rooms=10_000,
        other_rooms=200,
        valid_scenes=300,
        test_scenes=2000,
        sequences=65_536,
        batch_size=128,
        epochs=60,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the results depend on.

    Attributes:
        size: from `SIZES`, or any other.
        speech: folder, see `doa_tf.speaker_split.split_folder`.
        noise: folder of recorded noise, or None for synthetic noise alone.
        runs: names of heads, with `-level` behind those with the level channel.
        seed: of rooms, scenes, weights and their order.
        engine: `keras`, the same scenes turned anew in every epoch; or one of `FRESH_ENGINES`.
    """

    size: Size
    speech: str
    noise: str | None = None
    runs: tuple[str, ...] = (*SIX_HEADS, SEVENTH_HEAD)
    seed: int = 0
    engine: str = "keras"

    def __post_init__(self) -> None:
        from doa_tf import heads

        known = heads.names()
        unknown = [run for run in self.runs if run.removesuffix(LEVEL_SUFFIX) not in known]
        if unknown or not self.runs or len(set(self.runs)) < len(self.runs):
            raise InputError(
                f"The runs must be among {', '.join(known)}, each once and with {LEVEL_SUFFIX} "
                f"for the level channel. Received: {', '.join(self.runs) or 'none'}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of an experiment's folder."""
        values = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
        size = Size(**{**values["size"], "rt60": tuple(values["size"]["rt60"])})
        return cls(**{**values, "size": size, "runs": tuple(values["runs"])})


def head_of(run: str) -> str:
    """Name of a run's head."""
    return run.removesuffix(LEVEL_SUFFIX)


def features_of(run: str) -> FeatureSpec:
    """The paper's six channels, or with the level."""
    level = (LEVEL_CHANNEL,) if run.endswith(LEVEL_SUFFIX) else ()
    return FeatureSpec(channels=(*INTENSITY_CHANNELS, *level))


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
    from doa_tf.experiment_report import write_experiment_report
    from doa_tf.experiment_results import collect_results
    from doa_tf.experiment_training import train_all, train_on_accelerator
    from doa_tf.scenes import read_scenes

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
    from doa_tf.feature_cache import FeatureCache

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
    from doa_tf.rooms import RoomSettings
    from doa_tf.simulation import simulate_bank

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
    from doa_tf.bank import read_bank
    from doa_tf.mixing import MixSettings, SceneMixer
    from doa_tf.recordings import read_recordings

    return SceneMixer(
        read_bank(folder / "rooms" / part),
        read_recordings(data["speech"][part]),
        read_recordings(data["noise"][part]) if "noise" in data else (),
        settings=MixSettings(shares=_SHARES, snr_db=_SNR_DB, sir_db=_SIR_DB),
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
    from doa_tf.render import render_scenes

    size = plan.size
    render_scenes(
        folder / "scenes" / part,
        mixer=_mixer(folder, plan, part, number, data),
        conditions=CONDITIONS,
        scenes=size.valid_scenes if part == "valid" else size.test_scenes,
        seed=plan.seed,
        progress=progress,
    )
