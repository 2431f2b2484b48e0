"""Normalised active and reactive intensity of first-order Ambisonics, and the level channel.

With AmbiX (SN3D) transforms, per time-frequency bin,

    I = conj(W) [X, Y, Z]        E = (|W|^2 + |X|^2 + |Y|^2 + |Z|^2) / 2

Channels 0-2 are Re(I) / E (active), 3-5 are Im(I) / E (reactive). A plane wave from u gives
u and no reactive part. Perotin et al. use N3D and divide by |W|^2 + (|X|^2 + |Y|^2 + |Z|^2) / 3,
which is this feature times sqrt(3) / 2.

Nothing here depends on more than one frame, so a frame of a stream has the numbers of the same
frame in a recording.

References:
    L. Perotin, R. Serizel, E. Vincent, A. Guerin, "CRNN-based multiple DoA estimation using
    acoustic intensity features for Ambisonics recordings", IEEE JSTSP 13(1), 2019,
    doi:10.1109/JSTSP.2019.2900164
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels

INTENSITY_CHANNELS = ("active_x", "active_y", "active_z", "reactive_x", "reactive_y", "reactive_z")
LEVEL_CHANNEL = "level"
# The mean E of a bin for a white plane wave at -127 dBFS (mean |W|^2 = 512 mean w^2). Below it a
# bin fades to zero: digital silence gives zeros, and rounding does not look like a direction.
ENERGY_FLOOR = 1e-10
LEVEL_FLOOR = 1e-6  # of the frame's mean power: 60 dB below it
HEADING_FLOOR = 1e-9  # of the sum of active intensity: silence is ahead


def intensity_features(
    transform: npt.ArrayLike,
    *,
    channels: Sequence[str] = INTENSITY_CHANNELS,
    energy_floor: float = ENERGY_FLOOR,
) -> npt.NDArray[np.float32]:
    """(..., F, K) input features of a network from a transform, frame by frame.

    Args:
        transform: (..., F, 4) complex, AmbiX (W, Y, Z, X; SN3D); F is all bins of a frame.
        channels: the six of `INTENSITY_CHANNELS`, or these and `LEVEL_CHANNEL`.
        energy_floor: smallest E that a bin is divided by.

    Returns:
        (..., F, K) float32. Intensity is in [-1, 1]; zeros for digital silence.

    Raises:
        ValueError: not four channels, or a list of channels that is not one of the two.
    """
    transform = as_four_channels(transform, name="transform")
    check_channels(channels)
    w = transform[..., :1]
    dipoles = transform[..., [3, 1, 2]]  # x, y, z
    w_power = w.real**2 + w.imag**2
    dipole_power = np.sum(dipoles.real**2 + dipoles.imag**2, axis=-1, keepdims=True)
    energy = np.maximum(0.5 * (w_power + dipole_power), energy_floor)
    intensity = np.conj(w) / energy * dipoles
    parts = [intensity.real, intensity.imag]
    if LEVEL_CHANNEL in channels:
        parts.append(level_feature(w_power[..., 0])[..., np.newaxis])
    return np.concatenate(parts, axis=-1).astype(np.float32, copy=False)


def level_feature(w_power: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(..., F) half the log10 of each bin's power, relative to the other bins of its frame.

    It tells which bins carry the speech, not how loud the recording is: a gain cancels.

    Args:
        w_power: (..., F) float, |W|^2.

    Returns:
        (..., F) float32 of zero mean over a frame; zeros for digital silence.
    """
    w_power = np.asarray(w_power)
    mean = np.maximum(np.mean(w_power, axis=-1, keepdims=True), ENERGY_FLOOR)
    level = np.log10(w_power / mean + LEVEL_FLOOR)
    centred = 0.5 * (level - np.mean(level, axis=-1, keepdims=True))
    return np.asarray(centred, np.float32)


def intensity_heading(features: npt.ArrayLike, *, bins: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(2,) cosine and sine of the azimuth of the active intensity of a window, summed.

    Args:
        features: (T, F, K) as `intensity_features` gives them.
        bins: first and last + 1 of the bins that are summed.

    Returns:
        (2,) float32 of length 1; (1, 0) for digital silence.
    """
    first, stop = bins
    active = np.asarray(features)[:, first:stop, :2].astype(np.float64).reshape(-1, 2)
    total = active.sum(axis=0) + np.array([HEADING_FLOOR, 0.0])
    return np.asarray(total / np.hypot(*total), np.float32)


def check_channels(channels: Sequence[str]) -> None:
    """Raise ValueError unless the feature channels are one of the two known lists."""
    allowed = (INTENSITY_CHANNELS, (*INTENSITY_CHANNELS, LEVEL_CHANNEL))
    if tuple(channels) not in allowed:
        raise ValueError(
            f"`channels` must be {allowed[0]}, and may end with '{LEVEL_CHANNEL}'. "
            f"Received: channels={tuple(channels)}"
        )
