"""TFLite networks one after the other, as one flatbuffer without names and metadata.

The converter has one quantisation for a whole network. Here each stage is converted on its own and
the files are joined: integer convolutions before a recurrence with float state, for example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # bytes; the schema asks for it, the generated code does not do it
_SIGNATURE = "serving_default"


def join(
    stages: Sequence[bytes], *, input_name: str, output_name: str, shared_after: int = 0
) -> bytes:
    """One flatbuffer of networks, each of which takes the output of the one before it.

    A stage of two inputs also takes the output of an early stage. Equal weights are stored once;
    names, metadata and empty buffers are left out.

    Args:
        stages: flatbuffers with one output and one or two inputs each, which fit each other.
        input_name: of the tensor that goes in, and in the signature.
        output_name: of the one that comes out.
        shared_after: number of stages before the tensor that a second input takes; 0 for the input
            of the first.

    Raises:
        ValueError: stages that do not fit.
    """
    joined = _Joined(shared_after)
    for stage in stages:
        joined.append(schema.ModelT.InitFromPackedBuf(stage))
    return joined.pack(input_name, output_name)


class _Joined:
    """The network so far."""

    def __init__(self, shared_after: int) -> None:
        self._shared_after, self._appended, self._shared = shared_after, 0, -1
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.operatorCodes = []
        self._model.buffers = [_Buffer()]
        self._model.subgraphs = []
        self._codes: dict[Any, int] = {}
        self._buffers: dict[bytes, int] = {b"": 0}

    def append(self, model: Any) -> None:
        codes = [self._code(code) for code in model.operatorCodes]
        buffers = [self._buffer(buffer.data) for buffer in model.buffers]
        # The first graph is joined with the one that is there; the bodies of loops follow.
        main, *others = model.subgraphs
        graphs = self._model.subgraphs
        bodies = range(1, len(model.subgraphs))
        moved = {0: 0} | {number: max(len(graphs), 1) + number - 1 for number in bodies}
        for graph in model.subgraphs:
            graph.name = None
            graph.debugMetadataIndex = -1
            for tensor in graph.tensors:
                tensor.buffer = buffers[tensor.buffer]
                tensor.name = None
            for operator in graph.operators:
                operator.opcodeIndex = codes[operator.opcodeIndex]
                operator.debugMetadataIndex = -1
                options = operator.builtinOptions
                if isinstance(options, schema.WhileOptionsT):
                    options.condSubgraphIndex = moved[options.condSubgraphIndex]
                    options.bodySubgraphIndex = moved[options.bodySubgraphIndex]
        if graphs:
            _connect(graphs[0], main, shared=self._shared)
        else:
            graphs.append(main)
        graphs.extend(others)
        self._appended += 1
        if self._appended == max(self._shared_after, 1):
            (self._shared,) = graphs[0].outputs if self._shared_after else graphs[0].inputs

    def pack(self, input_name: str, output_name: str) -> bytes:
        graph = self._model.subgraphs[0]
        maps = []
        for name, index in ((input_name, graph.inputs[0]), (output_name, graph.outputs[0])):
            graph.tensors[index].name = name
            tensor_map = schema.TensorMapT()
            tensor_map.name, tensor_map.tensorIndex = name, int(index)
            maps.append([tensor_map])
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
        signature.inputs, signature.outputs = maps
        self._model.signatureDefs = [signature]
        builder = flatbuffers.Builder(2**20)
        builder.Finish(self._model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _code(self, code: Any) -> int:
        key = (code.builtinCode, code.customCode, code.version)
        if key not in self._codes:
            self._codes[key] = len(self._codes)
            self._model.operatorCodes.append(code)
        return self._codes[key]

    def _buffer(self, data: Any) -> int:
        content = b"" if data is None else np.asarray(data, np.uint8).tobytes()
        if content not in self._buffers:
            self._buffers[content] = len(self._model.buffers)
            self._model.buffers.append(_Buffer(content))
        return self._buffers[content]


class _Buffer(schema.BufferT):
    """A buffer whose data are aligned."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.content = content

    def Pack(self, builder: flatbuffers.Builder) -> Any:
        data = None
        if self.content:
            builder.StartVector(1, len(self.content), _ALIGNMENT)
            builder.head -= len(self.content)
            builder.Bytes[builder.head : builder.head + len(self.content)] = self.content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def _connect(first: Any, second: Any, *, shared: int) -> None:
    """Append a graph whose input is the output of the one before, and a second one `shared`."""
    if len(first.outputs) != 1 or len(second.inputs) not in (1, 2):
        raise ValueError(
            "Stages must have one output, and one or two inputs. "
            f"Received: {len(first.outputs)} outputs before {len(second.inputs)} inputs"
        )
    wanted = {int(index): _kind(second.tensors[index]) for index in second.inputs}
    moved = {-1: -1}
    # The converter puts inputs in an order of its own: they are told apart by their shapes.
    for given in (int(first.outputs[0]), int(shared))[: len(wanted)]:
        kind = _kind(first.tensors[given])
        fitting = [index for index in wanted if wanted[index] == kind and index not in moved]
        if not fitting:
            raise ValueError(
                "The input of a stage must fit the output before it by shape and type. "
                f"Received: {kind}, wanted: {list(wanted.values())}"
            )
        moved[fitting[0]] = given
    offset = len(first.tensors)

    def move(indices: Any) -> Any:
        if indices is None:
            return None
        return [moved.get(int(index), int(index) + offset) for index in indices]

    for operator in second.operators:
        operator.inputs = move(operator.inputs)
        operator.outputs = move(operator.outputs)
        operator.intermediates = move(operator.intermediates)
    first.tensors += second.tensors
    first.operators += second.operators
    first.outputs = move(second.outputs)


def _kind(tensor: Any) -> tuple[tuple[int, ...], int]:
    """(shape, type) of a tensor."""
    return tuple(int(size) for size in tensor.shape), int(tensor.type)
