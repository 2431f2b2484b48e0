"""Which answer belongs to which talker: the assignment whose angles have the smallest sum.

Neither side has an order, so answers are compared with talkers as sets. As in the measures of the
DCASE challenges, pairs are made without a limit, and one that is too far apart counts as an answer
that is wrong and a talker who is missed.

References:
    H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics 2, 1955,
        doi:10.1002/nav.3800020109.
    A. Politis, A. Mesaros, S. Adavanne, T. Heittola, T. Virtanen, "Overview and evaluation of sound
        event localization and detection in DCASE 2019", IEEE/ACM TASLP 29, 2021,
        doi:10.1109/TASLP.2020.3047233.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance

NO_ANSWER_DEG = 180.0  # the error of a talker whom no answer belongs to


@dataclass(frozen=True, eq=False, kw_only=True)
class Match:
    """Talkers and answers in pairs.

    Attributes:
        talkers: (P,) indices of talkers.
        answers: (P,) indices of the answers that belong to them.
        angles_deg: (P,) great-circle angles between the two [degrees].
    """

    talkers: npt.NDArray[np.intp]
    answers: npt.NDArray[np.intp]
    angles_deg: FloatArray

    def hits(self, within_deg: float) -> int:
        """Pairs that are at most so far apart [degrees]; a limit belongs to what is within it."""
        return int(np.sum(self.angles_deg <= within_deg))


def angles_between(talkers: npt.ArrayLike, answers: npt.ArrayLike) -> FloatArray:
    """(V, A) angles [degrees] between (V, 3) and (A, 3) unit vectors, either of which may be none.

    Raises:
        ValueError: vectors of another shape.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (talkers, answers)]
    sides = [side.reshape(0, 3) if side.size == 0 else side for side in sides]
    if any(side.ndim != 2 or side.shape[1] != 3 for side in sides):
        raise ValueError(
            "`talkers` and `answers` must be (count, 3). "
            f"Received: {np.shape(talkers)} and {np.shape(answers)}"
        )
    return np.degrees(great_circle_distance(sides[0][:, np.newaxis], sides[1][np.newaxis]))


def match(angles_deg: FloatArray) -> Match:
    """The pairs of the optimal assignment, min(V, A) of them, from (V, A) angles [degrees]."""
    from scipy.optimize import linear_sum_assignment

    talkers, answers = linear_sum_assignment(angles_deg)
    return Match(talkers=talkers, answers=answers, angles_deg=angles_deg[talkers, answers])


def errors_of_talkers(talkers: npt.ArrayLike, answers: npt.ArrayLike) -> FloatArray:
    """(V,) angle to the answer that belongs to each of (V, 3) talkers [degrees].

    A talker without an answer has the largest error that there is, 180 degrees.
    """
    angles_deg = angles_between(talkers, answers)
    pairs = match(angles_deg)
    errors = np.full(len(angles_deg), NO_ANSWER_DEG)
    errors[pairs.talkers] = pairs.angles_deg
    return errors
