"""The seventh head: its scores are one smooth function on the sphere, read at the cells."""

from __future__ import annotations

import numpy as np

from doa_tf.heads.grid import GibbsWeighted
from doa_tf.spherical_harmonics import spherical_harmonics


class GibbsHarmonic(GibbsWeighted):
    """Logits that are a sum of spherical harmonics; trained as `gibbs-weighted`.

    A layer of free outputs learns each cell by itself, from the scenes whose talker is near it: of
    429 cells one in a hundred. The coefficients of a function on the sphere are the same for all
    directions, and learn from every scene. And they can be turned, so that the network turns with
    its scene (`doa_tf.turning`). What it gives is read as the scores of `gibbs-weighted`.
    """

    name = "gibbs-harmonic"
    decoded_as = "gibbs-weighted"
    preferred_decode = "centroid"
    turns_in_hz = (94.0, 2000.0)  # where voices are loud

    def __init__(self, resolution_deg: float = 10.0) -> None:
        super().__init__(resolution_deg)
        # The finest detail is 180 / N degrees wide: 22.5 at 10, where the targets' beta is 20.
        self.order = max(1, round(80.0 / resolution_deg))

    def basis(self) -> np.ndarray:
        """((N + 1)^2, G) float32 harmonics at the cells; the squares of a cell sum to 1."""
        harmonics = spherical_harmonics(self.grid.vectors, self.order) / (self.order + 1)
        return harmonics.T.astype(np.float32)
