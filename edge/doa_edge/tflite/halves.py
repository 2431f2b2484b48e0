"""A network in two halves, so that only the new frames of a window are convolved.

Sliding a window of T frames by M computes each frame's convolutions T / M times. Here the outputs
of each layer are kept from window to window. The convolutions of the whole window see zeros beyond
both its ends: the few frames there are recomputed every time, so that the outputs are those of the
whole network, up to rounding, in every frame. `doa_export.convert.halves` has the layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_edge.tflite.bounded import BoundedInterpreter

_ROOM = 4  # windows that fit into the kept arrays

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Halves:
    """Both halves of a network, ready to run.

    Attributes:
        convolutions: arrays of levels 0 to n-1 -> arrays of levels 1 to n, without batch axis.
        recurrence: (T, D) -> (T, K).
        shapes: (frames, ...) of the inputs of `convolutions`.
        outputs: (frames, ...) of its outputs.
    """

    convolutions: Callable[[Sequence[FloatArray]], list[FloatArray]]
    recurrence: Callable[[FloatArray], FloatArray]
    shapes: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]

    @property
    def step(self) -> int:
        """Frames that one call may add, M."""
        return self.shapes[0][0] - 4


class SlidingNetwork:
    """The network on the windows of one stream, one after the other.

    Args:
        halves: of the network; several streams may share them.
        input_shape: (T, F, K) of a window.
    """

    def __init__(self, halves: Halves, input_shape: tuple[int, int, int]) -> None:
        self._halves = halves
        self._frames = input_shape[0]
        # The interior of each level, as far as it is known. The window begins at `_start` and moves
        # along; arrays are shifted back only when it arrives at their end.
        self._kept = [
            np.zeros((_ROOM * self._frames, *shape[1:]), np.float32) for shape in halves.outputs
        ]
        self._start = 0

    def predict(self, window: FloatArray, moved: int) -> FloatArray:
        """(T, K) outputs of one (T, F, K) window.

        Args:
            window: features; must not be changed meanwhile.
            moved: frames since the window before; T or more for a fresh start.
        """
        frames, step = self._frames, self._halves.step
        moved = min(moved, frames)
        self._move(moved)
        # Earliest frames first: an interior frame needs its neighbours on the level below.
        last = frames - step
        starts = [*range(max(0, frames - moved), last, step), last]
        for start in starts:
            edges = self._convolve(window, start)
        reach = len(self._kept)
        level = self._levels[-1].copy()
        level[:reach] = edges[:reach]
        level[frames - reach :] = edges[len(edges) - reach :]
        return self._halves.recurrence(level)

    @property
    def _levels(self) -> list[FloatArray]:
        """(T, ...) of each level, by the frame's place in the window."""
        return [kept[self._start : self._start + self._frames] for kept in self._kept]

    def _move(self, frames: int) -> None:
        if self._start + frames + self._frames > len(self._kept[0]):
            for kept in self._kept:
                kept[: self._frames] = kept[self._start : self._start + self._frames]
            self._start = 0
        self._start += frames

    def _convolve(self, window: FloatArray, start: int) -> FloatArray:
        """Convolve frames `start` to `start + step`; returns all new frames of the last level."""
        step = self._halves.step
        inputs, levels = [], self._levels
        for level, values in enumerate((window, *levels[:-1])):
            after = start - level  # the first frame of this level that is computed
            length = step + 2 if level == 0 else 2
            inputs.append(
                np.concatenate(
                    [values[level : level + 2], _rows(values, after - 2, after - 2 + length)]
                )
            )
        outputs = self._halves.convolutions(inputs)
        reach = len(levels)
        for level, (values, new) in enumerate(zip(levels, outputs, strict=True), start=1):
            interior = new if level < reach else new[reach : reach + step]
            # Frames outside of the interior were computed from frames before the window: unknown.
            before = min(max(0, level - (start - level)), step)
            values[start - level + before : start - level + step] = interior[before:]
        return outputs[-1]


def _rows(values: FloatArray, start: int, stop: int) -> FloatArray:
    """Rows of an array, zeros before its start."""
    missing = max(0, -start)
    if not missing:
        return values[start:stop]
    return np.concatenate(
        [np.zeros((missing, *values.shape[1:]), np.float32), values[: max(stop, 0)]]
    )[: stop - start]


def load_halves(
    path: object,
    parts: tuple[bytes, bytes],
    load: Callable[[bytes], BoundedInterpreter],
    *,
    input_shape: tuple[int, int, int],
    outputs: int,
) -> Halves:
    """Both halves of a model file.

    Args:
        path: of the file, for messages.
        parts: flatbuffers of convolutions and recurrence.
        load: makes an interpreter of one, with its tensors allocated.
        input_shape: (T, F, K) of a window.
        outputs: of a frame.

    Raises:
        InputError: halves that do not fit one another or the spec.
    """
    convolutions, recurrence = (load(part) for part in parts)
    inputs, given = convolutions.get_input_details(), convolutions.get_output_details()
    # By their bins, which pooling reduces: converters order and name tensors as they like.
    inputs, given = (sorted(side, key=_bins, reverse=True) for side in (inputs, given))
    sides = (recurrence.get_input_details(), recurrence.get_output_details())
    shapes, results, *ends = (
        [tuple(int(size) for size in tensor["shape"])[1:] for tensor in side]
        for side in (inputs, given, *sides)
    )
    if not _fit(shapes, results, ends, input_shape=input_shape, outputs=outputs) or any(
        tensor["dtype"] is not np.float32 for tensor in (*inputs, *given, *sides[0], *sides[1])
    ):
        raise InputError(
            f"{path}: the two halves of the network must fit the windows of its spec, "
            f"{input_shape}. Received: {shapes} to {results}, {ends[0]} to {ends[1]}"
        )
    run_recurrence = _caller(recurrence, *sides)
    return Halves(
        convolutions=_caller(convolutions, inputs, given),
        recurrence=lambda frames: run_recurrence([frames])[0],
        shapes=tuple(shapes),
        outputs=tuple(results),
    )


def _fit(
    shapes: list[Shape],
    results: list[Shape],
    ends: list[list[Shape]],
    *,
    input_shape: tuple[int, int, int],
    outputs: int,
) -> bool:
    """Whether inputs and outputs are those of two halves of one network.

    Args:
        shapes: (frames, ...) of the inputs of the convolutions.
        results: (frames, ...) of their outputs.
        ends: (frames, ...) of the inputs and of the outputs of the recurrence.
        input_shape: (T, F, K) of a window.
        outputs: of a frame.
    """
    if not shapes or len(shapes) != len(results) or not all((*shapes, *results)):
        return False
    frames, step, reach = input_shape[0], shapes[0][0] - 4, len(shapes)
    expected = [(step + 4, *input_shape[1:])] + [(4, *shape[1:]) for shape in results[:-1]]
    between = [(step, *shape[1:]) for shape in results[:-1]]
    width = results[-1][1:]
    return (
        1 <= step <= frames - 2 * reach
        and shapes == expected
        and results == [*between, (step + 2 * reach, *width)]
        and ends == [[(frames, *width)], [(frames, outputs)]]
    )


def _bins(tensor: dict[str, Any]) -> int:
    """Bins of a level's tensor; 0 where they are merged with the filters."""
    shape = tensor["shape"]
    return int(shape[2]) if len(shape) == 4 else 0


def _caller(
    interpreter: BoundedInterpreter, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
) -> Callable[[Sequence[FloatArray]], list[FloatArray]]:
    """A function that runs an interpreter: arrays in, arrays out, both without the batch axis."""

    def call(arrays: Sequence[FloatArray]) -> list[FloatArray]:
        interpreter.reset_all_variables()
        for tensor, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(tensor["index"], array[np.newaxis])
        interpreter.invoke()
        return [interpreter.get_tensor(tensor)[0] for tensor in outputs]

    return call
