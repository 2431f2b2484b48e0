"""Exchanged and inverted dipoles: which of them would explain what was heard.

Channels in a wrong order, or with a wrong sign, give the sound of a room that is turned or mirrored
and as plausible as the right one. Directions that are known tell: of one talker, whether an
exchange moves what was heard to where it should be; of three that lie in no plane, whether the room
is mirrored, which no mounting of a microphone does. Capsules of a tetrahedron in a wrong order are
such exchanges, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from doa_core.angles import FloatArray, great_circle_distance

EXPLAINED_DEG = 20.0
_TOLD = 3  # exchanges that are named
_NAMES = "XYZ"


@dataclass(frozen=True)
class Exchange:
    """Dipoles as they should be, each of the one that is read for it.

    Attributes:
        order: the dipole (0, 1, 2 for X, Y, Z) that is read where X, Y, Z should be.
        signs: 1 or -1 of each.
    """

    order: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def matrix(self) -> FloatArray:
        """(3, 3) from directions as they are heard to those that are meant."""
        return np.diag(self.signs) @ np.eye(3)[list(self.order)]

    @property
    def changes(self) -> int:
        """How many dipoles are at another place, and how many inverted."""
        return sum(a != b for a, b in enumerate(self.order)) + self.signs.count(-1)

    @property
    def mirrors(self) -> bool:
        """Whether left and right are exchanged, which no rotation explains."""
        return bool(np.linalg.det(self.matrix) < 0.0)

    def __str__(self) -> str:
        return ", ".join(
            f"{_NAMES[index]} is {'-' if sign < 0 else ''}{_NAMES[origin]}"
            for index, (origin, sign) in enumerate(zip(self.order, self.signs, strict=True))
            if origin != index or sign < 0
        )


EXCHANGES = tuple(
    exchange
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3))
    if (exchange := Exchange(order, signs)).changes
)


def swaps_that_explain(measured: FloatArray, expected: FloatArray) -> list[str]:
    """Swaps and inversions of dipoles that would move `measured` to `expected`.

    Args:
        measured: (3,) unit vector to a talker, as it was heard.
        expected: (3,) where it is.

    Returns:
        The simplest three that bring the two within 20 degrees of each other, best first.
    """
    found = []
    for exchange in EXCHANGES:
        error_deg = _between_deg(exchange.matrix @ measured, expected)
        if error_deg < EXPLAINED_DEG:
            found.append((exchange.changes, error_deg, str(exchange)))
    return [text for _, _, text in sorted(found)[:_TOLD]]


def swaps_that_mirror(mirrored: FloatArray) -> list[str]:
    """Swaps and inversions that explain a mirrored room by a microphone that stands upright.

    Args:
        mirrored: (3, 3) orthogonal matrix of negative determinant, from directions as they are
            heard to the room's.

    Returns:
        The simplest three, and none that changes two dipoles more than it must, best first; none
        where the microphone is tilted.
    """
    up = np.array([0.0, 0.0, 1.0])
    found = []
    for exchange in EXCHANGES:
        tilt_deg = _between_deg(mirrored @ exchange.matrix.T @ up, up)
        if exchange.mirrors and tilt_deg < EXPLAINED_DEG:
            found.append((exchange.changes, round(tilt_deg, 6), str(exchange)))
    simplest = min(found)[0] if found else 0
    return [text for changes, _, text in sorted(found)[:_TOLD] if changes <= simplest + 1]


def _between_deg(a: FloatArray, b: FloatArray) -> float:
    return float(np.degrees(great_circle_distance(a, b)))
