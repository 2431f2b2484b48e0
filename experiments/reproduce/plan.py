"""What an experiment depends on: its sizes, its runs, its seed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.reading.json_text import read_json
from doa_core.spec import FeatureSpec
from doa_tf import heads

SIX_HEADS = ("spherical", "spherical-angular", "cartesian", "onehot", "gibbs", "gibbs-weighted")
SEVENTH_HEAD = "gibbs-harmonic"
LEVEL_SUFFIX = "-level"  # of a run with the level as a seventh channel
CONDITIONS = ("diffuse", "interferer")
SHARES = (0.1, 0.45, 0.45)  # of clean, diffuse and interferer scenes in training
# New scenes in every epoch, the same of both: mixed on the processor, or on an accelerator.
FRESH_ENGINES = ("live", "jax")
PLAN_FILE, TIMES_FILE = "experiment.json", "times.json"


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
        train_rooms=12, other_rooms=3, rt60=(0.2, 0.3), valid_scenes=8, test_scenes=12,
        sequences=64, batch_size=16, epochs=2,
    ),
    "small": Size(
        train_rooms=1000, other_rooms=50, valid_scenes=150, test_scenes=500,
        sequences=4096, epochs=16,
    ),
    "medium": Size(
        train_rooms=3000, other_rooms=100, valid_scenes=200, test_scenes=2000,
        sequences=16_384, batch_size=128, epochs=16,
    ),
    "large": Size(
        train_rooms=10_000, other_rooms=200, valid_scenes=300, test_scenes=2000,
        sequences=65_536, batch_size=128, epochs=60,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the results depend on.

    Attributes:
        size: from `SIZES`, or any other.
        speech: folder, see `doa_tf.scenes.speaker_split.split_folder`.
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
        known = heads.names()
        unknown = [run for run in self.runs if run.removesuffix(LEVEL_SUFFIX) not in known]
        if unknown or not self.runs or len(set(self.runs)) < len(self.runs):
            raise InputError(
                f"The runs must be among {', '.join(known)}, each once and with {LEVEL_SUFFIX} "
                f"for the level channel. Received: {', '.join(self.runs) or 'none'}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dict(json.loads(json.dumps(asdict(self))))

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The plan of an experiment's folder."""
        values = read_json(folder / PLAN_FILE, finite=False)
        size = Size(**{**values["size"], "rt60": tuple(values["size"]["rt60"])})
        return cls(**{**values, "size": size, "runs": tuple(values["runs"])})


def head_of(run: str) -> str:
    """Name of a run's head."""
    return run.removesuffix(LEVEL_SUFFIX)


def features_of(run: str) -> FeatureSpec:
    """The paper's six channels, or with the level."""
    level = (LEVEL_CHANNEL,) if run.endswith(LEVEL_SUFFIX) else ()
    return FeatureSpec(channels=(*INTENSITY_CHANNELS, *level))
