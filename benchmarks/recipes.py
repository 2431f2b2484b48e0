"""Live scenes a second that a training learns from, of several recipes in turns.

    python -m benchmarks.recipes configs/one-voice/default.toml configs/default.toml
        --speech DIR [--noise DIR] [--steps N] [--repeats N] [--json FILE]

Each recipe has its own network, mixture and features, and `--rooms` of its rooms instead of all
(the first run simulates them, into `--work`); batches are of `--batch-size` scenes for all, as a
recipe for an accelerator has larger ones. The engine is Keras's. Fields and noises that all scenes
share are made beforehand, as after the first minutes of a training. Every turn trains each recipe
for `--steps` batches: once by the whole pipeline from its start, scenes mixed live, and once on one
batch in memory, which is the floor, what the network alone takes. Ratios are to the first recipe,
turn by turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.turns import machine, median_and_range, rates_in_turns, ratios
from doa_core.errors import InputError
from doa_core.files import check_writable
from doa_edge.options.command import Limited
from doa_tf.cli.imports import import_quietly
from doa_tf.cli.program import program, run_program
from doa_tf.cli.progress import progress_bar
from doa_tf.files import write_json

LIVE, FLOOR = "live", "network alone"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = program("benchmarks.recipes", __doc__)
    parser.add_argument("recipes", nargs="+", type=Path, metavar="FILE.toml")
    parser.add_argument("--speech", required=True, metavar="DIR", help="recordings of talkers")
    parser.add_argument("--noise", metavar="DIR", help="recorded noise, beside the synthetic one")
    work = "keeps the rooms, for the same --rooms"
    parser.add_argument("--work", type=Path, default=Path("work"), metavar="DIR", help=work)
    parser.add_argument("--rooms", type=Limited("rooms"), default=32, help="of each bank")
    parser.add_argument("--batch-size", type=Limited("batch-size"), default=128, help="scenes")
    parser.add_argument("--steps", type=Limited("epochs"), default=8, help="of each measurement")
    parser.add_argument("--repeats", type=Limited("epochs"), default=5, help="of all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    args = parser.parse_args(argv)
    if len(set(args.recipes)) < len(args.recipes):
        raise InputError(
            f"Each recipe must be named once. Received: {' '.join(map(str, args.recipes))}"
        )
    if args.json:
        check_writable(args.json)
    import_quietly("keras", extra="train")
    tasks: dict[str, Callable[[], int]] = {}
    for path in args.recipes:
        tasks |= {f"{path}, {kind}": task for kind, task in trainings(path, args).items()}
    rates = rates_in_turns(tasks, args.repeats)
    rows = []
    for name, values in rates.items():
        first = rates[f"{args.recipes[0]}, {name.rpartition(', ')[2]}"]
        row = {"training": name, **median_and_range("scenes_per_s", values)}
        row |= median_and_range("ratio", ratios(values, first))
        rows.append(row)
        low, high = row["ratio_range"]
        print(
            f"{name:56} {statistics.median(values):7.1f} scenes/s, "
            f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        )
    if args.json:
        asked = {name: getattr(args, name) for name in ("rooms", "batch_size", "steps", "repeats")}
        write_json(args.json, {**asked, "machine": machine(), "rows": rows})


def trainings(path: Path, args: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """A recipe's training by the whole pipeline, and on one batch; each gives its scenes."""
    import keras
    import tensorflow as tf

    from doa_tf import heads
    from doa_tf.data.pipeline import mixed_dataset
    from doa_tf.recipe import prepare, read_recipe
    from doa_tf.training.start import build_network

    changes: dict[str, Any] = {"rooms.count": args.rooms, "valid_rooms.count": 2, "valid.scenes": 1}
    if read_recipe(path).more_rooms is not None:
        changes["more_rooms.count"] = args.rooms
    recipe = read_recipe(path, changes)
    mixer = prepare(
        recipe,
        args.work / path.with_suffix("").as_posix().replace("/", "-"),
        speech=args.speech,
        noise=args.noise,
        workers=None,
        bars=progress_bar,
    )
    for number in range(recipe.mixing.diffuse_fields):
        mixer.field(number)
    for number in range(recipe.mixing.synthetic_noises):
        mixer.synthetic_noise(number)
    settings = dataclasses.replace(recipe.training, batch_size=args.batch_size)
    head = heads.get(settings.head)
    model = build_network(head, recipe.features, settings)
    model.compile(keras.optimizers.Nadam(1e-3, clipnorm=1.0), loss=head.loss())
    options = {
        "features": recipe.features,
        "batch_size": args.batch_size,
        "augment": settings.augment,
        "highpass_hz": settings.highpass_hz,
        "drop_remainder": True,
    }
    scenes = args.batch_size * args.steps
    first = mixed_dataset(mixer, scenes=args.batch_size, **options)
    endless = tf.data.Dataset.from_tensors(next(iter(first))).repeat()
    model.fit(endless, steps_per_epoch=2, verbose=0, shuffle=False)  # compiles
    epochs = itertools.count(1)

    def steps_on(dataset: Any) -> int:
        iterator = iter(dataset)
        for _ in range(args.steps):
            model.train_function(iterator)
        return scenes

    def live() -> int:
        return steps_on(mixed_dataset(mixer, scenes=scenes, epochs=(next(epochs),), **options))

    def network_alone() -> int:
        return steps_on(endless)

    return {LIVE: live, FLOOR: network_alone}


if __name__ == "__main__":
    run_program(main)
