"""LOCATA: talkers and loudspeakers around an Eigenmike, tracked by cameras.

    dev/task1/recording1/eigenmike/
        audio_array_eigenmike.wav              32 capsules at 48 kHz
        audio_array_timestamps_eigenmike.txt   the moment of each sample
        position_array_eigenmike.txt           places of array and capsules, rotation
        position_source_NAME.txt               where a source is
        VAD_eigenmike_NAME.txt                 whether it talks, for each sample of the array
        VAD_source_NAME.txt                    the same, for each sample of audio_source_NAME.wav

Tables are separated by tabs. Moments are year, month, day, hour, minute and second, of a clock
that all tables share. With the array at p, turned by R, a source at h is heard from R^T (h - p); in
the axes of the array y is ahead and x is to the right, so that azimuth and elevation are the ones
that LOCATA is judged by (its azimuth; 90 degrees less its inclination). Positions are taken at the
middle of frames of 100 ms, between the two rows around it. Who has no table of voice activity talks
all through. Recordings without positions of a source, as in the first release of the evaluation
set, are left out.

References:
    H. W. Löllmann et al., "The LOCATA Challenge data corpus for acoustic source localization and
    tracking", SAM 2018; C. Evers et al., "The LOCATA Challenge", IEEE/ACM TASLP 28, 2020
    (arXiv:1909.01008), doi:10.5281/zenodo.3630471; github.com/cevers/sap_locata_io, get_truth.m,
    mycart2sph.m, struct2position.m.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, vector_to_angles
from doa_core.errors import InputError, one_line
from doa_edge.input.containers.recording import open_sound
from doa_tf.scenes.datasets.eigenmike import SphereScene
from doa_tf.scenes.datasets.frames import FRAMES_PER_S, LabelledFrame, talkers_of_frames
from doa_tf.scenes.datasets.reading import Layout, Reading, logger, visible_files
from doa_tf.scenes.labels.scene import TALKER_COLUMN, Scene
from doa_tf.scenes.labels.table import recording_seconds

NAME = "LOCATA"
ARRAY = "eigenmike"
CAPSULES = 32
_RECORDING = f"{ARRAY}/audio_array_{ARRAY}.wav"
_PLACES = tuple(f"{above}recording*/{_RECORDING}" for above in ("", "task*/", "*/task*/"))
_CLOCK = ("year", "month", "day", "hour", "minute", "second")
_RADII_M = (0.03, 0.06)  # of an Eigenmike: 0.042
_AXES = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # ours from the array's
_DECIMALS = 1  # of angles [degrees]: cameras are no better, and who stands still has one direction

Table: TypeAlias = "dict[str, FloatArray]"
Moment: TypeAlias = "tuple[float, ...]"


def holds(folder: Path) -> bool:
    """Whether a folder holds recordings of LOCATA's Eigenmike."""
    return any(next(folder.glob(pattern), None) for pattern in _PLACES)


def scenes(folder: Path, reading: Reading) -> Iterator[Scene]:
    """The Eigenmike's recordings that have labels, by file.

    Raises:
        InputError: tables that are not as they are published, no recording with labels, or a format
            of channels that is asked for.
    """
    asked = reading.input_format
    if asked.audio_format is not None or asked.channel_map is not None:
        raise InputError(
            f"{folder} looks like {NAME}, whose {CAPSULES} capsules are encoded here: leave "
            "--format and --channels out"
        )
    paths = sorted(path for pattern in _PLACES for path in visible_files(folder, pattern))
    bare = [path for path in paths if not visible_files(path.parent, "position_source_*.txt")]
    if len(bare) == len(paths):
        raise InputError(
            f"{folder} looks like {NAME} and must hold tables position_source_NAME.txt. Received: "
            f"none beside {len(paths)} recordings, {bare[0]} for one"
        )
    if bare:
        logger.warning(
            "%s: %d of %d recordings have no positions of sources and are left out, %s for one",
            folder,
            len(bare),
            len(paths),
            bare[0].relative_to(folder),
        )
    for path in paths:
        if path not in bare:
            yield _scene(folder, path, reading)


def _scene(folder: Path, path: Path, reading: Reading) -> SphereScene:
    recording, seconds = path.parent, recording_seconds(path)
    origin = _first_moment(recording / f"audio_array_timestamps_{ARRAY}.txt")
    array = _Pose.read(recording / f"position_array_{ARRAY}.txt", origin)
    rows = []
    for table in visible_files(recording, "position_source_*.txt"):
        name = table.stem.removeprefix("position_source_")
        talks = _talks(recording, name, origin, seconds)
        azimuths_deg, elevations_deg = _angles(array, _Pose.read(table, origin), len(talks))
        for frame in np.flatnonzero(talks):
            azimuth_deg = reading.azimuth_deg(float(azimuths_deg[frame]))
            rows.append(LabelledFrame(int(frame), name, azimuth_deg, float(elevations_deg[frame])))
    capsules, radius_m = _capsules(array, recording)
    _, task, number = (*["", ""], *path.relative_to(folder).parent.parent.parts)[-3:]
    return SphereScene(
        file=path.relative_to(folder).as_posix(),
        path=path,
        columns={TALKER_COLUMN: "", "task": task, "recording": number},
        talkers=talkers_of_frames(rows),
        input_format=reading.input_format,
        capsules=tuple(map(tuple, capsules.tolist())),
        radius_m=radius_m,
    )


@dataclass(frozen=True, eq=False)
class _Pose:
    """Where something is, row by row.

    Attributes:
        times_s: (N,) [seconds] from the recording's first sample on, ascending.
        places_m: (N, 3) [metres].
        table: all columns.
    """

    times_s: FloatArray
    places_m: FloatArray
    table: Table

    @classmethod
    def read(cls, path: Path, origin: Moment) -> _Pose:
        table = _table(path)
        missing = [name for name in (*_CLOCK, "x", "y", "z") if name not in table]
        if missing:
            raise InputError(f"{path} must have the column {missing[0]}. Received: none")
        times_s = _seconds_since(origin, np.stack([table[name] for name in _CLOCK], axis=1))
        places_m = np.stack([table[axis] for axis in "xyz"], axis=1)
        known = np.isfinite(places_m).all(axis=1) & np.isfinite(times_s)
        if not known.any() or np.any(np.diff(times_s[known]) < 0.0):
            raise InputError(
                f"{path} must hold positions in the order of time. Received: "
                f"{int(known.sum())} of {len(known)} rows with a position"
            )
        kept = {name: values[known] for name, values in table.items()}
        return cls(times_s[known], places_m[known], kept)

    def at(self, values: FloatArray, times_s: FloatArray) -> FloatArray:
        """(T, D) values of (N, D) rows at (T,) times, between the two rows around each."""
        return np.stack([np.interp(times_s, self.times_s, column) for column in values.T], axis=1)

    def rotations(self) -> FloatArray:
        """(N, 3, 3) from its own axes to those of the room."""
        names = [f"rotation_{row}{column}" for row in "123" for column in "123"]
        return np.stack([self.table[name] for name in names], axis=1).reshape(-1, 3, 3)


def _angles(array: _Pose, source: _Pose, frames: int) -> tuple[FloatArray, FloatArray]:
    """(T,) azimuths and (T,) elevations [degrees] of a source in the middle of each frame."""
    there = source.at(source.places_m, array.times_s) - array.places_m
    heard = np.einsum("nji,nj->ni", array.rotations(), there) @ _AXES.T
    times_s = (np.arange(frames) + 0.5) / FRAMES_PER_S
    azimuths, elevations = vector_to_angles(array.at(heard, times_s))
    azimuths_deg, elevations_deg = np.degrees([azimuths, elevations]).round(_DECIMALS)
    return azimuths_deg, elevations_deg


def _capsules(array: _Pose, recording: Path) -> tuple[FloatArray, float]:
    """(Q, 3) unit vectors of the capsules, and the radius of their sphere [metres]."""
    names = [f"mic{number}_{axis}" for number in range(1, CAPSULES + 1) for axis in "xyz"]
    names += [f"rotation_{row}{column}" for row in "123" for column in "123"]
    if missing := [name for name in names if name not in array.table]:
        raise InputError(
            f"{recording / f'position_array_{ARRAY}.txt'} must have the column {missing[0]}. "
            "Received: none"
        )
    places = np.stack([array.table[name] for name in names[: 3 * CAPSULES]], axis=1)
    places = places.reshape(-1, CAPSULES, 3)
    from_centre = places - places.mean(axis=1, keepdims=True)
    own = np.einsum("nji,nqj->qi", array.rotations(), from_centre) / len(places) @ _AXES.T
    radii = np.linalg.norm(own, axis=1)
    if not (radii.min() >= _RADII_M[0] and radii.max() <= _RADII_M[1]):
        raise InputError(
            f"{recording} must hold {CAPSULES} capsules on a sphere of 0.042 m. Received: some "
            f"{radii.min():.3f} to {radii.max():.3f} m from their centre"
        )
    return own / radii[:, np.newaxis], float(radii.mean())


def _talks(recording: Path, name: str, origin: Moment, seconds: float) -> npt.NDArray[np.bool_]:
    """(T,) whether a source talks in half of each frame or more."""
    frames = int(seconds * FRAMES_PER_S)
    by_array = recording / f"VAD_{ARRAY}_{name}.txt"
    by_source = recording / f"VAD_source_{name}.txt"
    if by_array.is_file():
        path, start_s, sound = by_array, 0.0, recording.parent / _RECORDING
    elif by_source.is_file():
        clock = recording / f"audio_source_timestamps_{name}.txt"
        first = np.array([_first_moment(clock)])
        path, start_s = by_source, float(_seconds_since(origin, first)[0])
        sound = recording / f"audio_source_{name}.wav"
    else:
        return np.ones(frames, dtype=bool)
    with open_sound(sound) as opened:
        rate = opened.rate
    (values,) = _table(path).values()
    place = np.floor((start_s + np.arange(len(values)) / rate) * FRAMES_PER_S).astype(int)
    inside = (place >= 0) & (place < frames)
    active = np.bincount(place[inside], weights=values[inside], minlength=frames)
    return active >= 0.5 * rate / FRAMES_PER_S


def _table(path: Path) -> Table:
    """The columns of a table.

    Raises:
        InputError: not there, or no table of numbers below names.
    """
    try:
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty one, which is refused below
            names = [name.strip() for name in file.readline().split("\t")]
            values = np.loadtxt(file, delimiter="\t", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a table of LOCATA: {one_line(error)}") from error
    if not len(values) or values.shape[1] != len(names):
        raise InputError(
            f"{path} must hold rows of {len(names)} numbers, as its first line names. Received: "
            f"{len(values)} rows of {values.shape[1]}"
        )
    return dict(zip(names, values.T, strict=True))


def _first_moment(path: Path) -> Moment:
    """The first row of a table of moments, which has one for each sample."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            names = [name.strip() for name in file.readline().split("\t")]
            cells = dict(zip(names, map(float, file.readline().split("\t")), strict=True))
        return tuple(cells[name] for name in _CLOCK)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} must begin with the columns {', '.join(_CLOCK)} and a row of numbers: "
            f"{one_line(error)}"
        ) from error


def _seconds_since(origin: Moment, moments: FloatArray) -> FloatArray:
    """(N,) seconds from one moment to (N, 6) others."""
    days = [date(*map(int, day)).toordinal() for day in (origin[:3], *moments[:, :3])]
    clock = np.vstack([origin[3:], moments[:, 3:]]) @ (3600.0, 60.0, 1.0)
    since: FloatArray = (np.array(days[1:]) - days[0]) * 86_400.0 + (clock[1:] - clock[0])
    return since


LAYOUT = Layout(NAME, f"task1/recording1/{_RECORDING}", holds, scenes)
