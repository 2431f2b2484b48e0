"""Networks of a few operations, written without TensorFlow; and what forgers make of them."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


class _Graph:
    """Tensors, their contents and the operations between them, in the order of their making."""

    def __init__(self):
        self.tensors, self.buffers, self.operators, self.codes = [], [schema.BufferT()], [], []

    def tensor(self, shape, values=None):
        tensor = schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = schema.TensorType.FLOAT32
        tensor.name = f"tensor_{len(self.tensors)}"
        if values is not None:
            values = np.asarray(values)
            if values.dtype.kind == "i":
                tensor.type, values = schema.TensorType.INT32, values.astype(np.int32)
            else:
                values = values.astype(np.float32)
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operation(self, name, inputs, shape, **options):
        """Append one of TFLite's builtins, and return its output."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name.upper())
        code.deprecatedBuiltinCode = code.builtinCode
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        kind = {"mean": "Reducer"}.get(name, name.capitalize()) + "Options"
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = getattr(schema, f"{kind}T")()
        for option, value in options.items():
            setattr(operator.builtinOptions, option, value)
        operator.inputs = list(inputs)
        operator.outputs = [self.tensor(shape)]
        self.codes.append(code)
        self.operators.append(operator)
        return operator.outputs[0]

    def flatbuffer(self, source, output):
        part = schema.SubGraphT()
        part.tensors, part.operators = self.tensors, self.operators
        part.inputs, part.outputs = [source], [output]
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [part], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def intensity_network(frames=25, bins=513, channels=6):
    """Flatbuffer: (1, T, F, K) features -> (1, T, 3) half of the mean intensity, and a half."""
    graph = _Graph()
    source = graph.tensor((1, frames, bins, channels))
    begin = graph.tensor((4,), np.array([0, 0, 0, 0]))
    size = graph.tensor((4,), np.array([1, frames, bins, 3]))
    intensity = graph.operation("slice", (source, begin, size), (1, frames, bins, 3))
    axis = graph.tensor((1,), np.array([2]))
    mean = graph.operation("mean", (intensity, axis), (1, frames, 3), keepDims=False)
    half = graph.tensor((), np.array(0.5))
    scaled = graph.operation("mul", (mean, half), (1, frames, 3))
    return graph.flatbuffer(source, graph.operation("add", (scaled, half), (1, frames, 3)))


def rebuilt(flatbuffer, change):
    """A flatbuffer whose tables, as objects of the schema, a function has changed."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def looping_network(condition=1, body=2):
    """The intensity network, whose output goes through a loop that never ends.

    Args:
        condition, body: subgraphs that the loop runs; 1 says yes, 2 gives back what it gets.
    """

    def add_loop(model):
        main = model.subgraphs[0]
        result = main.outputs[0]
        for outputs in ([1], [0]):
            part = schema.SubGraphT()
            part.tensors = [_like(main.tensors[result], "given"), _yes(len(model.buffers))]
            part.inputs, part.outputs, part.operators = [0], outputs, []
            model.subgraphs.append(part)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.array([1], np.uint8)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
        loop = schema.OperatorT()
        loop.opcodeIndex = len(model.operatorCodes)
        loop.builtinOptionsType = schema.BuiltinOptions.WhileOptions
        loop.builtinOptions = schema.WhileOptionsT()
        loop.builtinOptions.condSubgraphIndex = condition
        loop.builtinOptions.bodySubgraphIndex = body
        loop.inputs, loop.outputs = [result], [len(main.tensors)]
        model.operatorCodes.append(code)
        main.operators.append(loop)
        main.tensors.append(_like(main.tensors[result], "looped"))
        main.outputs = [len(main.tensors) - 1]

    return rebuilt(intensity_network(), add_loop)


def _like(other, name):
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = list(other.shape), other.type, name
    return tensor


def _yes(buffer):
    """A tensor that is always true."""
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = [1], schema.TensorType.BOOL, "yes"
    tensor.buffer = buffer
    return tensor
