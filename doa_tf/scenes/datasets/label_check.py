"""Do the labels of a published data set point to where its sound comes from?

Where one talks alone, the active intensity of parts of time with a single wave points to them. If
it points elsewhere, and would not if the channels had another order or if azimuths counted the
other way, that is said once, with the options that read it so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from doa_core.angles import FloatArray, great_circle_distance
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import read_blocks
from doa_tf.scenes.labels.scene import Scene

logger = logging.getLogger(__name__)

MOST = 32  # recordings that are looked at, evenly spread
LONGEST_S = 20.0  # of each [seconds]
LEAST = 40  # parts of time with a single wave, to say anything
_PART = 800  # samples: 50 ms
_BAND = (500.0, 4000.0)  # hertz: dipoles are weak below, sound is spatially aliased above
_SINGLE_WAVE = 0.8  # share of the energy in one pattern of channels
_QUIET = 0.1  # of the median energy: pauses
_SUSPECT_DEG, _AGREES_DEG = 20.0, 20.0  # reverberant rooms are up to 20 degrees off
_MUCH_BETTER = 0.5  # times the angle of what was read
_FORMATS = ("ambix", "fuma")


def label_advice(scenes: tuple[Scene, ...], *, clockwise: bool = False) -> str | None:
    """What to read otherwise, as options of a command; None where the labels fit or nothing does.

    Args:
        scenes: of one data set. Those that cannot be read, or are no Ambisonics, are left out.
        clockwise: whether azimuths were read so.
    """
    plain = [scene for scene in scenes if type(scene) is Scene]
    step = max(1.0, len(plain) / MOST)
    chosen = [plain[int(step * k)] for k in range(min(MOST, len(plain)))]
    pairs = [pair for scene in chosen for pair in _lone(scene)]
    if not pairs:
        return None
    covariances = np.stack([covariance for covariance, _ in pairs])
    labels = np.stack([direction for _, direction in pairs])
    given = chosen[0].input_format
    read_as = given.format_name
    errors_deg = {}
    for name in dict.fromkeys((read_as, *_FORMATS)):
        matrix = replace(given, audio_format=name).to_ambix
        ambix = matrix @ covariances @ matrix.T
        for mirrored, sides in ((False, 1.0), (True, np.array([1.0, -1.0, 1.0]))):
            errors_deg[name, mirrored] = _error_deg(ambix, labels * sides)
    own_deg = errors_deg[read_as, False]
    (name, mirrored), best_deg = min(errors_deg.items(), key=lambda item: item[1])
    if not (own_deg > _SUSPECT_DEG and best_deg < min(_AGREES_DEG, _MUCH_BETTER * own_deg)):
        return None
    options = [f"with --format {name}"] * (name != read_as)
    options += [f"{'without' if clockwise else 'with'} --clockwise"] * mirrored
    return (
        f"the direct sound is {own_deg:.0f} degrees from the labels in the median, and would be "
        f"{best_deg:.0f} {' and '.join(options)}"
    )


def warn_of_labels(scenes: tuple[Scene, ...], *, where: object, clockwise: bool) -> None:
    """Log what `label_advice` says.

    Args:
        scenes: of a data set.
        where: it lies.
        clockwise: whether azimuths were read so.
    """
    if (advice := label_advice(scenes, clockwise=clockwise)) is not None:
        logger.warning("%s: %s (docs/datasets.md)", where, advice)


def _lone(scene: Scene) -> Iterator[tuple[FloatArray, FloatArray]]:
    """(4, 4) covariance of the channels as given, and (3,) label, of parts in which one talks."""
    as_given = replace(scene.input_format, as_given=True)
    held, samples = [], 0
    try:
        for block in read_blocks(scene.path, as_given, sample_rate=SAMPLE_RATE):
            held.append(block)
            samples += len(block)
            if samples >= LONGEST_S * SAMPLE_RATE:
                break
    except InputError:
        return
    sound = np.concatenate(held)
    parts = sound[: len(sound) // _PART * _PART].reshape(-1, _PART, 4)
    times_s = (np.arange(len(parts)) + 0.5) * _PART / SAMPLE_RATE
    directions = scene.directions_at(times_s)  # (T, V, 3)
    alone = np.flatnonzero(directions.any(axis=-1).sum(axis=-1) == 1)
    frequencies = np.fft.rfftfreq(_PART, 1.0 / SAMPLE_RATE)
    band = (frequencies >= _BAND[0]) & (frequencies <= _BAND[1])
    window = np.hanning(_PART)[:, np.newaxis]
    spectra = np.fft.rfft(parts[alone] * window, axis=1)[:, band]
    covariances = np.einsum("tfc,tfd->tcd", spectra.conj(), spectra).real
    yield from zip(covariances, directions[alone].sum(axis=1), strict=True)


def _error_deg(ambix: FloatArray, labels: FloatArray) -> float:
    """Median angle of (T, 3) labels to the intensity [degrees]; infinite where too few tell.

    Args:
        ambix: (T, 4, 4) covariances of AmbiX in the axes of the labels.
        labels: unit vectors.
    """
    energy = np.trace(ambix, axis1=1, axis2=2)
    single = np.linalg.eigvalsh(ambix)[:, -1] >= _SINGLE_WAVE * energy
    usable = single & (energy > _QUIET * np.median(energy)) & (energy > 0.0)
    if np.sum(usable) < LEAST:
        return np.inf
    intensity = ambix[usable][:, 0, [3, 1, 2]]
    length = np.linalg.norm(intensity, axis=-1, keepdims=True)
    angles = great_circle_distance(intensity / np.maximum(length, 1e-30), labels[usable])
    return float(np.degrees(np.median(angles)))
