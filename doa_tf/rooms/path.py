"""Responses to many places of one room, for a talker who walks: simulated a few at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from doa_tf.microphones.base import Microphone
from doa_tf.microphones.draw import draw_microphone
from doa_tf.rooms.acoustics import t30
from doa_tf.rooms.diffuse_tail import diffuse_tail
from doa_tf.rooms.image_sources import render_images
from doa_tf.rooms.plan import RoomPlan, RoomSettings, draw_plan
from doa_tf.rooms.room import cross_faded, without_rumble

_DRAWS = 100  # attempts to find a room whose microphone is far enough from the walls


@dataclass(frozen=True, kw_only=True)
class PathRoom:
    """A room that is simulated for whatever places are asked for.

    Early reflections belong to each place; the diffuse tail is the same for all of them, so that
    responses to places beside each other can be cross-faded.

    Attributes:
        plan: the room; its first source has the directivity of whoever walks.
        microphone: in it.
        mixing_time: [milliseconds per square root of a cubic metre] as in `RoomSettings`.
        tail_key: of the noise that the tail is made of.
    """

    plan: RoomPlan
    microphone: Microphone
    mixing_time: float | None
    tail_key: tuple[int, ...]

    def responses(self, places: np.ndarray) -> list[np.ndarray]:
        """S arrays of (N, 4) float32 AmbiX responses, the direct sound 1 / distance at W.

        Args:
            places: (S, 3) [metres].
        """
        plan, count = self.plan, len(places)
        many = replace(
            plan,
            sources=places,
            facings=np.repeat(plan.facings[:1], count, axis=0),
            omni=np.repeat(plan.omni[:1], count, axis=0),
        )
        traced = many.trace(mixing_time=self.mixing_time)
        joint = plan.mixing_samples(self.mixing_time)
        responses = []
        for images, _ in traced:
            response = render_images(images, self.microphone, samples=plan.samples)
            if plan.rt60 and joint < plan.samples:
                response = cross_faded(response, self._tail, joint)
            responses.append(without_rumble(response))
        return responses

    @property
    def rt60_measured(self) -> float:
        """[seconds] T30 at W for the first source of the plan; 0 for a dry room."""
        if not self.plan.rt60:
            return 0.0
        return t30(self.responses(self.plan.sources[:1])[0][:, 0])

    @cached_property
    def _tail(self) -> np.ndarray:
        """(N, 4) diffuse tail of the talker, wherever they are."""
        omni = self.plan.omni[0]
        return diffuse_tail(
            np.random.default_rng(self.tail_key),
            self.plan.curves,
            volume=self.plan.volume,
            powers=omni**2 + (1.0 - omni) ** 2 / 3.0,  # means over all directions
            samples=self.plan.samples,
            diffuse_response=self.diffuse_response,
        )

    @cached_property
    def diffuse_response(self) -> np.ndarray | None:
        """(L, 4, 4) of the microphone, as `Room.diffuse_response`."""
        return self.microphone.diffuse_response()


def draw_path_room(key: tuple[int, ...], *, settings: RoomSettings, clearance: float) -> PathRoom:
    """A room, as a bank's rooms are drawn, whose microphone is not near to a wall.

    Args:
        key: non-negative integers; geometry, microphone and noise have generators of their own.
        settings: what rooms are drawn from.
        clearance: [metres] from the microphone to any of the four walls, at least.

    Raises:
        ValueError: no room of these settings can exist, or none has its microphone so far from the
            walls.
    """
    geometry, capsules = (np.random.default_rng((*key, part)) for part in range(2))
    one = replace(settings, sources=1)
    for _ in range(_DRAWS):
        plan = draw_plan(geometry, one)
        if min(*plan.microphone[:2], *(plan.size - plan.microphone)[:2]) >= clearance:
            break
    else:
        raise ValueError(
            f"No room has its microphone {clearance} metres from the walls, in {_DRAWS} draws: "
            f"allow larger rooms. Received: size_max={settings.size_max}"
        )
    return PathRoom(
        plan=plan,
        microphone=draw_microphone(capsules, kind=settings.microphone),
        mixing_time=settings.mixing_time,
        tail_key=(*key, 2),
    )
