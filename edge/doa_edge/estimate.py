"""One estimate: where the voice was during one window, and how it is printed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, vector_to_angles

LEVEL_FLOOR_DBFS = -120.0


@dataclass(frozen=True, kw_only=True)
class Talker:
    """One of the voices that are heard.

    Attributes:
        id: counts up from 1; never used twice in a run.
        slot: 1 to the most voices; the talker's while their track lives.
        azimuth_deg: counter-clockwise from ahead, in (-180, 180].
        elevation_deg: up from the horizon, in [-90, 90].
        confidence: in [0, 1].
        tentative: whether it is reported before it is confirmed.
    """

    id: int
    slot: int
    azimuth_deg: float
    elevation_deg: float
    confidence: float
    tentative: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The object in `talkers` that `doa_edge run` prints."""
        values: dict[str, Any] = {
            "id": self.id,
            "slot": self.slot,
            "azimuth_deg": rounded_azimuth(self.azimuth_deg),
            "elevation_deg": round(self.elevation_deg, 2) + 0.0,
            "confidence": round(self.confidence, 4),
        }
        return {**values, "tentative": True} if self.tentative else values


@dataclass(frozen=True, kw_only=True, eq=False)
class VoiceSound:
    """A stretch of what a beam at one talker hears. See `doa_edge.listening`.

    Attributes:
        id: the talker's.
        start: stream time of its first sample [samples].
        samples: (N,) float32 at the model's rate.
    """

    id: int
    start: int
    samples: npt.NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The directions that one window gives.

    With several voices the direction and confidence are those of the talker of the highest
    confidence, and `active` is whether there is one.

    Attributes:
        time_s: stream time of the window's end, samples over the rate, gaps included [seconds].
        azimuth_deg: counter-clockwise from ahead, in (-180, 180].
        elevation_deg: up from the horizon, in [-90, 90].
        confidence: in [0, 1]; 0 where the window is below the gate.
        active: whether somebody talks, as far as `doa_edge.activity` can tell.
        level_dbfs: root mean square of W over the window, after the model's high-pass (of 30 Hz
            where it has none); -120 at least.
        of_s: the moment that the directions of several voices are of [seconds]; None of one voice.
        talkers: the voices that are heard, highest confidence first; None of one voice.
        outputs: (K,) outputs of the head, averaged over frames, if asked for.
        audio: (N, 4) float32 AmbiX that ends at `time_s` and is new since the estimate before, if
            asked for; after a gap and at the start it is the whole window.
        voices: what is new of the sound of each talker, if asked for: stretches that follow one
            another, some of them of a while ago.
    """

    time_s: float
    azimuth_deg: float
    elevation_deg: float
    confidence: float
    active: bool
    level_dbfs: float
    of_s: float | None = None
    talkers: tuple[Talker, ...] | None = None
    outputs: FloatArray | None = field(default=None, compare=False, repr=False)
    audio: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    voices: tuple[VoiceSound, ...] | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The object that `doa_edge run` prints: rounded, times to microseconds."""
        values: dict[str, Any] = {
            "time_s": rounded_time(self.time_s),
            "azimuth_deg": rounded_azimuth(self.azimuth_deg),
            "elevation_deg": round(self.elevation_deg, 2) + 0.0,
            "confidence": round(self.confidence, 4),
            "active": self.active,
            "level_dbfs": round(self.level_dbfs, 2) + 0.0,
        }
        if self.talkers is not None and self.of_s is not None:
            talkers = [talker.to_dict() for talker in self.talkers]
            values |= {"of_s": rounded_time(self.of_s), "talkers": talkers}
        return values


def direction_deg(direction: npt.ArrayLike) -> tuple[float, float]:
    """Azimuth in (-180, 180] and elevation of a (3,) vector [degrees]."""
    azimuth, elevation = vector_to_angles(direction)
    return math.degrees(float(azimuth)), math.degrees(float(elevation))


def rounded_time(time_s: float) -> float:
    """A time as it is printed [seconds]: to the microsecond, less than a sample at any rate."""
    return round(time_s, 6)


def rounded_azimuth(azimuth_deg: float) -> float:
    """Two decimals, still in (-180, 180] and without a negative zero."""
    rounded = round(azimuth_deg, 2) + 0.0
    return 180.0 if rounded <= -180.0 else rounded
