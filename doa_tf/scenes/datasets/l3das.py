"""The data sets of the L3DAS challenges of 2021 to 2023, task 2.

    L3DAS22_Task2_train/data/split1_ov2_17_A.wav, ..._B.wav
    L3DAS22_Task2_train/labels/label_split1_ov2_17.csv    File,Start,End,Class,X,Y,Z

A row is a sound from `Start` to `End` [seconds] at X, Y, Z [metres] from microphone A. Microphone B
stands 0.2 m beside it: along Y, the width of the room, in 2021 and 2022, along X in 2023. To which
side is not said in words; it is taken for the positive one.

The recordings of 2023 are AmbiX (ACN, SN3D). Those of 2021 and 2022 were made with capsules in a
tetrahedron and published as B-format, whose order of channels is not said; they are read as W, X,
Y, Z (`fuma`) unless another format is asked for. `doa_tf.scenes.datasets.label_check` holds labels
against the sound and tells where that is wrong.

References:
    E. Guizzo et al., "L3DAS21 Challenge: machine learning for 3D audio signal processing", MLSP
    2021 (arXiv:2104.05499), doi:10.5281/zenodo.4642005; E. Guizzo et al., "L3DAS22 Challenge",
    ICASSP 2022 (arXiv:2202.10372); R. F. Gramaccioni et al., "L3DAS23", IEEE OJSP 2024,
    doi:10.1109/OJSP.2024.3376297; l3das.com, pages `dataset` and `task2` of each year; columns and
    classes as in github.com/l3das/L3DAS22, utility_functions.py and preprocessing.py.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from doa_core.angles import vector_to_angles
from doa_core.errors import InputError
from doa_edge.input.format import InputFormat
from doa_tf.scenes.datasets.reading import (
    SPEECH,
    Layout,
    Reading,
    check_some,
    recording_of,
    visible_files,
)
from doa_tf.scenes.labels.scene import TALKER_COLUMN, Scene, SceneTalker, Stretch
from doa_tf.scenes.labels.table import recording_seconds

CLASSES = (
    *("Chink_and_clink", "Computer_keyboard", "Cupboard_open_or_close", "Drawer_open_or_close"),
    *("Female_speech_and_woman_speaking", "Finger_snapping", "Keys_jangling", "Knock"),
    *("Laughter", "Male_speech_and_man_speaking", "Printer", "Scissors", "Telephone", "Writing"),
)
NAME = "L3DAS, task 2"
_NAMES = {
    "Female_speech_and_woman_speaking": "female speech",
    "Male_speech_and_man_speaking": "male speech",
}
_COLUMNS = ("Start", "End", "Class", "X", "Y", "Z")
_MICROPHONES = ("A", "B")
_ASIDE_M = 0.2  # of microphone B
_ROUNDING_S = 0.5  # of times behind the recording's end
_AMBIX_YEAR = "L3DAS23"


def _parts(folder: Path) -> list[Path]:
    """The folders with `data` and `labels` of task 2: this one, or those in it."""
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [
        path
        for path in (folder, *below)
        if (path / "data").is_dir() and visible_files(path / "labels", "label_*.csv")
    ]


def holds(folder: Path) -> bool:
    """Whether a folder holds recordings and labels of task 2."""
    return bool(_parts(folder))


def scenes(folder: Path, reading: Reading) -> Iterator[Scene]:
    """The recordings of both microphones, by file.

    Raises:
        InputError: labels that are not as they are published, or none with a recording.
    """
    missing, found = [], 0
    for part in _parts(folder):
        for labels in visible_files(part / "labels", "label_*.csv"):
            name = labels.stem.removeprefix("label_")
            paths = {mic: recording_of(part / "data" / f"{name}_{mic}") for mic in _MICROPHONES}
            there = {mic: path for mic, path in paths.items() if path is not None}
            if not there:
                missing.append(f"{part.name}/data/{name}_A.wav")
                continue
            found += 1
            rows = list(_rows(labels, reading, min(map(recording_seconds, there.values()))))
            for microphone, path in there.items():
                yield _scene(folder, part, path, microphone, rows, reading)
    check_some(folder, found, missing, of=NAME)


def _scene(
    folder: Path,
    part: Path,
    path: Path,
    microphone: str,
    rows: list[Mapping[str, str]],
    reading: Reading,
) -> Scene:
    recent = _AMBIX_YEAR in f"{folder.resolve().name}/{part.name}"
    counts: Counter[str] = Counter()
    talkers = []
    for row in rows:
        name = _NAMES.get(row["Class"], row["Class"])
        counts[name] += 1
        stretch = _stretch(row, reading, _aside(microphone, recent))
        talkers.append(SceneTalker(name=f"{name} {counts[name]}", stretches=(stretch,)))
    overlap = re.search(r"_(ov\d+)_", path.stem)
    return Scene(
        file=path.relative_to(folder).as_posix(),
        path=path,
        columns={
            TALKER_COLUMN: "",
            "split": part.name if part != folder else "",
            "microphone": microphone,
            "overlap": overlap[1] if overlap else "",
        },
        talkers=tuple(talkers),
        input_format=_format(reading.input_format, recent),
    )


def _format(asked: InputFormat, recent: bool) -> InputFormat:
    if asked.audio_format is not None:
        return asked
    return replace(asked, audio_format="ambix" if recent else "fuma")


def _aside(microphone: str, recent: bool) -> tuple[float, float, float]:
    """Where a microphone stands from microphone A [metres]."""
    if microphone == "A":
        return (0.0, 0.0, 0.0)
    return (_ASIDE_M, 0.0, 0.0) if recent else (0.0, _ASIDE_M, 0.0)


def _rows(labels: Path, reading: Reading, seconds: float) -> Iterator[Mapping[str, str]]:
    """The rows that count, checked.

    Args:
        labels: the file.
        reading: which sounds count.
        seconds: length of the recording.

    Raises:
        InputError: not such a table, an unknown class, times or places that cannot be.
    """
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True, skipinitialspace=True)
            if missing := [name for name in _COLUMNS if name not in (table.fieldnames or ())]:
                raise InputError(
                    f"{labels} must have the columns {', '.join(_COLUMNS)}. Received: "
                    f"{', '.join(table.fieldnames or ()) or 'none'}, without {missing[0]}"
                )
            for row in table:
                _check(row, seconds, where=f"{labels}, line {table.line_num}")
                if reading.sounds != SPEECH or row["Class"] in _NAMES:
                    yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{labels} must be comma-separated UTF-8 text ({error})") from error


def _check(row: Mapping[str, str], seconds: float, *, where: str) -> None:
    received = f"Received: {','.join(str(row[name]) for name in _COLUMNS)}"
    try:
        start, end, *place = (float(row[name]) for name in _COLUMNS if name != "Class")
    except (TypeError, ValueError):
        start, end, place = math.nan, math.nan, [math.nan]
    if not (0.0 <= start < end <= seconds + _ROUNDING_S and all(map(math.isfinite, place))):
        raise InputError(
            f"{where}: a row must be Start and End [seconds] within its recording of {seconds:.3f} "
            f"s, Start first, a class, and X, Y, Z [metres]. {received}"
        )
    if row["Class"] not in CLASSES:
        raise InputError(f"{where}: the class must be one of {', '.join(CLASSES)}. {received}")


def _stretch(
    row: Mapping[str, str], reading: Reading, aside: tuple[float, float, float]
) -> Stretch:
    place = [float(row[axis]) - off for axis, off in zip("XYZ", aside, strict=True)]
    azimuth, elevation = vector_to_angles(place)
    return Stretch(
        start_s=float(row["Start"]),
        end_s=float(row["End"]),
        azimuth_deg=reading.azimuth_deg(math.degrees(float(azimuth))),
        elevation_deg=math.degrees(float(elevation)),
    )


LAYOUT = Layout(NAME, "data/..._A.wav and labels/label_... .csv", holds, scenes)
