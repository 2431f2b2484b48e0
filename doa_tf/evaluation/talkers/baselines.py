"""Two classical estimators of several directions: MUSIC with the count known, and a histogram.

Both take the transform of a whole recording (T, F, 4) and how many talk. Numpy only, no training.

References:
    R. O. Schmidt, "Multiple emitter location and signal parameter estimation", IEEE Trans.
        Antennas and Propagation 34(3), 1986, doi:10.1109/TAP.1986.1143830.
    S. Tervo, "Direction estimation based on sound intensity vectors", EUSIPCO 2009: directions of
        all bins as a distribution on the sphere.
    D. Pavlidi, S. Delikaris-Manias, V. Pulkki, A. Mouchtaris, "3D localization of multiple sound
        sources with intensity vector estimates in single source zones", EUSIPCO 2015: peaks of a
        smoothed histogram of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.grid import Grid, sphere_grid
from doa_core.spec import SAMPLE_RATE, FeatureSpec
from doa_core.stft import stft
from doa_tf.data.features import check_length
from doa_tf.evaluation.baselines import BAND, bins_of_band, music_spectrum, search_grid
from doa_tf.evaluation.predictions import BASELINE_PREFIX
from doa_tf.evaluation.talkers.windows import Window, window_of
from doa_tf.files import Progress
from doa_tf.scenes.folder import Scene

MUSIC_SOURCES = 3  # at most: of four channels one is left for the noise
APART_DEG = 20.0  # least distance of two peaks [degrees]
SMOOTH_DEG = 16.0  # where the weight of a bin in the histogram has fallen to 1 / e [degrees]
_HISTOGRAM_DEG = 5.0  # its cells; finer ones than it is smooth gain nothing
_SUMMIT_STEPS = 1.6  # grid steps: a peak is the highest cell so far around
_REFINE_DEG = 10.0  # a peak is the centroid of the scores so far around it

Peaks = tuple[FloatArray, FloatArray]


def music_peaks(
    transform: npt.ArrayLike,
    count: int,
    *,
    band: tuple[float, float] = BAND,
    sample_rate: int = SAMPLE_RATE,
) -> Peaks:
    """(P, 3) directions and (P,) scores of the peaks of wideband MUSIC for `count` sources.

    As `doa_tf.evaluation.baselines.music`, with the signal subspace of as many dimensions as there
    are sources, three at most; the steering vectors are N3D, in which diffuse noise is white.

    Args:
        transform: (T, F, 4) complex, AmbiX (W, Y, Z, X; SN3D).
        count: how many talk.
        band: lowest and highest frequency [hertz], both included.
        sample_rate: [hertz] of the signal that was transformed.

    Raises:
        ValueError: no frames, not four channels, or a band that holds no bin.
    """
    bins = bins_of_band(transform, band, sample_rate)
    scores = music_spectrum(bins, sources=min(count, MUSIC_SOURCES), normalisation="n3d")
    return sphere_peaks(scores, search_grid(), count)


def intensity_peaks(
    transform: npt.ArrayLike,
    count: int,
    *,
    band: tuple[float, float] = BAND,
    sample_rate: int = SAMPLE_RATE,
) -> Peaks:
    """(P, 3) directions and (P,) scores of the peaks of a histogram of the active intensity.

    Every bin of every frame adds the length of its active intensity, which is its energy as far as
    that is directed, to the cell that it points to; the histogram is smoothed by a Gaussian on the
    sphere. Arguments as in `music_peaks`.

    Raises:
        ValueError: no frames, not four channels, or a band that holds no bin.
    """
    bins = bins_of_band(transform, band, sample_rate)
    active = (np.conj(bins[..., :1]) * bins[..., [3, 1, 2]]).real.reshape(-1, 3)
    length = np.linalg.norm(active, axis=-1)
    grid = sphere_grid(_HISTOGRAM_DEG)
    there = length > 0.0
    cells = grid.nearest(active[there] / length[there, np.newaxis])
    histogram = np.bincount(cells, weights=length[there], minlength=len(grid))
    scores = _smoothing() @ histogram
    return sphere_peaks(scores / max(float(np.max(scores)), 1e-30), grid, count)


@lru_cache(maxsize=1)
def _smoothing() -> FloatArray:
    """(G, G) what each cell of the histogram gives to each other one."""
    cells = sphere_grid(_HISTOGRAM_DEG).vectors
    angles_deg = np.degrees(np.arccos(np.clip(cells @ cells.T, -1.0, 1.0)))
    weights: FloatArray = np.exp(-((angles_deg / SMOOTH_DEG) ** 2))
    return weights


def sphere_peaks(scores: FloatArray, grid: Grid, count: int) -> Peaks:
    """(P, 3) directions of the highest summits of (G,) scores, and their (P,) scores; P <= `count`.

    A summit is a cell that is the highest around, at least `APART_DEG` from higher ones. Each is
    refined to the centroid around it.
    """
    around = np.cos(np.radians(_SUMMIT_STEPS * grid.resolution_deg))
    summits: list[int] = []
    for cell in np.argsort(-scores, kind="stable"):
        if len(summits) == count or scores[cell] <= 0.0:
            break
        cosine = grid.vectors @ grid.vectors[cell]
        if any(cosine[summit] > np.cos(np.radians(APART_DEG)) for summit in summits):
            continue
        if scores[cell] >= np.max(scores[cosine >= around]):
            summits.append(int(cell))
    directions = [_centroid(scores, grid.vectors, grid.vectors[cell]) for cell in summits]
    return np.array(directions).reshape(-1, 3), scores[summits]


def _centroid(scores: FloatArray, cells: FloatArray, summit: FloatArray) -> FloatArray:
    near = cells @ summit >= np.cos(np.radians(_REFINE_DEG))
    # Above the lowest score around, or a broad peak on a slope would be pulled to the slope's side.
    centroid = (scores[near] - np.min(scores[near])) @ cells[near]
    length = float(np.linalg.norm(centroid))
    return summit if length == 0.0 else centroid / length


# By the names of `doa_tf.evaluation.baselines`.
BASELINES: dict[str, Callable[..., Peaks]] = {"intensity": intensity_peaks, "music": music_peaks}


def baseline_windows(
    name: str, scenes: tuple[Scene, ...], *, progress: Progress | None = None
) -> list[Window]:
    """What a baseline, `baseline:NAME`, says of short recordings, with the count known.

    Raises:
        InputError: a recording that cannot be read or is shorter than one window.
    """
    peaks = BASELINES[name.removeprefix(BASELINE_PREFIX)]
    features = FeatureSpec()
    windows = []
    for scene in scenes:
        signal = scene.read(sample_rate=features.sample_rate)
        check_length(signal, features, name=str(scene.path))
        transform = stft(signal, window_length=features.window_length, hop=features.hop)
        answer = partial(peaks, transform, sample_rate=features.sample_rate)
        windows.append(window_of(scene, answer))
        if progress is not None:
            progress(len(windows), len(scenes))
    return windows
