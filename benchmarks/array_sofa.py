"""Write the SOFA file of a 32-capsule array, as a measurement in a free field would give it.

    python benchmarks/array_sofa.py array.sofa

A rigid sphere of 42 mm, its capsules up to 1 dB apart, at 600 directions.
"""

from __future__ import annotations

import sys

import numpy as np

from doa_tf.microphone_base import even_directions
from doa_tf.sofa import ArrayResponses, write_array
from doa_tf.sphere_microphone import rigid_sphere_responses, sphere_layout

RADIUS = 0.042  # metres


def main() -> int:
    """Write the file named on the command line."""
    capsules, directions = sphere_layout(32), even_directions(600)
    responses = rigid_sphere_responses(directions, capsules=capsules, radius=RADIUS)
    gains_db = np.random.default_rng(0).uniform(-1.0, 1.0, (len(capsules), 1))
    array = ArrayResponses(
        directions=directions,
        responses=responses * 10.0 ** (gains_db / 20.0),
        capsules=RADIUS * capsules,
    )
    write_array(sys.argv[1], array, title="Rigid sphere, 32 capsules, 42 mm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
