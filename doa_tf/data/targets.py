"""Training targets: (B, V, 3) or (B, T, V, 3) unit vectors to the talkers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_tf.heads import registry
from doa_tf.heads.base import Head, as_unit_vectors

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def as_targets(directions: npt.ArrayLike, *, several: bool = False) -> FloatArray:
    """(..., V, 3) float32 targets.

    Args:
        directions: (..., 3) float unit vectors of one talker each, V = 1; (..., V, 3) of several,
            with rows of zeros for who is silent.
        several: which of the two.

    Raises:
        ValueError: not three coordinates, or vectors that are not of unit length.
    """
    directions = np.asarray(directions)
    if not several:
        directions = directions[..., np.newaxis, :]
    return as_unit_vectors(directions, several=several).astype(np.float32)


def refuse_bad_batches(dataset: Any, *, first_batch: int = 0, several: bool = False) -> Any:
    """The same (inputs, directions) batches, with an error that names the first bad one.

    Rectifiers turn NaN into zero, so that a network can train on NaN unnoticed; and a vector that
    is not of unit length is encoded like any other.

    Args:
        dataset: of batches.
        first_batch: number of its first batch, for the message.
        several: whether rows of zeros, talkers who are silent, are allowed.

    Raises:
        tf.errors.InvalidArgumentError: at a batch with NaN, infinity or vectors of another length.
    """
    import tensorflow as tf

    def check(number: Any, batch: Any) -> Any:
        for part, name in zip(batch[:2], ("features", "targets"), strict=True):
            finite = tf.reduce_all(tf.math.is_finite(part))
            tf.debugging.Assert(finite, [f"{name} hold NaN or infinity in batch", number])
        if batch[1].shape.rank is None or batch[1].shape[-1] != 3:
            return batch  # the loss refuses the shape
        length = tf.norm(tf.cast(batch[1], tf.float32), axis=-1)
        good = tf.abs(length - 1.0) < 1e-3
        if several:
            good |= length == 0.0
        of_unit_length = tf.reduce_all(good)
        tf.debugging.Assert(of_unit_length, ["targets are no unit vectors in batch", number])
        return batch

    return dataset.enumerate(first_batch).map(lambda number, *batch: check(number, batch[0]))


def without_head(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorates a function that took a head in 0.1: given one, it says what to do instead."""

    @wraps(function)
    def checked(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        named = [value for value in args if isinstance(value, str) and value in registry.names()]
        if "head" in options or named or any(isinstance(value, Head) for value in args):
            raise TypeError(
                f"`{function.__name__}` takes no head: its targets are directions, "
                "(batch, voices, 3), which `head.loss()` and `head.metrics()` take as they are. "
                "Leave the head out"
            )
        return function(*args, **options)

    return checked
