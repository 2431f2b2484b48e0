"""TFRecord files of `tf.train.Example` messages, without TensorFlow.

A worker that simulates rooms needs no TensorFlow, and a file of records can be read one record at
a time. What is written here TensorFlow reads, and the other way round.

A record is its length (8 bytes), a checksum of that (4), the data, and a checksum of the data (4),
little-endian; a checksum is a rotated CRC-32C.

References:
    https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from doa_core.errors import InputError, MissingPackageError
from doa_core.files import write_beside

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")

Feature = Sequence[bytes] | Sequence[float] | Sequence[int]


class BrokenRecordsError(InputError):
    """A file of records that is cut short or damaged."""


class Place(NamedTuple):
    """Where a record's data is: the file, and offset and length [bytes] in it."""

    path: Path
    offset: int
    length: int


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write a file beside `path`, then rename it.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` stays as it was.
    """
    with write_beside(path) as beside, beside.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + _FOOTER.pack(_checksum(length)))
            file.write(record)
            file.write(_FOOTER.pack(_checksum(record)))


def find_records(path: Path) -> list[Place]:
    """The place of every record of a file, all of which are checked.

    Raises:
        BrokenRecordsError: the file is cut short, damaged, or not there.
    """
    places = []
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            while file.tell() < size:
                header = file.read(_HEADER.size)
                if len(header) < _HEADER.size:
                    raise BrokenRecordsError(f"{path} is cut short at byte {size}")
                length, checksum = _HEADER.unpack(header)
                if checksum != _checksum(header[:8]):
                    raise BrokenRecordsError(
                        f"{path} is damaged, or no file of records: byte {file.tell()}"
                    )
                if length > size - file.tell():
                    raise BrokenRecordsError(f"{path} is cut short at byte {size}")
                places.append(Place(path, file.tell(), length))
                _read(file, places[-1])
    except FileNotFoundError as error:
        raise BrokenRecordsError(f"{path} is missing") from error
    return places


def read_record(place: Place) -> bytes:
    """The data of one record.

    Raises:
        BrokenRecordsError: it is damaged, or the file was cut short since it was looked at.
        OSError: the file cannot be read.
    """
    # Opened each time, tens of microseconds: nothing to share between threads and processes, and
    # a bank of any number of shards needs no more than one open file.
    with place.path.open("rb") as file:
        file.seek(place.offset)
        return _read(file, place)


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """A `tf.train.Example` of lists of bytes, of float32 or of integers, by name.

    The same values give the same bytes.
    """
    example = _example_class()()
    for name, values in features.items():
        feature = example.features.feature[name]
        if all(isinstance(value, bytes) for value in values):
            feature.bytes_list.value.extend(values)
        elif all(isinstance(value, int) for value in values):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return bytes(example.SerializeToString(deterministic=True))


def decode_example(record: bytes) -> dict[str, Any]:
    """The lists of a `tf.train.Example`, by name.

    Raises:
        ValueError: the record is none.
    """
    from google.protobuf.message import DecodeError

    try:
        features = _example_class().FromString(record).features.feature
    except DecodeError as error:
        raise ValueError(f"no `tf.train.Example`: {error}") from error
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {
        name: getattr(features[name], kind).value if kind else () for name, kind in kinds.items()
    }


def _read(file: Any, place: Place) -> bytes:
    data: bytes = file.read(place.length)
    footer = file.read(_FOOTER.size)
    if len(footer) < _FOOTER.size:
        raise BrokenRecordsError(f"{place.path} is cut short at byte {file.tell()}")
    if _FOOTER.unpack(footer)[0] != _checksum(data):
        raise BrokenRecordsError(f"{place.path} is damaged at byte {place.offset} or after")
    return data


def _checksum(data: bytes) -> int:
    try:
        import google_crc32c
    except ImportError as error:
        raise MissingPackageError("google-crc32c", "cluster", error) from error
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _example_class() -> Any:
    """The message class, in a pool of its own: TensorFlow's has the same names."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise MissingPackageError("protobuf", "cluster", error) from error
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="doa_tf/example.proto", package="doa_tf", syntax="proto3"
    )

    def message(parent: Any, name: str, *fields: tuple[str, int, int, str, bool]) -> Any:
        added = parent.add(name=name)
        for field_name, number, kind, type_name, repeated in fields:
            added.field.add(
                name=field_name,
                number=number,
                type=kind,
                type_name=type_name or None,
                label=field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL,
            )
        return added

    kinds = {"Bytes": field.TYPE_BYTES, "Float": field.TYPE_FLOAT, "Int64": field.TYPE_INT64}
    for name, kind in kinds.items():
        message(file.message_type, f"{name}List", ("value", 1, kind, "", True))
    feature = message(file.message_type, "Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(kinds, 1):
        feature.field.add(
            name=f"{name.lower()}_list",
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=f".doa_tf.{name}List",
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    nested = field.TYPE_MESSAGE
    features = message(
        file.message_type,
        "Features",
        ("feature", 1, nested, ".doa_tf.Features.FeatureEntry", True),
    )
    entry = message(
        features.nested_type,
        "FeatureEntry",
        ("key", 1, field.TYPE_STRING, "", False),
        ("value", 2, nested, ".doa_tf.Feature", False),
    )
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", 1, nested, ".doa_tf.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("doa_tf.Example"))
