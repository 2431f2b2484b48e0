"""Whether somebody talks: from the level above a noise floor, and from the confidence.

A window is active where all three hold:

- its level is above the gate, an absolute level;
- its level is `margin_db` above the noise floor, once that is known;
- the network is at least as confident as `min_confidence`.

The floor is found by minimum statistics: speech, even without pauses, lets the power of short
stretches fall to that of the noise again and again, so the least smoothed power of the last seconds
is the noise's. It is causal, needs no pause at the start, and follows a louder room after one span
and a quieter one at once. Until a whole span has passed the floor is not known and is not used: a
talker who begins with the stream is not taken for noise. All powers are of W after the high-pass
that the network hears it through: a constant in the channels has no pauses, and would be the floor.

Steady noise lies above its own least power by 0.5 dB (white) to 2 dB (a band of 500 Hz): below the
default margin. Babble of voices does not, and counts as voices.

References:
    R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum
    statistics", IEEE Trans. Speech and Audio Processing 9(5), 2001, doi:10.1109/89.928915. Here
    for the broadband power of W, with fixed smoothing and no correction of the bias, which for
    some hundred degrees of freedom a hop is small.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from doa_edge import limits

DEFAULT_GATE_DBFS = -60.0
DEFAULT_MARGIN_DB = 3.0
# Of a network of 0.1: diffuse running water stays below in 97 of 100 windows, speech in diffuse
# noise at 0 to 25 dB lies above in 98 of 100.
DEFAULT_MIN_CONFIDENCE = 0.07
# Where the confidence is calibrated, the probability that the direction is right.
DEFAULT_MIN_PROBABILITY = 0.4
SPAN_S = 8.0  # seconds over which the least power is taken
_PARTS = 10  # of the span; the least power of each is kept
_SMOOTHING_S = 0.06  # time constant of the power


class NoiseFloor:
    """The least smoothed power of the last eight seconds.

    Args:
        hop_s: length of the stretches whose powers are passed [seconds].
    """

    def __init__(self, *, hop_s: float) -> None:
        self._part_hops = max(1, round(SPAN_S / _PARTS / hop_s))
        self._decay = math.exp(-hop_s / _SMOOTHING_S)
        self._least: deque[float] = deque(maxlen=_PARTS)
        self._restart()

    def _restart(self) -> None:
        self._smoothed: float | None = None
        self._current = math.inf
        self._hops = 0

    def update(self, powers: npt.ArrayLike) -> None:
        """Take (H,) mean powers of the high-passed W, one for each hop."""
        for power in np.asarray(powers, dtype=np.float64).tolist():
            if self._smoothed is None:
                self._smoothed = power
            self._smoothed += (1.0 - self._decay) * (power - self._smoothed)
            self._current = min(self._current, self._smoothed)
            self._hops += 1
            if self._hops == self._part_hops:
                self._least.append(self._current)
                self._current, self._hops = math.inf, 0

    def interrupt(self) -> None:
        """Continue behind a gap: the floor stays, the part that was begun is dropped."""
        self._restart()

    @property
    def power(self) -> float | None:
        """Of the noise, full scale being 1; None until a whole span has passed."""
        if len(self._least) < _PARTS:
            return None
        return min(self._current, *self._least)


class ActivityDetector:
    """Whether somebody seems to speak, window by window.

    Args:
        hop_s: length of a hop [seconds].
        gate_dbfs: level below which nothing is active.
        margin_db: how far the level of a window must be above the noise floor; 0 for no floor.
        min_confidence: least confidence of an active window, in [0, 1].

    Raises:
        ValueError: an option out of range.
    """

    def __init__(
        self,
        *,
        hop_s: float,
        gate_dbfs: float = DEFAULT_GATE_DBFS,
        margin_db: float = DEFAULT_MARGIN_DB,
        min_confidence: float = DEFAULT_MIN_CONFIDENCE,
    ) -> None:
        asked = {"gate": gate_dbfs, "margin": margin_db, "confidence": min_confidence}
        for name, value in asked.items():
            limits.check(name, value)
        self.gate: float = 10.0 ** (gate_dbfs / 10.0)
        self.margin: float = 10.0 ** (margin_db / 10.0)
        self.min_confidence = min_confidence
        self.floor = NoiseFloor(hop_s=hop_s)

    def is_above_gate(self, power: float) -> bool:
        """Whether the power of the high-passed W in a window is above the gate."""
        return power > self.gate

    def is_active(self, power: float, confidence: float) -> bool:
        """Whether somebody seems to speak in a window.

        Args:
            power: mean of W squared over the window, after the high-pass.
            confidence: of its direction, in [0, 1].
        """
        floor = self.floor.power
        return (
            self.is_above_gate(power)
            and (floor is None or power >= self.margin * floor)
            and confidence >= self.min_confidence
        )
