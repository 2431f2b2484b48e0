"""From waveforms to the features of a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import as_four_channels
from doa_core.errors import InputError
from doa_core.features import LEVEL_CHANNEL, check_channels, intensity_features, level_feature
from doa_core.highpass import highpass
from doa_core.spec import AUDIO, FeatureSpec, ModelSpec
from doa_core.stft import ComplexArray, frame_count, sine_window, stft


def waveform_features(waveform: np.ndarray, spec: FeatureSpec) -> np.ndarray:
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
        highpass_hz: what the recording is freed of first, as `ModelSpec` has it.
        name: of the recording, for the message.

    Raises:
        InputError: a signal shorter than one window.
    """
    signal = highpass(signal, cutoff_hz=highpass_hz, sample_rate=features.sample_rate)
    transform = one_transform(signal, features, name)
    count = len(transform) // features.frames
    values = intensity_features(
        transform[: count * features.frames],
        channels=features.channels,
        energy_floor=features.energy_floor,
    )
    return values.reshape(count, *features.input_shape)


def input_windows(signal: npt.ArrayLike, spec: ModelSpec, name: str) -> npt.NDArray[np.float32]:
    """(M, T, F, K) features, or (M, N, 4) samples of the same windows if that is what goes in."""
    features = spec.features
    if spec.input != AUDIO:
        return feature_windows(signal, features, highpass_hz=spec.highpass_hz, name=name)
    samples = highpass(signal, cutoff_hz=spec.highpass_hz, sample_rate=features.sample_rate)
    count = len(one_transform(samples, features, name)) // features.frames
    starts = features.frames * features.hop * np.arange(count)
    return np.stack([samples[start : start + features.samples] for start in starts])


def one_transform(signal: npt.ArrayLike, features: FeatureSpec, name: str) -> ComplexArray:
    """(T, F, 4) transform of an (N, 4) recording.

    Raises:
        InputError: a recording shorter than one window.
    """
    signal = np.asarray(signal)
    if len(signal) < features.samples:
        raise InputError(
            f"{name} is shorter than one window of {features.samples} samples "
            f"({features.samples / features.sample_rate:.2f} s). Received: {len(signal)} samples "
            f"at {features.sample_rate} Hz"
        )
    return stft(signal, window_length=features.window_length, hop=features.hop)
