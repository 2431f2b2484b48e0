"""Output heads: what a network's outputs mean, and how they are trained and read.

    head = doa_tf.heads.get("gibbs-weighted")
    targets = head.encode(directions)        # (..., V, 3) unit vectors -> (..., K)
    model.compile(..., loss=head.loss(), metrics=head.metrics())
    directions, confidence = head.decode(model.predict(features))

docs/heads.md has the formulas, and how to add a head of one's own.
"""

from __future__ import annotations

from doa_tf.heads.base import Head, as_unit_vectors, register
from doa_tf.heads.grid import Gibbs, GibbsHarmonic, GibbsSoftmax, GibbsWeighted, GridHead, Onehot
from doa_tf.heads.registry import get, names
from doa_tf.heads.regression import Cartesian, Spherical, SphericalAngular

_REGRESSION = (Spherical, SphericalAngular, Cartesian)
for _head in (*_REGRESSION, Onehot, Gibbs, GibbsWeighted, GibbsSoftmax, GibbsHarmonic):
    register(_head)

__all__ = [
    "Cartesian",
    "Gibbs",
    "GibbsHarmonic",
    "GibbsSoftmax",
    "GibbsWeighted",
    "GridHead",
    "Head",
    "Onehot",
    "Spherical",
    "SphericalAngular",
    "as_unit_vectors",
    "get",
    "names",
    "register",
]
