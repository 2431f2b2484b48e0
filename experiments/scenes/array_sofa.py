"""Write the SOFA file of a 32-capsule array, as a measurement in a free field would give it.

    python -m experiments.scenes.array_sofa array.sofa

A rigid sphere of 42 mm, its capsules up to 1 dB apart, at 600 directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doa_tf.cli.program import program, run_program
from doa_tf.microphones.base import even_directions
from doa_tf.microphones.rigid_sphere import rigid_sphere_responses, sphere_layout
from doa_tf.microphones.sofa_array import ArrayResponses, write_array

RADIUS = 0.042  # metres


def write_sphere(path: Path) -> None:
    """Write the array's file."""
    capsules, directions = sphere_layout(32), even_directions(600)
    responses = rigid_sphere_responses(directions, capsules=capsules, radius=RADIUS)
    gains_db = np.random.default_rng(0).uniform(-1.0, 1.0, (len(capsules), 1))
    responses = responses * 10.0 ** (gains_db / 20.0)
    places = RADIUS * capsules
    array = ArrayResponses(directions=directions, responses=responses, capsules=places)
    write_array(path, array, title="Rigid sphere, 32 capsules, 42 mm")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file."""
    parser = program("experiments.scenes.array_sofa", __doc__)
    parser.add_argument("file", metavar="FILE.sofa", type=Path)
    write_sphere(parser.parse_args(argv).file)


if __name__ == "__main__":
    run_program(main)
