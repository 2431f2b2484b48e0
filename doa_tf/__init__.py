"""Direction of arrival of a voice with Keras: simulate, mix, train, evaluate.

    import keras
    import doa_tf

    head = doa_tf.heads.get("gibbs-weighted")
    model = doa_tf.build_crnn(head)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss(), metrics=head.metrics())

Importing this is cheap: Keras is imported when something of it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

from doa_tf import registration

_MODULES = ("data", "evaluation", "heads", "layers", "losses", "metrics", "models", "scenes")
_NAMES = {
    "FeatureSpec": "doa_core.spec",
    "ModelSpec": "doa_core.spec",
    "IntensityFeatures": "doa_tf.layers",
    "build_crnn": "doa_tf.models",
    "evaluate": "doa_tf.evaluation",
    "model_spec": "doa_tf.models",
    "scoring_model": "doa_tf.models",
}

__all__ = [*_MODULES, *_NAMES]

registration.register_with_keras()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"doa_tf.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'doa_tf' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
