"""What the engine needs of a network, whatever runs it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from doa_core.spec import ModelSpec


class DirectionModel(Protocol):
    """What the engine needs of a model; `doa_edge.tflite.network.TfliteModel` is one."""

    @property
    def spec(self) -> ModelSpec:
        """Features, head and decoding."""
        ...

    def predict(self, features: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of one window of the spec's shape; must not keep the array."""
        ...


class WindowNetwork(Protocol):
    """A network that keeps intermediate results from one window of a stream to the next."""

    def predict(self, window: npt.NDArray[np.float32], moved: int, /) -> npt.NDArray[np.float32]:
        """(T, K) outputs of a window, `moved` frames after the last one; T for a fresh start."""
        ...


@runtime_checkable
class StreamModel(Protocol):
    """A model that may have such a network; `doa_edge.tflite.network.TfliteModel` is one."""

    def stream(self) -> WindowNetwork | None:
        """The network for the windows of one stream."""
        ...
