"""The high-pass of a window in builtin operations, for files that filter what they hear.

A window is filtered as a stream that begins with it: from the steady state of its first sample.
`doa_core.highpass` is the specification. Samples go in blocks, each of which is one matrix product;
the states between the blocks come from a prefix sum by doubling, in as many steps as the logarithm
of their number: a state has no loop, and so neither has the file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from doa_core.errors import InputError
from doa_core.highpass import butterworth_highpass

_BLOCK = 64  # samples of one matrix product, at most
_FORGOTTEN = 1e-9  # of a state: less is below the rounding of a float

_Array = npt.NDArray[np.float64]


def highpass(audio: Any, *, cutoff_hz: float, sample_rate: int) -> Any:
    """(1, N, 4) high-passed samples of (1, N, 4).

    Raises:
        InputError: a number of samples that blocks of 16 or more do not divide.
    """
    samples = int(audio.shape[1])
    block = math.gcd(samples, _BLOCK)
    if block < _BLOCK // 4:
        raise InputError(
            f"A high-pass inside a file needs a window of whole blocks of {_BLOCK // 4} samples. "
            f"Received: {samples} samples"
        )
    a, b, c, d = _parallel(cutoff_hz, sample_rate)
    powers = [np.eye(len(a))]
    for _ in range(block):
        powers.append(a @ powers[-1])
    reach = np.stack(powers[:-1]) @ b  # (L, 3): A^k B
    response = np.concatenate([[d], reach[:-1] @ c])
    lag = np.arange(block)[:, np.newaxis] - np.arange(block)
    within = np.where(lag >= 0, response[np.maximum(lag, 0)], 0.0)  # (L, L)
    observe = c @ np.stack(powers[:-1])  # (L, 3): C A^k
    channels = tf.transpose(audio[0])  # (4, N)
    parts = tf.reshape(channels, (-1, block))
    left = tf.reshape(tf.matmul(parts, _constant(reach[::-1])), (4, samples // block, len(a)))
    steady = np.linalg.solve(np.eye(len(a)) - a, b)
    first = channels[:, :1, tf.newaxis] * _constant(steady)
    states = _states(tf.concat([first, left[:, :-1]], axis=1), powers[block])
    states = tf.reshape(states, (-1, len(a)))
    heard = tf.matmul(parts, _constant(within.T)) + tf.matmul(states, _constant(observe.T))
    return tf.transpose(tf.reshape(heard, (4, samples)))[tf.newaxis]


def _states(added: Any, step: _Array) -> Any:
    """(4, M, 3) states before each block, of (4, M, 3) what is added to them before it.

    Args:
        added: of the first block its state.
        step: (3, 3), what is left of a state behind a block.
    """
    states, reach, blocks = added, 1, int(added.shape[1])
    while reach < blocks and np.abs(step).max() > _FORGOTTEN:
        earlier = tf.pad(states[:, : blocks - reach], ((0, 0), (reach, 0), (0, 0)))
        states += tf.reshape(
            tf.matmul(tf.reshape(earlier, (-1, len(step))), _constant(step.T)), states.shape
        )
        step, reach = step @ step, 2 * reach
    return states


def _parallel(cutoff_hz: float, sample_rate: int) -> tuple[_Array, _Array, _Array, float]:
    """(3, 3) A, (3,) B, (3,) C and D of the filter: s' = A s + B x, y = C s + D x.

    The real pole and the pair of poles are side by side, their states as large as the samples: in
    single precision nothing is lost, as it would be where they follow one another.
    """
    k = np.tan(np.pi * cutoff_hz / sample_rate)
    analogue = k * np.exp(1j * np.pi * np.array([1.0, 2.0 / 3.0, -2.0 / 3.0]))
    poles = (1.0 + analogue) / (1.0 - analogue)
    gain = float(butterworth_highpass(cutoff_hz, sample_rate)[0][0])
    others = [np.prod(pole - np.delete(poles, n)) for n, pole in enumerate(poles)]
    residues = gain * (poles - 1.0) ** 3 / np.array(others)
    size = np.abs(1.0 - poles)  # one over the state of a constant of 1
    real, pole, share = poles[0].real, poles[1], 2.0 * residues[1] / size[1]
    a = np.array([[real, 0.0, 0.0], [0.0, pole.real, -pole.imag], [0.0, pole.imag, pole.real]])
    b = np.array([size[0], size[1], 0.0])
    c = np.array([residues[0].real / size[0], share.real, -share.imag])
    return a, b, c, gain


def _constant(values: Any) -> Any:
    return tf.constant(np.asarray(values, np.float32))
