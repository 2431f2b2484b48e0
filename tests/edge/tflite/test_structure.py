"""What is read of a network before a runtime gets it."""

import pytest

from doa_edge.tflite.file import read_model_file
from doa_edge.tflite.shipped import shipped_model_path
from doa_edge.tflite.structure import Outline, check_structure

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema

from tests.edge.tiny_network import intensity_network, looping_network, rebuilt

TINY = Outline(inputs=((1, 25, 513, 6),), outputs=((1, 25, 3),))


def test_outlines_of_the_shipped_networks():
    whole, _, halves = read_model_file(shipped_model_path("default"))
    assert check_structure(whole) == Outline(((1, 25, 513, 7),), ((1, 25, 429),))
    first, second = map(check_structure, halves.parts)
    assert sorted(first.inputs) == [(1, 2), (1, 4, 8, 64), (1, 4, 64, 32), (1, 9, 513, 7)]
    assert sorted(first.outputs) == [(1, 5, 8, 64), (1, 5, 64, 32), (1, 11, 128)]
    assert second == Outline(((1, 2), (1, 25, 128)), ((1, 25, 429),))
    lite = read_model_file(shipped_model_path("lite"))[0]
    assert check_structure(lite) == Outline(((1, 25, 513, 7),), ((1, 25, 429),))


def test_a_loop_that_runs_others_is_a_sound_structure():
    assert check_structure(intensity_network()) == TINY
    assert check_structure(looping_network()) == TINY


def tensor(model, index=0):
    return model.subgraphs[0].tensors[index]


def set_code(model, code):
    model.operatorCodes[0].builtinCode = code
    model.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)


def set_shape(model, shape, index=0):
    tensor(model, index).shape = shape


def set_custom(model):
    set_code(model, schema.BuiltinOperator.CUSTOM)
    model.operatorCodes[0].customCode = "FlexErf"


def set_external(model):
    model.buffers[1].data = None
    model.buffers[1].offset, model.buffers[1].size = 10**6, 16


def set_many_large(model):
    model.subgraphs[0].tensors += [tensor(model)] * 9
    set_shape(model, [1, 2**26])


def set_late(model):
    model.subgraphs[0].operators.reverse()


def set_twice(model):
    model.subgraphs[0].operators[1].outputs = model.subgraphs[0].operators[0].outputs


def set_constant(model):
    model.subgraphs[0].operators[-1].outputs = [1]


def set_never(model):
    model.subgraphs[0].operators.pop()


def set_few(model):
    model.subgraphs[0].operators[0].inputs = [1, 2]


def set_none(model):
    model.subgraphs[0].operators[0].inputs = [-1, 1, 2]


def set_subgraphs(model):
    model.subgraphs *= 257


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "version", 2), "must be of schema 3. Received: 2"),
        (lambda m: setattr(m, "subgraphs", []), "must have a subgraph. Received: none"),
        (set_subgraphs, "must have 256 subgraphs at most. Received: 257"),
        (set_custom, "builtins of TFLite. Received: a custom one"),
        (lambda m: set_code(m, schema.BuiltinOperator.CUSTOM), "Received: CUSTOM"),
        (lambda m: set_code(m, schema.BuiltinOperator.DELEGATE), "Received: DELEGATE"),
        (lambda m: set_code(m, schema.BuiltinOperator.STABLEHLO_WHILE), "Received: number 200"),
        (lambda m: set_code(m, -1), "Received: number -1"),
        (lambda m: setattr(m.subgraphs[0], "inputs", [9]), "its 9 tensors. Received: 9 to 9"),
        (lambda m: setattr(m.subgraphs[0], "outputs", [-1]), "its 9 tensors. Received: -1 to -1"),
        (
            lambda m: setattr(m.subgraphs[0].operators[0], "inputs", [0, -2]),
            "its 9 tensors. Received: -2 to 0",
        ),
        (
            lambda m: setattr(m.subgraphs[0].operators[0], "outputs", [-1]),
            "its 9 tensors. Received: -1 to -1",
        ),
        (
            lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 4),
            "has 4 kinds of operators. Received: 4",
        ),
        (lambda m: set_shape(m, [1, -1, 513, 6]), r"none negative. Received: \(1, -1, 513, 6\)"),
        (lambda m: set_shape(m, [1] * 9), "must have 8 axes at most"),
        (lambda m: set_shape(m, [2**31 - 1] * 8), "must have 268435456 bytes at most"),
        (set_many_large, r"2147483648 together. Received: \(1, 67108864\) of 268435456"),
        (lambda m: set_shape(m, [5], 1), r"bytes of their shapes. Received: \(5,\) of 20, in buff"),
        (lambda m: setattr(tensor(m), "buffer", 99), "in buffer 99 of 5"),
        (lambda m: setattr(tensor(m), "type", schema.TensorType.STRING), "numbers. .*the type 5"),
        (lambda m: setattr(tensor(m), "type", 100), "numbers. .*the type 100"),
        (set_late, r"made once, before it is used. Received: .* makes \[8\] of \[6, 7\]"),
        (set_twice, r"made once, before it is used. Received: .* makes \[3\] of \[3, 4\]"),
        (set_constant, r"made once, before it is used. Received: .* makes \[1\] of \[6, 7\]"),
        (set_never, r"its outputs must be made. Received: \[8\], which are not"),
        (set_external, "its buffers must lie in it. Received: one at 1000000"),
        (set_few, r"builtin 65 3 inputs and 1 outputs. Received: \[1, 2\] and \[3\]"),
        (set_none, r"builtin 65 3 inputs and 1 outputs. Received: \[-1, 1, 2\] and \[3\]"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "outputs", []), r"\[0, 1, 2\] and \[\]"),
    ],
)
def test_what_no_network_here_could_need_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_structure(rebuilt(intensity_network(), change))


def test_operators_may_write_to_states():
    """As the first values of recurrences are, where weights are stored as half floats."""

    def change(model):
        part = model.subgraphs[0]
        part.tensors[part.operators[0].outputs[0]].isVariable = True
        part.operators[1].outputs = part.operators[0].outputs
        part.operators[2].inputs = [part.operators[0].outputs[0], part.operators[2].inputs[1]]

    check_structure(rebuilt(intensity_network(), change))


@pytest.mark.parametrize(
    ("called", "message"),
    [
        ((0, 2), "must not run themselves. Received: 0"),
        ((1, 0), "must not run themselves. Received: 0"),
        ((1, 3), "must run its 3 subgraphs. Received: 1, 3"),
        ((-1, 2), "must run its 3 subgraphs. Received: -1, 2"),
    ],
)
def test_loops_run_other_subgraphs(called, message):
    with pytest.raises(ValueError, match=message):
        check_structure(looping_network(*called))


def test_options_of_another_kind_are_read_as_a_runtime_reads_them():
    """As zeros: the loop would run the subgraph that it is in."""

    def change(model):
        loop = model.subgraphs[0].operators[-1]
        loop.builtinOptionsType = schema.BuiltinOptions.IfOptions
        loop.builtinOptions = schema.IfOptionsT()

    with pytest.raises(ValueError, match=r"must not run themselves\. Received: 0"):
        check_structure(rebuilt(looping_network(), change))


def test_every_truncation_and_every_changed_byte_is_refused_or_read():
    network = looping_network()
    refused = 0
    for length in range(0, len(network), 3):
        with pytest.raises(ValueError, match="Received: "):
            check_structure(network[:length])
    for position in range(8, len(network)):
        for bit in (0x01, 0x80):
            changed = bytearray(network)
            changed[position] ^= bit
            try:
                check_structure(bytes(changed))
            except ValueError:
                refused += 1
    assert refused > len(network) / 4
