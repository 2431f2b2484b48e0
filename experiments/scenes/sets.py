"""Sets of test scenes, rendered once into a folder and found again; models judged on them.

    store = SceneStore(Path("work"), sounds=Sounds(speech, noise, work=work), scenes=300, rooms=60)
    folder = store.folder(SceneSet(name="reference"))

Rooms have a seed that no training uses. Sets of one seed and as many rooms have the same talkers at
the same places, so that two levels of an SNR, or a microphone that is tilted and one that is not,
differ in nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.errors import InputError
from doa_core.reading.json_text import read_json
from doa_tf.cli.progress import progress_bar
from doa_tf.files import Progress, differences, write_json
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.room import Room
from doa_tf.rooms.simulate import simulate_bank
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.mixer import RENDER_STREAM, SceneMixer
from doa_tf.scenes.recordings import Recordings
from doa_tf.scenes.render import scene_row
from experiments.scenes.answers import Results, judged
from experiments.scenes.array_sofa import write_sphere
from experiments.scenes.changes import changed
from experiments.scenes.sounds import DEMO_SPEECH, Sounds

QUICK_SCENES, QUICK_ROOMS = 4, 3
SEED = 4041  # of rooms and scenes; training, validation and the reports before have others
WINDOW = 13_312  # samples: one window of the network
_CHANGE_STREAM = 7

OWN_ROOMS = RoomSettings(rt60=(0.2, 0.6), dry_share=0.0, microphone="tetrahedral")
OWN_MIX = MixSettings(samples=WINDOW, snr_db=(5.0, 30.0), sir_db=(0.0, 20.0), diffuse_fields=16)


@dataclass(frozen=True, kw_only=True)
class SceneSet:
    """What scenes are rendered from.

    Attributes:
        name: of its folder.
        rooms: what rooms are drawn from.
        mix: what scenes are drawn from.
        condition: `clean`, `diffuse` or `interferer`.
        speech: name of the talkers' recordings in `experiments.scenes.sounds`.
        noise: name of the recordings of noise; left out where there are none.
        elevation_deg: (low, high) of the sources that may talk; None for all.
        change: name and value of what is done to the scenes, see `experiments.scenes.changes`.
        more_rooms: times as many rooms as the other sets have.
        seed: of rooms and scenes.
    """

    name: str = ""
    rooms: RoomSettings = field(default=OWN_ROOMS)
    mix: MixSettings = field(default=OWN_MIX)
    condition: str = "diffuse"
    speech: str = "speech"
    noise: str = "noise"
    elevation_deg: tuple[float, float] | None = None
    change: tuple[str, float] = ("none", 0.0)
    more_rooms: int = 1
    seed: int = SEED


class SceneStore:
    """Renders sets into a folder, and knows those that are there.

    Args:
        work: the folder; banks, scenes and voices lie in it.
        sounds: what scenes are made of.
        scenes: how many a set has.
        rooms: how many they are in.
    """

    def __init__(self, work: Path, *, sounds: Sounds, scenes: int, rooms: int) -> None:
        self.work, self.sounds, self.scenes, self.rooms = work, sounds, scenes, rooms

    def missing(self, scene_set: SceneSet) -> str | None:
        """Why a set cannot be rendered; None where it can."""
        names = {scene_set.speech, scene_set.noise} - {"noise"}  # which scenes can do without
        return next(filter(None, map(self.sounds.missing, sorted(names))), None)

    def folder(self, scene_set: SceneSet, *, progress: Progress | None = None) -> Path:
        """The scenes folder of a set, rendered where it is not there.

        Raises:
            InputError: a folder of that name holds scenes that were made otherwise.
        """
        target = self.work / "scenes" / scene_set.name
        index = target.with_name(f"{target.name}.json")
        made_with = self._made_with(scene_set)
        if target.is_dir():
            if not index.is_file():
                raise InputError(f"{target} holds scenes and no {index.name} that says of what")
            found = read_json(index, finite=False)
            # Settings that came later count as their default.
            others = differences(made_with, found, shared_only=True)
            if others:
                raise InputError(
                    f"{target} was rendered with other values of {', '.join(others)}: use another "
                    "--work, or remove it"
                )
            return target
        index.parent.mkdir(parents=True, exist_ok=True)
        write_json(index, made_with)
        write_scenes(target, self._rows(scene_set, progress))
        return target

    def bank(self, scene_set: SceneSet) -> list[Room]:
        """The rooms of a set, with the sources that may talk."""
        settings, seed = scene_set.rooms, scene_set.seed
        rooms = scene_set.more_rooms * self.rooms
        text = json.dumps([asdict(settings), seed, rooms], sort_keys=True)
        folder = self.work / "banks" / hashlib.sha256(text.encode()).hexdigest()[:10]
        simulate_bank(folder, rooms=rooms, seed=seed, settings=settings, workers=1)
        bank = list(read_bank(folder))
        if scene_set.elevation_deg is not None:
            bank = [heard for room in bank if (heard := at_elevation(room, scene_set))]
        return bank

    def _rows(
        self, scene_set: SceneSet, progress: Progress | None
    ) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
        sounds = self.sounds
        mixer = SceneMixer(
            self.bank(scene_set),
            sounds.get(scene_set.speech),
            () if sounds.missing(scene_set.noise) else sounds.get(scene_set.noise),
            babble=sounds.get("speech"),
            settings=scene_set.mix,
            seed=SEED,
        )
        kind, value = scene_set.change
        for index in range(self.scenes):
            key = (scene_set.seed, 0, index)
            scene = mixer.mix((*key, RENDER_STREAM), condition=scene_set.condition)
            rng = np.random.default_rng((*key, _CHANGE_STREAM))
            pattern = float(scene.room.microphone_draw.get("pattern", 0.5))
            signal = changed(scene.waveform, kind, value, rng=rng, pattern=pattern)
            row = {**scene_row(scene), "change": kind, "change_value": value}
            yield f"{index:04d}.wav", signal[:WINDOW], row
            if progress:
                progress(index + 1, self.scenes)

    def _made_with(self, scene_set: SceneSet) -> dict[str, Any]:
        """JSON values of everything that scenes depend on, software apart."""
        sounds: dict[str, str | None] = {}
        for name in sorted({"speech", scene_set.speech, scene_set.noise}):
            sounds[name] = None if self.sounds.missing(name) else digest(self.sounds.get(name))
        values = {**asdict(scene_set), "scenes": self.scenes, "rooms_in_bank": self.rooms}
        if values["change"][1] == -np.inf:
            values["change"] = ["capsule", "dead"]
        made: dict[str, Any] = json.loads(json.dumps({**values, "sounds": sounds}))
        return made


def at_elevation(room: Room, scene_set: SceneSet) -> Room | None:
    """A room with those of its sources that are in the set's range; None where there are none."""
    low, high = scene_set.elevation_deg or (-90.0, 90.0)
    elevation_deg = np.degrees(vector_to_angles(room.directions)[1])
    chosen = np.flatnonzero((elevation_deg >= low) & (elevation_deg < high))
    if not len(chosen):
        return None
    return replace(
        room,
        directions=room.directions[chosen],
        distances=room.distances[chosen],
        srirs=[room.srirs[number] for number in chosen],
        drr_db=room.drr_db[chosen],
    )


def digest(recordings: Recordings) -> str:
    """Of the samples and where each recording begins."""
    hashed = hashlib.sha256(np.ascontiguousarray(recordings.samples).tobytes())
    hashed.update(np.asarray(recordings.starts, np.int64).tobytes())
    return hashed.hexdigest()[:16]


def add_set_options(parser: argparse.ArgumentParser) -> None:
    """Add what sets are made of and where they lie."""
    add, file, folder = parser.add_argument, {"metavar": "FILE"}, {"metavar": "DIR"}
    add("--speech", type=Path, default=DEMO_SPEECH, **folder, help="talkers (default: demo's)")
    add("--noise", type=Path, **file, help="a recording, or a folder")
    add("--work", type=Path, **folder, help="kept (default: a temporary one)")
    add("--sofa", type=Path, **file, help="a measured array (default: that of array_sofa)")
    add("--scenes", type=int, default=300, help="of each set (default: 300)")
    add("--rooms", type=int, default=60, help="they are in (default: 60)")
    add("--quick", action="store_true", help="few scenes: a test")


@contextmanager
def scene_store(args: argparse.Namespace) -> Iterator[SceneStore]:
    """The store that the options ask for."""
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        yield SceneStore(
            work,
            sounds=Sounds(args.speech, args.noise, work=work),
            scenes=QUICK_SCENES if args.quick else args.scenes,
            rooms=QUICK_ROOMS if args.quick else args.rooms,
        )


def array_file(sofa: Path | None, work: Path) -> Path:
    """A SOFA file, or that of `array_sofa` where none is given, made where it is not there."""
    path = (sofa or work / "array.sofa").resolve()
    if not path.is_file() and sofa is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sphere(path)
    return path


def judge_sets(
    store: SceneStore, sets: Sequence[SceneSet], models: Mapping[str, str]
) -> dict[str, dict[str, Results]]:
    """Answers of every model to every set that can be rendered, by the set's and model's names.

    Args:
        store: renders what is missing, and keeps the answers beside it.
        sets: to judge on.
        models: by their short names; without any, scenes are rendered and no more.
    """
    answers: dict[str, dict[str, Results]] = {}
    steps = len(sets) * (1 + len(models)) * store.scenes
    done = 0
    with progress_bar("scenes") as bar:

        def report(count: int, _: int) -> None:
            bar(done + count, steps)

        for number, scene_set in enumerate(sets, 1):
            if store.missing(scene_set) is None:
                folder = store.folder(scene_set, progress=report)
                answers[scene_set.name] = {}
                for label, model in models.items():
                    done += store.scenes
                    results = judged(model, folder, work=store.work, progress=report)
                    answers[scene_set.name][label] = results
            done = number * steps // len(sets)
    return answers
