"""The seventh head: a distribution over the cells that is learned with its sub-grid position."""

from __future__ import annotations

from typing import Any

from doa_tf.heads.grid import GridHead


class GibbsSoftmax(GridHead):
    """A softmax over the cells; cross-entropy with the Gibbs values, scaled to sum 1.

    The targets are a lobe around the true direction, sampled at the cells. A one-hot target is the
    same wherever in its cell the talker is, and `gibbs-weighted` only forgives neighbours; this
    loss asks for the scores from which centroid decoding gets the position between cells. Talker
    and interferer share the sum of one: a second direction takes from the first.
    """

    name = "gibbs-softmax"
    activation = "softmax"
    gives_logits = True
    preferred_decode = "centroid"

    def encoded_loss(self) -> Any:
        from doa_tf.losses import GibbsSoftmaxCrossentropy

        return GibbsSoftmaxCrossentropy(from_logits=True)
