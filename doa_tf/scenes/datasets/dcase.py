"""The data sets of DCASE's task of sound event localization and detection, 2020 to 2023.

    STARSS22, STARSS23    foa_dev/dev-train-sony/fold3_room21_mix001.wav, metadata_dev/... .csv
    TAU-NIGENS 2021       foa_dev/dev-train/fold1_room1_mix001.wav, metadata_dev/... .csv
    TAU-NIGENS 2020       foa_dev/fold1_room1_mix001_ov1.wav, metadata_dev/... .csv

Recordings are AmbiX at 24 kHz (those of mic_dev are capsules, and are not read). A row of a CSV
file, which has no header, is a sound in a frame of 100 ms: frame, class, source, azimuth and
elevation [degrees], in 2023 the distance [cm] as well. Frames and classes count from 0, azimuths
counter-clockwise from ahead. The classes that are speech differ by year.

References:
    A. Politis, S. Adavanne, T. Virtanen, "A dataset of reverberant spatial sound scenes with moving
    sources for sound event localization and detection", DCASE Workshop 2020 (arXiv:2006.01919),
    doi:10.5281/zenodo.4064792. A. Politis, S. Adavanne, D. Krause, A. Deleforge, P. Srivastava,
    T. Virtanen, "A dataset of dynamic reverberant sound scenes with directional interferers for
    sound event localization and detection", 2021, doi:10.5281/zenodo.4844825. A. Politis et al.,
    "STARSS22", 2022 (arXiv:2206.01948), doi:10.5281/zenodo.6600531. K. Shimada et al., "STARSS23",
    2023 (arXiv:2306.09126), doi:10.5281/zenodo.7880637. The numbers of the classes of 2020 and 2021
    are those of their baselines (github.com/sharathadavanne/seld-dcase2020 and seld-dcase2021,
    parameter.py).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from doa_core.errors import InputError
from doa_tf.scenes.datasets.frames import FRAMES_PER_S, LabelledFrame, talkers_of_frames
from doa_tf.scenes.datasets.reading import (
    SPEECH,
    Layout,
    Reading,
    check_some,
    recording_of,
    visible_files,
)
from doa_tf.scenes.labels.scene import TALKER_COLUMN, Scene
from doa_tf.scenes.labels.table import recording_seconds

AUDIO_FOLDER, CAPSULES_FOLDER, LABELS_FOLDER = "foa_dev", "mic_dev", "metadata_dev"
_CELLS = (5, 6)  # of a row; the sixth is the distance
_NAME_PARTS = {name: re.compile(rf"(?:^|_)({name}\d+)(?:_|$)") for name in ("fold", "room")}


@dataclass(frozen=True)
class _Year:
    """A data set of these.

    Attributes:
        name: for people.
        classes: their names, by number.
        example: of a file of labels, below `metadata_dev`.
    """

    name: str
    classes: tuple[str, ...]
    example: str

    @property
    def speech(self) -> tuple[int, ...]:
        """The numbers of the classes that are speech."""
        return tuple(n for n, name in enumerate(self.classes) if name.endswith("speech"))


STARSS = _Year(
    "STARSS22 or STARSS23",
    (
        *("female speech", "male speech", "clapping", "telephone", "laughter", "domestic sounds"),
        *("footsteps", "door", "music", "musical instrument", "water tap", "bell", "knock"),
    ),
    "dev-train-sony/fold3_room21_mix001.csv",
)
NIGENS_2021 = _Year(
    "TAU-NIGENS Spatial Sound Events 2021",
    (
        *("alarm", "crying baby", "crash", "barking dog", "female scream", "female speech"),
        *("footsteps", "knock", "male scream", "male speech", "phone", "piano"),
    ),
    "dev-train/fold1_room1_mix001.csv",
)
NIGENS_2020 = _Year(
    "TAU-NIGENS Spatial Sound Events 2020",
    (
        *("alarm", "crying baby", "crash", "barking dog", "engine", "female scream"),
        *("female speech", "fire", "footsteps", "knock", "male scream", "male speech"),
        *("phone", "piano"),
    ),
    "fold1_room1_mix001_ov1.csv",
)
YEARS = (STARSS, NIGENS_2021, NIGENS_2020)


def year_of(labels: Path) -> _Year | None:
    """The data set of a file of labels, by its name and its folder's; None where they don't say.

    Args:
        labels: below `metadata_dev`.
    """
    folder = labels.parent.name
    if re.search(r"_ov\d+$", labels.stem):
        return NIGENS_2020
    if re.fullmatch(r"dev-(train|val|test)-\w+", folder):
        return STARSS
    return NIGENS_2021 if re.fullmatch(r"dev-(train|val|test)", folder) else None


def _label_files(folder: Path) -> list[Path]:
    return visible_files(folder / LABELS_FOLDER, "**/*.csv")


def _holds(year: _Year, folder: Path) -> bool:
    if not (folder / AUDIO_FOLDER).is_dir():
        return False
    return any(year_of(labels) is year for labels in _label_files(folder))


def why_not(folder: Path) -> str | None:
    """What a folder with labels lacks to be one of these sets; None where it has nothing of one."""
    if (folder / LABELS_FOLDER).is_dir() and not (folder / AUDIO_FOLDER).is_dir():
        capsules = (folder / CAPSULES_FOLDER).is_dir()
        also = f" ({CAPSULES_FOLDER} holds capsules, which are not read)" if capsules else ""
        return f"it has {LABELS_FOLDER} and lacks {AUDIO_FOLDER}{also}"
    if (folder / AUDIO_FOLDER).is_dir():
        ways = ", ".join(f"{LABELS_FOLDER}/{year.example}" for year in YEARS)
        return (
            f"labels beside {AUDIO_FOLDER} tell the year, and its classes, by names such as {ways}"
        )
    return None


def _scenes(year: _Year, folder: Path, reading: Reading) -> Iterator[Scene]:
    missing, found = [], 0
    for labels in _label_files(folder):
        relative = labels.relative_to(folder / LABELS_FOLDER).with_suffix("")
        path = recording_of(folder / AUDIO_FOLDER / relative)
        if path is None:
            missing.append(f"{AUDIO_FOLDER}/{relative}")
            continue
        found += 1
        yield _scene(year, labels, path, path.relative_to(folder), reading)
    check_some(folder, found, missing, of=year.name)


def _scene(year: _Year, labels: Path, path: Path, file: Path, reading: Reading) -> Scene:
    counted = year.speech if reading.sounds == SPEECH else range(len(year.classes))
    rows = (
        LabelledFrame(
            frame=row.frame,
            talker=f"{year.classes[row.number]} {row.source}",
            azimuth_deg=reading.azimuth_deg(row.azimuth_deg),
            elevation_deg=row.elevation_deg,
        )
        for row in _rows(year, labels, frames=math.ceil(recording_seconds(path) * FRAMES_PER_S))
        if row.number in counted
    )
    parts = {name: part.search(path.stem) for name, part in _NAME_PARTS.items()}
    split = file.parent.relative_to(AUDIO_FOLDER).as_posix()
    columns = {TALKER_COLUMN: "", "split": "" if split == "." else split}
    columns |= {name: match[1] if match else "" for name, match in parts.items()}
    return Scene(
        file=file.as_posix(),
        path=path,
        columns=columns,
        talkers=talkers_of_frames(rows),
        input_format=reading.input_format,
    )


class _Row(NamedTuple):
    """A row of labels: a sound of the class `number` in a frame."""

    frame: int
    number: int
    source: int
    azimuth_deg: float
    elevation_deg: float


def _rows(year: _Year, labels: Path, *, frames: int) -> Iterator[_Row]:
    """The rows of a file of labels.

    Args:
        year: the data set.
        labels: the file.
        frames: of the recording.

    Raises:
        InputError: not such a table, an unknown class, angles out of range, a frame behind the
            recording's end. The message names the line.
    """
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    where = f"{labels}, line {reader.line_num}"
                    row = _parsed(cells, where=where)
                    if reason := _unfit(year, row, frames=frames):
                        raise InputError(f"{where}: {reason}. Received: {','.join(cells)}")
                    yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{labels} must be comma-separated UTF-8 text ({error})") from error


def _parsed(cells: Sequence[str], *, where: str) -> _Row:
    try:
        if len(cells) not in _CELLS:
            raise ValueError
        frame, number, source = map(int, cells[:3])
        return _Row(frame, number, source, *map(float, cells[3:5]))
    except ValueError as error:
        raise InputError(
            f"{where}: a row must be frame,class,source,azimuth,elevation in numbers, with or "
            f"without the distance, below no header. Received: {','.join(cells)}"
        ) from error


def _unfit(year: _Year, row: _Row, *, frames: int) -> str | None:
    """Why a row cannot be of a recording of so many frames; None where it can."""
    if not 0 <= row.frame <= frames:  # edges are rounded, so that one may lie behind the end
        return f"a frame of 0.1 s must lie within its recording, which has {frames}, from 0 on"
    if not 0 <= row.number < len(year.classes):
        speech = " and ".join(map(str, year.speech))
        last = len(year.classes) - 1
        return f"the class must be one of {year.name}, 0 to {last} (speech is {speech})"
    if not (-180.0 <= row.azimuth_deg <= 180.0 and -90.0 <= row.elevation_deg <= 90.0):
        return "azimuths must lie within -180 and 180 degrees, elevations within -90 and 90"
    return None


LAYOUTS = tuple(
    Layout(
        year.name,
        f"{AUDIO_FOLDER} and {LABELS_FOLDER}/{year.example}",
        partial(_holds, year),
        partial(_scenes, year),
    )
    for year in YEARS
)
