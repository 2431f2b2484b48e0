"""A steady pointer: directions of active windows, smoothed on the sphere. Off by default.

The state is a vector S in the unit ball. Each active estimate u with confidence c, dt seconds after
the one before, moves it:

    S <- a S + (1 - a) u      a = exp(-w dt / tau)      w = min(1, c / r)

with r the recent mean confidence: a less confident estimate moves it less. The direction is that
of S. An exponential filter of unit vectors is the mean direction of a von Mises-Fisher distribution
with exponentially forgotten observations (Mardia and Jupp, "Directional Statistics", 2000, 10.3).

Delay: after a jump the pointer has gone 63 % of the way in chord after `tau` seconds of speech with
steady confidence (half of a right angle after 0.69 tau); a slowly moving talker is followed
`tau` seconds behind. Inactive windows do not move it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray

_CONFIDENCE_TIMES = 5.0  # how much slower than the direction the mean confidence moves
_SHORTEST = 1e-6  # length of S below which it has no direction


class DirectionSmoother:
    """Exponential smoothing of unit vectors, weighted by confidence.

    Args:
        tau_s: time constant [seconds].

    Raises:
        ValueError: a time constant that is not positive.
    """

    def __init__(self, tau_s: float) -> None:
        if not 0.0 < tau_s < math.inf:
            raise ValueError(f"`smooth` must be a positive number of seconds. Received: {tau_s}")
        self.tau_s = tau_s
        self.reset()

    def reset(self) -> None:
        """Forget all directions: the next one is returned unchanged."""
        self._state: FloatArray | None = None
        self._confidence = 0.0
        self._time_s = 0.0

    def update(
        self, direction: npt.ArrayLike, *, confidence: float, active: bool, time_s: float
    ) -> FloatArray:
        """(3,) unit vector: the smoothed direction at this time.

        Args:
            direction: (3,) float unit vector of the newest window.
            confidence: of it, in [0, 1].
            active: whether somebody talks; if not, the pointer stays where it is.
            time_s: stream time, not before the last one [seconds].
        """
        new = np.asarray(direction, dtype=np.float64)
        if self._state is None:
            if not active:
                return new
            self._state, self._confidence, self._time_s = new, confidence, time_s
        if active:
            elapsed = time_s - self._time_s
            usual = 1.0 - math.exp(-elapsed / (_CONFIDENCE_TIMES * self.tau_s))
            self._confidence += usual * (confidence - self._confidence)
            weight = min(1.0, confidence / self._confidence) if self._confidence > 0.0 else 1.0
            share = 1.0 - math.exp(-weight * elapsed / self.tau_s)
            moved = self._state + share * (new - self._state)
            if np.linalg.norm(moved) > _SHORTEST:  # opposite directions may cancel
                self._state = moved
        self._time_s = time_s
        return self._state / np.linalg.norm(self._state)
