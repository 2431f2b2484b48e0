"""Causes of errors: rumble, a bias in elevation; and the confidence in noise alone.

    python -m experiments.quality.causes MODEL... --scenes DIR... [--noise FILE...] [--work DIR]

The first table splits the scenes of each condition by the power of W below 20 Hz over all above: an
offset, rumble. The second has the median of the answered elevation less the label's among answers
that are not far off, and the median error without it; the third the same by the label's elevation,
and of how many of the answers that is. With --noise, the last has the confidence of windows in
which nobody talks: white noise, and each recording from 64 directions at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.engine import DirectionEngine
from doa_edge.tflite.network import TfliteModel
from doa_tf.cli.program import program, run_program
from doa_tf.evaluation.groups import grouped
from doa_tf.evaluation.judge import SceneResult
from doa_tf.evaluation.statistics import OUTLIER_DEG
from experiments.quality.options import MODEL, add_scenes, one_thread
from experiments.scenes.answers import apart_deg, default_threshold, judge_folders, labelled
from experiments.scenes.tables import markdown, pooled, shown, titles

LOW_HZ = 20.0
BANDS_DB = {"10 dB or more": (10, np.inf), "0 to 10 dB": (0, 10), "below 0 dB": (-np.inf, 0)}
NOISE_S = 50.0  # seconds of each noise
DIRECTIONS = 64
THRESHOLDS = (0.3, 0.6)
ELEVATIONS_DEG = {
    "below -20°": (-np.inf, -20),
    **{f"{low}° to {high}°": (low, high) for low, high in ((-20, -5), (-5, 5), (5, 20))},
    "20° and more": (20, np.inf),
}


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Judge and print the tables."""
    parser = program("experiments.quality.causes", __doc__)
    parser.add_argument("models", nargs="+", **MODEL)
    add_scenes(parser, required=False)
    parser.add_argument("--noise", nargs="+", type=Path, default=[], metavar="FILE")
    args = parser.parse_args(argv)
    if args.scenes:
        answers = judge_folders(args.models, args.scenes, work=args.work)
        together = {label: pooled(folders) for label, folders in answers.items()}
        print(low_power_table(together))
        print(f"\n{bias_table(together)}")
        print(f"\n{elevation_table(together)}")
    files = [model for model in args.models if model.endswith(".tflite")]
    if args.noise and files:
        print(f"\n{noise_table(files, args.noise)}")


def low_power_db(signal: np.ndarray) -> float:
    """Power of W below 20 Hz over its power above [decibels]."""
    power = 2.0 * np.abs(np.fft.rfft(signal[:, 0])) ** 2
    power[0] /= 2.0  # the one bin that has no twin at a negative frequency
    below = np.fft.rfftfreq(len(signal), 1.0 / SAMPLE_RATE) < LOW_HZ
    least = np.finfo(float).tiny
    return float(10.0 * np.log10((power[below].sum() + least) / (power[~below].sum() + least)))


def low_power_table(results: dict[str, list[SceneResult]]) -> str:
    """Markdown: a row for each condition and range of the power below 20 Hz."""
    first = next(iter(results.values()))
    low = np.array([low_power_db(own.scene.read(sample_rate=SAMPLE_RATE)) for own in first])
    rows = []
    for title, indices in grouped(titles(first)).items():
        for name, (lowest, highest) in BANDS_DB.items():
            within = [i for i in indices if lowest <= low[i] < highest]
            if within:
                cells = [_cell([some[i].error_deg for i in within]) for some in results.values()]
                rows.append([title, name, str(len(within)), *cells])
    return markdown(["scenes", f"below {LOW_HZ:g} Hz", "n", *map(shown, results)], rows)


def _cell(errors_deg: Sequence[float]) -> str:
    errors = np.array(errors_deg)
    return (
        f"{np.median(errors):.1f}°, {100 * np.mean(errors <= 10.0):.0f} %, "
        f"{np.sum(errors > OUTLIER_DEG)} above {OUTLIER_DEG:g}°"
    )


def bias_table(results: dict[str, list[SceneResult]]) -> str:
    """Markdown: median bias in elevation, median error of these scenes with and without it."""
    first = next(iter(results.values()))
    rows = []
    for title, indices in grouped(titles(first)).items():
        cells = []
        for some in results.values():
            near = [some[i] for i in indices if some[i].error_deg <= OUTLIER_DEG]
            bias = np.median([_too_high_deg(own) for own in near])
            before = np.median([own.error_deg for own in near])
            after = np.median([_error_deg(own, own.elevation_deg - bias) for own in near])
            cells.append(f"{bias:+.1f}°: {before:.1f}° to {after:.1f}°")
        rows.append([title, *cells])
    return markdown(["elevation too high by: error with and without", *map(shown, results)], rows)


def elevation_table(results: dict[str, list[SceneResult]]) -> str:
    """Markdown: median bias in elevation by the label's elevation, of how many of the answers."""
    first = next(iter(results.values()))
    rows = []
    for title, indices in grouped(titles(first)).items():
        for name, some in results.items():
            cells = []
            for low, high in ELEVATIONS_DEG.values():
                within = [some[i] for i in indices if low <= some[i].scene.elevation_deg < high]
                near = [_too_high_deg(own) for own in within if own.error_deg <= OUTLIER_DEG]
                bias = f"{np.median(near):+.1f}° " if near else ""
                cells.append(f"{bias}({len(near)} of {len(within)})" if within else "")
            rows.append([title, shown(name), *cells])
    head = [f"label {band}" for band in ELEVATIONS_DEG]
    return markdown(["elevation too high by", "model", *head], rows)


def _too_high_deg(result: SceneResult) -> float:
    return result.elevation_deg - result.scene.elevation_deg


def _error_deg(result: SceneResult, elevation_deg: float) -> float:
    """The error of an answer with another elevation."""
    label = (result.scene.azimuth_deg, result.scene.elevation_deg)
    return apart_deg((result.azimuth_deg, elevation_deg), label)


def noise_table(models: Sequence[str], recordings: Sequence[Path]) -> str:
    """Markdown: the share of windows of noise alone that a threshold of confidence lets through."""
    rows = []
    for label, path in labelled(models).items():
        model, default = TfliteModel(path), default_threshold(path)
        for name, signal in noises(recordings):
            confidence = np.array([own.confidence for own in DirectionEngine(model).run([signal])])
            shares = [100.0 * np.mean(confidence >= t) for t in (default, *THRESHOLDS)]
            cells = [f"{share:.0f} %" for share in shares]
            rows.append([label, name, str(len(confidence)), f"{np.median(confidence):.2f}", *cells])
        head = [f"at least {default:g}, the default", *(f"at least {t:g}" for t in THRESHOLDS)]
    return markdown(["model", "noise alone", "windows", "median confidence", *head], rows)


def noises(recordings: Sequence[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """White noise in all channels, then each recording from all sides: (N, 4) AmbiX at -26 dBFS."""
    import soundfile

    rng = np.random.default_rng(0)
    count = round(NOISE_S * SAMPLE_RATE)
    white = rng.standard_normal((count, 4)) * np.array([1.0, *[3**-0.5] * 3])
    yield "white noise", _at_level(white)
    for path in recordings:
        sound, rate = soundfile.read(path, dtype="float32")
        if rate != SAMPLE_RATE or sound.ndim != 1 or len(sound) < count:
            raise InputError(
                f"Noise must be {NOISE_S:g} s or more at {SAMPLE_RATE} Hz in one channel. "
                f"Received: {path}, {len(sound) / rate:.1f} s at {rate} Hz"
            )
        vectors = rng.standard_normal((DIRECTIONS, 3))
        field = np.zeros((count, 4))
        for x, y, z in vectors / np.linalg.norm(vectors, axis=1, keepdims=True):
            part = np.roll(sound, rng.integers(len(sound)))[:count]
            field += part[:, np.newaxis] * np.array([1.0, y, z, x])
        yield path.stem, _at_level(field)


def _at_level(signal: np.ndarray) -> np.ndarray:
    return np.asarray(0.05 * signal / np.std(signal[:, 0]), dtype=np.float32)


if __name__ == "__main__":
    run_program(main)
