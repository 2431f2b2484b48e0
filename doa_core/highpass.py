"""A third-order Butterworth high-pass against what lies below speech: offsets, rumble, wind.

Mixed scenes have neither offset nor rumble, and recordings do: an offset 30 dB above the sound
changes the level channel of every bin. Streams and whole recordings give the same samples to
rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DEFAULT_HIGHPASS_HZ = 30.0  # of new networks; and of levels, where a network names no cutoff

_BLOCK = 64  # samples of one matrix product

FloatArray = npt.NDArray[np.float32]


class HighPass:
    """The filter of a stream of (N, C) blocks; its state is kept from block to block.

    It starts in the steady state of a constant first sample, so that an offset makes no step.

    Args:
        cutoff_hz: where the gain is -3 dB [hertz], in (0, rate / 2).
        sample_rate: of the stream [hertz].

    Raises:
        ValueError: a cutoff out of range.
    """

    def __init__(self, cutoff_hz: float, sample_rate: int) -> None:
        if not 0.0 < cutoff_hz < sample_rate / 2:
            raise ValueError(
                f"`cutoff_hz` must lie between 0 and {sample_rate / 2:g}. Received: {cutoff_hz}"
            )
        numerator, denominator = butterworth_highpass(cutoff_hz, sample_rate)
        order = len(denominator) - 1
        # Controllable form: s' = A s + B x, y = C s + D x.
        a = np.zeros((order, order))
        a[0] = -denominator[1:]
        a[1:, :-1] += np.eye(order - 1)
        b = np.eye(order)[:, 0]
        c = numerator[1:] - numerator[0] * denominator[1:]
        self._steady = np.linalg.solve(np.eye(order) - a, b)
        powers = [np.eye(order)]
        for _ in range(_BLOCK):
            powers.append(a @ powers[-1])
        self._powers = np.stack(powers)  # of A
        self._reach = self._powers[:-1] @ b  # (L, order): A^k B
        response = np.concatenate([numerator[:1], self._reach[:-1] @ c])
        lag = np.arange(_BLOCK)[:, np.newaxis] - np.arange(_BLOCK)
        self._toeplitz = np.where(lag >= 0, response[np.maximum(lag, 0)], 0.0)
        self._observe = c @ self._powers[:-1]  # (L, order): C A^k
        self._state: npt.NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Start a new stream."""
        self._state = None

    def process(self, block: npt.ArrayLike) -> FloatArray:
        """(N, C) float32 of the next (N, C) samples."""
        samples = np.asarray(block, dtype=np.float64)
        count, channels = samples.shape
        if not count:
            return samples.astype(np.float32)
        if self._state is None:
            self._state = np.outer(self._steady, samples[0])
        blocks = -(-count // _BLOCK)
        padded = np.zeros((blocks * _BLOCK, channels))
        padded[:count] = samples
        parts = padded.reshape(blocks, _BLOCK, channels)
        forced = self._reach[::-1].T @ parts  # state that each block's samples leave
        states = np.empty((blocks, *self._state.shape))
        state, whole = self._state, self._powers[_BLOCK]
        for number in range(blocks):
            states[number] = state
            state = whole @ state + forced[number]
        left = count - (blocks - 1) * _BLOCK
        if left < _BLOCK:
            state = self._powers[left] @ states[-1] + self._reach[:left][::-1].T @ parts[-1, :left]
        self._state = state
        out: FloatArray = (self._toeplitz @ parts + self._observe @ states).astype(np.float32)
        return out.reshape(-1, channels)[:count]


def highpass(signal: npt.ArrayLike, *, cutoff_hz: float, sample_rate: int) -> FloatArray:
    """(N, C) float32 of a whole (N, C) recording; unfiltered where the cutoff [hertz] is 0."""
    if not cutoff_hz:
        return np.asarray(signal, dtype=np.float32)
    return HighPass(cutoff_hz, sample_rate).process(signal)


def butterworth_highpass(
    cutoff_hz: float, sample_rate: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(4,) numerator and (4,) denominator in powers of z^-1, by the bilinear transform.

    H(s) = s^3 / ((s + w) (s^2 + w s + w^2)), prewarped so that the cutoff w is exact.
    """
    k = np.tan(np.pi * cutoff_hz / sample_rate)
    first = np.array([1.0, (k - 1.0) / (k + 1.0)])
    scale = 1.0 / (1.0 + k + k * k)
    second = np.array([1.0, 2.0 * (k * k - 1.0) * scale, (1.0 - k + k * k) * scale])
    numerator = np.array([1.0, -3.0, 3.0, -1.0]) * scale / (1.0 + k)
    return numerator, np.convolve(first, second)
