"""From samples to features in builtin operations, for programs without features of their own.

A Fourier transform of 1,024 samples is two passes of 32 short ones: matrices of 32 x 64 and 64 x 34
numbers with a rotation of phases between them. A matrix for the whole transform would take 4 MB,
and the runtime's own operation, RFFT2D, does not exist on microcontrollers.

The features are those of `doa_core.features`, which is the specification.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from doa_core.errors import InputError
from doa_core.features import ENERGY_FLOOR, LEVEL_CHANNEL, LEVEL_FLOOR
from doa_core.spec import FeatureSpec
from doa_core.stft import sine_window
from doa_export.convert.window_filter import highpass


def features(audio: Any, spec: FeatureSpec, *, highpass_hz: float = 0.0) -> Any:
    """(1, T, F, K) features of (1, N, 4) AmbiX samples.

    Args:
        audio: (1, N, 4) samples of one window.
        spec: of the features.
        highpass_hz: cutoff of a high-pass before them [hertz]; 0 for none.

    Raises:
        InputError: a hop that does not divide the window, a window without two equal factors, or
            one that `window_filter.highpass` cannot cut.
    """
    if highpass_hz:
        audio = highpass(audio, cutoff_hz=highpass_hz, sample_rate=spec.sample_rate)
    real, imag = _transform(_frames(audio, spec), spec.bins)
    w_real, w_imag = real[:, 0], imag[:, 0]
    dipoles = [(real[:, channel], imag[:, channel]) for channel in (3, 1, 2)]  # x, y, z
    w_power = w_real * w_real + w_imag * w_imag
    power = w_power + tf.add_n([x * x + y * y for x, y in dipoles])
    scale = 1.0 / tf.maximum(0.5 * power, spec.energy_floor)
    parts = [(w_real * x + w_imag * y) * scale for x, y in dipoles]
    parts += [(w_real * y - w_imag * x) * scale for x, y in dipoles]
    if LEVEL_CHANNEL in spec.channels:
        mean = tf.maximum(tf.reduce_mean(w_power, axis=1, keepdims=True), ENERGY_FLOOR)
        level = tf.math.log(w_power / mean + LEVEL_FLOOR) * np.float32(0.5 / np.log(10.0))
        parts.append(level - tf.reduce_mean(level, axis=1, keepdims=True))
    return tf.stack(parts, axis=-1)[tf.newaxis]


def _frames(audio: Any, spec: FeatureSpec) -> Any:
    """(T, 4, L) windowed frames: pieces of one hop, put side by side."""
    count, remainder = divmod(spec.window_length, spec.hop)
    if remainder:
        raise InputError(
            "A front end needs a window of whole hops. "
            f"Received: window_length={spec.window_length}, hop={spec.hop}"
        )
    pieces = tf.reshape(audio, (spec.frames + count - 1, spec.hop, 4))
    pieces = tf.transpose(pieces, (0, 2, 1))
    frames = tf.concat([pieces[start : start + spec.frames] for start in range(count)], axis=-1)
    return frames * tf.constant(np.array(sine_window(spec.window_length)))


def _transform(frames: Any, bins: int) -> tuple[Any, Any]:
    """(T, 4, F) real and imaginary parts.

    With n = R a + b and k = c + R d: sum over a, rotate by the phase of b c, sum over b.
    """
    length = int(frames.shape[-1])
    size = round(np.sqrt(length))
    if size * size != length:
        raise InputError(
            f"A front end needs a window whose length is a square. Received: {length} samples"
        )
    count = int(frames.shape[0]) * int(frames.shape[1])
    rows = -(-bins // size)
    index = np.arange(size)
    first = np.exp(-2j * np.pi * np.outer(index, index) / size)  # (a, c)
    phases = np.exp(-2j * np.pi * np.outer(index, index) / length)  # (b, c)
    second = np.exp(-2j * np.pi * np.outer(index, np.arange(rows)) / size)  # (b, d)
    x = tf.transpose(tf.reshape(frames, (count, size, size)), (0, 2, 1))  # (count, b, a)
    x = tf.matmul(tf.reshape(x, (-1, size)), _matrix(np.hstack([first.real, first.imag])))
    x = tf.reshape(x, (count, size, 2 * size))
    real, imag = x[..., :size], x[..., size:]
    cosine, sine = _matrix(phases.real), _matrix(phases.imag)
    x = tf.concat([real * cosine - imag * sine, real * sine + imag * cosine], axis=1)
    x = tf.reshape(tf.transpose(x, (0, 2, 1)), (-1, 2 * size))  # (count c, re b | im b)
    both = np.block([[second.real, second.imag], [-second.imag, second.real]])
    x = tf.reshape(tf.matmul(x, _matrix(both)), (count, size, 2, rows))
    x = tf.transpose(x, (2, 0, 3, 1))  # (re | im, count, d, c)
    x = tf.reshape(x, (2, int(frames.shape[0]), int(frames.shape[1]), rows * size))[..., :bins]
    return x[0], x[1]


def _matrix(values: Any) -> Any:
    return tf.constant(np.asarray(values, np.float32))
