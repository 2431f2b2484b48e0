"""Short-time Fourier transform: of a whole signal, and of a stream, with the same numbers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray

ComplexArray = npt.NDArray[np.complex64]

WINDOW_LENGTH = 1024  # samples
HOP = 512  # samples


@lru_cache(maxsize=4)
def sine_window(length: int = WINDOW_LENGTH) -> npt.NDArray[np.float32]:
    """(N,) float32 window sin(pi (n + 0.5) / N)."""
    window = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
    window.setflags(write=False)
    return window


def frame_count(samples: int, *, window_length: int = WINDOW_LENGTH, hop: int = HOP) -> int:
    """Number of whole frames in a signal of that many samples."""
    return max(0, 1 + (samples - window_length) // hop)


def samples_of_frames(frames: int, *, window_length: int = WINDOW_LENGTH, hop: int = HOP) -> int:
    """Number of samples that `frames` frames span: 13,312 for 25."""
    return (frames - 1) * hop + window_length


def stft(
    signal: npt.ArrayLike, *, window_length: int = WINDOW_LENGTH, hop: int = HOP
) -> ComplexArray:
    """(..., T, F, C) transform of a signal; no padding, an incomplete last frame is left out.

    Args:
        signal: (..., N, C) float.
        window_length: [samples]; F is window_length / 2 + 1.
        hop: [samples] between frames.

    Returns:
        (..., T, F, C) complex64, not scaled by the window.

    Raises:
        ValueError: a signal without a channel axis.
    """
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim < 2:
        raise ValueError(
            f"`signal` must be (..., samples, channels). Received: signal.shape={signal.shape}"
        )
    frames = frame_count(signal.shape[-2], window_length=window_length, hop=hop)
    if frames == 0:
        shape = (*signal.shape[:-2], 0, window_length // 2 + 1, signal.shape[-1])
        return np.zeros(shape, np.complex64)
    # (..., T, C, window): the transform runs along the last, contiguous axis. Not numpy's
    # sliding_window_view: it names the array's parts anew in every call, and after hours Python's
    # table of names grows by half a megabyte.
    signal = np.ascontiguousarray(signal)
    *leading, sample, channel = signal.strides
    slices: FloatArray = np.ndarray(
        (*signal.shape[:-2], frames, signal.shape[-1], window_length),
        np.float32,
        signal,
        strides=(*leading, hop * sample, channel, sample),
    )
    windowed = slices * sine_window(window_length)
    # numpy 1 transforms in double precision and returns it.
    transform = np.fft.rfft(windowed, axis=-1).astype(np.complex64, copy=False)
    return np.moveaxis(transform, -2, -1)


class StreamingStft:
    """`stft` of a signal that arrives in blocks of any size.

    The frames that `push` returns, put one after the other, are those of `stft` on the whole
    signal, whatever the block sizes. Less than one window of samples is kept.

    Args:
        channels: C of every block.
        window_length: [samples].
        hop: [samples], not longer than the window.

    Raises:
        ValueError: a hop that is longer than the window.
    """

    def __init__(
        self, channels: int = 4, *, window_length: int = WINDOW_LENGTH, hop: int = HOP
    ) -> None:
        if not 1 <= hop <= window_length:
            raise ValueError(
                "`hop` must lie between 1 and `window_length`. "
                f"Received: hop={hop}, window_length={window_length}"
            )
        self.channels = channels
        self.window_length = window_length
        self.hop = hop
        self.reset()

    def reset(self) -> None:
        """Forget the samples seen so far."""
        self._pending: FloatArray = np.zeros((0, self.channels), np.float32)

    def push(self, block: npt.ArrayLike) -> ComplexArray:
        """(T, F, C) frames that a block completes, T >= 0.

        Args:
            block: (N, C) float, N >= 0.

        Raises:
            ValueError: another number of channels than the stream has.
        """
        block = np.asarray(block, dtype=np.float32)
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ValueError(
                f"`block` must be (samples, {self.channels}). Received: block.shape={block.shape}"
            )
        signal = np.concatenate([self._pending, block])
        frames = stft(signal, window_length=self.window_length, hop=self.hop)
        # A copy: a view would keep the whole block in memory.
        self._pending = signal[len(frames) * self.hop :].copy()
        return frames
