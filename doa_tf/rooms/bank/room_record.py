"""A room as it is stored in a bank: JSON, and an .npy file of its responses.

Responses are stored as 16-bit floats relative to their peak, which costs 66 dB below each sample's
own value, and become 32-bit floats when they are indexed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from doa_core.reading.json_text import parse_json
from doa_tf.rooms.bank.records import Record
from doa_tf.rooms.room import Room

_HALF = np.dtype("<f2")
_NPY_LENGTH = slice(8, 10)  # bytes of an .npy file with the length of its header, which follows
_NPY_START = b"{'descr': '<f2', 'fortran_order': False, 'shape': ("
_NUMBERS = (  # of a room; stored as 32-bit floats
    *("rt60", "rt60_measured", "size", "microphone"),
    *("directions", "distances", "drr_db", "noise_gains"),
)


class StoredResponses(Sequence[np.ndarray]):
    """Responses as 16-bit floats, each of which becomes (N, 4) float32 when it is indexed.

    Args:
        stored: (N, 4) 16-bit floats of all responses, one after the other.
        samples: of each response.
        scales: what each is multiplied by.
    """

    def __init__(self, stored: np.ndarray, samples: Sequence[int], scales: Sequence[float]) -> None:
        self._stored = stored
        self._ends = np.cumsum(samples)
        self._scales = np.asarray(scales, np.float32)
        if len(self._scales) != len(self._ends):
            raise ValueError("not as many scales as responses")

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        start = self._ends[number - 1] if number else 0
        response = self._stored[start : self._ends[number]].astype(np.float32)
        response *= self._scales[number]
        return response


def encode_room(room: Room) -> Record:
    """A room as it is stored. The same room gives the same bytes."""
    responses = [*room.srirs]
    if room.diffuse_response is not None:  # the last one, 4 L of 4 samples
        responses.append(room.diffuse_response.reshape(-1, 4))
    scales = [float(np.abs(response).max(initial=0.0)) or 1.0 for response in responses]
    pairs = zip(responses, scales, strict=True)
    halves = [(response / scale).astype(_HALF, order="C") for response, scale in pairs]
    values = {
        "number": int(room.number),
        "microphone_kind": room.microphone_kind,
        "microphone_draw": room.microphone_draw,
        "samples": [len(response) for response in responses],
        "scales": _digits(scales),
        **{name: _digits(getattr(room, name)) for name in _NUMBERS},
    }
    file = io.BytesIO()
    np.lib.format.write_array(file, np.concatenate(halves), version=(1, 0), allow_pickle=False)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return text.encode(), file.getvalue()


def decode_room(record: Record) -> Room:
    """The room of a record; each of its `srirs` is converted when it is indexed.

    Raises:
        ValueError, KeyError, TypeError, IndexError: the record holds no room.
    """
    text, content = record
    values = parse_json(text, finite=False)  # rooms that were measured have no rt60
    # As `numpy.load` does it, but faster: every scene reads a room.
    if not content.startswith(_NPY_START, _NPY_LENGTH.stop):
        raise ValueError("not an .npy file of 16-bit floats")
    header = int.from_bytes(content[_NPY_LENGTH], "little")
    stored = np.frombuffer(content, _HALF, offset=_NPY_LENGTH.stop + header).reshape(-1, 4)
    arrays: dict[str, Any] = {name: np.array(values[name], np.float32) for name in _NUMBERS}
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    lengths = np.linalg.norm(arrays["directions"], axis=-1, keepdims=True)
    if not np.all((lengths > 0.0) & (lengths < np.inf)):
        raise ValueError("`directions` must be unit vectors")
    arrays["directions"] /= lengths
    arrays |= {name: float(arrays[name]) for name in ("rt60", "rt60_measured")}
    sources = len(arrays["directions"])
    samples, scales = values["samples"], values["scales"]
    _check_room(values, arrays, samples=len(stored))
    diffuse = StoredResponses(stored, samples, scales)[sources:]
    return Room(
        number=values["number"],
        srirs=StoredResponses(stored, samples[:sources], scales[:sources]),
        microphone_kind=values["microphone_kind"],
        microphone_draw=values["microphone_draw"],
        diffuse_response=diffuse[0].reshape(-1, 4, 4) if diffuse else None,
        **arrays,
    )


def _check_room(values: dict[str, Any], arrays: dict[str, Any], *, samples: int) -> None:
    """Raise ValueError for values that are no room's.

    Args:
        values: of its record.
        arrays: made of them.
        samples: of all of its responses together.
    """
    sources = len(arrays["directions"])
    shapes = {"directions": (sources, 3), "distances": (sources,), "drr_db": (sources,)}
    shapes |= {"size": (3,), "microphone": (3,), "noise_gains": (4,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"`{name}` must have shape {shape}. Received: {arrays[name].shape}")
    if not sources:
        raise ValueError("`directions` must be those of one source at least")
    lengths, scales = values["samples"], values["scales"]
    whole = all(type(length) is int and length >= 0 for length in lengths)
    if not whole or sum(lengths) != samples or len(lengths) not in (sources, sources + 1):
        raise ValueError(
            f"`samples` must be the lengths of {sources} responses, {samples} samples together. "
            f"Received: {lengths}"
        )
    if len(scales) != len(lengths) or not np.isfinite(scales).all():
        raise ValueError(f"`scales` must be a finite number for each response. Received: {scales}")
    if type(values["number"]) is not int or not isinstance(values["microphone_kind"], str):
        raise ValueError("`number` must be an integer, and `microphone_kind` a name")


def _digits(values: npt.ArrayLike) -> Any:
    """JSON values with as few digits as tell 32-bit floats apart."""
    return np.asarray(values, np.float32).astype(str).astype(np.float64).tolist()
