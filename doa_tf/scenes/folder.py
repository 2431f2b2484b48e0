"""Scenes: a folder of recordings and `labels.csv`, the one format that every evaluation reads.

    my-recordings/
        labels.csv      file,azimuth_deg,elevation_deg[,talker[,start_s,end_s]][,any further column]
        kitchen_01.wav  WAV or FLAC, four channels, AmbiX (W, Y, Z, X; SN3D), any sample rate
        ...

`file` is a path relative to the folder. Azimuth is counter-clockwise from forward in [-180, 180],
elevation up from the horizon in [-90, 90], degrees. Further columns are free text or numbers
(`condition`, `snr_db`, ...); `doa_tf evaluate --group-by COLUMN` can use each of them.

One row a file: one talker all through. With the column `talker` a file may have several rows: one a
talker, or one for each stretch in which a talker talks, from `start_s` to `end_s` [seconds]. A file
in which nobody talks has one row with `talker` and both angles empty.
docs/conventions.md has examples. A folder without labels.csv may be one of the data sets that this
field publishes, which is read as it is (`doa_tf.scenes.datasets`, docs/datasets.md).
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from doa_core.errors import InputError
from doa_core.files import as_disk_errors, existing_path, write_folder_beside
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.format import AMBIX, InputFormat
from doa_tf.scenes.datasets.layouts import layout_of, read_layout, why_none
from doa_tf.scenes.datasets.reading import Reading
from doa_tf.scenes.labels.scene import LABEL_COLUMNS as LABEL_COLUMNS
from doa_tf.scenes.labels.scene import Scene as Scene
from doa_tf.scenes.labels.scene import SceneTalker as SceneTalker
from doa_tf.scenes.labels.scene import Stretch as Stretch
from doa_tf.scenes.labels.table import LABELS_FILE as LABELS_FILE
from doa_tf.scenes.labels.table import REQUIRED_COLUMNS as REQUIRED_COLUMNS
from doa_tf.scenes.labels.table import Row, read_rows, scene_of_file, scenes_of_rows

IMAGES_FOLDER = "images"  # of the talkers and the noise of scenes, beside the scenes

# Samples, or blocks of the images that add up to them; a row of labels, or several.
Sound: TypeAlias = "npt.ArrayLike | Iterator[Mapping[str, np.ndarray]]"
Rows: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]]"


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """The scenes of a folder, in the order of labels.csv.

    Attributes:
        folder: where they lie.
        scenes: at least one.
        columns: names of the further columns, in the order of the file.
        published: name of the published data set that this is; empty for a folder with labels.csv.
    """

    folder: Path
    scenes: tuple[Scene, ...]
    columns: tuple[str, ...] = ()
    published: str = ""

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    def __getitem__(self, index: int) -> Scene:
        return self.scenes[index]

    @property
    def voices(self) -> int:
        """The most talkers of any file."""
        return max(len(scene.talkers) for scene in self.scenes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is known of the scenes: files, labels and formats, not their sound."""
        known = [
            (scene.file, scene.talkers, sorted(scene.columns.items()), scene.input_format)
            for scene in self.scenes
        ]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def split(self, share: float, *, by: str | None = None, seed: int = 0) -> tuple[Scenes, Scenes]:
        """The scenes without a random share of them, and that share.

        Args:
            share: of the files, or of the values of a column, rounded, and at least one.
            by: a column, such as a room or a day, whose scenes of one value stay together; by
                default each file stands alone.
            seed: of the draw.

        Raises:
            InputError: there is no such column, or fewer than two files or values to split.
            ValueError: a share that is not between 0 and 1.
        """
        if not 0.0 < share < 1.0:
            raise ValueError(f"`share` must lie between 0 and 1. Received: {share}")
        if by is not None and by not in self.columns:
            raise InputError(
                f"{self.folder} has no column {by!r} to split by. "
                f"Received columns: {', '.join(self.columns) or 'none'}"
            )
        groups = [scene.file if by is None else scene.columns[by] for scene in self.scenes]
        values = sorted(set(groups))
        if len(values) < 2:
            what = "files" if by is None else f"values of {by!r}"
            raise InputError(
                f"To split scenes needs two or more {what}. Received: {len(values)} in "
                f"{self.folder}"
            )
        count = min(max(1, round(share * len(values))), len(values) - 1)
        order = np.random.default_rng(seed).permutation(len(values))
        held = {values[place] for place in order[:count]}
        parts = [
            tuple(s for s, group in zip(self.scenes, groups, strict=True) if (group in held) is out)
            for out in (False, True)
        ]
        return replace(self, scenes=parts[0]), replace(self, scenes=parts[1])


def read_scenes(
    folder: str | os.PathLike[str],
    input_format: InputFormat = AMBIX,
    *,
    sounds: str | None = None,
    clockwise: bool = False,
) -> Scenes:
    """The scenes of a folder. Labels and the existence of files are checked.

    The recordings themselves are opened when they are used (`Scene.read`).

    Args:
        folder: with recordings and labels.csv, or a published data set, see
            `doa_tf.scenes.datasets`; labels.csv comes first.
        input_format: what the channels of all its recordings are.
        sounds: which labels of a published data set count: `speech`, which is the default, or
            `all`.
        clockwise: whether azimuths of a published data set count clockwise.

    Raises:
        InputError: the folder or its labels.csv is missing, empty or not a table; a required
            column is missing; an angle is not a number or out of range; a file is missing, named
            twice without a column `talker`, or outside of the folder; rows of one talker overlap;
            `start_s` or `end_s` stands alone, in some rows of a file only, or outside of the file,
            whose length is looked up where there are times. The message names the line. A folder
            that looks like two published data sets, or holds labels that no such set has.
        ValueError: other sounds.
    """
    folder = existing_path(folder)
    labels = folder / LABELS_FILE
    if not folder.is_dir():
        raise InputError(
            f"A scenes folder holds recordings and {LABELS_FILE}. Received: {folder}, which is "
            f"{'a file' if folder.exists() else 'not there'}"
        )
    if not labels.is_file():
        given = {} if sounds is None else {"sounds": sounds}
        reading = Reading(input_format=input_format, clockwise=clockwise, **given)
        return _published(folder, reading)
    if sounds is not None or clockwise:
        raise InputError(
            f"`sounds` and `clockwise` are for published data sets. Received: {folder} with its "
            f"own {LABELS_FILE}, whose rows all count, counter-clockwise"
        )
    try:
        # Spreadsheets write a byte-order mark, which utf-8-sig skips.
        with labels.open(encoding="utf-8-sig", newline="") as file:
            names, rows = read_rows(file, labels)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{labels} must be UTF-8 text, comma-separated: save it as CSV in UTF-8 ({error})"
        ) from error
    if not rows:
        raise InputError(f"{labels} names its columns and holds no scene")
    further = tuple(name for name in names if name not in REQUIRED_COLUMNS)
    found = (replace(scene, input_format=input_format) for scene in scenes_of_rows(rows, folder))
    return Scenes(folder=folder, scenes=tuple(found), columns=further)


def _published(folder: Path, reading: Reading) -> Scenes:
    """The scenes of a published data set."""
    layout = layout_of(folder)
    if layout is None:
        required = ", ".join(REQUIRED_COLUMNS)
        why = why_none(folder)
        raise InputError(f"{folder} has no {LABELS_FILE} with the columns {required}{why}")
    scenes = read_layout(folder, layout, reading)
    columns = tuple(scenes[0].columns)
    return Scenes(folder=folder, scenes=scenes, columns=columns, published=layout.name)


def write_scenes(
    folder: str | os.PathLike[str],
    scenes: Iterable[tuple[str, Sound, Rows]],
    *,
    sample_rate: int = SAMPLE_RATE,
    subtype: str = "FLOAT",
    images: bool = False,
) -> int:
    """Write a scenes folder from (name, sound, rows) triples and return how many there were.

    Recordings become WAV files, by default of 32-bit float samples: a scene is read back exactly
    as it was rendered, nothing clips at any level, and every audio editor opens it. FLAC has no
    float samples, and 16 bits add noise to quiet scenes.

    All is written into a folder beside and renamed at the end, so `folder` never holds an
    incomplete set. Only one scene at a time is in memory, and of a scene in blocks only a block.

    Args:
        folder: must not exist, or be empty. Missing parents are made.
        scenes: name, which becomes NAME.wav and may not contain a directory; (N, 4) float AmbiX
            samples, or consecutive blocks of them, each a mapping of (n, 4) images by name whose
            sum is the scene; and the row of labels.csv, or several, with `azimuth_deg`,
            `elevation_deg` and further columns, the same ones in each row. Values are written with
            `str`, None as an empty cell.
        sample_rate: [hertz] of the waveforms.
        subtype: of the WAV files, as soundfile names it; `PCM_16` where size matters more.
        images: whether the images of scenes in blocks are kept too, as images/SCENE_IMAGE.wav.

    Raises:
        InputError: `folder` holds something, is a file, or there are no scenes; rows that
            `read_scenes` would refuse.
        ValueError: a name, waveform or row that does not fit.
    """
    folder = Path(os.path.realpath(folder))
    check_scenes_target(folder)
    with write_folder_beside(folder) as part:
        files = _SoundFiles(folder=part, sample_rate=sample_rate, subtype=subtype, images=images)
        rows: dict[str, list[Row]] = {}  # by file
        for name, sound, given in scenes:
            file = name if name.lower().endswith(".wav") else f"{name}.wav"
            _check_name(file, rows)
            of_file = _rows_of(file, given, rows)
            samples = files.write(file, sound)
            scene_of_file(of_file, part / file, seconds=samples / sample_rate)
            rows[file] = of_file
        if not rows:
            raise InputError(f"There are no scenes to write to {folder}")
        _write_labels(part / LABELS_FILE, [row for of_file in rows.values() for row in of_file])
    return len(rows)


def check_scenes_target(folder: str | os.PathLike[str]) -> None:
    """Raise InputError unless `write_scenes` may write there; for a check before long work."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"Scenes are written to a new or an empty folder. Received: {folder}, which "
            f"{'is not empty' if folder.is_dir() else 'is a file'}"
        )


@dataclass(frozen=True, kw_only=True)
class _SoundFiles:
    """Writes the sound of scenes below a folder."""

    folder: Path
    sample_rate: int
    subtype: str
    images: bool

    def write(self, file: str, sound: Sound) -> int:
        """Write a scene, and its images where asked; returns its length [samples]."""
        blocks = sound if isinstance(sound, Iterator) else iter([{"": np.asarray(sound)}])
        length = 0
        with ExitStack() as open_files:
            open_files.enter_context(_disk_errors(self.folder / file))
            scene = open_files.enter_context(self._open(file))
            images: dict[str, Any] = {}
            for block in blocks:
                parts = {name: np.asarray(part, np.float32) for name, part in block.items()}
                whole = reduce(np.add, parts.values())
                _check_samples(file, whole)
                scene.write(whole)
                length += len(whole)
                for name in parts if self.images else ():
                    if name and name not in images:
                        image = f"{Path(file).stem}_{name}.wav"
                        _check_name(image, {})
                        opened = self._open(f"{IMAGES_FOLDER}/{image}")
                        images[name] = open_files.enter_context(opened)
                for name, opened in images.items():
                    opened.write(parts[name])
        if not length:
            _check_samples(file, np.zeros((0, 4)))
        return length

    def _open(self, file: str) -> Any:
        import soundfile

        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        options: dict[str, Any] = {"subtype": self.subtype, "format": "WAV"}
        return soundfile.SoundFile(os.fsencode(path), "w", self.sample_rate, 4, **options)


def _disk_errors(path: Path) -> AbstractContextManager[None]:
    """What libsndfile raises on a full disk, and what its wrapper does of a part written."""
    import soundfile

    return as_disk_errors(path, soundfile.SoundFileError, AssertionError)


def _check_name(file: str, others: Mapping[str, Any]) -> None:
    if PurePosixPath(file).name != file or "\\" in file:
        raise ValueError(f"A scene's name may not contain a directory. Received: {file!r}")
    if file in others:
        raise ValueError(f"Every scene needs a name of its own. Received twice: {file!r}")


def _check_samples(file: str, samples: np.ndarray) -> None:
    if samples.ndim != 2 or samples.shape[1] != 4 or not len(samples):
        raise ValueError(
            f"A scene's waveform must be (samples, 4). Received: {file} with shape {samples.shape}"
        )
    if not np.all(np.isfinite(samples)):
        raise ValueError(f"A scene's waveform must be finite. Received: {file} with NaN or inf")


def _rows_of(file: str, given: Rows, others: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The rows of a scene as text, which must have the columns of the other scenes'."""
    rows = [given] if isinstance(given, Mapping) else list(given)
    if not rows:
        raise ValueError(f"A scene needs at least one row of labels. Received: {file} without")
    earlier = next(iter(others.values()), None)
    columns = {*earlier[0].cells} if earlier else {*REQUIRED_COLUMNS, *rows[0]}
    for row in rows:
        if {"file", *row} != columns or "file" in row:
            raise ValueError(
                f"The row of {file} must have the columns "
                f"{', '.join(sorted(columns - {'file'}))}. Received: {', '.join(map(str, row))}"
            )
    text = [{name: "" if value is None else str(value) for name, value in r.items()} for r in rows]
    return [Row(f"{file}, row {n}", {"file": file, **row}) for n, row in enumerate(text, 1)]


def _write_labels(path: Path, rows: Sequence[Row]) -> None:
    further = [name for name in rows[0].cells if name not in REQUIRED_COLUMNS]
    with path.open("w", encoding="utf-8", newline="") as labels:
        table = csv.DictWriter(labels, [*REQUIRED_COLUMNS, *further], lineterminator="\n")
        table.writeheader()
        table.writerows(row.cells for row in rows)
