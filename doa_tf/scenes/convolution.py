"""Convolution with room responses, in single precision, all channels in one transform.

SciPy transforms four float32 channels at once in little more time than one.
"""

from __future__ import annotations

import numpy as np

# The end of an SRIR that is cut off has this share of its energy at W: -50 dB.
CUT_ENERGY = 1e-5


def audible_length(srir: np.ndarray) -> int:
    """[samples] after which less than `CUT_ENERGY` of an (L, 4) SRIR's energy at W is left."""
    energy = np.cumsum(np.square(srir[::-1, 0], dtype=np.float64))  # from the end on (Schroeder)
    cut = int(np.searchsorted(energy, CUT_ENERGY * energy[-1]))
    return max(1, len(srir) - cut)


def convolve_valid(dry: np.ndarray, srir: np.ndarray) -> np.ndarray:
    """(4, N) float32 convolution of a dry signal with an SRIR, where they overlap completely.

    Args:
        dry: (N + L - 1,) float32.
        srir: (L, 4) float32.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(len(dry), real=True)
    response = rfft(srir.T, size)
    response *= rfft(dry, size)
    # Circular aliasing affects only the part that is cut off.
    return irfft(response, size, overwrite_x=True)[:, len(srir) - 1 : len(dry)]


def convolve_full(dry: np.ndarray, srir: np.ndarray) -> np.ndarray:
    """(4, N + L - 1) float32 convolution of a dry signal with an SRIR, from begin to end.

    Args:
        dry: (N,) float32.
        srir: (L, 4) float32.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    samples = len(dry) + len(srir) - 1
    size = next_fast_len(samples, real=True)
    response = rfft(srir.T, size)
    response *= rfft(dry, size)
    return irfft(response, size, overwrite_x=True)[:, :samples]


def filter_field(field: np.ndarray, response: np.ndarray) -> np.ndarray:
    """(4, N) float32 field as a microphone records it, block by block (overlap-save).

    Args:
        field: (4, N + L - 1) float32.
        response: (L, 4, 4) float32, as `Room.diffuse_response`.
    """
    from scipy.fft import irfft, rfft

    taps = len(response)
    size = max(1024, 1 << (2 * taps - 1).bit_length())
    hop = size - taps + 1
    samples = field.shape[1] - taps + 1
    blocks = -(-samples // hop)
    padded = np.zeros((4, (blocks - 1) * hop + size), np.float32)
    padded[:, : field.shape[1]] = field
    cut = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]  # (4, B, size)
    # (F, 4, 4) @ (F, 4, B): one small product for each bin.
    filters = np.ascontiguousarray(rfft(response, size, axis=0))
    spectrum = filters @ np.ascontiguousarray(rfft(cut).transpose(2, 0, 1))
    heard = irfft(np.ascontiguousarray(spectrum.transpose(1, 2, 0)), size)[:, :, taps - 1 :]
    return heard.reshape(4, -1)[:, :samples]
