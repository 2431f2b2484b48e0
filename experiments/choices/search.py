"""Variants of a recipe, each trained alone for the same budget, as a table.

    python -m experiments.choices.search configs/search.toml --work DIR --speech DIR --noise DIR

Needs an accelerator (the engine jax) to be done in a day. Validation scenes, and the first `rooms`
of the rooms, are those of the recipe, made once; a variant that is done is not done again.

A variant sets fields of `doa_tf.training.settings.TrainSettings`, or `level`; `rooms` and `voices`
use only so many of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

TABLE = ("val_median_angular_error", "val_accuracy_within_10", "val_outliers_above_30", "val_loss")


def main() -> None:
    """Train what is not yet trained, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("search", type=Path, metavar="FILE.toml")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--speech", required=True, metavar="DIR")
    parser.add_argument("--noise", metavar="DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants alone")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()

    from doa_core.toml import read_toml
    from doa_tf.cli.imports import use_engine
    from doa_tf.cli.progress import progress_bar
    from doa_tf.recipe import prepare, read_recipe

    search: dict[str, Any] = dict(read_toml(args.search))
    changes = {"rooms.count": search["rooms"]}
    recipe = read_recipe(args.search.parent / search["recipe"], changes)
    mixer = prepare(
        recipe, args.work, speech=args.speech, noise=args.noise, workers=None, bars=progress_bar
    )
    use_engine("jax")
    from doa_tf.training.jax_engine.mixing import scene_arrays

    names = args.only or list(search["variants"])
    waiting = [name for name in names if not (args.work / "variants" / name / "done.json").exists()]
    arrays = scene_arrays(mixer) if waiting else {}
    for name in waiting:
        changes = {**search["budget"], **search["variants"][name]}
        train_variant(recipe, args.work, mixer, arrays, name, changes)
        print(name, flush=True, file=sys.stderr)
    rows = [read_variant(args.work / "variants" / name, name) for name in names]
    print("| variant | median | within 10° | above 30° | loss | weights | seconds |")
    print("|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row["val_median_angular_error"]):
        print(
            f"| `{row['variant']}` | {row['val_median_angular_error']:.2f}° | "
            f"{100 * row['val_accuracy_within_10']:.1f} % | "
            f"{100 * row['val_outliers_above_30']:.1f} % | {row['val_loss']:.3f} | "
            f"{row['weights']:,} | {row['seconds']:.0f} |"
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def train_variant(
    recipe: Any, work: Path, mixer: Any, arrays: Any, name: str, changes: dict[str, Any]
) -> None:
    """One variant, into `work/variants/NAME`."""
    import copy

    from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
    from doa_core.spec import FeatureSpec
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
    model = train(
        folder,
        TrainingData(
            valid=work / "valid", mixer=lambda: mixer, sources={"variant": name}, arrays=arrays
        ),
        settings=settings,
        features=FeatureSpec(channels=(*INTENSITY_CHANNELS, *level)),
        engine="jax",
    )
    done = {"seconds": time.monotonic() - begun, "weights": model.count_params()}
    (folder / "done.json").write_text(json.dumps(done), encoding="utf-8")


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
    done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    return {"variant": name, **{key: float(last[key]) for key in TABLE}, **done}


if __name__ == "__main__":
    main()
