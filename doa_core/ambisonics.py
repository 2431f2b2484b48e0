"""First-order Ambisonics: channel orders, normalisations, A-format and mounting.

Inside the package audio is AmbiX: ACN order (W, Y, Z, X), SN3D, so that a plane wave s(t) from
the unit vector (x, y, z) gives s(t) * (1, y, z, x). Other formats are one 4 x 4 matrix away:

    fuma          W, X, Y, Z with W attenuated by sqrt(2) (Furse-Malham)
    n3d           W, X, Y, Z with dipoles amplified by sqrt(3)
    tetrahedral   four capsules (A-format) of a named layout, `flu-frd-bld-bru` when none is named

References:
    C. Nachbar, F. Zotter, E. Deleflie, A. Sontacchi, "ambiX - a suggested ambisonics format",
    Ambisonics Symposium 2011. M. A. Gerzon, "The design of precisely coincident microphone
    arrays for stereo and surround sound", AES 50th Convention, 1975.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, as_vectors

FORMATS = ("ambix", "fuma", "n3d", "tetrahedral")
# Capsules in channel order, each named Front/Back, Left/Right, Up/Down.
TETRAHEDRAL_LAYOUTS = {
    "flu-frd-bld-bru": ("FLU", "FRD", "BLD", "BRU"),
    "fld-fru-blu-brd": ("FLD", "FRU", "BLU", "BRD"),
}
DEFAULT_LAYOUT = "flu-frd-bld-bru"
CARDIOID = 0.5  # the omnidirectional share of a cardioid capsule's pattern

_WXYZ_TO_AMBIX: FloatArray = np.eye(4)[[0, 2, 3, 1]]
_WXYZ_GAINS = {"fuma": [np.sqrt(2.0), 1.0, 1.0, 1.0], "n3d": [1.0, *3 * [1.0 / np.sqrt(3.0)]]}


def encode_plane_wave(signal: npt.ArrayLike, direction: npt.ArrayLike) -> FloatArray:
    """(..., N, 4) AmbiX of a plane wave that carries `signal` from `direction`.

    Args:
        signal: (..., N) float pressure at the origin.
        direction: (..., 3) float unit vectors towards the source.
    """
    signal = np.asarray(signal)
    return signal[..., np.newaxis] * steering_vector(direction)[..., np.newaxis, :]


def steering_vector(direction: npt.ArrayLike) -> FloatArray:
    """(..., 4) AmbiX gains (1, y, z, x) of a plane wave from `direction`, (..., 3)."""
    x, y, z = np.moveaxis(as_vectors(direction, name="direction"), -1, 0)
    return np.stack([np.ones_like(x), y, z, x], axis=-1)


def tetrahedral_to_ambix_matrix(
    layout: str = DEFAULT_LAYOUT, *, pattern: float = CARDIOID
) -> FloatArray:
    """(4, 4) matrix from four capsule signals to AmbiX.

    A capsule of pattern p that points to u hears p W + (1 - p) u . (X, Y, Z). Over a regular
    tetrahedron the mean of u u^T is I/3, which inverts it. The capsules are taken as coincident;
    no filter corrects their spacing.

    Args:
        layout: as in `capsule_directions`.
        pattern: omnidirectional share p of the capsules, 0 < p < 1; 0.5 is a cardioid.

    Raises:
        ValueError: unknown layout, capsules that are no regular tetrahedron, pattern out of range.
    """
    if not 0.0 < pattern < 1.0:
        raise ValueError(
            f"`pattern` must lie between 0 and 1, both excluded. Received: pattern={pattern}"
        )
    capsules = capsule_directions(layout)
    to_ambix = np.empty((4, 4))
    to_ambix[0] = 1.0 / (4.0 * pattern)
    to_ambix[1:] = 3.0 / (4.0 * (1.0 - pattern)) * capsules.T[[1, 2, 0]]
    return to_ambix


def capsule_directions(layout: str = DEFAULT_LAYOUT) -> FloatArray:
    """(4, 3) unit vectors of the capsules of a tetrahedral layout, in channel order.

    Args:
        layout: a name in `TETRAHEDRAL_LAYOUTS`, or any order of four capsule names that form a
            regular tetrahedron, such as "FLU,BRU,FRD,BLD". Upper or lower case, commas or hyphens.

    Raises:
        ValueError: unknown layout, or capsules that are no regular tetrahedron.
    """
    capsules = tuple(layout.upper().replace(",", "-").split("-"))
    names = TETRAHEDRAL_LAYOUTS.get(layout.lower(), capsules)
    directions = np.array(
        [
            [float(plus in name) - float(minus in name) for plus, minus in ("FB", "LR", "UD")]
            for name in names
        ]
    )
    regular = (
        directions.shape == (4, 3)
        and all(len(name) == 3 for name in names)
        and np.array_equal(directions @ directions.T, 4.0 * np.eye(4) - 1.0)
    )
    if not regular:
        raise ValueError(
            f"`layout` must be one of {', '.join(TETRAHEDRAL_LAYOUTS)}, or four capsules that "
            f"form a regular tetrahedron, such as FLU,BRU,FRD,BLD. Received: layout={layout!r}"
        )
    unit: FloatArray = directions / np.sqrt(3.0)
    return unit


def format_to_ambix_matrix(audio_format: str) -> FloatArray:
    """(4, 4) matrix M with `ambix = signal @ M.T` for a named format.

    Args:
        audio_format: `ambix`, `fuma`, `n3d`, `tetrahedral` or `tetrahedral:LAYOUT`, in upper or
            lower case.

    Raises:
        ValueError: unknown format or layout.
    """
    name, _, layout = audio_format.lower().partition(":")
    if name == "tetrahedral":
        return tetrahedral_to_ambix_matrix(layout or DEFAULT_LAYOUT)
    if name not in FORMATS or layout:
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)} (tetrahedral also with a layout, "
            f"tetrahedral:{DEFAULT_LAYOUT}). Received: format={audio_format!r}"
        )
    if name in _WXYZ_GAINS:
        matrix: FloatArray = _WXYZ_TO_AMBIX * _WXYZ_GAINS[name]
        return matrix
    return np.eye(4)


def to_ambix(signal: npt.ArrayLike, audio_format: str) -> FloatArray:
    """(..., 4) AmbiX from (..., 4) channels of a named format, in the signal's dtype."""
    return _mix(signal, format_to_ambix_matrix(audio_format))


def from_ambix(signal: npt.ArrayLike, audio_format: str) -> FloatArray:
    """(..., 4) channels of a named format from (..., 4) AmbiX, in the signal's dtype."""
    return _mix(signal, np.linalg.inv(format_to_ambix_matrix(audio_format)))


def rotation_to_ambix_matrix(rotation: npt.ArrayLike) -> FloatArray:
    """(4, 4) AmbiX matrix of a (3, 3) rotation (or reflection) of directions.

    Raises:
        ValueError: another shape.
    """
    rotation = np.asarray(rotation)
    if rotation.shape != (3, 3):
        raise ValueError(
            f"`rotation` must be a 3 x 3 matrix. Received: rotation.shape={rotation.shape}"
        )
    matrix = np.eye(4)
    order = [1, 2, 0]  # y, z, x
    matrix[1:, 1:] = rotation[np.ix_(order, order)]
    return matrix


def rotate_ambix(signal: npt.ArrayLike, rotation: npt.ArrayLike) -> FloatArray:
    """(..., 4) AmbiX scene turned so that a source at u is heard from `rotation @ u`."""
    return _mix(signal, rotation_to_ambix_matrix(rotation))


def _mix(signal: npt.ArrayLike, matrix: FloatArray) -> FloatArray:
    """(..., 4) `matrix` applied to the channels, in the precision of a float or complex signal."""
    signal = as_four_channels(signal, name="signal")
    if np.issubdtype(signal.dtype, np.inexact):  # integers must not round the matrix
        matrix = matrix.astype(signal.dtype)
    return signal @ matrix.T


def as_four_channels(values: npt.ArrayLike, *, name: str) -> npt.NDArray[Any]:
    """(..., 4) array, or an error that names the argument."""
    array = np.asarray(values)
    if array.ndim == 0 or array.shape[-1] != 4:
        raise ValueError(
            f"`{name}` must hold 4 channels on its last axis. Received: {name}.shape={array.shape}"
        )
    return array
