"""One place: where a talker was heard who stood there and spoke, as robustly as windows tell.

The shipped networks answer a window by a few degrees, and some windows of a noisy room by any
number of them. So the direction is the densest spot of the windows' directions, weighted by
confidence (a mode by mean shift: Fukunaga and Hostetler 1975, doi:10.1109/TIT.1975.1055330), which
what lies far off does not move. A network's errors also depend on where the voice is. The sound is
therefore heard several times over, each time in a room that is turned in another way, and the
directions are turned back: errors that stay with the network's axes average out.

A network of one voice gives one direction also where two talk, and often the same throughout. One
of several voices is the witness that nobody else did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.angles import (
    FloatArray,
    angles_to_vector,
    great_circle_distance,
    random_rotation,
)
from doa_core.errors import InputError
from doa_edge.direction_model import DirectionModel
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.input.stream import Gap, Samples, StreamItem

LEAST_SPEECH_S = 1.0  # below it there is no telling a talker from a noise
TURNS = 4  # rooms in which the sound is heard
EVERY = 10  # frames between two windows: others hear the same frames once more
_SEED = 17
_KERNEL_DEG = 15.0  # width of the density of which the mode is sought
_STEPS = 30
# Power of the confidence by which a direction counts, chosen on measured halls: 2.1 degrees off in
# the median where the plain confidence gives 2.5; no difference in simulated rooms.
_TRUST = 4
_BELONGS_DEG = 30.0  # from the mode: what lies farther is heard somewhere else
_OTHER_SHARE = 0.35  # of the weight, at one other spot: there was somebody, too
_MOVED_DEG = 20.0  # from the first third of the windows to the last
# Of a voice that the witness takes: a run takes fewer, as it is to be right more often.
_WITNESS_CONFIDENCE = 0.4
_TOGETHER_SHARE = 0.25  # of the windows with a voice: others talked as well

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """What was heard while a talker stood at one place.

    Attributes:
        direction: (3,) unit vector in the microphone's own axes.
        spread_deg: median angle between the windows' directions and it [degrees].
        speech_s: for how long somebody spoke [seconds].
    """

    direction: FloatArray
    spread_deg: float
    speech_s: float


class PlaceListener:
    """Hears the sound of one place as it comes; memory is bounded by a number a window.

    Attributes:
        speech_s: for how long somebody spoke so far [seconds].

    Args:
        model: whose directions are taken; of several voices, those of the most confident one.
        witness: one of several voices, which tells whether others talk at the same time; one of a
            single voice tells nothing.
    """

    def __init__(self, model: DirectionModel, witness: DirectionModel | None = None) -> None:
        features = model.spec.features
        self._step_s = EVERY * features.hop / features.sample_rate
        generator = np.random.default_rng(_SEED)
        self._turns = [np.eye(3), *(random_rotation(generator) for _ in range(TURNS - 1))]
        self._matrices = [
            rotation_to_ambix_matrix(turn).T.astype(np.float32) for turn in self._turns
        ]
        settings = EngineSettings(every=EVERY, talkers=1)
        self._engines = [DirectionEngine(model, settings) for _ in self._turns]
        self._windows: list[_Window] = []
        settings = EngineSettings(every=EVERY, min_confidence=_WITNESS_CONFIDENCE)
        self._witness = DirectionEngine(witness, settings) if witness else None
        self._voiced = self._together = 0  # windows with voices, and with several

    @property
    def speech_s(self) -> float:
        """For how long somebody spoke so far [seconds]."""
        return self._step_s * sum(window.active for window in self._windows)

    @property
    def heard_s(self) -> float:
        """How much sound there was so far, gaps among it [seconds]."""
        engine = self._engines[0]
        return engine.samples / engine.spec.features.sample_rate

    def push(self, item: StreamItem) -> None:
        """Hear the next (N, 4) AmbiX block, or a gap.

        Raises:
            InputError: outputs of the network that are not finite.
        """
        if isinstance(item, Gap):
            for engine in (*self._engines, *([self._witness] if self._witness else [])):
                engine.skip(item)
            return
        self._ask_witness(item)
        heard = [
            engine.push(item @ matrix)
            for engine, matrix in zip(self._engines, self._matrices, strict=True)
        ]
        for estimates in zip(*heard, strict=True):
            angles = np.radians([(one.azimuth_deg, one.elevation_deg) for one in estimates])
            vectors = angles_to_vector(angles[:, 0], angles[:, 1])
            turned = np.einsum("kj,kji->ki", vectors, np.stack(self._turns))
            weights = np.array([one.confidence for one in estimates])
            active = bool(np.mean([one.active for one in estimates]) >= 0.5)
            self._windows.append(_Window(turned, weights, active))

    def _ask_witness(self, block: Samples) -> None:
        for estimate in self._witness.push(block) if self._witness else ():
            known = [one for one in estimate.talkers or () if not one.tentative]
            self._voiced += len(known) > 0
            self._together += len(known) > 1

    def finish(self) -> Place:
        """Where the talker was heard.

        Raises:
            InputError: nobody spoke, or for less than a second; several did, or one who moved.
        """
        windows = [window for window in self._windows if window.active]
        if self.speech_s < LEAST_SPEECH_S:
            raise InputError(
                f"Somebody must speak for {LEAST_SPEECH_S:g} s at least, five are better: louder, "
                f"or closer to the microphone. Received: {self.speech_s:.1f} s of speech in "
                f"{self.heard_s:.1f} s"
            )
        if self._together > _TOGETHER_SHARE * self._voiced:
            raise InputError(
                "One person must speak alone: several talked. Received: several voices at once in "
                f"{self._together / self._voiced:.0%} of the time with voices"
            )
        return place_of(
            np.stack([window.vectors for window in windows]),
            np.stack([window.weights for window in windows]),
            speech_s=self.speech_s,
        )


@dataclass(frozen=True)
class _Window:
    vectors: FloatArray  # (K, 3) in the microphone's axes, one of each turned room
    weights: FloatArray  # (K,) confidences
    active: bool


def place_of(vectors: FloatArray, weights: FloatArray, *, speech_s: float) -> Place:
    """The place that windows tell, in the order of time.

    Args:
        vectors: (M, K, 3) unit vectors of M windows in which somebody spoke, each heard K times.
        weights: (M, K) of each, zero or more.
        speech_s: for how long somebody spoke [seconds].

    Raises:
        InputError: the windows tell of several places.
    """
    times = np.repeat(np.arange(len(vectors)), vectors.shape[1])
    flat, flat_weights = vectors.reshape(-1, 3), weights.reshape(-1)
    if flat_weights.sum() <= 0.0:
        flat_weights = np.ones_like(flat_weights)
    direction = mode(flat, flat_weights**_TRUST)
    near = _distances_deg(flat, direction) <= _BELONGS_DEG
    if not near.all():
        _check_others(flat, flat_weights, times, near, direction)
    _check_still(flat, flat_weights, times, near)
    spread_deg = float(np.median(_distances_deg(flat, direction)))
    return Place(direction=direction, spread_deg=spread_deg, speech_s=speech_s)


def mode(vectors: FloatArray, weights: FloatArray) -> FloatArray:
    """(3,) where directions are densest: the best of the modes that mean shift finds.

    Args:
        vectors: (M, 3) unit vectors.
        weights: (M,) zero or more, one of them positive.
    """
    sharpness = 1.0 / np.radians(_KERNEL_DEG) ** 2

    def kernel(at: FloatArray) -> FloatArray:
        nearness: FloatArray = np.exp(sharpness * (vectors @ at.T - 1.0))
        return nearness * weights[:, np.newaxis]

    best = vectors[[int(np.argmax(kernel(vectors).sum(axis=0)))]]
    for _ in range(_STEPS):
        moved = kernel(best).T @ vectors
        best = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
    found: FloatArray = best[0]
    return found


def _check_others(
    vectors: FloatArray,
    weights: FloatArray,
    times: npt.NDArray[Any],
    near: Bools,
    first: FloatArray,
) -> None:
    """Raise InputError where much was heard at one other spot, too."""
    second = mode(vectors[~near], weights[~near])
    there = _distances_deg(vectors, second) <= _BELONGS_DEG
    there &= ~near
    share = float(weights[there].sum() / weights.sum())
    if share < _OTHER_SHARE:
        return
    apart_deg = float(_distances_deg(second[np.newaxis], first)[0])
    early, late = sorted((times[near], times[there]), key=lambda when: float(np.mean(when)))
    in_turn = np.quantile(early, 0.8) <= np.quantile(late, 0.2)
    what = "the talker moved" if in_turn else "several talked"
    raise InputError(
        f"One person must speak alone, and stand still: {what}. Received: voices "
        f"{apart_deg:.0f} degrees apart, {share:.0%} of the time at the second place"
    )


def _check_still(
    vectors: FloatArray, weights: FloatArray, times: npt.NDArray[Any], near: Bools
) -> None:
    """Raise InputError where the talker was at another place at the end than at the beginning."""
    third = (times.max() + 1) / 3.0
    ends = [near & (times < third), near & (times >= 2.0 * third)]
    if any(weights[end].sum() <= 0.0 for end in ends):
        return
    first, last = (weights[end] @ vectors[end] for end in ends)
    moved_deg = float(_distances_deg(_unit(first)[np.newaxis], _unit(last))[0])
    if moved_deg > _MOVED_DEG:
        raise InputError(
            "The talker must stand still while they speak: the talker moved. "
            f"Received: {moved_deg:.0f} degrees from the beginning to the end"
        )


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit


def _distances_deg(vectors: FloatArray, to: FloatArray) -> FloatArray:
    return np.degrees(great_circle_distance(vectors, to))
