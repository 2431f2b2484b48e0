"""Scenes: a folder of recordings and `labels.csv`, the one format that every evaluation reads.

    my-recordings/
        labels.csv      file,azimuth_deg,elevation_deg[,any further column]
        kitchen_01.wav  WAV or FLAC, four channels, AmbiX (W, Y, Z, X; SN3D), any sample rate
        ...

`file` is a path relative to the folder. Azimuth is counter-clockwise from forward in [-180, 180],
elevation up from the horizon in [-90, 90], degrees. Further columns are free text or numbers
(`condition`, `snr_db`, ...); `doa_tf evaluate --group-by COLUMN` can use each of them.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE

LABELS_FILE = "labels.csv"
LABEL_COLUMNS = ("azimuth_deg", "elevation_deg")
REQUIRED_COLUMNS = ("file", *LABEL_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One recording with one talker.

    Attributes:
        file: as labels.csv has it, relative to the folder.
        path: of the recording.
        azimuth_deg: in [-180, 180] [degrees].
        elevation_deg: in [-90, 90] [degrees].
        columns: the further columns, as text.
    """

    file: str
    path: Path
    azimuth_deg: float
    elevation_deg: float
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def direction(self) -> FloatArray:
        """(3,) unit vector towards the talker."""
        return angles_to_vector(np.radians(self.azimuth_deg), np.radians(self.elevation_deg))

    def number(self, column: str) -> float:
        """The number in a column of labels.csv; NaN where there is none."""
        if column in LABEL_COLUMNS:
            return float(getattr(self, column))
        try:
            return float(self.columns.get(column, ""))
        except ValueError:
            return math.nan

    def read(self, *, sample_rate: int = SAMPLE_RATE) -> npt.NDArray[np.float32]:
        """(N, 4) AmbiX samples, resampled to `sample_rate` [hertz].

        Raises:
            InputError: the file is not a recording with four channels of finite samples.
        """
        from doa_edge.input.audio import read_recording

        return read_recording(self.path, sample_rate=sample_rate)


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The scenes of a folder, in the order of labels.csv.

    Attributes:
        folder: where they lie.
        scenes: at least one.
        columns: names of the further columns, in the order of the file.
    """

    folder: Path
    scenes: tuple[Scene, ...]
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    def __getitem__(self, index: int) -> Scene:
        return self.scenes[index]


def read_scenes(folder: str | os.PathLike[str]) -> Scenes:
    """The scenes of a folder. Labels and the existence of files are checked.

    The recordings themselves are opened when they are used (`Scene.read`).

    Raises:
        InputError: the folder or its labels.csv is missing, empty or not a table; a required
            column is missing; an angle is not a number or out of range; a file is missing, named
            twice or outside of the folder. The message names the line.
    """
    folder = Path(folder)
    labels = folder / LABELS_FILE
    if not folder.is_dir():
        raise InputError(
            f"A scenes folder holds recordings and {LABELS_FILE}. Received: {folder}, which is "
            f"{'a file' if folder.exists() else 'not there'}"
        )
    if not labels.is_file():
        columns = ", ".join(REQUIRED_COLUMNS)
        raise InputError(f"{folder} has no {LABELS_FILE} with the columns {columns}")
    try:
        # Spreadsheets write a byte-order mark, which utf-8-sig skips.
        with labels.open(encoding="utf-8-sig", newline="") as file:
            return _parse_labels(file, folder)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{labels} must be UTF-8 text, comma-separated: {error}") from error


def _parse_labels(file: TextIO, folder: Path) -> Scenes:
    reader = csv.reader(file, strict=True)
    labels = folder / LABELS_FILE
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        raise InputError(
            f"{labels} is empty: its first line must name the columns {', '.join(REQUIRED_COLUMNS)}"
        )
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"{labels} lacks the column {', '.join(missing)}; required are "
            f"{', '.join(REQUIRED_COLUMNS)}. Received: {', '.join(names)}"
        )
    if len(set(names)) < len(names):
        raise InputError(f"{labels} names a column twice. Received: {', '.join(names)}")
    further = tuple(name for name in names if name not in REQUIRED_COLUMNS)
    scenes: list[Scene] = []
    first_line: dict[PurePosixPath, int] = {}
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{labels}, line {reader.line_num}"
        if len(cells) != len(names):
            raise InputError(
                f"{where}: a row must have {len(names)} cells, as the first line has. "
                f"Received: {len(cells)}"
            )
        row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        relative = PurePosixPath(row["file"])
        if not relative.parts or relative.is_absolute() or ".." in relative.parts:
            raise InputError(
                f"{where}: `file` must be a path inside of the folder. Received: {row['file']!r}"
            )
        if relative in first_line:
            raise InputError(
                f"{where}: {row['file']} is named a second time, first in line "
                f"{first_line[relative]}"
            )
        first_line[relative] = reader.line_num
        path = folder / relative
        if not path.is_file():
            raise InputError(f"{where}: there is no recording {path}")
        scenes.append(
            Scene(
                file=row["file"],
                path=path,
                azimuth_deg=_parse_angle(row["azimuth_deg"], "azimuth_deg", 180.0, where),
                elevation_deg=_parse_angle(row["elevation_deg"], "elevation_deg", 90.0, where),
                columns={name: row[name] for name in further},
            )
        )
    if not scenes:
        raise InputError(f"{labels} names its columns and holds no scene")
    return Scenes(folder=folder, scenes=tuple(scenes), columns=further)


def _parse_angle(text: str, column: str, limit: float, where: str) -> float:
    try:
        angle = float(text)
    except ValueError:
        angle = math.nan
    if not -limit <= angle <= limit:
        raise InputError(
            f"{where}: `{column}` must be a number between {-limit:g} and {limit:g} degrees. "
            f"Received: {text!r}"
        )
    return angle


def write_scenes(
    folder: str | os.PathLike[str],
    scenes: Iterable[tuple[str, npt.ArrayLike, Mapping[str, Any]]],
    *,
    sample_rate: int = SAMPLE_RATE,
    subtype: str = "FLOAT",
) -> int:
    """Write a scenes folder from (name, waveform, row) triples and return how many there were.

    Recordings become WAV files, by default of 32-bit float samples: a scene is read back exactly
    as it was rendered, nothing clips at any level, and every audio editor opens it. FLAC has no
    float samples, and 16 bits add noise to quiet scenes.

    All is written into a folder beside and renamed at the end, so `folder` never holds an
    incomplete set. Only one scene at a time is in memory.

    Args:
        folder: must not exist, or be empty. Missing parents are made.
        scenes: name, which becomes NAME.wav and may not contain a directory; (N, 4) float AmbiX
            samples; and the row of labels.csv with `azimuth_deg`, `elevation_deg` and further
            columns, the same ones in each row. Values are written with `str`.
        sample_rate: [hertz] of the waveforms.
        subtype: of the WAV files, as soundfile names it; `PCM_16` where size matters more.

    Raises:
        InputError: `folder` holds something, is a file, or there are no scenes.
        ValueError: a name, waveform or row that does not fit.
    """
    import soundfile

    folder = Path(os.path.realpath(folder))
    check_scenes_target(folder)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process that had the same number
    partial.mkdir(parents=True)
    try:
        rows: dict[str, dict[str, Any]] = {}  # by file
        for name, waveform, row in scenes:
            samples = np.asarray(waveform, dtype=np.float32)
            file = name if name.lower().endswith(".wav") else f"{name}.wav"
            _check_scene(file, samples, row, rows)
            soundfile.write(partial / file, samples, sample_rate, subtype=subtype, format="WAV")
            rows[file] = {"file": file, **row}
        if not rows:
            raise InputError(f"There are no scenes to write to {folder}")
        further = [column for column in row if column not in REQUIRED_COLUMNS]
        with (partial / LABELS_FILE).open("w", encoding="utf-8", newline="") as labels:
            table = csv.DictWriter(labels, [*REQUIRED_COLUMNS, *further], lineterminator="\n")
            table.writeheader()
            table.writerows(rows.values())
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # it is gone if all went well
    return len(rows)


def check_scenes_target(folder: str | os.PathLike[str]) -> None:
    """Raise InputError unless `write_scenes` may write there; for a check before long work."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"Scenes are written to a new or an empty folder. Received: {folder}, which "
            f"{'is not empty' if folder.is_dir() else 'is a file'}"
        )


def _check_scene(
    file: str, samples: np.ndarray, row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> None:
    if PurePosixPath(file).name != file or "\\" in file:
        raise ValueError(f"A scene's name may not contain a directory. Received: {file!r}")
    if file in rows:
        raise ValueError(f"Every scene needs a name of its own. Received twice: {file!r}")
    if samples.ndim != 2 or samples.shape[1] != 4 or not len(samples):
        raise ValueError(
            f"A scene's waveform must be (samples, 4). Received: {file} with shape {samples.shape}"
        )
    if not np.all(np.isfinite(samples)):
        raise ValueError(f"A scene's waveform must be finite. Received: {file} with NaN or inf")
    columns = set(next(iter(rows.values()), {*REQUIRED_COLUMNS, *row}))
    if {"file", *row} != columns or "file" in row:
        raise ValueError(
            f"The row of {file} must have the columns {', '.join(sorted(columns - {'file'}))}. "
            f"Received: {', '.join(map(str, row))}"
        )
    for column, limit in (("azimuth_deg", 180.0), ("elevation_deg", 90.0)):
        if not -limit <= float(row[column]) <= limit:
            raise ValueError(
                f"`{column}` of {file} must lie between {-limit:g} and {limit:g} degrees. "
                f"Received: {row[column]!r}"
            )
