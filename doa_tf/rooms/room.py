"""Rooms: spatial room impulse responses (SRIRs) of a first-order microphone.

A response is hybrid. Up to a mixing time it is the sum of the room's image sources, each from its
exact direction through the microphone that was drawn; after it comes a diffuse tail that decays,
band by band, as those images would (`doa_tf.rooms.diffuse_tail`). All image sources cost seconds
for each source, the hybrid some hundredths of a second.

A room is a pure function of (seed, room number) and the settings; its geometry, walls, talkers
and microphone do not depend on the mixing time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import Microphone
from doa_tf.microphones.draw import draw_microphone
from doa_tf.rooms.acoustics import drr_db, t30
from doa_tf.rooms.diffuse_tail import diffuse_tail
from doa_tf.rooms.image_sources import render_images
from doa_tf.rooms.plan import RoomSettings, draw_plan

_LOWEST = 70.0  # hertz; below, rooms have modes that image sources do not model
_FADE = 0.25  # share of the mixing time over which the tail takes over


@dataclass(frozen=True)
class Room:
    """One room, simulated or measured, as a bank stores it.

    Attributes:
        number: its number in the bank.
        rt60: [seconds] reverberation time that was drawn; 0 for a dry room, nan for a measured one.
        size: (3,) [metres]; nan where it is not known.
        microphone: (3,) [metres] position; nan where it is not known.
        directions: (S, 3) unit vectors from the microphone to the sources.
        distances: (S,) [metres].
        srirs: S arrays of (N, 4) float32, AmbiX at 16 kHz as the microphone gives it; the direct
            sound has a peak of 1 at W.
        rt60_measured: [seconds] T30 of the responses at W, median over sources; 0 for a dry room.
        drr_db: (S,) direct-to-reverberant ratio at W; inf for a dry room.
        microphone_kind: `ideal`, `tetrahedral`, `sphere` or `measured`.
        microphone_draw: its parameters as JSON values; `microphone_from_draw` makes it again.
        diffuse_response: (L, 4, 4) float32 filters R that turn an ideal isotropic AmbiX field
            into this microphone's: y[n, c] = sum over l, d of R[l, c, d] x[n - l, d]. None for an
            ideal microphone.
        noise_gains: (4,) standard deviation of the microphone's own noise in each channel,
            relative to W.
    """

    number: int
    rt60: float
    size: np.ndarray
    microphone: np.ndarray
    directions: np.ndarray
    distances: np.ndarray
    srirs: Sequence[np.ndarray]
    rt60_measured: float = 0.0
    drr_db: np.ndarray = field(default_factory=lambda: np.zeros(0))
    microphone_kind: str = "ideal"
    microphone_draw: dict[str, Any] = field(default_factory=dict)
    diffuse_response: np.ndarray | None = None
    noise_gains: np.ndarray = field(default_factory=lambda: np.ones(4))


def simulate_room(
    number: int, *, seed: int, settings: RoomSettings, microphone: Microphone | None = None
) -> Room:
    """Draw and simulate room `number` of the bank with that seed.

    Args:
        number: of the room.
        seed: of all draws.
        settings: what the room is drawn from.
        microphone: in the room; by default one of the settings' kind is drawn.

    Raises:
        ValueError: no room of these settings reaches its reverberation time, or holds its sources.
    """
    # Separate generators, so that a change of one part leaves the draws of the others alone.
    geometry, capsules, noise = (np.random.default_rng((seed, number, part)) for part in range(3))
    plan = draw_plan(geometry, settings)
    if microphone is None:
        microphone = draw_microphone(capsules, kind=settings.microphone, reading=settings.reading)
    diffuse_response = microphone.diffuse_response()
    joint = plan.mixing_samples(settings.mixing_time)
    tail_of = partial(diffuse_tail, noise, plan.curves, volume=plan.volume, samples=plan.samples)
    dry = plan.rt60 == 0.0
    srirs = []
    for images, powers in plan.trace(mixing_time=settings.mixing_time):
        srir = render_images(images, microphone, samples=plan.samples)
        if not dry and joint < plan.samples:
            tail = tail_of(powers=powers, diffuse_response=diffuse_response)
            srir = cross_faded(srir, tail, joint)
        srirs.append(without_rumble(srir))
    offsets = plan.sources - plan.microphone
    distances = np.linalg.norm(offsets, axis=-1)
    decays = [0.0 if dry else t30(srir[:, 0]) for srir in srirs]
    return Room(
        number,
        plan.rt60,
        plan.size,
        plan.microphone,
        offsets / distances[:, np.newaxis],
        distances,
        [(srir * far).astype(np.float32) for srir, far in zip(srirs, distances, strict=True)],
        rt60_measured=float(np.median(decays)),
        drr_db=np.array([drr_db(srir[:, 0]) for srir in srirs]),
        microphone_kind=microphone.kind,
        microphone_draw=microphone.draw,
        diffuse_response=diffuse_response,
        noise_gains=microphone.noise_gains,
    )


def cross_faded(early: np.ndarray, tail: np.ndarray, joint: int) -> np.ndarray:
    """(N, 4) images up to the joint, then the tail: uncorrelated, so their powers are faded."""
    start = (1.0 - _FADE) * joint
    fade = np.clip((np.arange(len(early)) - start) / (joint - start), 0.0, 1.0)
    fade = fade.astype(np.float32)[:, np.newaxis]
    return early * np.sqrt(1.0 - fade) + tail * np.sqrt(fade)


def without_rumble(response: np.ndarray) -> np.ndarray:
    """(N, 4) float32, high-passed: image sources all have one sign and add up towards 0 Hz."""
    from scipy import signal

    sections = signal.butter(3, _LOWEST, "highpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(sections, response, axis=0).astype(np.float32)
