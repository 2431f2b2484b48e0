"""Two classical estimators to compare networks with: intensity vector and MUSIC.

Both take the transform of a whole recording (T, F, 4) of any length, and estimate one direction.
Numpy only, no training, no tuning on the development scenes.

References:
    D. P. Jarrett, E. A. P. Habets, P. A. Naylor, "3D source localization in the spherical harmonic
    domain using a pseudointensity vector", EUSIPCO 2010.
    R. O. Schmidt, "Multiple emitter location and signal parameter estimation", IEEE Trans.
    Antennas and Propagation 34(3), 1986, doi:10.1109/TAP.1986.1143830.
    D. Salvati, C. Drioli, G. L. Foresti, "Incoherent frequency fusion for broadband steered
    response power algorithms in noisy environments", IEEE Signal Processing Letters 21(5), 2014,
    doi:10.1109/LSP.2014.2311164: each bin's spectrum is normalised before the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels, steering_vector
from doa_core.angles import FloatArray
from doa_core.features import ENERGY_FLOOR
from doa_core.grid import Grid, sphere_grid
from doa_core.spec import SAMPLE_RATE

BAND = (200.0, 4000.0)  # hertz: where speech is and first-order microphones are accurate
# A finer grid gains nothing on reverberant recordings and costs its square.
SEARCH_RESOLUTION_DEG = 2.5
_RESIDUE_FLOOR = 1e-9  # share of a plane wave in the noise subspace; less is rounding


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """The answer of a baseline to a recording.

    Attributes:
        direction: (3,) float unit vector; x forward where the recording holds no direction.
        confidence: in [0, 1]; 0 for digital silence.
        scores: (G,) float in [0, 1], one for each cell of `search_grid()`, for pictures.
    """

    direction: FloatArray
    confidence: float
    scores: FloatArray


def search_grid() -> Grid:
    """The directions that `music` tries and that `Estimate.scores` belong to."""
    return sphere_grid(SEARCH_RESOLUTION_DEG)


def intensity(
    transform: npt.ArrayLike, *, band: tuple[float, float] = BAND, sample_rate: int = SAMPLE_RATE
) -> Estimate:
    """(3,) direction of the active intensity, summed over all frames and the bins of the band.

    The sum of Re(conj(W) [X, Y, Z]) weights every bin by its energy. The confidence is its length
    over the energy, which it cannot exceed: 1 for a plane wave, 0 in a diffuse field.

    Args:
        transform: (T, F, 4) complex, AmbiX (W, Y, Z, X; SN3D).
        band: lowest and highest frequency [hertz], both included.
        sample_rate: [hertz] of the signal that was transformed.

    Raises:
        ValueError: no frames, not four channels, or a band that holds no bin.
    """
    bins = bins_of_band(transform, band, sample_rate)
    w, dipoles = bins[..., :1], bins[..., [3, 1, 2]]
    active = np.sum((np.conj(w) * dipoles).real, axis=(0, 1))
    energy = 0.5 * float(np.sum(bins.real**2 + bins.imag**2))
    if energy <= ENERGY_FLOOR * bins.shape[0] * bins.shape[1]:
        return _no_direction()
    length = float(np.linalg.norm(active))
    # Mean over the energy of what a cardioid to each direction hears.
    scores = np.clip(0.5 * (1.0 + search_grid().vectors @ active / energy), 0.0, 1.0)
    if length == 0.0:
        return _no_direction()
    return Estimate(direction=active / length, confidence=min(length / energy, 1.0), scores=scores)


def music(
    transform: npt.ArrayLike,
    *,
    band: tuple[float, float] = BAND,
    sample_rate: int = SAMPLE_RATE,
    normalisation: str = "sn3d",
) -> Estimate:
    """(3,) direction of the peak of wideband MUSIC for one source.

    In each bin: the spatial covariance over all frames, its eigenvectors, and the pseudo-spectrum
    1 / |E_n^H a(u)|^2 with the three weakest as noise subspace E_n and unit-length steering
    vectors a(u). Each bin's spectrum is divided by its maximum, so that no bin dominates the
    others, and the average over the bins is searched on a grid of 2.5 degrees.

    Confidence is how far the peak of that average stands above its mean over the grid's cells:
    near 1 where all bins agree on one sharp peak, near 0 where they are flat or disagree.

    Args:
        transform: (T, F, 4) complex, AmbiX (W, Y, Z, X; SN3D).
        band: lowest and highest frequency [hertz], both included.
        sample_rate: [hertz] of the signal that was transformed.
        normalisation: of the channels in which the subspaces are computed: `sn3d` as they come;
            `n3d` makes isotropic noise spatially white, which MUSIC assumes, and is the more
            accurate of the two in diffuse babble.

    Raises:
        ValueError: no frames, not four channels, a band that holds no bin, or an unknown
            normalisation.
    """
    scores = music_spectrum(bins_of_band(transform, band, sample_rate), normalisation=normalisation)
    peak = int(np.argmax(scores))
    if scores[peak] == 0.0:
        return _no_direction()
    confidence = float(scores[peak] - np.mean(scores))
    return Estimate(
        direction=search_grid().vectors[peak].copy(), confidence=confidence, scores=scores
    )


def music_spectrum(
    bins: npt.NDArray[np.complex128], *, sources: int = 1, normalisation: str = "sn3d"
) -> FloatArray:
    """(G,) mean over the bins of their pseudo-spectra, each divided by its maximum, in [0, 1].

    Args:
        bins: (T, F, 4) of a band, from `bins_of_band`.
        sources: dimensions of the signal subspace, 1 to 3.
        normalisation: as in `music`.

    Returns:
        One score for each cell of `search_grid()`; zeros for digital silence.

    Raises:
        ValueError: another number of sources, or an unknown normalisation.
    """
    if normalisation not in ("sn3d", "n3d"):
        raise ValueError(
            f"`normalisation` must be sn3d or n3d. Received: normalisation={normalisation!r}"
        )
    if not 1 <= sources <= 3:
        raise ValueError(f"`sources` must be 1, 2 or 3. Received: sources={sources}")
    grid = search_grid()
    energy = 0.5 * np.sum(bins.real**2 + bins.imag**2, axis=(0, 2))
    bins = bins[:, energy > ENERGY_FLOOR * len(bins)]
    if bins.shape[1] == 0:
        return np.zeros(len(grid))
    dipole_gain = np.sqrt(3.0) if normalisation == "n3d" else 1.0
    gains = np.array([1.0, dipole_gain, dipole_gain, dipole_gain])
    bins = np.moveaxis(bins, 1, 0) * gains  # (F, T, C)
    covariance = np.swapaxes(bins, 1, 2) @ np.conj(bins)  # (F, C, C)
    _, eigenvectors = np.linalg.eigh(covariance)  # ascending: the last are the signals'
    steering = steering_vector(grid.vectors) * gains
    steering /= np.linalg.norm(steering, axis=-1, keepdims=True)
    # |E_n^H a|^2 = a^T Re(E_n E_n^H) a because a is real: one real matrix product for all bins.
    noise = eigenvectors[..., : 4 - sources]
    projector = (noise @ np.conj(np.swapaxes(noise, 1, 2))).real.reshape(-1, 16)  # (F, C C)
    products = (steering[:, :, np.newaxis] * steering[:, np.newaxis, :]).reshape(-1, 16)  # (G, C C)
    residue = projector @ products.T  # (F, G), the reciprocal of the pseudo-spectrum
    np.maximum(residue, _RESIDUE_FLOOR, out=residue)
    smallest = np.min(residue, axis=1)
    scores: FloatArray = smallest @ np.reciprocal(residue, out=residue) / len(residue)
    return scores


# Names that `doa_tf evaluate baseline:NAME` knows.
BASELINES: dict[str, Callable[..., Estimate]] = {"intensity": intensity, "music": music}  # by name


def bins_of_band(
    transform: npt.ArrayLike, band: tuple[float, float], sample_rate: int
) -> npt.NDArray[np.complex128]:
    """(T, F', 4) bins of the band, in double precision: long sums of squares need the digits."""
    array = as_four_channels(transform, name="transform")
    if array.ndim != 3 or array.shape[0] == 0 or array.shape[1] < 2:
        raise ValueError(
            "`transform` must be (frames, bins, 4) with at least one frame. "
            f"Received: transform.shape={array.shape}"
        )
    frequency = np.linspace(0.0, sample_rate / 2.0, array.shape[1])  # hertz
    inside = (frequency >= band[0]) & (frequency <= band[1])
    if not np.any(inside):
        raise ValueError(
            f"`band` must hold a bin between 0 and {sample_rate / 2.0:g} Hz. Received: band={band}"
        )
    return array[:, inside].astype(np.complex128)


def _no_direction() -> Estimate:
    nothing = np.zeros(len(search_grid()))
    return Estimate(direction=np.array([1.0, 0.0, 0.0]), confidence=0.0, scores=nothing)
