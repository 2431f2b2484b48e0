"""The same rooms by pyroomacoustics alone: full image-source order, four coincident microphones.

Shares with `doa_tf.rooms.room` what a room is (its plan) and nothing of how it is rendered.
"""

from __future__ import annotations

import math

import numpy as np

from doa_tf.microphones.base import SPEED_OF_SOUND
from doa_tf.rooms.image_sources import BANDS, WALLS
from doa_tf.rooms.plan import RoomPlan

FS = 16_000


def reference_order(plan: RoomPlan) -> int:
    """Order that pyroomacoustics' own `inverse_sabine` proposes for a room of that decay."""
    length, width, height = plan.size
    pairs = [(length, width), (width, height), (height, length)]
    shortest = min(a * b / math.hypot(a, b) for a, b in pairs)
    return math.ceil(SPEED_OF_SOUND * plan.samples / FS / shortest - 1.0)


def reference_responses(plan: RoomPlan, source: int) -> np.ndarray:
    """(N, 4) AmbiX response of one source of a plan to an ideal microphone.

    Args:
        plan: the room.
        source: index of the source.
    """
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import DirectionVector, FigureEight, Omnidirectional
    from pyroomacoustics.directivities.base import Directivity

    facing, omni = plan.facings[source], plan.omni[source]

    class Talker(Directivity):
        """A first-order pattern whose directional share grows with frequency."""

        is_impulse_response = False
        filter_len_ir = 1

        def get_response(
            self, azimuth, colatitude=None, magnitude=False, frequency=None, degrees=True
        ):
            if degrees:
                azimuth, colatitude = np.radians(azimuth), np.radians(colatitude)
            cosine = (
                facing[0] * np.sin(colatitude) * np.cos(azimuth)
                + facing[1] * np.sin(colatitude) * np.sin(azimuth)
                + facing[2] * np.cos(colatitude)
            )
            return omni[:, np.newaxis] + (1.0 - omni[:, np.newaxis]) * cosine

        def sample_rays(self, n_rays, rng=None):
            raise NotImplementedError

    absorption = -np.expm1(-plan.attenuation)
    materials = {
        wall: pra.Material({"coeffs": list(values), "center_freqs": list(BANDS)})
        for wall, values in zip(WALLS, absorption, strict=True)
    }
    room = pra.ShoeBox(
        plan.size, fs=FS, materials=materials, max_order=reference_order(plan), air_absorption=True
    )
    capsules = [Omnidirectional()]
    for colatitude, azimuth in ((90.0, 90.0), (0.0, 0.0), (90.0, 0.0)):  # Y, Z, X
        direction = DirectionVector(azimuth=azimuth, colatitude=colatitude, degrees=True)
        capsules.append(FigureEight(orientation=direction))
    room.add_microphone_array(np.tile(plan.microphone[:, np.newaxis], 4), directivity=capsules)
    room.add_source(plan.sources[source])
    room.sources[0].set_directivity(Talker())  # `add_source` drops patterns that it does not know
    room.compute_rir()
    channels = [room.rir[channel][0] for channel in range(4)]
    length = max(map(len, channels))
    response = np.stack([np.pad(c, (0, length - len(c))) for c in channels], axis=-1)
    return response[pra.constants.get("frac_delay_length") // 2 :]
