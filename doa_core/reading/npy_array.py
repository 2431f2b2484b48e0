"""NumPy's files, `.npy` and `.npz`: numbers only, and no more of them than the file holds."""

from __future__ import annotations

import io
import math
import tokenize
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from doa_core.errors import one_line
from doa_core.reading.zip_archive import DamagedZipError, open_zip, read_entry

_SUFFIX = ".npy"
_ERRORS = (  # of NumPy's reader, which takes a header for Python
    *(ArithmeticError, LookupError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError),
    tokenize.TokenError,
)


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of an array, of a file at its beginning.

    Raises:
        ValueError: no .npy file, one of Python objects, or a shape that no array has.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    except _ERRORS as error:
        raise ValueError(f"no .npy file: {one_line(error)}") from error
    if dtype.hasobject or dtype.fields is not None or not dtype.itemsize:
        raise ValueError(f"an array must be of numbers. Received: {dtype}")
    if any(size < 0 for size in shape):
        raise ValueError(f"an array must have a shape. Received: {shape}")
    return shape, fortran, dtype


def parse_npy(data: bytes) -> npt.NDArray[Any]:
    """The array of an .npy file, which shares the bytes that were given and is read-only.

    Raises:
        ValueError: as `npy_header`, or not as many bytes as its shape needs.
    """
    file = io.BytesIO(data)
    shape, fortran, dtype = npy_header(file)
    if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(
            f"an array of shape {shape} must have {math.prod(shape) * dtype.itemsize} bytes. "
            f"Received: {len(data) - file.tell()}"
        )
    values = np.frombuffer(data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def parse_npz(data: bytes) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays of an .npz file by name.

    Raises:
        ValueError: no such file, a damaged one, or as `parse_npy`.
    """
    with open_zip(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > len(data):
            raise DamagedZipError(f"its arrays must be stored as they are, in {len(data)} bytes")
        return {
            name.removesuffix(_SUFFIX): parse_npy(read_entry(archive, name, largest=len(data)))
            for name in archive.namelist()
        }
