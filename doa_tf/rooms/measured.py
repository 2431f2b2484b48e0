"""Measured rooms: a bank from SOFA files (AES69), and such files from a bank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError
from doa_core.files import write_folder_beside
from doa_core.spec import SAMPLE_RATE
from doa_tf.files import Progress, sha256
from doa_tf.microphones.measured_array import MeasuredArrayMicrophone
from doa_tf.microphones.sofa_file import SofaReading, told
from doa_tf.rooms.acoustics import direct_index, drr_db, t30
from doa_tf.rooms.bank.bank import ROOMS_PER_SHARD, BankWriter
from doa_tf.rooms.bank.room_record import encode_room
from doa_tf.rooms.room import Room
from doa_tf.rooms.sofa_rooms import RoomResponses, read_room_responses, write_room_responses

_BLOCK = 0.02  # seconds over which the power of a decay is averaged
_NOISE_SHARE = 0.1  # of a response, at its end, that shows the noise of the measurement
_NOISE_MARGIN_DB = 6.0  # above that noise, a decay still counts


def bank_from_sofa(
    folder: str | Path,
    files: Sequence[str | Path],
    *,
    sources: int | None = None,
    channel_format: str | None = None,
    array: str | Path | None = None,
    reading: SofaReading | None = None,
    rooms_per_shard: int = ROOMS_PER_SHARD,
    progress: Progress | None = None,
) -> None:
    """Write a bank of measured rooms: one for each position of the microphone in each file.

    Args:
        folder: the bank; made if it is not there, continued if it was not finished.
        files: SingleRoomSRIR files, in the order that the rooms will have.
        sources: at most so many in one room of the bank; all by default.
        channel_format: of FOA receivers, as in `doa_tf.rooms.sofa_rooms.read_room_responses`.
        array: SOFA file of the array whose capsules the receivers are; they are encoded.
        reading: units and angles where those of the files are wrong or missing.
        rooms_per_shard: rooms in a file.
        progress: called with rooms done and rooms in all.

    Raises:
        InputError: not such a SOFA file, or a folder that holds something else.
        OSError: a file cannot be read, or the bank cannot be written.
        MissingPackageError: sofar is not installed.
    """
    if sources is not None and sources < 1:
        raise InputError(f"`sources` must be at least 1. Received: {sources}")
    paths = [Path(file) for file in files]

    @lru_cache(maxsize=1)  # files are read twice, so that only one of them is in memory at a time
    def read(path: Path) -> list[RoomResponses]:
        return read_room_responses(
            path, channel_format=channel_format, array=array, reading=reading
        )

    records = [
        (path, place, start)
        for path in paths
        for place, measured in enumerate(read(path))
        for start in range(0, len(measured.responses), sources or len(measured.responses))
    ]
    made_with = {
        "sofa": [{"file": path.name, "sha256": sha256(path)} for path in paths],
        "sources": sources,
        "channel_format": channel_format,
        "array_sha256": sha256(array) if array else None,
        **told(reading),
    }
    rooms = len(records)
    bank = BankWriter(folder, made_with=made_with, rooms=rooms, rooms_per_shard=rooms_per_shard)
    with bank as writer:
        microphone: dict[str, Any] = {}
        if array:
            encoded = MeasuredArrayMicrophone(file=str(array))
            microphone["diffuse_response"] = encoded.diffuse_response()
            microphone["noise_gains"] = encoded.noise_gains
        done = rooms - writer.rooms_missing
        if progress:
            progress(done, rooms)
        for numbers in writer.missing:
            shard = []
            for number in numbers:
                path, place, start = records[number]
                measured = read(path)[place]
                which = slice(start, start + (sources or len(measured.responses)))
                draw = {"file": path.name, "place": place}
                shard.append(encode_room(_room(number, measured, which, draw, **microphone)))
                done += 1
                if progress:
                    progress(done, rooms)
            writer.write(numbers, shard)
        writer.finish()


def export_sofa(
    folder: str | Path, bank: Sequence[Room], *, progress: Progress | None = None
) -> None:
    """Write each room as `room-NUMBER.sofa`, a SingleRoomSRIR file with FOA receivers.

    The folder appears when all of them are written, or not at all.

    Raises:
        InputError: the folder is not new or empty.
        OSError: a file cannot be written.
        MissingPackageError: sofar is not installed.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"SOFA files are written to a new or empty folder. Received: {folder}")
    with write_folder_beside(folder) as beside:
        for done, room in enumerate(bank, 1):
            _export_room(beside / f"room-{room.number:05d}.sofa", room)
            if progress:
                progress(done, len(bank))


def _export_room(path: Path, room: Room) -> None:
    measured = RoomResponses(
        directions=room.directions,
        distances=room.distances,
        responses=list(room.srirs),
        microphone=room.microphone,
        size=room.size,
        title=f"Room {room.number}",
    )
    decay = f"T30 of the octaves of 500 and 1000 Hz: {room.rt60_measured:.3f} s"
    comment = f"Microphone: {room.microphone_kind}. {decay}"
    write_room_responses(path, measured, comment=comment)


def decay_above_noise(response: np.ndarray) -> np.ndarray:
    """(N,) response at W, cut where its decay meets the noise of its measurement.

    Args:
        response: (N,) impulse response at 16 kHz, the last tenth of which shows the noise.

    References:
        ISO 3382-1:2009, 5.3.3: the integration starts where the decay meets the noise.
    """
    block = int(_BLOCK * SAMPLE_RATE)
    tail = response[-max(1, int(_NOISE_SHARE * len(response))) :].astype(np.float64)
    limit = 10.0 ** (_NOISE_MARGIN_DB / 10.0) * np.mean(tail**2)
    start = direct_index(response)
    blocks = (len(response) - start) // block
    if blocks < 1:
        return response
    decay = response[start : start + blocks * block].reshape(blocks, block)
    below = np.flatnonzero(np.mean(decay.astype(np.float64) ** 2, axis=-1) < limit)
    return response[: start + below[0] * block] if len(below) and below[0] > 0 else response


def _room(
    number: int, measured: RoomResponses, which: slice, draw: dict[str, Any], **microphone: Any
) -> Room:
    srirs = []
    for response in measured.responses[which]:
        peak = float(np.abs(response[direct_index(response[:, 0]), 0]))
        if not peak > 0.0:
            raise InputError(f"{draw['file']}: a response is silent in W, its first channel")
        srirs.append((response / peak).astype(np.float32))
    heard = [decay_above_noise(srir[:, 0]) for srir in srirs]
    decays = np.array([t30(decay) for decay in heard])
    known = decays[np.isfinite(decays)]
    return Room(
        number=number,
        rt60=float("nan"),
        size=measured.size,
        microphone=measured.microphone,
        directions=measured.directions[which],
        distances=measured.distances[which],
        srirs=srirs,
        rt60_measured=float(np.median(known)) if len(known) else float("nan"),
        drr_db=np.array([drr_db(decay) for decay in heard]),
        microphone_kind="measured",
        microphone_draw={"kind": "measured", "title": measured.title, **draw},
        **microphone,
    )
