"""A head whose scores are one smooth function on the sphere, sampled at the cells."""

from __future__ import annotations

import numpy as np

from doa_core.angles import FloatArray
from doa_tf.heads.grid import GibbsWeighted
from doa_tf.spherical_harmonics import spherical_harmonics


class GibbsHarmonic(GibbsWeighted):
    """Logits that are a sum of spherical harmonics; trained and decoded as `gibbs-weighted`.

    A dense layer learns each of 429 cells separately, from the one scene in a hundred whose talker
    is near it. The coefficients of a function on the sphere are common to all directions and learn
    from every scene. They can also be rotated exactly, which makes the network equivariant to
    rotations about the vertical (`doa_tf.turning`).
    """

    name = "gibbs-harmonic"
    decoded_as = "gibbs-weighted"
    preferred_decode = "centroid"
    turns_in_hz = (94.0, 2000.0)  # where speech has most of its energy

    def __init__(self, resolution_deg: float = 10.0) -> None:
        super().__init__(resolution_deg)
        # The finest detail is 180 / N degrees wide: 22.5 at 10, where the targets' beta is 20.
        self.order = max(1, round(80.0 / resolution_deg))

    def basis(self) -> FloatArray:
        """((N + 1)^2, G) float32 harmonics at the cells; the squares of a cell sum to 1."""
        harmonics = spherical_harmonics(self.grid.vectors, self.order) / (self.order + 1)
        return harmonics.T.astype(np.float32)
