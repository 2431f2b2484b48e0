"""The plan of a room, before any sound: its size, walls, microphone position and talkers.

All of it is drawn from the distributions of `RoomSettings`. Walls differ from each other and over
frequency; all of them are scaled until a diffuse field has the reverberation time that was drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from doa_core.angles import angles_to_vector
from doa_core.spec import SAMPLE_RATE
from doa_edge import limits
from doa_tf.microphones.base import SPEED_OF_SOUND
from doa_tf.microphones.sofa_file import SofaReading
from doa_tf.rooms.diffuse_tail import DECAY_HOP, decay_curves, decay_time
from doa_tf.rooms.image_sources import BANDS, Images, air_absorption, trace_images

_DRAWS = 200  # attempts before the settings are called impossible
_MIDDLE = (BANDS == 500.0) | (BANDS == 1000.0)  # the bands whose reverberation time is drawn
_LARGEST_ABSORPTION = 0.9  # mean over the walls in those bands; only dry rooms have more
_END_DB = 60.0  # responses end when every band has decayed by so much

_RANGES = (
    *("rt60", "dry_absorption", "wall_tilt", "distance"),
    *("microphone_height", "talker_height", "directivity", "facing_elevation"),
)
_MOST = {"dry_share": 1, "any_height_share": 1, "dry_absorption": 1, "directivity": 2}


@dataclass(frozen=True, kw_only=True)
class RoomSettings:
    """Distributions that rooms are drawn from; uniform unless stated otherwise.

    Attributes:
        size_min, size_max: [metres] length, width, height.
        rt60: (low, high) [seconds] T30 of the octaves of 500 and 1000 Hz.
        dry_share: share of nearly dry rooms: no tail, and walls that absorb `dry_absorption`.
        dry_absorption: (low, high) of their walls, in [0, 1].
        wall_spread: standard deviation, over the walls, of the natural logarithm of their
            attenuation -ln(1 - absorption).
        wall_tilt: (low, high) of each wall's attenuation per octave, as a power of two.
        sources: source positions per room; an interferer shares the room of its talker.
        distance: (low, high) [metres] from microphone to source.
        microphone_height, talker_height: (low, high) [metres].
        any_height_share: share of sources at any height instead of a talker's.
        microphone_clearance, source_clearance: [metres] least distance to any wall.
        directivity: (low, high) how directive talkers are: 0 is omnidirectional, 1 a talker's
            (first order, omnidirectional share 0.9 at 125 Hz to 0.5 at 4 kHz and above).
        facing_elevation: (low, high) [radians] in which talkers face; the azimuth is any.
        microphone: `ideal`, `tetrahedral`, `sphere`, `random`, or a SOFA file of a measured array.
        sofa_units, sofa_angles: `units` and `angles` of a `SofaReading` of that file.
        mixing_time: [milliseconds per square root of a cubic metre] up to which image sources are
            summed; None sums all of them, without a tail: the reference.
    """

    size_min: tuple[float, float, float] = (3.0, 3.0, 2.4)
    size_max: tuple[float, float, float] = (10.0, 8.0, 4.5)
    rt60: tuple[float, float] = (0.2, 0.8)
    dry_share: float = 0.1
    dry_absorption: tuple[float, float] = (0.8, 1.0)
    wall_spread: float = 0.6
    wall_tilt: tuple[float, float] = (-0.1, 0.35)
    sources: int = 3
    distance: tuple[float, float] = (0.5, 4.0)
    microphone_height: tuple[float, float] = (0.6, 2.2)
    talker_height: tuple[float, float] = (1.0, 1.9)
    any_height_share: float = 0.5
    microphone_clearance: float = 0.5
    source_clearance: float = 0.3
    directivity: tuple[float, float] = (0.5, 1.2)
    facing_elevation: tuple[float, float] = (-0.35, 0.35)
    microphone: str = "random"
    sofa_units: tuple[str, ...] = ()
    sofa_angles: str | None = None
    mixing_time: float | None = 6.0

    def __post_init__(self) -> None:
        for name in ("size_min", "size_max", *_RANGES):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        limits.check_the_rest(**vars(self))
        for name in _RANGES:
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"`{name}` must be low <= high. Received: ({low}, {high})")
        limits.check("rt60", self.rt60)
        for name in ("distance", "microphone_height", "talker_height"):
            if getattr(self, name)[0] <= 0.0:
                raise ValueError(f"`{name}` must be above 0. Received: {getattr(self, name)}")
        if any(low > high for low, high in zip(self.size_min, self.size_max, strict=True)):
            raise ValueError(
                "`size_min` must not exceed `size_max`. "
                f"Received: size_min={self.size_min}, size_max={self.size_max}"
            )
        if min(self.size_min) <= 2.0 * max(self.microphone_clearance, self.source_clearance):
            raise ValueError(
                "A room must be wider than twice the clearances. Received: "
                f"size_min={self.size_min}, microphone_clearance={self.microphone_clearance}, "
                f"source_clearance={self.source_clearance}"
            )
        for name, most in _MOST.items():
            given = getattr(self, name)
            if not (np.min(given) >= 0.0 and np.max(given) <= most):
                raise ValueError(f"`{name}` must be in [0, {most}]. Received: {given}")
        limits.check("sources", self.sources)
        object.__setattr__(self, "sofa_units", self.reading.units)
        mixing = self.mixing_time
        if mixing is not None and mixing <= 0.0:
            raise ValueError(f"`mixing_time` must be above 0, or None. Received: {mixing}")

    @property
    def reading(self) -> SofaReading:
        """How the SOFA file of the microphone is read."""
        return SofaReading(units=self.sofa_units, angles=self.sofa_angles)


@dataclass(frozen=True)
class RoomPlan:
    """A room before its responses are computed.

    Attributes:
        rt60: [seconds] as drawn; 0 for a nearly dry room.
        size: (3,) [metres].
        attenuation: (6, 7) -ln(1 - absorption) of `doa_tf.rooms.image_sources.WALLS` in `BANDS`.
        microphone: (3,) [metres].
        sources: (S, 3) [metres].
        facings: (S, 3) unit vectors in which the sources radiate most.
        omni: (S, 7) omnidirectional share of each source's first-order pattern per band.
        curves: (T, 7) decay of a diffuse field, every `DECAY_HOP` samples.
        samples: length of the responses.
    """

    rt60: float
    size: np.ndarray
    attenuation: np.ndarray
    microphone: np.ndarray
    sources: np.ndarray
    facings: np.ndarray
    omni: np.ndarray
    curves: np.ndarray
    samples: int

    @property
    def volume(self) -> float:
        """Of the room [cubic metres]."""
        return float(np.prod(self.size))

    def mixing_samples(self, mixing_time: float | None) -> int:
        """Samples up to which images are summed."""
        if mixing_time is None:
            return self.samples
        return min(round(1e-3 * mixing_time * math.sqrt(self.volume) * SAMPLE_RATE), self.samples)

    def trace(self, *, mixing_time: float | None) -> list[tuple[Images, np.ndarray]]:
        """Each source's images up to the mixing time, and its (7,) mean power over directions."""
        until = self.mixing_samples(mixing_time) / SAMPLE_RATE
        traced = trace_images(
            self.size,
            -np.expm1(-self.attenuation),
            self.microphone,
            self.sources,
            order=image_order(self.size, until),
            until=until,
        )
        result = []
        for images, facing, omni in zip(traced, self.facings, self.omni, strict=True):
            talker = talker_gains(images.departures @ facing, omni)
            heard = replace(images, gains=images.gains * talker)
            result.append((heard, omni**2 + (1.0 - omni) ** 2 / 3.0))
        return result


def talker_gains(cosine: np.ndarray, omni: np.ndarray) -> np.ndarray:
    """(7, I) gains of a first-order talker, 1 on its axis.

    Args:
        cosine: (I,) of the angle between a departure and the talker's axis.
        omni: (7,) omnidirectional share per band.
    """
    return omni[:, np.newaxis] + (1.0 - omni[:, np.newaxis]) * cosine


def image_order(size: np.ndarray, until: float) -> int:
    """The most reflections that sound can have had `until` [seconds] after its emission."""
    return math.ceil(SPEED_OF_SOUND * until * math.sqrt(np.sum(1.0 / size**2))) + 1


def draw_plan(rng: np.random.Generator, settings: RoomSettings) -> RoomPlan:
    """Draw a room that can exist.

    Raises:
        ValueError: no room of these sizes has such a reverberation time, or room for the sources.
    """
    dry = rng.random() < settings.dry_share
    size, rt60, attenuation = _draw_walls(rng, settings, dry)
    microphone, sources = _draw_positions(rng, settings, size)
    facings, omni = _draw_talkers(rng, settings)
    if dry:
        curves = np.zeros((1, len(BANDS)))
        samples = round(np.linalg.norm(size) * 3.0 / SPEED_OF_SOUND * SAMPLE_RATE)
    else:
        hops = math.ceil(1.6 * rt60 * SAMPLE_RATE / DECAY_HOP)
        times = np.arange(hops) * (DECAY_HOP / SAMPLE_RATE)
        curves = decay_curves(size, attenuation, air_absorption(), times)
        audible = np.flatnonzero(curves.max(axis=1) > 10.0 ** (-_END_DB / 10.0))
        samples = int(audible[-1] + 1) * DECAY_HOP
    return RoomPlan(rt60, size, attenuation, microphone, sources, facings, omni, curves, samples)


def _draw_walls(
    rng: np.random.Generator, settings: RoomSettings, dry: bool
) -> tuple[np.ndarray, float, np.ndarray]:
    """Size, reverberation time and (6, 7) attenuation of the walls of a room that can exist."""
    for _ in range(_DRAWS):
        size = rng.uniform(settings.size_min, settings.size_max)
        rt60 = float(rng.uniform(*settings.rt60))
        wall = np.exp(settings.wall_spread * rng.standard_normal((6, 1)))
        tilt = rng.uniform(*settings.wall_tilt, size=(6, 1))
        attenuation = wall * np.exp2(tilt * np.log2(BANDS / 1000.0))
        if dry:
            absorption = rng.uniform(*settings.dry_absorption)
            scaled = attenuation / attenuation[:, _MIDDLE].mean()
            return size, 0.0, -math.log(max(1.0 - absorption, 1e-6)) * scaled
        attenuation = _attenuation_for(size, rt60, attenuation)
        if np.mean(-np.expm1(-attenuation[:, _MIDDLE])) <= _LARGEST_ABSORPTION:
            return size, rt60, attenuation
    raise ValueError(
        f"No room between {settings.size_min} and {settings.size_max} metres reaches a "
        f"reverberation time in {settings.rt60} seconds, in {_DRAWS} draws: allow longer ones or "
        "smaller rooms"
    )


def _attenuation_for(size: np.ndarray, rt60: float, attenuation: np.ndarray) -> np.ndarray:
    """The walls' attenuation, scaled so that the middle bands decay in `rt60` [seconds]."""
    air = air_absorption()
    times = np.linspace(0.0, 1.6 * rt60, 120)
    # Without air the decay time is inversely proportional to the walls; with it, nearly.
    surface = 2.0 * np.sum(size * np.roll(size, -1))
    mean = attenuation[:, _MIDDLE].mean() / (0.16 * np.prod(size) / surface / rt60)
    attenuation = attenuation / mean
    for _ in range(4):
        curves = decay_curves(size, attenuation, air, times)
        reached = np.mean(decay_time(times, curves)[_MIDDLE])
        # A decay that is too slow to be measured in this time is at least that slow.
        attenuation = attenuation * (reached / rt60 if np.isfinite(reached) else 1.6)
    return attenuation


def _draw_positions(
    rng: np.random.Generator, settings: RoomSettings, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) microphone and (S, 3) source positions [metres]."""
    clearance = settings.microphone_clearance
    microphone = rng.uniform(clearance, size - clearance)
    microphone[2] = _draw_height(rng, settings.microphone_height, clearance, size)
    sources: list[np.ndarray] = []
    margin = settings.source_clearance
    for _ in range(_DRAWS * settings.sources):
        anywhere = rng.random() < settings.any_height_share
        heights = (0.0, math.inf) if anywhere else settings.talker_height
        rise = _draw_height(rng, heights, margin, size) - microphone[2]
        distance = rng.uniform(*settings.distance)
        azimuth = rng.uniform(-np.pi, np.pi)
        if abs(rise) > distance:
            continue
        radius = math.sqrt(distance**2 - rise**2)
        offset = np.array([radius * math.cos(azimuth), radius * math.sin(azimuth), rise])
        position = microphone + offset
        if np.all(position >= margin) and np.all(position <= size - margin):
            sources.append(position)
        if len(sources) == settings.sources:
            return microphone, np.stack(sources)
    raise ValueError(
        f"No source fits into a room of {np.round(size, 2)} metres at a distance in "
        f"{settings.distance} metres: allow shorter distances or larger rooms"
    )


def _draw_height(
    rng: np.random.Generator, heights: tuple[float, float], clearance: float, size: np.ndarray
) -> float:
    """A height [metres] in the range and the room; the nearest in the room where they disagree."""
    low, high = np.clip(heights, clearance, size[2] - clearance)
    return float(rng.uniform(low, high))


def _draw_talkers(
    rng: np.random.Generator, settings: RoomSettings
) -> tuple[np.ndarray, np.ndarray]:
    """(S, 3) directions in which talkers face, (S, 7) omnidirectional shares."""
    azimuth = rng.uniform(-np.pi, np.pi, settings.sources)
    elevation = rng.uniform(*settings.facing_elevation, size=settings.sources)
    strength = rng.uniform(*settings.directivity, size=settings.sources)
    # A talker's directivity index rises from about 1 dB at 125 Hz to that of a cardioid.
    directional = np.interp(np.log2(BANDS / 125.0), [0.0, 5.0], [0.1, 0.5])
    omni = 1.0 - np.minimum(strength[:, np.newaxis] * directional, 0.75)
    return angles_to_vector(azimuth, elevation), omni
