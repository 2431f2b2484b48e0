"""A network between two: what one was trained to, without all that it forgot on the way.

Weights between those of a network and of the same network trained further give most of what was
gained where it was trained further, and lose little elsewhere.

References:
    M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022,
    doi:10.1109/CVPR52688.2022.00780
"""

from __future__ import annotations

import keras

from doa_core.errors import InputError
from doa_edge import limits
from doa_tf.files import difference_words, differences
from doa_tf.layers import HeadOutput
from doa_tf.models import architecture_of


def blend_models(first: keras.Model, second: keras.Model, *, share: float) -> keras.Model:
    """The second network, with the mean of both networks' weights.

    Averages of the batch normalisation are weights like others. A calibration is left out.

    Args:
        first: a network, such as the one that the training of the second began with.
        second: of the same head, input and sizes; it is changed.
        share: of the second's weights, in [0, 1].

    Raises:
        InputError: the networks are not alike.
        ValueError: a share out of its limits.
    """
    limits.check("blend share", share, named="share")
    differing = differences(_build(second), _build(first))
    if differing:
        raise InputError(
            "Weights are blended of networks of the same head, input and layers. Received two in "
            f"which {difference_words(differing)}"
        )
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    second.set_weights([(1.0 - share) * old + share * new for old, new in pairs])
    (output,) = (layer for layer in second.layers if isinstance(layer, HeadOutput))
    output.calibration = ()
    return second


def _build(model: keras.Model) -> dict[str, object]:
    """What two networks must have in common, as JSON values."""
    known = architecture_of(model)
    return {
        "head": known["head"],
        "voices": known["voices"],
        "highpass_hz": known["highpass_hz"],
        "features": known["features"].to_dict(),
        "layers": {
            layer.name: [list(weight.shape) for weight in layer.get_weights()]
            for layer in model.layers
            if layer.weights
        },
    }
