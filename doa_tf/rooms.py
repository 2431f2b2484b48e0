"""Simulated rooms: spatial room impulse responses (SRIRs) of an ideal FOA microphone.

Early reflections come from pyroomacoustics' image sources, heard by four coincident microphones
(one omnidirectional, three figures of eight). From the time up to which those are complete, a
diffuse tail takes over: isotropic, exponentially decaying, matched in energy at the joint.
Full image-source order costs seconds a source, order 10 and a tail hundredths of one.

A room is a pure function of (seed, room number).

References:
    J. B. Allen, D. A. Berkley, "Image method for efficiently simulating small-room acoustics",
    JASA 65(4), 1979, doi:10.1121/1.382599
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.spec import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # metres per second
# Rooms simulated with Sabine's absorption decay more slowly than asked: image sources keep the
# grazing paths that a diffuse field would have mixed. Measured beforehand: 1.28 to 1.64 times.
SABINE_EXCESS = 1.35
_DRAWS = 200  # tries to place something before the settings are called impossible


@dataclass(frozen=True, kw_only=True)
class RoomSettings:
    """Distributions that rooms are drawn from, all uniform.

    Attributes:
        size_min, size_max: [metres] length, width, height.
        rt60: (low, high) [seconds] reverberation time.
        dry_share: share of rooms whose walls return nothing.
        sources: source positions per room; an interferer shares the room of its talker.
        distance: (low, high) [metres] from microphone to source.
        microphone_clearance, source_clearance: [metres] least distance to any wall.
        image_order: reflections that are traced one by one; None traces all, without a tail.
    """

    size_min: tuple[float, float, float] = (3.0, 3.0, 2.4)
    size_max: tuple[float, float, float] = (10.0, 8.0, 4.5)
    rt60: tuple[float, float] = (0.2, 1.0)
    dry_share: float = 0.1
    sources: int = 3
    distance: tuple[float, float] = (0.6, 4.0)
    microphone_clearance: float = 0.6
    source_clearance: float = 0.3
    image_order: int | None = 10

    def __post_init__(self) -> None:
        for name in ("size_min", "size_max", "rt60", "distance"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        for name in ("rt60", "distance"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(f"`{name}` must be 0 < low <= high. Received: ({low}, {high})")
        if any(low > high for low, high in zip(self.size_min, self.size_max, strict=True)):
            raise ValueError(
                "`size_min` must not exceed `size_max`. "
                f"Received: size_min={self.size_min}, size_max={self.size_max}"
            )
        if min(self.size_min) <= 2.0 * max(self.microphone_clearance, self.source_clearance):
            raise ValueError(
                "A room must be wider than twice the clearances. Received: "
                f"size_min={self.size_min}, microphone_clearance={self.microphone_clearance}"
            )
        if not 0.0 <= self.dry_share <= 1.0:
            raise ValueError(f"`dry_share` must be in [0, 1]. Received: {self.dry_share}")
        if self.sources < 1:
            raise ValueError(f"`sources` must be at least 1. Received: {self.sources}")
        if self.image_order is not None and self.image_order < 1:
            raise ValueError(
                f"`image_order` must be at least 1, or None. Received: {self.image_order}"
            )


@dataclass(frozen=True)
class Room:
    """One room, simulated or measured, as a bank keeps it.

    Attributes:
        number: its number in the bank.
        rt60: [seconds] reverberation time asked for; 0 for a dry room, nan where nobody asked.
        size: (3,) [metres]; nan where it is not known.
        microphone: (3,) [metres] position; nan where it is not known.
        directions: (S, 3) unit vectors from the microphone to the sources.
        distances: (S,) [metres].
        srirs: S arrays of (N, 4) float32, AmbiX at 16 kHz as the microphone gives it; the direct
            sound has a peak of 1 at W.
        rt60_measured: [seconds] T30 of the responses at W, median over sources; 0 for a dry room.
        drr_db: (S,) direct-to-reverberant ratio at W; inf for a dry room.
        microphone_kind: `ideal`, `tetrahedral`, `sphere` or `measured`.
        microphone_draw: what that microphone is, as JSON values: enough to make it again.
        diffuse_response: (L, 4, 4) float32 filters R that turn an ideal isotropic AmbiX field
            into what this microphone gives in one: y[n, c] = sum over l, d of
            R[l, c, d] x[n - l, d]. None for an ideal microphone.
        noise_gains: (4,) standard deviation of the microphone's own noise in each channel,
            relative to W.
    """

    number: int
    rt60: float
    size: np.ndarray
    microphone: np.ndarray
    directions: np.ndarray
    distances: np.ndarray
    srirs: list[np.ndarray]
    rt60_measured: float = 0.0
    drr_db: np.ndarray = field(default_factory=lambda: np.zeros(0))
    microphone_kind: str = "ideal"
    microphone_draw: dict[str, Any] = field(default_factory=dict)
    diffuse_response: np.ndarray | None = None
    noise_gains: np.ndarray = field(default_factory=lambda: np.ones(4))


def simulate_room(number: int, *, seed: int, settings: RoomSettings) -> Room:
    """Draw and simulate room `number` of the bank with that seed.

    Raises:
        ValueError: the settings leave no room that reaches its reverberation time.
    """
    rng = np.random.default_rng((seed, number))
    dry = rng.random() < settings.dry_share
    size, rt60, absorption, order = _draw_walls(rng, settings, dry)
    microphone, sources = _draw_positions(rng, settings, size)
    offsets = sources - microphone
    distances = np.linalg.norm(offsets, axis=-1)
    responses = _image_sources(size, absorption, order, microphone, sources)
    if not dry and settings.image_order is not None:
        complete = (settings.image_order + 1) * size.min() / SPEED_OF_SOUND
        responses = [
            _with_diffuse_tail(rng, response, rt60=rt60, complete=complete)
            for response in responses
        ]
    # A direct sound falls with distance and the level is drawn anew when scenes are mixed.
    srirs = [
        (response * distance).astype(np.float32)
        for response, distance in zip(responses, distances, strict=True)
    ]
    directions = offsets / distances[:, np.newaxis]
    return Room(number, rt60, size, microphone, directions, distances, srirs)


def _draw_walls(
    rng: np.random.Generator, settings: RoomSettings, dry: bool
) -> tuple[np.ndarray, float, float, int]:
    """Size, reverberation time, absorption and image order of a room that can exist."""
    import pyroomacoustics as pra

    for _ in range(_DRAWS):
        size = rng.uniform(settings.size_min, settings.size_max)
        rt60 = float(rng.uniform(*settings.rt60))
        if dry:
            return size, 0.0, 1.0, 0
        try:
            absorption, full_order = pra.inverse_sabine(rt60 / SABINE_EXCESS, size)
        except ValueError:  # a large room with a short decay would absorb more than everything
            continue
        return size, rt60, absorption, settings.image_order or full_order
    raise ValueError(
        f"No room between {settings.size_min} and {settings.size_max} metres reaches a "
        f"reverberation time in {settings.rt60} seconds, in {_DRAWS} draws: allow longer ones or "
        "smaller rooms"
    )


def _draw_positions(
    rng: np.random.Generator, settings: RoomSettings, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) microphone and (S, 3) source positions [metres]; source directions are uniform."""
    clearance = settings.microphone_clearance
    microphone = rng.uniform(clearance, size - clearance)
    sources: list[np.ndarray] = []
    for _ in range(_DRAWS * settings.sources):
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        position = microphone + direction * rng.uniform(*settings.distance)
        if np.all(position > settings.source_clearance) and np.all(
            position < size - settings.source_clearance
        ):
            sources.append(position)
        if len(sources) == settings.sources:
            return microphone, np.stack(sources)
    raise ValueError(
        f"No source fits into a room of {np.round(size, 2)} metres at a distance in "
        f"{settings.distance} metres: allow shorter distances or larger rooms"
    )


def _image_sources(
    size: np.ndarray,
    absorption: float,
    order: int,
    microphone: np.ndarray,
    sources: np.ndarray,
) -> list[np.ndarray]:
    """S arrays of (N, 4) AmbiX responses by pyroomacoustics."""
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import DirectionVector, FigureEight, Omnidirectional

    room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=order)
    capsules = [Omnidirectional()]
    for axis in np.eye(3)[[1, 2, 0]]:  # Y, Z, X: AmbiX order
        azimuth, elevation = vector_to_angles(axis)
        # pyroomacoustics counts its second angle down from the zenith.
        colatitude = np.pi / 2 - elevation
        orientation = DirectionVector(float(azimuth), float(colatitude), degrees=False)
        capsules.append(FigureEight(orientation=orientation))
    room.add_microphone_array(np.tile(microphone[:, np.newaxis], 4), directivity=capsules)
    for position in sources:
        room.add_source(position)
    room.compute_rir()
    responses = []
    for source in range(len(sources)):
        channels = [room.rir[channel][source] for channel in range(4)]
        length = max(len(channel) for channel in channels)
        responses.append(
            np.stack([np.pad(channel, (0, length - len(channel))) for channel in channels], -1)
        )
    return responses


def _with_diffuse_tail(
    rng: np.random.Generator, response: np.ndarray, *, rt60: float, complete: float
) -> np.ndarray:
    """(N, 4) early response up to `complete` [seconds], continued by a diffuse tail.

    In an isotropic field the dipoles (SN3D) each carry a third of the power of W.
    """
    joint = int(complete * SAMPLE_RATE)
    start = int(0.6 * joint)
    length = max(joint + 1, int(rt60 * SAMPLE_RATE))
    early = np.zeros((length, 4))
    early[: min(length, len(response))] = response[:length]
    time = np.arange(length) / SAMPLE_RATE
    decay = 10.0 ** (-3.0 * time / rt60)
    level = np.sqrt(np.mean((early[start:joint, 0] / decay[start:joint]) ** 2))
    tail = rng.standard_normal((length, 4)) * np.sqrt([1.0, 1 / 3, 1 / 3, 1 / 3])
    tail *= level * decay[:, np.newaxis]
    fade = np.clip((np.arange(length) - start) / (joint - start), 0.0, 1.0)[:, np.newaxis]
    return early * np.sqrt(1.0 - fade) + tail * np.sqrt(fade)
