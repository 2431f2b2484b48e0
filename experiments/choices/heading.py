"""How far off the talker's azimuth the mean intensity is, by band: what `doa_tf.turning` uses.

    python -m experiments.choices.heading SCENES

For choosing a band, so on validation scenes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.spec import FeatureSpec
from doa_tf.cli.program import program, run_program
from doa_tf.data import scenes_arrays
from doa_tf.scenes.folder import read_scenes
from experiments.scenes.tables import markdown

BANDS_HZ = ((0.0, 8000.0), (94.0, 1000.0), (94.0, 2000.0), (94.0, 4000.0), (500.0, 4000.0))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the median offset in azimuth [degrees], a row for each band, a column a condition."""
    parser = program("experiments.choices.heading", __doc__)
    parser.add_argument("scenes")
    args = parser.parse_args(argv)
    from doa_tf.turning import TurnToIntensity

    spec = FeatureSpec()
    features, directions = scenes_arrays(args.scenes, features=spec)
    azimuths, _ = vector_to_angles(directions[:, 0])
    scenes = read_scenes(args.scenes)
    conditions = np.array([scene.columns.get("condition", "all") for scene in scenes])
    names = sorted(set(conditions))
    rows = []
    for low, high in BANDS_HZ:
        bins = [round(hz * spec.window_length / spec.sample_rate) for hz in (low, high)]
        _, heading = TurnToIntensity(bins)(features)
        x, y, _ = np.asarray(heading, np.float64).T
        off = np.degrees(np.abs(np.angle((x + 1j * y) * np.exp(-1j * azimuths))))
        cells = [f"{np.median(off[conditions == name]):.1f}°" for name in names]
        rows.append([f"{low:.0f} to {high:.0f} Hz", *cells])
    print(markdown(["band", *names], rows))


if __name__ == "__main__":
    run_program(main)
