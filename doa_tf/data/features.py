"""From waveforms to the features of a network."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.errors import InputError
from doa_core.features import LEVEL_CHANNEL, check_channels, intensity_features, level_feature
from doa_core.highpass import highpass
from doa_core.spec import FeatureSpec as FeatureSpec
from doa_core.spec import ModelSpec as ModelSpec  # both are part of doa_tf's public face
from doa_core.stft import frame_count, sine_window, stft


def waveform_features(waveform: npt.ArrayLike, spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """(..., T, F, K) float32 features of (..., N, 4) AmbiX.

    `doa_core.features.intensity_features` of `doa_core.stft.stft` is the specification; this is
    equal to rounding, and faster.

    Raises:
        ValueError: not four channels.
    """
    from scipy.fft import rfft

    check_channels(spec.channels)
    waveform = as_four_channels(waveform, name="waveform")
    planes = np.ascontiguousarray(np.moveaxis(waveform, -1, 0), np.float32)  # (4, ..., N)
    frames = frame_count(planes.shape[-1], window_length=spec.window_length, hop=spec.hop)
    out = np.empty((*planes.shape[1:-1], frames, spec.bins, len(spec.channels)), np.float32)
    if not out.size:
        return out
    slices = np.lib.stride_tricks.sliding_window_view(planes, spec.window_length, axis=-1)
    windowed = slices[..., :: spec.hop, :] * sine_window(spec.window_length)
    transform = rfft(windowed, overwrite_x=True)
    # Planes of real numbers: complex ones have their parts side by side, which is slower.
    real, imag = np.ascontiguousarray(transform.real), np.ascontiguousarray(transform.imag)
    power = real * real
    power += imag * imag
    energy = np.maximum(0.5 * power.sum(axis=0), spec.energy_floor)
    w_real, w_imag = real[0] / energy, imag[0] / energy
    for axis, channel in enumerate((3, 1, 2)):  # x, y, z
        out[..., axis] = w_real * real[channel] + w_imag * imag[channel]
        out[..., axis + 3] = w_real * imag[channel] - w_imag * real[channel]
    if LEVEL_CHANNEL in spec.channels:
        out[..., 6] = level_feature(power[0])
    return out


def highpassed(
    waveform: npt.ArrayLike, *, cutoff_hz: float, sample_rate: int
) -> npt.NDArray[np.float32]:
    """(N, C) float32 of a whole (N, C) waveform; as it came where the cutoff [hertz] is 0.

    `doa_core.highpass.highpass` is the specification; this is equal to rounding, and faster.
    """
    from scipy.signal import sosfilt, sosfilt_zi

    samples = np.asarray(waveform, np.float32)
    if not cutoff_hz or not len(samples):
        return samples
    sections = _butterworth(cutoff_hz, sample_rate)
    planes = np.ascontiguousarray(samples.T, np.float64)
    steady = sosfilt_zi(sections)[:, np.newaxis] * planes[:, :1]
    filtered, _ = sosfilt(sections, planes, zi=steady)
    return np.ascontiguousarray(filtered.T, np.float32)


@lru_cache(maxsize=8)
def _butterworth(cutoff_hz: float, sample_rate: int) -> npt.NDArray[np.float64]:
    """(2, 6) second-order sections of the high-pass, see `doa_core.highpass`."""
    from scipy.signal import butter

    sections: npt.NDArray[np.float64] = butter(
        3, cutoff_hz, "highpass", fs=sample_rate, output="sos"
    )
    return sections


def feature_windows(
    signal: npt.ArrayLike,
    features: FeatureSpec,
    *,
    highpass_hz: float = 0.0,
    name: str = "The signal",
) -> npt.NDArray[np.float32]:
    """(M, T, F, K) features of the whole windows of a recording, one after the other.

    The frames are those of one continuous stream; a remainder of less than T frames is left out.

    Args:
        signal: (N, 4) float AmbiX at the spec's rate.
        features: the path to the input of the network.
        highpass_hz: high-pass cutoff [Hz], applied before the features; 0 for none.
        name: of the recording, for the message.

    Raises:
        InputError: a signal shorter than one window.
    """
    samples, count = _whole_windows(signal, features, highpass_hz, name)
    transform = stft(samples, window_length=features.window_length, hop=features.hop)
    values = intensity_features(
        transform[: count * features.frames],
        channels=features.channels,
        energy_floor=features.energy_floor,
    )
    return values.reshape(count, *features.input_shape)


def waveform_windows(
    signal: npt.ArrayLike,
    features: FeatureSpec,
    *,
    highpass_hz: float = 0.0,
    name: str = "The signal",
) -> npt.NDArray[np.float32]:
    """(M, N, 4) samples of the windows of `feature_windows`, for networks that take waveforms."""
    samples, count = _whole_windows(signal, features, highpass_hz, name)
    starts = features.frames * features.hop * np.arange(count)
    return np.stack([samples[start : start + features.samples] for start in starts])


def _whole_windows(
    signal: npt.ArrayLike, features: FeatureSpec, highpass_hz: float, name: str
) -> tuple[npt.NDArray[np.float32], int]:
    """The high-passed recording, and how many windows it holds."""
    samples = highpass(signal, cutoff_hz=highpass_hz, sample_rate=features.sample_rate)
    check_length(samples, features, name=name)
    frames = frame_count(len(samples), window_length=features.window_length, hop=features.hop)
    return samples, frames // features.frames


def check_length(signal: npt.NDArray[Any], features: FeatureSpec, *, name: str) -> None:
    """Raise InputError for an (N, 4) recording that is shorter than one window."""
    if len(signal) < features.samples:
        raise InputError(
            f"{name} is shorter than one window of {features.samples} samples "
            f"({features.samples / features.sample_rate:.2f} s). Received: {len(signal)} samples "
            f"at {features.sample_rate} Hz"
        )
