"""A head whose scores are a probability distribution over the cells."""

from __future__ import annotations

from typing import Any

from doa_tf.heads.grid import GridHead


class GibbsSoftmax(GridHead):
    """A softmax over the cells; cross-entropy with the Gibbs values, scaled to sum 1.

    The targets are a lobe around the true direction, sampled at the cells. A one-hot target does
    not depend on where in its cell the talker is, and `gibbs-weighted` only reduces the cost of
    neighbouring cells; the minimum of this loss are scores whose centroid is the direction between
    cells. The scores sum to 1, so that belief in a second direction reduces that in the first.
    """

    name = "gibbs-softmax"
    activation = "softmax"
    gives_logits = True
    preferred_decode = "centroid"

    def encoded_loss(self) -> Any:
        from doa_tf.losses import GibbsSoftmaxCrossentropy

        return GibbsSoftmaxCrossentropy(from_logits=True)
