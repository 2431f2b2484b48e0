"""A narrower network that begins with the filters of a wide one that matter most.

    python -m experiments.choices.narrow WIDE.keras --filters 16 32 64 --out NARROW.keras

What it makes has yet to be trained (`doa_tf recipe --init-from`): it is a start, where random
weights would learn anew what the wide network knows. A filter matters by the norm of the weights
that hear it, times the scale of its normalisation (as Li et al. 2017, "Pruning filters for
efficient ConvNets", arXiv:1608.08710, rank filters by the norm of their weights). Recurrences,
dense layer and outputs are those of the wide one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_core.files import check_writable
from doa_edge.options.command import Limited
from doa_edge.tflite.shipped import SHIPPED, checkpoint_path, shipped_checkpoint
from doa_tf.cli.program import program, run_program

if TYPE_CHECKING:
    import keras

Weights = dict[str, list[npt.NDArray[np.floating]]]
Kept = npt.NDArray[np.integer]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the narrower network, and print which filters it kept."""
    parser = program("experiments.choices.narrow", __doc__)
    text = "a checkpoint, or a built-in one by its name"
    parser.add_argument("wide", metavar="WIDE.keras", type=checkpoint_path, help=text)
    sizes = {"type": Limited("filters"), "nargs": 3, "metavar": "N"}
    parser.add_argument("--filters", required=True, **sizes, help="that each convolution keeps")
    parser.add_argument("--out", required=True, metavar="NARROW.keras")
    args = parser.parse_args(argv)
    out = Path(args.out).resolve()
    if out.suffix != ".keras" or out in [shipped_checkpoint(name).resolve() for name in SHIPPED]:
        raise InputError(f"--out must be a .keras file of your own. Received: {args.out}")
    check_writable(args.out)
    from doa_tf.models import load_model

    narrow, kept = narrowed(load_model(args.wide), args.filters)
    narrow.save(args.out)
    for number, filters in enumerate(kept, start=1):
        print(f"convolution_{number}: {' '.join(map(str, filters))}")


def narrowed(wide: keras.Model, filters: Sequence[int]) -> tuple[keras.Model, list[Kept]]:
    """A network with fewer filters, and which ones of each convolution it kept.

    Args:
        wide: as `doa_tf.build_crnn` makes it.
        filters: of each convolution.

    Raises:
        InputError: other layers than those of `build_crnn`, or more filters than it has.
    """
    from doa_tf import heads
    from doa_tf.models import architecture_of, build_crnn

    found = architecture_of(wide)
    most = found.get("filters")
    if (
        most is None
        or len(filters) != len(most)
        or any(not 1 <= wanted <= has for wanted, has in zip(filters, most, strict=True))
    ):
        raise InputError(
            f"`filters` must be a number for each convolution, from 1 to those of the wide "
            f"network, {most}. Received: {tuple(filters)}"
        )
    head = heads.get(found.pop("head"))
    narrow = build_crnn(head, **(found | {"filters": tuple(filters)}))
    weights: Weights = {layer.name: layer.get_weights() for layer in wide.layers}
    kept: list[Kept] = []
    for number, wanted in enumerate(filters, start=1):
        kept.append(_most_heard(weights, number, wanted, of=most[number - 1]))
        _keep(weights, number, kept[-1], of=most[number - 1])
    for layer in narrow.layers:
        layer.set_weights(weights[layer.name])
    return narrow, kept


def _hearers(weights: Weights, number: int) -> list[tuple[str, int]]:
    """Which weights of which layers multiply what a convolution gives."""
    if (following := f"convolution_{number + 1}") in weights:
        return [(following, 0)]
    return [("recurrence_1", 0), ("recurrence_1", 3)]  # kernels forward and backward


def _most_heard(weights: Weights, number: int, wanted: int, *, of: int) -> Kept:
    """The filters of a convolution that matter most, in their order."""
    heard = np.zeros(of)
    for name, index in _hearers(weights, number):
        kernel = weights[name][index]
        heard += np.square(kernel.reshape(-1, of, kernel.shape[-1])).sum(axis=(0, 2))
    matters = np.abs(weights[f"normalisation_{number}"][0]) * np.sqrt(heard)
    return np.sort(np.argsort(-matters, kind="stable")[:wanted])


def _keep(weights: Weights, number: int, kept: Kept, *, of: int) -> None:
    """Leave out the other filters of a convolution, in all layers that know them."""
    for name in (f"convolution_{number}", f"normalisation_{number}"):
        weights[name] = [values[..., kept] for values in weights[name]]
    for name, index in _hearers(weights, number):
        kernel = weights[name][index]
        # The bands of the last pooling lie one after the other, each with all filters.
        parts = kernel.reshape(-1, of, kernel.shape[-1])[:, kept]
        weights[name][index] = parts.reshape(*kernel.shape[:-2], -1, kernel.shape[-1])


if __name__ == "__main__":
    run_program(main)
