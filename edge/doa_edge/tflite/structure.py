"""The structure of a TFLite flatbuffer, checked before a runtime reads it.

A runtime trusts much of what a file says: a loop whose body is the loop itself overflows its stack,
a tensor of a billion values takes the memory. The digest beside a network tells of damage only, as
whoever writes a file writes its digest, too. Here is read what all networks have: tables, tensors,
operators, who calls whom. What an operator does with its options stays the runtime's to check.

References:
    TensorFlow Lite's schema, tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SCHEMA_VERSION = 3
LAST_BUILTIN = 161  # RIGHT_SHIFT; behind it StableHLO, which converters do not leave in a file
MOST_SUBGRAPHS = 256
MOST_PARTS = 50_000  # tensors, operators, buffers: an unrolled network has some 3,000
MOST_AXES = 8
LARGEST_TENSOR = 2**28  # bytes
LARGEST_TOTAL = 2**31  # bytes of all tensors, which a runtime lays over one another

# Numbers of the schema: fields of tables in their order, builtins, types of options.
_VERSION, _CODES, _SUBGRAPHS, _BUFFERS = 0, 1, 2, 4
_OLD_CODE, _CUSTOM_CODE, _NEW_CODE = 0, 1, 3
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_SHAPE, _TYPE, _BUFFER, _IS_VARIABLE = 0, 1, 2, 5
_OPCODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPTIONS_TYPE, _OPTIONS = 0, 1, 2, 3, 4
_DATA, _EXTERNAL_OFFSET, _EXTERNAL_SIZE = 0, 1, 2
_NOT_RUN = {31: "CALL", 32: "CUSTOM", 51: "DELEGATE", 127: "PLACEHOLDER_FOR_GREATER_OP_CODES"}
_CALLS = {118: (92, 2), 119: (93, 2), 129: (103, 1)}  # IF, WHILE, CALL_ONCE: options, subgraphs
# Inputs that a builtin reads without looking whether it has them; others have one.
_LEAST_INPUTS = {
    **dict.fromkeys((0, 3, 4, 7, 9, 10, 18, 23, 34, 36, 39, 40, 41, 42, 48, 49, 54, 55, 56, 57), 2),
    **dict.fromkeys((58, 61, 62, 63, 69, 70, 71, 72, 74, 78, 79, 81, 82, 84, 86, 89, 90, 91), 2),
    **dict.fromkeys((94, 95, 97, 99, 100, 105, 107, 112, 115, 125, 126, 128, 130, 131, 132), 2),
    **dict.fromkeys((140, 156, 160, 161), 2),
    **dict.fromkeys((37, 38, 60, 64, 65, 67, 96, 102, 122, 123, 141, 151, 153, 154, 155, 157), 3),
    **dict.fromkeys((45, 68, 85), 4),
    **dict.fromkeys((119, 129, 136, 142), 0),  # WHILE, CALL_ONCE, HASHTABLE, VAR_HANDLE
    **{16: 5, 24: 5, 27: 5, 35: 5, 44: 20, 46: 12, 52: 39},  # recurrences
}
_MAY_BE_NONE = {16, 24, 27, 35, 44, 46, 52}  # recurrences, whose gates and biases are optional
# Outputs likewise: none of IF, WHILE, CALL_ONCE, HASHTABLE_IMPORT, ASSIGN_VARIABLE; two of TOPK_V2,
# UNIQUE; others have one.
_LEAST_OUTPUTS = {**dict.fromkeys((118, 119, 129, 138, 144), 0), 48: 2, 103: 2}
# Bits of a value; texts, handles and variants are none that a network here could need.
_BITS = {
    **{0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64},
    **{15: 32, 16: 16, 17: 4, 18: 16, 19: 2, 20: 4, 21: 8, 22: 8},
}

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """What a network takes and gives.

    Attributes:
        inputs: shape of each input, with the batch axis.
        outputs: of each output.
    """

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


def check_structure(flatbuffer: bytes) -> Outline:
    """Inputs and outputs of a network whose parts all lie within its file and fit one another.

    Args:
        flatbuffer: of TFLite, without a zip behind it.

    Raises:
        ValueError: one that is cut short or points beyond its end; more or larger parts than a
            network here could need; operators that no runtime has; subgraphs that call themselves.
    """
    try:
        return _Model(flatbuffer).outline()
    except struct.error:
        raise ValueError(
            "its parts must lie within the file. Received: one that does not"
        ) from None


class _Flatbuffer:
    """Tables and vectors of a flatbuffer by their positions; none is read beyond the end.

    Raises `struct.error` or ValueError where one would be.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def root(self) -> int:
        """Position of the root table."""
        return self.number("<I", 0)

    def number(self, code: str, position: int) -> int:
        """A number of the format `code` of `struct`."""
        if position < 0:  # which `struct` would count from the end
            raise ValueError("its parts must lie within the file. Received: one before its start")
        value: int = struct.unpack_from(code, self._data, position)[0]
        return value

    def field(self, table: int, index: int) -> int | None:
        """Position of a field of a table; None where it has its default."""
        vtable = table - self.number("<i", table)
        entry = 4 + 2 * index
        if entry + 2 > self.number("<H", vtable):
            return None
        offset = self.number("<H", vtable + entry)
        return table + offset if offset else None

    def value(self, table: int, index: int, code: str) -> int:
        """A number in a table, 0 by default."""
        position = self.field(table, index)
        return 0 if position is None else self.number(code, position)

    def table(self, table: int, index: int) -> int | None:
        """Position of a table in a table; None where there is none."""
        position = self.field(table, index)
        return None if position is None else position + self.number("<I", position)

    def vector(self, table: int, index: int, width: int) -> tuple[int, int]:
        """Position of the first element, and how many of `width` bytes there are."""
        start = self.table(table, index)
        if start is None:
            return 0, 0
        length = self.number("<I", start)
        if start + 4 + length * width > len(self._data):
            raise ValueError(f"its lists must lie within the file. Received: one of {length}")
        return start + 4, length

    def integers(self, table: int, index: int) -> npt.NDArray[np.int32]:
        """A vector of 32-bit integers."""
        start, length = self.vector(table, index, 4)
        return np.frombuffer(self._data, "<i4", length, start)

    def tables(self, table: int, index: int, *, most: int, name: str) -> list[int]:
        """Positions of the tables of a vector."""
        start, length = self.vector(table, index, 4)
        if length > most:
            raise ValueError(f"it must have {most} {name} at most. Received: {length}")
        ends = range(start, start + 4 * length, 4)
        return [position + self.number("<I", position) for position in ends]

    def __len__(self) -> int:
        return len(self._data)


class _Model:
    """The tables of one network."""

    def __init__(self, flatbuffer: bytes) -> None:
        self._file = file = _Flatbuffer(flatbuffer)
        root = file.root()
        version = file.value(root, _VERSION, "<I")
        if version != SCHEMA_VERSION:
            raise ValueError(f"it must be of schema {SCHEMA_VERSION}. Received: {version}")
        most = {"most": MOST_PARTS}
        codes = file.tables(root, _CODES, **most, name="kinds of operators")
        self._codes = [self._code(code) for code in codes]
        buffers = file.tables(root, _BUFFERS, **most, name="buffers")
        self._buffers = [self._buffer_bytes(buffer) for buffer in buffers]
        self._subgraphs = file.tables(root, _SUBGRAPHS, most=MOST_SUBGRAPHS, name="subgraphs")
        if not self._subgraphs:
            raise ValueError("it must have a subgraph. Received: none")
        self._left = {"tensors": MOST_PARTS, "operators": MOST_PARTS, "bytes": LARGEST_TOTAL}

    def outline(self) -> Outline:
        """Of the first subgraph, once all are checked."""
        calls, outlines = [], []
        for subgraph in self._subgraphs:
            tensors = self._parts(subgraph, _TENSORS, "tensors")
            shapes = [self._shape(tensor) for tensor in tensors]
            inputs, outputs = (
                self._indices(subgraph, end, len(shapes)) for end in (_INPUTS, _OUTPUTS)
            )
            outlines.append(
                Outline(tuple(shapes[i] for i in inputs), tuple(shapes[i] for i in outputs))
            )
            constants = {i for i, tensor in enumerate(tensors) if self._is_constant(tensor)}
            states = {i for i, tensor in enumerate(tensors) if self._is_state(tensor, shapes[i])}
            called = self._check_order(
                subgraph, constants | set(inputs), states, tensors=len(shapes)
            )
            calls.append(called)
        _check_calls(calls)
        return outlines[0]

    def _check_order(
        self, subgraph: int, made: set[int], states: set[int], *, tensors: int
    ) -> set[int]:
        """The subgraphs that a subgraph runs, once the order of its operators is checked.

        Args:
            subgraph: its position.
            made: tensors that have values before, and that no operator may write to.
            states: those that have values before, and that operators may write to.
            tensors: how many it has.
        """
        made, called = set(made), set[int]()
        for operator in self._parts(subgraph, _OPERATORS, "operators"):
            inputs = self._indices(operator, _OPERATOR_INPUTS, tensors, lowest=-1)
            results = self._indices(operator, _OPERATOR_OUTPUTS, tensors)
            self._check_counts(operator, inputs, results)
            needed = set(inputs)
            new = [result for result in results if result not in states]
            if not needed <= made | states | {-1} or len({*made, *new}) < len(made) + len(new):
                raise ValueError(
                    "each of its tensors must be made once, before it is used. "
                    f"Received: an operator that makes {results[:9]} of {sorted(needed)[:9]}"
                )
            made |= set(new)
            called |= self._called(operator)
        missing = set(self._indices(subgraph, _OUTPUTS, tensors)) - made - states
        if missing:
            raise ValueError(
                f"its outputs must be made. Received: {sorted(missing)[:9]}, which are not"
            )
        return called

    def _parts(self, subgraph: int, index: int, name: str) -> list[int]:
        """The tables of a list of a subgraph, of which all have so many together."""
        tables = self._file.tables(subgraph, index, most=self._left[name], name=name)
        self._left[name] -= len(tables)
        return tables

    def _code(self, table: int) -> int:
        """The builtin of a kind of operators."""
        old = self._file.value(table, _OLD_CODE, "<b")
        code = max(old, self._file.value(table, _NEW_CODE, "<i"))
        is_custom = self._file.table(table, _CUSTOM_CODE) is not None
        if is_custom or code in _NOT_RUN or not 0 <= code <= LAST_BUILTIN:
            name = "a custom one" if is_custom else _NOT_RUN.get(code, f"number {code}")
            raise ValueError(f"its operators must be builtins of TFLite. Received: {name}")
        return code

    def _buffer_bytes(self, table: int) -> int:
        """Length of a buffer, which lies in the flatbuffer."""
        offset, size = (
            self._file.value(table, index, "<Q") for index in (_EXTERNAL_OFFSET, _EXTERNAL_SIZE)
        )
        if offset > 1 or size > 1:  # 1 stands where a converter has left room for them
            raise ValueError(f"its buffers must lie in it. Received: one at {offset}")
        return self._file.vector(table, _DATA, 1)[1]

    def _shape(self, tensor: int) -> Shape:
        """Of a tensor whose values can be, and fill the buffer that it has."""
        shape = tuple(self._file.integers(tensor, _SHAPE).tolist())
        kind = self._file.value(tensor, _TYPE, "<b")
        if kind not in _BITS:
            raise ValueError(f"its tensors must hold numbers. Received: one of the type {kind}")
        if len(shape) > MOST_AXES or min(shape, default=0) < 0:
            raise ValueError(
                f"its tensors must have {MOST_AXES} axes at most, none negative. "
                f"Received: {shape[: MOST_AXES + 1]}"
            )
        size = (math.prod(shape) * _BITS[kind] + 7) // 8
        self._left["bytes"] -= size
        if size > LARGEST_TENSOR or self._left["bytes"] < 0:
            raise ValueError(
                f"its tensors must have {LARGEST_TENSOR} bytes at most, {LARGEST_TOTAL} together. "
                f"Received: {shape} of {size}"
            )
        buffer = self._file.value(tensor, _BUFFER, "<I")
        if buffer >= len(self._buffers) or self._buffers[buffer] not in (0, size):
            raise ValueError(
                f"its tensors must have the bytes of their shapes. Received: {shape} of {size}, "
                f"in buffer {buffer} of {len(self._buffers)}"
            )
        return shape

    def _is_constant(self, tensor: int) -> bool:
        """Whether the values of a tensor are in the file."""
        return self._buffers[self._file.value(tensor, _BUFFER, "<I")] > 0

    def _is_state(self, tensor: int, shape: Shape) -> bool:
        """Whether a tensor keeps its values between windows, or has none."""
        return self._file.value(tensor, _IS_VARIABLE, "<B") != 0 or 0 in shape

    def _indices(self, table: int, index: int, tensors: int, *, lowest: int = 0) -> list[int]:
        """A list of tensors of a subgraph, -1 for none where `lowest` allows it."""
        indices: list[int] = self._file.integers(table, index).tolist()
        if indices and not (min(indices) >= lowest and max(indices) < tensors):
            raise ValueError(
                f"its operators must use its {tensors} tensors. "
                f"Received: {min(indices)} to {max(indices)}"
            )
        return indices

    def _builtin(self, operator: int) -> int:
        """The number of what an operator is."""
        opcode = self._file.value(operator, _OPCODE, "<I")
        if opcode >= len(self._codes):
            raise ValueError(f"it has {len(self._codes)} kinds of operators. Received: {opcode}")
        return self._codes[opcode]

    def _check_counts(self, operator: int, inputs: list[int], results: list[int]) -> None:
        """Raise ValueError where an operator has not the inputs and outputs that it needs."""
        builtin = self._builtin(operator)
        least = _LEAST_INPUTS.get(builtin, 1), _LEAST_OUTPUTS.get(builtin, 1)
        needed = inputs[: least[0]]
        is_missing = -1 in needed and builtin not in _MAY_BE_NONE
        if is_missing or len(needed) < least[0] or len(results) < least[1]:
            raise ValueError(
                f"its operators must have what they need: builtin {builtin} {least[0]} inputs and "
                f"{least[1]} outputs. Received: {inputs[:9]} and {results[:9]}"
            )

    def _called(self, operator: int) -> set[int]:
        """The subgraphs that an operator runs."""
        builtin = self._builtin(operator)
        if builtin not in _CALLS:
            return set()
        kind, count = _CALLS[builtin]
        options = self._file.table(operator, _OPTIONS)
        if options is None or self._file.value(operator, _OPTIONS_TYPE, "<B") != kind:
            return {0}  # which is what a runtime takes where the options are others
        called = {self._file.value(options, index, "<i") for index in range(count)}
        if not called <= set(range(len(self._subgraphs))):
            raise ValueError(
                f"its operators must run its {len(self._subgraphs)} subgraphs. "
                f"Received: {', '.join(map(str, sorted(called)))}"
            )
        return called


def _check_calls(calls: list[set[int]]) -> None:
    """Raise ValueError where a subgraph runs itself, be it through others."""
    unknown = set(range(len(calls)))
    while unknown:
        ended = {number for number in unknown if not calls[number] & unknown}
        if not ended:
            raise ValueError(
                "its subgraphs must not run themselves. "
                f"Received: {', '.join(map(str, sorted(unknown)[:9]))}"
            )
        unknown -= ended
