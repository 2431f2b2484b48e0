"""Variants of a recipe, each trained alone for the same budget, as a table.

    python -m experiments.choices.search configs/one-voice/search.toml --work DIR --speech DIR
        --noise DIR

Needs an accelerator (the engine jax) to be done in a day. Validation scenes, and the first `rooms`
of the rooms, are those of the recipe, made once; a variant that is done is not done again.

A variant sets fields of `doa_tf.training.settings.TrainSettings`, or `level`; `rooms` and `voices`
use only so many of them.
"""

from __future__ import annotations

import copy
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.reading.json_text import read_json
from doa_core.reading.toml import read_toml
from doa_core.spec import FeatureSpec
from doa_tf.cli.imports import use_engine
from doa_tf.cli.program import program, run_program
from doa_tf.cli.progress import progress_bar
from doa_tf.files import write_json
from doa_tf.training.jax_engine.mixing import scene_arrays
from experiments.scenes.tables import markdown

TABLE = ("val_median_angular_error", "val_accuracy_within_10", "val_outliers_above_30", "val_loss")
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "variant": lambda row: f"`{row['variant']}`",
    "median": lambda row: f"{row['val_median_angular_error']:.2f}°",
    "within 10°": lambda row: f"{100 * row['val_accuracy_within_10']:.1f} %",
    "above 30°": lambda row: f"{100 * row['val_outliers_above_30']:.1f} %",
    "loss": lambda row: f"{row['val_loss']:.3f}",
    "weights": lambda row: f"{row['weights']:,}",
    "seconds": lambda row: f"{row['seconds']:.0f}",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not yet trained, and print the table."""
    parser = program("experiments.choices.search", __doc__)
    parser.add_argument("search", type=Path, metavar="FILE.toml")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--speech", required=True, metavar="DIR")
    parser.add_argument("--noise", metavar="DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants alone")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    use_engine("jax")
    from doa_tf.recipe import prepare, read_recipe

    search: dict[str, Any] = dict(read_toml(args.search))
    recipe = read_recipe(args.search.parent / search["recipe"], {"rooms.count": search["rooms"]})
    recordings = {"speech": args.speech, "noise": args.noise}
    mixer = prepare(recipe, args.work, **recordings, workers=None, bars=progress_bar)
    names = args.only or list(search["variants"])
    waiting = [name for name in names if not (args.work / "variants" / name / "done.json").exists()]
    arrays = scene_arrays(mixer) if waiting else {}
    for name in waiting:
        changes = {**search["budget"], **search["variants"][name]}
        train_variant(recipe, args.work, mixer, arrays, name, changes)
        print(name, flush=True, file=sys.stderr)
    rows = [read_variant(args.work / "variants" / name, name) for name in names]
    ordered = sorted(rows, key=lambda row: row["val_median_angular_error"])
    print(markdown(list(COLUMNS), [[cell(row) for cell in COLUMNS.values()] for row in ordered]))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def train_variant(
    recipe: Any, work: Path, mixer: Any, arrays: Any, name: str, changes: dict[str, Any]
) -> None:
    """One variant, into `work/variants/NAME`."""
    from doa_tf.training import TrainingData, train

    changes = dict(changes)
    mixer = copy.copy(mixer)
    rooms, voices = changes.pop("rooms", None), changes.pop("voices", None)
    if rooms:
        mixer.rooms = FirstRooms(mixer.rooms, rooms)
    if voices:
        mixer.speech = FirstVoices(mixer.speech, voices)
    level = (LEVEL_CHANNEL,) if changes.pop("level", True) else ()
    settings = replace(recipe.training, **{"patience": 1000, **changes})
    begun = time.monotonic()
    folder = work / "variants" / name
    sources = {"variant": name}
    model = train(
        folder,
        TrainingData(valid=work / "valid", mixer=lambda: mixer, sources=sources, arrays=arrays),
        settings=settings,
        features=FeatureSpec(channels=(*INTENSITY_CHANNELS, *level)),
        engine="jax",
    )
    done = {"seconds": time.monotonic() - begun, "weights": model.count_params()}
    write_json(folder / "done.json", done)


class FirstRooms:
    """The first rooms of a bank: their numbers are those of the whole bank."""

    def __init__(self, rooms: Any, count: int) -> None:
        self._rooms, self._count = rooms, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Any:
        return self._rooms[number]


class FirstVoices:
    """The first recordings of a folder."""

    def __init__(self, recordings: Any, count: int) -> None:
        self._recordings, self._count = recordings, count
        self.power, self.length, self.part = recordings.power, recordings.length, recordings.part

    def __len__(self) -> int:
        return self._count


def read_variant(folder: Path, name: str) -> dict[str, Any]:
    """The figures of a variant's last epoch, where its learning rate has ended."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    done = read_json(folder / "done.json", finite=False)
    figures = {key: float(last[key]) for key in TABLE}
    return {"variant": name, **figures, **done}


if __name__ == "__main__":
    run_program(main)
