"""What an experiment prepares for its trainings: rooms, scenes, features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doa_tf.data.cache import FeatureCache
from doa_tf.files import Progress
from doa_tf.rooms.plan import RoomSettings
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.preparation import (
    Bars,
    Recordings,
    Rooms,
    fill_bank,
    mixer_of_part,
    split_recordings,
)
from doa_tf.scenes.render import render_scenes
from doa_tf.scenes.speaker_split import PARTS
from experiments.reproduce.plan import CONDITIONS, SHARES, Plan

_FEW_ROOMS = 16  # sooner made in this process than others are started
_SNR_DB = _SIR_DB = (0.0, 20.0)  # the paper's ranges


def recordings_of(folder: Path, plan: Plan) -> Recordings:
    """Folders of speech, and of noise if there is some, by part."""
    return split_recordings(folder, speech=plan.speech, noise=plan.noise, seed=plan.seed)


def make_rooms(folder: Path, plan: Plan, part: str, *, bars: Bars) -> None:
    """Simulate the rooms of a part that are not there yet."""
    # What chooses epochs and what judges share no approximation with the training rooms.
    traced = {} if part == "train" else {"mixing_time": None, "sources": 2, "dry_share": 0.0}
    count = plan.size.train_rooms if part == "train" else plan.size.other_rooms
    settings = RoomSettings(rt60=plan.size.rt60, **traced)
    fill_bank(
        folder / "rooms" / part,
        Rooms(count=count, seed=_seed(plan, part), settings=settings),
        stage=f"rooms, {part}",
        bars=bars,
        workers=1 if count <= _FEW_ROOMS else None,
    )


def make_scenes(folder: Path, plan: Plan, part: str, recordings: Recordings, *, bars: Bars) -> None:
    """Render the scenes of a part where they are not there yet."""
    if (folder / "scenes" / part).exists():
        return
    with bars(f"scenes, {part}") as progress:
        render_scenes(
            folder / "scenes" / part,
            mixer=_mixer(folder, plan, part, recordings),
            conditions=CONDITIONS,
            scenes=plan.size.valid_scenes if part == "valid" else plan.size.test_scenes,
            seed=plan.seed,
            progress=progress,
        )


def training_mixer(folder: Path, plan: Plan) -> SceneMixer:
    """What the training scenes are mixed by."""
    return _mixer(folder, plan, "train", recordings_of(folder, plan))


def make_features(folder: Path, plan: Plan, *, progress: Progress) -> FeatureCache:
    """The features of the training scenes, mixed where they are not there yet."""
    return FeatureCache(
        folder / "features",
        mixer=lambda: training_mixer(folder, plan),
        made_with=cache_sources(plan),
        scenes=plan.size.sequences,
        seed=plan.seed,
        progress=progress,
    )


def cache_sources(plan: Plan) -> dict[str, Any]:
    """What the training scenes depend on."""
    return {name: value for name, value in plan.to_dict().items() if name != "runs"}


def _mixer(folder: Path, plan: Plan, part: str, recordings: Recordings) -> SceneMixer:
    return mixer_of_part(
        folder / "rooms" / part,
        recordings=recordings,
        part=part,
        settings=MixSettings(shares=SHARES, snr_db=_SNR_DB, sir_db=_SIR_DB),
        seed=_seed(plan, part),
    )


def _seed(plan: Plan, part: str) -> int:
    """Of a part's rooms and mixing."""
    return len(PARTS) * plan.seed + PARTS.index(part)
