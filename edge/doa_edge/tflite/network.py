"""A network in a .tflite file, run one window at a time."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError, MissingPackageError, PackageError, one_line
from doa_edge import limits
from doa_edge.tflite.bounded import BoundedInterpreter
from doa_edge.tflite.file import read_model_file
from doa_edge.tflite.halves import Halves, SlidingNetwork, load_halves
from doa_edge.tflite.shipped import is_shipped, shipped_model_path
from doa_edge.tflite.structure import Outline, check_structure
from doa_edge.tflite.trial import try_network

OLD_RUNTIME = "tflite-runtime"  # the only one of 32-bit ARM; its wheels are built for numpy 1

_INTEGERS = (np.int8, np.uint8, np.int16)  # of inputs and outputs

FloatArray = npt.NDArray[np.float32]


def default_model_path() -> Path:
    """Path of the model that is used where none is named."""
    return shipped_model_path()


class TfliteModel:
    """(T, F, K) features of one window, or its (N, 4) samples -> (T, K) outputs of the head.

    Windows are independent: the variables of the graph (a fused LSTM keeps its state in them) are
    reset before each one.

    Attributes:
        spec: of the file.
        runtime: name of the package that runs it.

    Raises:
        ValueError: a number of threads out of range.
        InputError: a file that `read_model` or `check_structure` refuses, that the runtime cannot
            run, or whose tensors do not have the shapes of its spec.
        MissingPackageError: neither ai-edge-litert nor tflite-runtime can be imported.
        PackageError: the runtime does not work beside this numpy.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        limits.check("threads", threads)
        self._flatbuffer, self.spec, halves = read_model_file(path)
        self._path = path
        self._threads = threads
        self._interpreter_class, self.runtime = _load_interpreter_class()
        self._interpreter: BoundedInterpreter | None = None
        self._halves: Halves | None = None
        if halves is None:
            self._load_whole()
        else:
            self._halves = load_halves(
                path,
                halves.parts,
                self._load,
                input_shape=self.spec.features.input_shape,
                outputs=self.spec.outputs,
                turning=halves.turning,
            )

    @property
    def is_split(self) -> bool:
        """Whether the file holds the network in two halves as well, for `stream`."""
        return self._halves is not None

    def stream(self) -> SlidingNetwork | None:
        """The network for the windows of one stream; None where the file has it in one piece."""
        if self._halves is None:
            return None
        return SlidingNetwork(self._halves, self.spec.features.input_shape)

    def _load(
        self, flatbuffer: bytes, check: Callable[[Outline], None] | None = None
    ) -> BoundedInterpreter:
        """An interpreter of one network, with its tensors allocated.

        Args:
            flatbuffer: of the network.
            check: raises InputError for inputs and outputs that are not what they should be.
        """
        name = f"{self._path} cannot be run by {self.runtime}"
        try:
            outline = check_structure(flatbuffer)
            if check is not None:
                check(outline)
            if not is_shipped(self._path):
                try_network(partial(self._interpreter_of, flatbuffer))
            return BoundedInterpreter(self._interpreter_of(flatbuffer), name)
        except InputError:
            raise
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{name}: {one_line(error)}") from error
        except SystemError as error:  # of its binding to numpy, not of the file
            raise _unusable(self.runtime, error) from error

    def _interpreter_of(self, flatbuffer: bytes) -> Any:
        """The runtime's interpreter of a network, with its tensors allocated."""
        interpreter = self._interpreter_class(model_content=flatbuffer, num_threads=self._threads)
        interpreter.allocate_tensors()
        return interpreter

    def _load_whole(self) -> BoundedInterpreter:
        """Load the network of whole windows: at once, or for a split file when it is needed."""
        interpreter = self._load(self._flatbuffer, self._check_ends)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        given, made = ([tuple(map(int, t["shape"])) for t in side] for side in (inputs, outputs))
        self._check_ends(Outline(tuple(given), tuple(made)))  # a runtime may infer other shapes
        (self._input,), (self._output,) = inputs, outputs
        for tensor in (self._input, self._output):
            _check_values(self._path, tensor)
        self._interpreter = interpreter
        return interpreter

    def _check_ends(self, outline: Outline) -> None:
        """Raise InputError unless there is one input and one output of the spec's shapes."""
        scores = (1, self.spec.features.frames, self.spec.outputs)
        for name, shapes, expected in (
            ("input", outline.inputs, (1, *self.spec.window_shape)),
            ("output", outline.outputs, scores),
        ):
            if shapes != (expected,):
                raise InputError(
                    f"{self._path} must have one {name} of shape {expected}, as its spec says. "
                    f"Received: {', '.join(map(str, shapes)) or 'none'}"
                )

    def predict(self, window: npt.ArrayLike) -> FloatArray:
        """(T, K) float32 outputs of one window.

        Args:
            window: (T, F, K) float32 features; where the spec says that the file's input is audio,
                (N, 4) float32 samples.

        Raises:
            ValueError: another shape than the spec's.
            InputError: a network that the runtime cannot run, or that does not end.
        """
        window = np.asarray(window, dtype=np.float32)
        name, shape = self.spec.input, self.spec.window_shape
        if window.shape != shape:
            raise ValueError(f"`{name}` must be {shape}. Received: {name}.shape={window.shape}")
        interpreter = self._interpreter or self._load_whole()
        interpreter.reset_all_variables()
        interpreter.set_tensor(self._input["index"], quantize(window[np.newaxis], self._input))
        interpreter.invoke()
        return dequantize(interpreter.get_tensor(self._output)[0], self._output)


def quantize(values: FloatArray, tensor: Mapping[str, Any]) -> npt.NDArray[Any]:
    """(...) values in the dtype of an input tensor: scaled and rounded, then clipped, then cast.

    Args:
        values: (...) float32.
        tensor: an entry of an interpreter's `get_input_details()`.
    """
    dtype = np.dtype(tensor["dtype"])
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype, copy=False)
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(dtype)
    steps = np.round(values / np.float32(scale) + np.float32(zero_point))
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def dequantize(values: npt.NDArray[Any], tensor: Mapping[str, Any]) -> FloatArray:
    """(...) float32 values of an output tensor: the inverse of `quantize`."""
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32, copy=False)
    scale, zero_point = tensor["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def _load_interpreter_class() -> tuple[Any, str]:
    """Interpreter class and name of the runtime: the maintained one, else the old one of ARM."""
    reasons = []
    for runtime in ("ai-edge-litert", OLD_RUNTIME):
        try:
            module = importlib.import_module(f"{runtime.replace('-', '_')}.interpreter")
            return module.Interpreter, runtime
        except ModuleNotFoundError as error:
            reasons.append(f"{runtime}: {one_line(error)}")
        except (ImportError, AttributeError, SystemError) as error:
            if runtime == OLD_RUNTIME and _has_numpy_2():
                raise _unusable(runtime, error) from error
            reasons.append(f"{runtime}: {one_line(error)}")
    raise MissingPackageError("A TFLite runtime", "edge", "; ".join(reasons))


def _unusable(runtime: str, error: BaseException) -> PackageError:
    """What to say of a runtime that is installed and does not work."""
    advice = f"Install it anew: pip install --force-reinstall {runtime}"
    if runtime == OLD_RUNTIME and _has_numpy_2():
        advice = f'It needs numpy 1, and this is numpy {np.__version__}: pip install "numpy<2"'
    return PackageError(f"{runtime} does not work here ({one_line(error)}). {advice}")


def _has_numpy_2() -> bool:
    return int(np.__version__.split(".")[0]) >= 2


def _check_values(path: str | os.PathLike[str], tensor: Mapping[str, Any]) -> None:
    """Raise InputError unless `quantize` knows what an input or output holds."""
    dtype, (scale, _) = np.dtype(tensor["dtype"]), tensor["quantization"]
    is_known = np.issubdtype(dtype, np.floating) or (
        dtype in _INTEGERS and 0.0 < scale < float("inf")
    )
    if not is_known:
        raise InputError(
            f"{path} must have an input and an output of float values, or of integers of 8 or 16 "
            f"bits with a positive scale. Received: {dtype}, scale {scale:g}"
        )
