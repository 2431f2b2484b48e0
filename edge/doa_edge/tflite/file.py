"""The spec inside a .tflite file: a zip appended to the flatbuffer, as TFLite's metadata is.

The zip holds the model's spec, and the size and digest of the flatbuffer before it. A file that
was cut short has lost its zip, one that was damaged has another digest: both are refused before
they reach a runtime, which may crash on them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from doa_core.errors import InputError, one_line
from doa_core.reading.json_text import parse_json
from doa_core.reading.zip_archive import DamagedZipError, open_zip, read_entry
from doa_core.spec import SPEC_FILE_NAME, ModelSpec
from doa_edge.tflite.heading import Turning
from doa_edge.tflite.shipped import SHIPPED

FLATBUFFER_FILE_NAME = "doa_flatbuffer.json"
HALVES = ("doa_convolutions.tflite", "doa_recurrence.tflite")
# Of a network that turns: other names, so that older readers, which do not turn, run the whole.
TURNED_HALVES = ("doa_turned_convolutions.tflite", "doa_turned_recurrence.tflite")
IDENTIFIER = b"TFL3"  # bytes 4 to 8 of a TFLite flatbuffer
LARGEST_FILE = 2**29  # bytes, some 250 times the shipped model
LARGEST_ENTRY = 2**20  # bytes of one JSON file in the zip
LARGEST_HALF = 2**28  # bytes of one half of a network in the zip
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # equal input gives equal bytes


@dataclass(frozen=True)
class StoredHalves:
    """A network in two halves, as a model file holds it.

    Attributes:
        parts: flatbuffers of convolutions and recurrence.
        turning: of a network that turns with its scene; None of others.
    """

    parts: tuple[bytes, bytes]
    turning: Turning | None = None


def embed_spec(tflite: bytes, spec: ModelSpec, *, halves: StoredHalves | None = None) -> bytes:
    """Append a spec to a TFLite flatbuffer; a spec that is already there is replaced.

    Args:
        tflite: a flatbuffer, or the bytes of a file that this function made.
        spec: what the model is.
        halves: the same network in two halves, see `doa_edge.tflite.halves`. A reader that does
            not know them still finds the whole network.

    Returns:
        The bytes of a model file; equal arguments give equal bytes.

    Raises:
        ValueError: `tflite` is no TFLite flatbuffer.
    """
    if not _is_flatbuffer(tflite):
        raise ValueError(
            f"`tflite` must be a TFLite flatbuffer, with {IDENTIFIER!r} at byte 4. "
            f"Received: {len(tflite)} bytes that start with {tflite[:8]!r}"
        )
    known = _read_zip(io.BytesIO(tflite))
    if isinstance(known, dict) and FLATBUFFER_FILE_NAME in known:
        tflite = tflite[: _read_facts(known[FLATBUFFER_FILE_NAME])["size"]]
    facts: dict[str, object] = {"sha256": hashlib.sha256(tflite).hexdigest(), "size": len(tflite)}
    entries: list[tuple[str, str | bytes]] = []
    if halves is not None:
        names = HALVES if halves.turning is None else TURNED_HALVES
        entries = list(zip(names, halves.parts, strict=True))
        digests = _digests(halves.parts)
        if halves.turning is None:
            facts["halves_sha256"] = digests
        else:
            facts["turned_halves"] = {"sha256": digests, **halves.turning.to_dict()}
    entries += [
        (SPEC_FILE_NAME, spec.to_json()),
        (FLATBUFFER_FILE_NAME, json.dumps(facts, sort_keys=True) + "\n"),
    ]
    buffer = io.BytesIO()
    buffer.write(tflite)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def read_spec(path: str | os.PathLike[str]) -> ModelSpec:
    """Spec of a model file. Raises InputError like `read_model`."""
    return read_model(path)[1]


def read_model(path: str | os.PathLike[str]) -> tuple[bytes, ModelSpec]:
    """Flatbuffer, without the zip, and spec of a model file. Raises as `read_model_file`."""
    return read_model_file(path)[:2]


def read_model_file(
    path: str | os.PathLike[str],
) -> tuple[bytes, ModelSpec, StoredHalves | None]:
    """Flatbuffer, without the zip, spec, and both halves of the network where they are inside.

    Raises:
        InputError: not found, a folder, empty, no TFLite file, no spec inside, cut short,
            damaged, or a spec that this version does not understand.
    """
    data, known = _read_file(Path(path))
    if known is None:
        raise InputError(
            f"{path} has no {SPEC_FILE_NAME} inside: it was not made by doa_export, or it was cut "
            f"short. Received: {len(data)} bytes"
        )
    if isinstance(known, str):
        raise InputError(f"{path} is damaged: its {SPEC_FILE_NAME} cannot be read ({known})")
    for name in (SPEC_FILE_NAME, FLATBUFFER_FILE_NAME):
        if name not in known:
            raise InputError(f"{path} has no {name} inside: it was not made by doa_export")
    try:
        spec = ModelSpec.from_json(known[SPEC_FILE_NAME])
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    facts = _read_facts(known[FLATBUFFER_FILE_NAME])
    flatbuffer = data[: facts["size"]]
    digest = hashlib.sha256(flatbuffer).hexdigest()
    if digest != facts.get("sha256"):
        raise InputError(
            f"{path} is damaged: the network in it must have the SHA-256 that its "
            f"{FLATBUFFER_FILE_NAME} states. Received: {digest[:12]}..."
        )
    return flatbuffer, spec, _read_halves(path, spec, known, facts)


def _read_halves(
    path: str | os.PathLike[str], spec: ModelSpec, known: dict[str, bytes], facts: dict[str, Any]
) -> StoredHalves | None:
    """The halves among the entries of a zip. Raises InputError for damaged ones."""
    halves = [known[name] for name in (*HALVES, *TURNED_HALVES) if name in known]
    stated = [
        facts[key] for key in ("halves_sha256", "turned_halves") if facts.get(key) is not None
    ]
    if not stated and not halves:
        return None
    turned = facts.get("turned_halves")
    digests = turned.pop("sha256", None) if isinstance(turned, dict) else facts.get("halves_sha256")
    names = HALVES if turned is None else TURNED_HALVES
    if (
        digests != _digests(halves)
        or len(stated) != 1
        or len(halves) != 2
        or not all(name in known for name in names)
    ):
        raise InputError(
            f"{path} is damaged: the halves of the network in it must have the SHA-256 that its "
            f"{FLATBUFFER_FILE_NAME} states. Received: {len(halves)} halves, {digests}"
        )
    if turned is None:
        return StoredHalves((halves[0], halves[1]))
    try:
        turning = Turning.from_dict(turned)
        turning.check_fits(spec.features)
    except ValueError as error:
        raise InputError(
            f"{path} does not say how its halves are turned: {one_line(error)}"
        ) from error
    return StoredHalves((halves[0], halves[1]), turning)


def _digests(parts: Sequence[bytes]) -> list[str]:
    return [hashlib.sha256(part).hexdigest() for part in parts]


def _read_file(path: Path) -> tuple[bytes, dict[str, bytes] | str | None]:
    """A file and what `_read_zip` finds in it, whose end is looked at before the rest is read."""
    if path.is_dir():
        raise InputError(f"The model must be a .tflite file. Received the folder {path}")
    if not path.is_file():
        raise InputError(
            f"The model must be a .tflite file, or built in ({', '.join(SHIPPED)}). "
            f"Not found: {path}"
        )
    try:
        with path.open("rb") as file:
            start, size = file.read(8), file.seek(0, os.SEEK_END)
            sound = _is_flatbuffer(start) and size <= LARGEST_FILE
            known = _read_zip(file) if sound else None
            file.seek(0)
            data = file.read() if sound else start
    except OSError as error:
        raise InputError(f"The model cannot be read: {one_line(error)}") from error
    if not data:
        raise InputError(f"The model must be a .tflite file. Received: {path}, which is empty")
    if not sound:
        raise InputError(
            f"The model must be a .tflite file, with {IDENTIFIER!r} at byte 4, of {LARGEST_FILE} "
            f"bytes at most. Received: {path}, {size} bytes that start with {start!r}"
        )
    return data, known


def _is_flatbuffer(data: bytes) -> bool:
    return data[4:8] == IDENTIFIER


def _read_zip(file: BinaryIO) -> dict[str, bytes] | str | None:
    """Our entries of the zip at the end; None where there is no zip, a reason if it is damaged."""
    if not zipfile.is_zipfile(file):
        return None
    ours = dict.fromkeys((*HALVES, *TURNED_HALVES), LARGEST_HALF)
    ours |= dict.fromkeys((SPEC_FILE_NAME, FLATBUFFER_FILE_NAME), LARGEST_ENTRY)
    try:
        with open_zip(file) as archive:
            names = [name for name in archive.namelist() if name in ours]
            if len(set(names)) < len(names):
                raise DamagedZipError("it holds the same entry several times")
            return {name: read_entry(archive, name, largest=ours[name]) for name in names}
    except DamagedZipError as error:
        return one_line(error)


def _read_facts(text: bytes) -> dict[str, Any]:
    """What the zip states: the flatbuffer's size, 0 where it is no size, and digests, if any."""
    try:
        facts = parse_json(text)
    except ValueError:
        facts = None
    facts = facts if isinstance(facts, dict) else {}
    size = facts.get("size")
    return {**facts, "size": size if type(size) is int and size >= 0 else 0}
