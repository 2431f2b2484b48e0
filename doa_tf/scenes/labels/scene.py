"""A recording, and who talks in it when and from where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.format import AMBIX, InputFormat

LABEL_COLUMNS = ("azimuth_deg", "elevation_deg")
TALKER_COLUMN = "talker"
_HIGHER_ORDERS = tuple((order + 1) ** 2 for order in range(2, 8))  # channels of AmbiX


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A time in which a talker talks from one direction.

    Attributes:
        start_s: its first moment [seconds]; 0 where the labels give no times.
        end_s: the first moment after it [seconds]; infinite where they give none.
        azimuth_deg: in [-180, 180] [degrees].
        elevation_deg: in [-90, 90] [degrees].
    """

    start_s: float = 0.0
    end_s: float = math.inf
    azimuth_deg: float
    elevation_deg: float

    @property
    def direction(self) -> FloatArray:
        """(3,) unit vector towards the talker."""
        return angles_to_vector(np.radians(self.azimuth_deg), np.radians(self.elevation_deg))

    @property
    def whole(self) -> bool:
        """Whether it lasts from the recording's begin to its end."""
        return self.start_s == 0.0 and math.isinf(self.end_s)


@dataclass(frozen=True, kw_only=True)
class SceneTalker:
    """Somebody who talks in a recording.

    Attributes:
        name: as the column `talker` has it; empty without that column.
        stretches: at least one, in order of time; they do not overlap.
    """

    name: str
    stretches: tuple[Stretch, ...]

    def directions_at(self, times_s: npt.ArrayLike) -> FloatArray:
        """(T, 3) unit vectors towards the talker at (T,) times [seconds]; zeros in silence."""
        times = np.asarray(times_s, np.float64)
        ends = np.array([stretch.end_s for stretch in self.stretches])
        starts = np.array([stretch.start_s for stretch in self.stretches])
        angles = [(each.azimuth_deg, each.elevation_deg) for each in self.stretches]
        vectors = angles_to_vector(*np.radians(angles).T)
        latest = np.searchsorted(starts, times, side="right") - 1
        talks = (latest >= 0) & (times < ends[latest])
        return np.where(talks[:, np.newaxis], vectors[latest], 0.0)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One recording, and who talks in it.

    A scene of one talker who talks all through is made from two angles, any other from `talkers`.

    Attributes:
        file: as labels.csv has it, relative to the folder.
        path: of the recording.
        azimuth_deg: in [-180, 180] [degrees]; nan where not one talker talks all through.
        elevation_deg: in [-90, 90] [degrees]; nan likewise.
        columns: the further columns, as text; empty where a file's rows have different ones.
        talkers: everybody who talks, in the order of labels.csv; empty where nobody does.
        input_format: what the channels of the recording are.
    """

    file: str
    path: Path
    azimuth_deg: float = math.nan
    elevation_deg: float = math.nan
    columns: Mapping[str, str] = field(default_factory=dict)
    talkers: tuple[SceneTalker, ...] = ()
    input_format: InputFormat = AMBIX

    def __post_init__(self) -> None:
        given = (self.azimuth_deg, self.elevation_deg)
        if not self.talkers and not math.isnan(self.azimuth_deg):
            name = self.columns.get(TALKER_COLUMN, "")
            stretch = Stretch(azimuth_deg=given[0], elevation_deg=given[1])
            object.__setattr__(self, "talkers", (SceneTalker(name=name, stretches=(stretch,)),))
        (stretch,) = self.talkers[0].stretches if self.single else (_NOBODY,)
        angles = (stretch.azimuth_deg, stretch.elevation_deg)
        if not math.isnan(given[0]) and given != angles:
            raise ValueError(f"`talkers` must agree with the angles. Received: {given}, {angles}")
        object.__setattr__(self, "azimuth_deg", angles[0])
        object.__setattr__(self, "elevation_deg", angles[1])

    @property
    def single(self) -> bool:
        """Whether one talker talks all through, from one direction."""
        return (
            len(self.talkers) == 1
            and len(self.talkers[0].stretches) == 1
            and self.talkers[0].stretches[0].whole
        )

    @property
    def timed(self) -> bool:
        """Whether its labels give times."""
        return any(not each.whole for talker in self.talkers for each in talker.stretches)

    @property
    def direction(self) -> FloatArray:
        """(3,) unit vector towards the one talker.

        Raises:
            InputError: not one talker talks all through.
        """
        if not self.single:
            pauses = ", with pauses or moves" if self.timed else ""
            raise InputError(
                "A recording of one talker who talks all through is needed. Received: "
                f"{self.path} with {len(self.talkers)} talkers{pauses}"
            )
        return self.talkers[0].stretches[0].direction

    def directions_at(self, times_s: npt.ArrayLike) -> FloatArray:
        """(T, V, 3) unit vectors towards all V talkers; zeros where one is silent.

        Args:
            times_s: (T,) moments of the recording [seconds].
        """
        times = np.asarray(times_s, np.float64)
        directions = [talker.directions_at(times) for talker in self.talkers]
        return np.stack(directions, axis=1) if directions else np.zeros((len(times), 0, 3))

    def number(self, column: str) -> float:
        """The number in a column of labels.csv; NaN where there is none."""
        if column in LABEL_COLUMNS:
            return float(getattr(self, column))
        try:
            return float(self.columns.get(column, ""))
        except ValueError:
            return math.nan

    def read(self, *, sample_rate: int = SAMPLE_RATE) -> npt.NDArray[np.float32]:
        """(N, 4) AmbiX samples in the room's axes, resampled to `sample_rate` [hertz].

        Raises:
            InputError: the file is not a recording with four channels of finite samples.
        """
        return np.concatenate(list(self.blocks(sample_rate=sample_rate)))

    def blocks(self, *, sample_rate: int = SAMPLE_RATE) -> Iterator[npt.NDArray[np.float32]]:
        """The samples of `read` as consecutive (n, 4) blocks, so that an hour needs no memory.

        Of AmbiX of a higher order (9, 16, ... channels) the first four are those of the first.

        Raises:
            InputError: when iterated, as `read`.
        """
        from doa_edge.input.audio import read_blocks
        from doa_edge.input.containers.recording import open_sound

        input_format = self.input_format
        if input_format.channel_map is None and input_format.format_name == "ambix":
            with open_sound(self.path) as sound:
                if sound.channels in _HIGHER_ORDERS:
                    input_format = replace(input_format, channel_map=(1, 2, 3, 4))
        yield from read_blocks(self.path, input_format, sample_rate=sample_rate)

    def samples(self, *, sample_rate: int = SAMPLE_RATE) -> int:
        """How many samples `read` gives, but for one that resampling may add.

        Of linear PCM they are counted by the file's size. Other formats are read: their headers may
        say anything.

        Raises:
            InputError: the file can't be read.
        """
        from doa_edge.input.containers.recording import open_sound

        with open_sound(self.path) as sound:
            if sound.certain:
                return int(sound.count() * sample_rate / sound.rate)
        return sum(map(len, self.blocks(sample_rate=sample_rate)))


_NOBODY = Stretch(azimuth_deg=math.nan, elevation_deg=math.nan)
