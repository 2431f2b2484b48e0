"""What an offset or rumble costs a network, with and without the high-pass of its spec.

    python -m experiments.choices.offsets MODEL.keras --scenes SCENES [--cutoffs 0 20 30 70]

For choosing a cutoff, so on validation scenes. Each scene gets an offset, or four tones below 20 Hz
with their own direction, so many dB over W.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from doa_core.angles import great_circle_distance
from doa_core.decode import decode
from doa_tf.cli.program import program, run_program
from doa_tf.data.features import feature_windows
from doa_tf.scenes.folder import read_scenes

OFFSET = np.array([1.0, 0.3, -0.5, 0.2])  # of W, Y, Z, X
TONES = 4
HIGHEST_HZ = 20.0


def main(argv: Sequence[str] | None = None) -> None:
    """Print median, share within 10 degrees and share above 30 for each fault and cutoff."""
    parser = program("experiments.choices.offsets", __doc__)
    parser.add_argument("model")
    parser.add_argument("--scenes", required=True)
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[0.0, 20.0, 30.0, 70.0])
    args = parser.parse_args(argv)
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(args.model)
    scenes = read_scenes(args.scenes)
    sounds = [np.asarray(scene.read(), np.float64) for scene in scenes]
    truths = np.stack([scene.direction for scene in scenes])
    for name, db, kind in (
        ("as they are", None, None),
        ("offset, 20 dB", 20.0, offset),
        ("offset, 30 dB", 30.0, offset),
        ("rumble, 20 dB", 20.0, rumble),
        ("rumble, 30 dB", 30.0, rumble),
    ):
        rng = np.random.default_rng(0)
        heard = [x if db is None else x + at_level(kind(rng, len(x)), x, db) for x in sounds]
        for cutoff in args.cutoffs:
            features = [feature_windows(x, spec.features, highpass_hz=cutoff)[0] for x in heard]
            outputs = model.predict(np.stack(features), batch_size=50, verbose=0)
            method = None if spec.grid is None else "centroid"
            answers, _ = decode(outputs, head=spec.head, grid=spec.grid, method=method or "peak")
            error = np.degrees(great_circle_distance(answers, truths))
            print(
                f"{name:14} {cutoff:4.0f} Hz: {np.median(error):5.2f} deg, "
                f"{100 * np.mean(error <= 10):5.1f} %, {100 * np.mean(error > 30):5.1f} %",
                flush=True,
            )


def offset(_rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N, 4) constant."""
    return np.tile(OFFSET, (samples, 1))


def rumble(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N, 4) tones below `HIGHEST_HZ`."""
    time = np.arange(samples) / 16_000
    out = np.zeros((samples, 4))
    for _ in range(TONES):
        phase = 2.0 * np.pi * (rng.uniform(0.0, HIGHEST_HZ) * time + rng.random())
        out += np.cos(phase)[:, np.newaxis] * rng.standard_normal(4) * [1.0, 0.6, 0.6, 0.6]
    return out


def at_level(noise: np.ndarray, sound: np.ndarray, db: float) -> np.ndarray:
    """The noise, so many dB over the sound at W."""
    ratio = np.mean(sound[:, 0] ** 2) / np.mean(noise[:, 0] ** 2)
    return noise * np.sqrt(ratio) * 10.0 ** (db / 20.0)


if __name__ == "__main__":
    run_program(main)
