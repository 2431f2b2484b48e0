"""The error of a microphone itself: of a plane wave, without room or noise.

An estimator that does not know the very microphone can hardly correct it: capsules of slightly
different gains bend the directions in all of its recordings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from doa_core.angles import FloatArray, great_circle_distance
from doa_tf.evaluation.baselines import BAND
from doa_tf.microphones.draw import microphone_from_draw
from doa_tf.rooms.room import Room
from doa_tf.scenes.folder import Scene

_BINS = 257  # from 0 to 8000 Hz


def microphone_errors_deg(scenes: Sequence[Scene], rooms: Sequence[Room]) -> FloatArray:
    """(S,) angle between a talker's direction and what its room's microphone makes of it.

    The latter is the active intensity of a plane wave over 200 to 4000 Hz, whose power falls as
    that of speech does, with the square of the frequency.

    Args:
        scenes: with a column `room`.
        rooms: of a bank, the microphones among them drawn.
    """
    by_number = {str(room.number): room for room in rooms}
    errors = np.zeros(len(scenes))
    for number, room in by_number.items():
        places = [k for k, scene in enumerate(scenes) if scene.columns["room"] == number]
        if places:
            truth = np.stack([scenes[k].direction for k in places])
            errors[places] = np.degrees(great_circle_distance(_heard(room, truth), truth))
    return errors


def _heard(room: Room, directions: FloatArray) -> FloatArray:
    """(I, 3) where the room's microphone hears plane waves from (I, 3)."""
    frequencies = np.linspace(0.0, 8000.0, _BINS)  # hertz
    response = microphone_from_draw(room.microphone_draw).response(directions, frequencies)
    inside = (frequencies >= BAND[0]) & (frequencies <= BAND[1])
    heard = response[inside].astype(np.complex128)
    power = (1000.0 / frequencies[inside, np.newaxis, np.newaxis]) ** 2
    active = np.sum(power * (heard[..., :1].conj() * heard[..., [3, 1, 2]]).real, axis=0)
    unit: FloatArray = active / np.linalg.norm(active, axis=-1, keepdims=True)
    return unit
