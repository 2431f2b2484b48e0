"""A network in two halves, so that only the new frames of a window are convolved.

Sliding a window of T frames by M computes each frame's convolutions T / M times. Here the outputs
of each layer are kept from window to window. The convolutions of the whole window see zeros beyond
both its ends: the few frames there are recomputed every time, so that the outputs are those of the
whole network, up to rounding, in every frame. `doa_export.convert.halves` has the layout.

A network that turns with its scene is turned by a heading that is held from window to window, and
is computed anew where the heading has to move (`doa_edge.tflite.heading`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_edge.tflite.bounded import BoundedInterpreter
from doa_edge.tflite.heading import HeldHeading, Turning

_ROOM = 4  # windows that fit into the kept arrays
_HEADING = (2,)  # shape of a further input of both halves of a network that turns

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Halves:
    """Both halves of a network, ready to run.

    Attributes:
        convolutions: arrays of levels 0 to n-1, and the (2,) heading where the network turns ->
            arrays of levels 1 to n, without batch axis.
        recurrence: (T, D), and the heading where the network turns -> (T, K).
        shapes: (frames, ...) of the levels that `convolutions` takes.
        outputs: (frames, ...) of its outputs.
        turning: of a network that turns with its scene; None of others.
    """

    convolutions: Callable[[Sequence[FloatArray]], list[FloatArray]]
    recurrence: Callable[..., FloatArray]
    shapes: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    turning: Turning | None = None

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
        self._heading = None if halves.turning is None else HeldHeading(halves.turning)
        # The interior of each level, as far as it is known. The window begins at `_start` and moves
        # along; arrays are shifted back only when it arrives at their end.
        self._kept = [
            np.zeros((_ROOM * self._frames, *shape[1:]), np.float32) for shape in halves.outputs
        ]
        self._start = 0

    @property
    def turning(self) -> Turning | None:
        """How it turns with its scene; None if it does not."""
        return self._halves.turning

    @property
    def heading(self) -> FloatArray | None:
        """(2,) cosine and sine of what the last window was turned by; None if it was not turned."""
        return None if self._heading is None else self._heading.value

    def predict(
        self, window: FloatArray, moved: int, heading: FloatArray | None = None
    ) -> FloatArray:
        """(T, K) outputs of one (T, F, K) window.

        Args:
            window: features; must not be changed meanwhile.
            moved: frames since the window before; T or more for a fresh start.
            heading: (2,) to turn a network that turns by, from a fresh start; the held one if None.
        """
        frames, step = self._frames, self._halves.step
        moved = min(moved, frames)
        if self._heading is not None:
            fresh = moved == frames
            if heading is not None and fresh:
                self._heading.value = heading
            elif self._heading.update(window, fresh=fresh):
                moved = frames  # nothing that was turned otherwise can be used
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
        return self._halves.recurrence(level, *self._headings)

    @property
    def _headings(self) -> list[FloatArray]:
        """The further input of both halves, if there is one."""
        return [] if self._heading is None else [self._heading.value]

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
        outputs = self._halves.convolutions([*inputs, *self._headings])
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
    turning: Turning | None = None,
) -> Halves:
    """Both halves of a model file.

    Args:
        path: of the file, for messages.
        parts: flatbuffers of convolutions and recurrence.
        load: makes an interpreter of one, with its tensors allocated.
        input_shape: (T, F, K) of a window.
        outputs: of a frame.
        turning: of a network that turns with its scene.

    Raises:
        InputError: halves that do not fit one another or the spec.
    """
    convolutions, recurrence = (load(part) for part in parts)
    inputs, given = convolutions.get_input_details(), convolutions.get_output_details()
    # By their bins, which pooling reduces: converters order and name tensors as they like.
    inputs, given = (sorted(side, key=_bins, reverse=True) for side in (inputs, given))
    frames = sorted(recurrence.get_input_details(), key=_axes, reverse=True)
    sides = (frames, recurrence.get_output_details())
    shapes, results, *ends = (
        [tuple(int(size) for size in tensor["shape"])[1:] for tensor in side]
        for side in (inputs, given, *sides)
    )
    heading = [] if turning is None else [_HEADING]
    levels = shapes[: len(shapes) - len(heading)]
    fits = shapes[len(levels) :] == heading == ends[0][1:]
    sides_fit = _fit(
        levels, results, [ends[0][:1], ends[1]], input_shape=input_shape, outputs=outputs
    )
    if not (fits and sides_fit) or any(
        tensor["dtype"] is not np.float32 for tensor in (*inputs, *given, *sides[0], *sides[1])
    ):
        further = f", and one of {_HEADING} for its heading" if heading else ""
        raise InputError(
            f"{path}: the two halves of the network must fit the windows of its spec, "
            f"{input_shape}{further}. Received: {shapes} to {results}, {ends[0]} to {ends[1]}"
        )
    run_recurrence = _caller(recurrence, *sides)
    return Halves(
        convolutions=_caller(convolutions, inputs, given),
        recurrence=lambda *arrays: run_recurrence(arrays)[0],
        shapes=tuple(levels),
        outputs=tuple(results),
        turning=turning,
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


def _axes(tensor: dict[str, Any]) -> int:
    """Axes of a tensor: frames have one more than a heading."""
    return len(tensor["shape"])


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
