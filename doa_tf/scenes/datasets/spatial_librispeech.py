"""Spatial LibriSpeech: one reader in each of 200,000 simulated rooms.

    metadata.parquet                 sample_id, speech/azimuth, speech/elevation, split, ...
    ambisonics/000000.flac           one reader all through, first-order Ambisonics at 16 kHz

Angles are radians. The schema does not say to which side azimuths count, nor how the channels are
normalised: they are read counter-clockwise, and as AmbiX. `doa_tf.scenes.datasets.label_check`
holds labels against the sound and tells where that is wrong. Rows whose recording is not there are
left out, as where the lite version or a part was downloaded.

References:
    M. Sarabia et al., "Spatial LibriSpeech: an augmented dataset for spatial audio learning",
    Interspeech 2023, doi:10.21437/Interspeech.2023-2117; github.com/apple/ml-spatial-librispeech,
    README.md and DATASET_SCHEMA.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, MissingPackageError, one_line
from doa_tf.scenes.datasets.reading import Layout, Reading, check_some, recording_of
from doa_tf.scenes.labels.scene import TALKER_COLUMN, Scene

NAME = "Spatial LibriSpeech"
TABLE, AUDIO_FOLDER = "metadata.parquet", "ambisonics"
_NUMBER, _AZIMUTH, _ELEVATION = "sample_id", "speech/azimuth", "speech/elevation"
_FURTHER = {
    "split": "split",
    "room": "room/room_id",
    "reader": "speech/librispeech_metadata/reader_id",
    "distance_m": "speech/distance",
}
_ROUNDING = 1e-6  # radians: of 32-bit floats


def holds(folder: Path) -> bool:
    """Whether a folder holds the table of metadata."""
    return (folder / TABLE).is_file()


def scenes(folder: Path, reading: Reading) -> Iterator[Scene]:
    """The recordings that are there, in the order of the table.

    Raises:
        InputError: a table that is not as it is published, or no recording of it.
        MissingPackageError: pyarrow is not installed.
    """
    columns = read_columns(folder / TABLE, [_NUMBER, _AZIMUTH, _ELEVATION, *_FURTHER.values()])
    for name in (_NUMBER, _AZIMUTH, _ELEVATION):
        if name not in columns:
            raise InputError(
                f"{folder / TABLE} must have the columns {_NUMBER}, {_AZIMUTH} and {_ELEVATION}. "
                f"Received: a table without {name}"
            )
    missing, found = [], 0
    for row, number in enumerate(columns[_NUMBER]):
        name = f"{AUDIO_FOLDER}/{int(number):06}"
        path = recording_of(folder / name)
        if path is None:
            missing.append(f"{name}.flac")
            continue
        found += 1
        azimuth_deg, elevation_deg = _angles(columns, row, where=f"{folder / TABLE}, row {row}")
        further = {
            column: str(columns[source][row]) if source in columns else ""
            for column, source in _FURTHER.items()
        }
        yield Scene(
            file=path.relative_to(folder).as_posix(),
            path=path,
            azimuth_deg=reading.azimuth_deg(azimuth_deg),
            elevation_deg=elevation_deg,
            columns={TALKER_COLUMN: "", **further},
            input_format=reading.input_format,
        )
    check_some(folder, found, missing, of=NAME)


def read_columns(table: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of a Parquet file that it has among some.

    Raises:
        InputError: no such file, or one that cannot be read.
        MissingPackageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", "parquet", error) from error
    try:
        known = parquet.read_schema(table).names
        wanted = [name for name in names if name in known]
        values: dict[str, list[Any]] = parquet.read_table(table, columns=wanted).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{table} must be a Parquet file: {one_line(error)}") from error
    return values


def _angles(columns: Mapping[str, list[Any]], row: int, *, where: str) -> tuple[float, float]:
    """Azimuth in [-180, 360] and elevation of a row [degrees]."""
    azimuth, elevation = columns[_AZIMUTH][row], columns[_ELEVATION][row]
    try:
        fits = -math.pi - _ROUNDING <= azimuth <= 2.0 * math.pi + _ROUNDING
        fits = fits and abs(elevation) <= math.pi / 2.0 + _ROUNDING
    except TypeError:
        fits = False
    if not fits:
        raise InputError(
            f"{where}: angles must be radians, the azimuth within -pi and 2 pi, the elevation "
            f"within -pi/2 and pi/2. Received: {azimuth}, {elevation}"
        )
    return math.degrees(azimuth), max(-90.0, min(90.0, math.degrees(elevation)))


LAYOUT = Layout(NAME, f"{TABLE} and {AUDIO_FOLDER}/000000.flac", holds, scenes)
