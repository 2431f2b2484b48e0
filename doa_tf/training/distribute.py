"""Training on several devices or machines through `tf.distribute`.

`mirrored` uses all GPUs of this machine. `multiworker` uses several processes, each of which is
started with the same command and its own TF_CONFIG; the batch is shared out among them, and batch
normalisation takes its statistics over all of it, so that one process's numbers come out.
"""

from __future__ import annotations

import json
import os
from typing import Any

from doa_core.errors import InputError

STRATEGIES = ("none", "mirrored", "multiworker")


def is_chief() -> bool:
    """Whether this process is the first, which writes the files; true without TF_CONFIG."""
    task = _tf_config().get("task", {})
    return task.get("type", "worker") in ("chief", "worker") and (
        task.get("type") == "chief" or int(task.get("index", 0)) == 0
    )


def make_strategy(name: str, *, batch_size: int) -> Any:
    """The `tf.distribute.Strategy` of a name. Call it before anything else uses TensorFlow.

    Args:
        name: in `STRATEGIES`.
        batch_size: of all replicas together.

    Raises:
        InputError: an unknown name, `multiworker` without a TF_CONFIG, or a batch that can't be
            shared out evenly.
    """
    import tensorflow as tf

    if name not in STRATEGIES:
        raise InputError(
            f"`strategy` must be one of {', '.join(STRATEGIES)}. Received: strategy={name!r}"
        )
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        strategy = tf.distribute.MirroredStrategy()
    else:
        if not _tf_config().get("cluster", {}).get("worker"):
            raise InputError(
                "The strategy multiworker needs the environment variable TF_CONFIG in each "
                'process, as {"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": '
                '"worker", "index": 0}}'
            )
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"`batch_size` must be a multiple of the {replicas} replicas. "
            f"Received: batch_size={batch_size}"
        )
    return strategy


def share_out(dataset: Any) -> Any:
    """A dataset of whole batches, of which each replica takes its part."""
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def adapt_to_workers(model: Any, strategy: Any, batch: Any) -> None:
    """Make a compiled model's `fit` work under `multiworker`, which Keras 3 has not finished.

    Two things stand in the way (keras-team/keras#20585). `fit` averages the first batch over all
    processes to learn its shape, which fails: the model is shown a batch here instead. And the
    figures of a step are averaged along a first axis that scalars do not have: they get one.

    Args:
        model: compiled under the strategy.
        strategy: from `make_strategy`.
        batch: (features, targets) of any values.
    """
    import tensorflow as tf

    def build(**_: Any) -> None:
        with strategy.scope():
            model._symbolic_build(data_batch=batch)

    step = model.train_step

    def step_with_axis(*data: Any) -> dict[str, Any]:
        return {name: tf.reshape(value, (1,)) for name, value in step(*data).items()}

    build()
    model._maybe_symbolic_build = build
    model.train_step = step_with_axis


def _tf_config() -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(f"TF_CONFIG must be JSON. Received: {text!r}") from error
    if not isinstance(config, dict):
        raise InputError(f"TF_CONFIG must be a JSON object. Received: {text!r}")
    return config
