"""Recipes: a file that says how a network is made, from rooms to a calibrated checkpoint.

    [rooms]         count, and the fields of `doa_tf.rooms.RoomSettings`
    [more_rooms]    the same, if rooms of another kind are to be among them, such as halls
    [valid_rooms]   the same, of the rooms that choose the epoch; `reference` traces them in full
    [valid]         scenes of each condition, and their seed
    [mixing]        the fields of `doa_tf.scenes.MixSettings`
    [training]      the fields of `doa_tf.training.settings.TrainSettings`, `level`, `engine`,
                    and `refine`, how the directions of the network are refined

A folder made by one holds `rooms`, `more_rooms`, `valid_rooms`, `valid`, `run`, and in the end
`model.keras`, calibrated on `valid`. Every stage leaves finished work alone: what was stopped goes
on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, check_choice
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.files import remove_leftovers, write_beside
from doa_core.reading.toml import read_toml
from doa_core.refine import REFINEMENTS
from doa_core.spec import FeatureSpec
from doa_edge import limits
from doa_tf.rooms.bank.bank import bank_digest
from doa_tf.rooms.plan import RoomSettings
from doa_tf.scenes.draw import CONDITIONS, COUNTS, MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.preparation import Bars, Rooms, fill_bank, mixer_of_part, split_recordings
from doa_tf.scenes.render import render_scenes
from doa_tf.training.settings import ENGINES, RunOptions, TrainingData, TrainSettings

MODEL_FILE = "model.keras"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is made.

    Attributes:
        rooms, valid_rooms: banks for training and validation.
        more_rooms: a second bank for training, if there is one.
        valid_scenes: validation scenes of each condition.
        valid_seed: of their draws.
        mixing: of training and validation.
        training: of the network.
        features: its input.
        engine: `keras`, or `jax` for an accelerator.
        refine: how directions are refined, see `doa_core.refine`; None for not at all.
    """

    rooms: Rooms
    valid_rooms: Rooms
    valid_scenes: int
    valid_seed: int
    mixing: MixSettings
    training: TrainSettings
    features: FeatureSpec = field(default_factory=FeatureSpec)
    engine: str = "keras"
    more_rooms: Rooms | None = None
    refine: str | None = None


def read_recipe(
    path: str | Path,
    changes: dict[str, Any] | None = None,
    *,
    prepare: Callable[[str], None] | None = None,
) -> Recipe:
    """A recipe's file.

    Args:
        path: of the TOML file.
        changes: values to take instead of the file's, by section and key: `training.epochs`.
        prepare: called with the engine before the head is looked up, which it may register.

    Raises:
        InputError: no such file, no TOML, or a section, key or value that means nothing.
    """
    sections: dict[str, Any] = {
        name: dict(values) if isinstance(values, dict) else values
        for name, values in read_toml(Path(path)).items()
    }
    for name, value in (changes or {}).items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    needed = ("rooms", "valid_rooms", "valid", "mixing", "training")
    tables = all(isinstance(values, dict) for values in sections.values())
    if sorted(set(sections) - {"more_rooms"}) != sorted(needed) or not tables:
        raise InputError(
            f"A recipe has the sections {', '.join(needed)}. Received: {', '.join(sections)}"
        )
    try:
        training = dict(sections["training"])
        level = (LEVEL_CHANNEL,) if training.pop("level", False) else ()
        engine = str(training.pop("engine", "keras"))
        refine = training.pop("refine", None)
        if refine is not None:
            check_choice("refine", refine, REFINEMENTS)
        if engine not in ENGINES:
            raise ValueError(f"`engine` must be one of {', '.join(ENGINES)}. Received: {engine!r}")
        if prepare is not None:
            prepare(engine)
        valid = dict(sections["valid"])
        mixing = MixSettings(**_known(MixSettings, sections["mixing"]))
        if "voices" in training:
            raise ValueError("[training] has no voices: [mixing] says how many talk, `talkers`")
        recipe = Recipe(
            rooms=_rooms(sections["rooms"]),
            more_rooms=_rooms(sections["more_rooms"]) if "more_rooms" in sections else None,
            valid_rooms=_rooms(sections["valid_rooms"]),
            valid_scenes=_whole("scenes", valid.pop("scenes")),
            valid_seed=_whole("seed", valid.pop("seed", 0)),
            mixing=mixing,
            training=TrainSettings(**_known(TrainSettings, training), voices=mixing.voices),
            features=FeatureSpec(channels=(*INTENSITY_CHANNELS, *level)),
            engine=engine,
            refine=refine,
        )
        if valid:
            raise ValueError(f"[valid] has scenes and seed. Received: {', '.join(valid)}")
    except KeyError as error:
        raise InputError(f"{path} must have {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    return recipe


def run_recipe(
    recipe: Recipe,
    folder: str | Path,
    *,
    speech: str | Path,
    noise: str | Path | None = None,
    init_from: str | Path | None = None,
    workers: int | None = None,
    bars: Bars,
    say: Callable[[str], None],
) -> Path:
    """Do what is not yet done.

    Args:
        recipe: from `read_recipe`.
        folder: new, or of the same recipe.
        speech, noise: folders, see `doa_tf.scenes.speaker_split.split_folder`.
        init_from: checkpoint whose weights the training starts from.
        workers: processes that simulate; all cores by default.
        bars: makes a progress bar for a stage.
        say: told each epoch's figures in a line.

    Returns:
        Path of the calibrated checkpoint.

    Raises:
        InputError: the folder was made by another recipe, or bad recordings.
        OSError: a file cannot be written.
        FloatingPointError: the loss became NaN.
    """
    folder = Path(folder)
    run = folder / "run"
    mixer = prepare(recipe, folder, speech=speech, noise=noise, workers=workers, bars=bars)
    sources = {"bank": str(folder / "rooms"), "speech": str(speech), "noise": str(noise)}
    sources["bank_sha256"] = bank_digest(folder / "rooms")
    if recipe.more_rooms is not None:
        sources["more_bank_sha256"] = bank_digest(folder / "more_rooms")
    data = TrainingData(valid=folder / "valid", mixer=lambda: mixer, sources=sources)
    from doa_tf.training.run import epoch_line, train
    from doa_tf.training.run_folder import LAST, read_state
    from doa_tf.training.start import ending

    def tell(epoch: int, figures: Mapping[str, float]) -> None:
        say(epoch_line(epoch, figures))

    on_epoch = tell if recipe.engine == "jax" else None  # Keras tells its epochs itself
    how = ending(read_state(run / LAST), recipe.training)
    if how is not None and _is_calibrated(folder):
        say(f"{folder} is done: {how}")
    if how is None:
        with bars("training") as progress:
            train(
                run,
                data,
                settings=recipe.training,
                features=recipe.features,
                engine=recipe.engine,
                init_from=init_from,
                options=RunOptions(progress=progress, on_epoch=on_epoch),
            )
    return _calibrated(folder, recipe.refine)


def prepare(
    recipe: Recipe,
    folder: Path,
    *,
    speech: str | Path,
    noise: str | Path | None,
    workers: int | None,
    bars: Bars,
) -> SceneMixer:
    """Rooms and validation scenes in the folder, where they are not there yet; the mixer.

    Raises: as `run_recipe`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    recordings = split_recordings(folder, speech=speech, noise=noise, seed=recipe.rooms.seed)

    def simulate(name: str, rooms: Rooms) -> None:
        stage = name.replace("_", " ")
        fill_bank(folder / name, rooms, stage=stage, bars=bars, workers=workers)

    def mixer(*names: str, part: str, seed: int) -> SceneMixer:
        banks = [folder / name for name in names]
        settings = recipe.mixing
        return mixer_of_part(*banks, recordings=recordings, part=part, settings=settings, seed=seed)

    if not (folder / "valid").exists():
        simulate("valid_rooms", recipe.valid_rooms)
        with bars("valid scenes") as progress:
            render_scenes(
                folder / "valid",
                mixer=mixer("valid_rooms", part="valid", seed=recipe.valid_seed),
                conditions=(*CONDITIONS, *COUNTS) if recipe.mixing.talkers else CONDITIONS,
                scenes=recipe.valid_scenes,
                seed=recipe.valid_seed,
                progress=progress,
            )
    banks = {"rooms": recipe.rooms}
    if recipe.more_rooms is not None:
        banks["more_rooms"] = recipe.more_rooms
    for name, rooms in banks.items():
        simulate(name, rooms)
    return mixer(*banks, part="train", seed=recipe.training.seed)


def _calibrated(folder: Path, refine: str | None) -> Path:
    """The best epoch with its confidence calibrated; not made again where it is there."""
    from doa_tf.evaluation.calibration import calibrate_model
    from doa_tf.scenes.folder import read_scenes

    target, best = folder / MODEL_FILE, folder / "run" / "model.keras"
    if not _is_calibrated(folder):
        with write_beside(target, suffix=".keras") as beside:
            shutil.copyfile(best, beside)
            calibrate_model(beside, read_scenes(folder / "valid"), refine=refine)
    return target


def _is_calibrated(folder: Path) -> bool:
    """Whether the checkpoint of the best epoch has been calibrated."""
    target, best = folder / MODEL_FILE, folder / "run" / "model.keras"
    return target.exists() and best.exists() and target.stat().st_mtime >= best.stat().st_mtime


def _rooms(values: dict[str, Any]) -> Rooms:
    values = dict(values)
    count = _whole("rooms", values.pop("count"), named="count")
    seed = _whole("seed", values.pop("seed", 0))
    if values.pop("reference", False):
        values["mixing_time"] = None
    return Rooms(count=count, seed=seed, settings=RoomSettings(**_known(RoomSettings, values)))


def _whole(name: str, value: Any, *, named: str | None = None) -> int:
    """An integer within the limits of an option. Raises ValueError."""
    limits.check(name, value, named=named)
    return int(value)


def _known(settings: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values, lists as tuples.

    Raises:
        ValueError: a key that is no field of the settings.
    """
    names = {one.name for one in fields(settings)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"{settings.__name__} has no {', '.join(unknown)}")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
