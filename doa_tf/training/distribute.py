"""Training on several devices or machines through `tf.distribute`.

`mirrored` uses all GPUs of this machine. `multiworker` uses several processes, each started with
the same command and its own TF_CONFIG; the batch is divided among them, and the statistics of batch
normalisation are those of the whole batch, so that the results are those of one process.
"""

from __future__ import annotations

import os
from typing import Any

from doa_core.errors import InputError, as_damage
from doa_core.reading.json_text import parse_json

STRATEGIES = ("none", "mirrored", "multiworker")


def is_chief() -> bool:
    """Whether this process is the first, which writes the files; true without TF_CONFIG."""
    with as_damage("TF_CONFIG must name the type and the index of this process's task"):
        task = {"type": "worker", "index": 0, **_tf_config().get("task", {})}
        return task["type"] == "chief" or (task["type"] == "worker" and int(task["index"]) == 0)


def make_strategy(name: str, *, batch_size: int) -> Any:
    """The `tf.distribute.Strategy` of a name. Call it before anything else uses TensorFlow.

    Args:
        name: in `STRATEGIES`.
        batch_size: of all replicas together.

    Raises:
        InputError: an unknown name, `multiworker` without a TF_CONFIG, or a batch that can't be
            divided evenly.
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
    """A dataset of whole batches, each of which is divided among the replicas."""
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def adapt_to_workers(model: Any, strategy: Any, batch: Any) -> None:
    """Make a compiled model's `fit` work under `multiworker`, which Keras 3 has not finished.

    Two things fail (keras-team/keras#20585), and there is no public way around them: the private
    names of Keras that this package uses are those below. `fit` averages the first batch over all
    processes to learn its shape: the model is built from a batch here instead. And the figures of a
    step are averaged along a first axis, which scalars do not have: they get one.

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
        config = parse_json(text or "{}")
    except ValueError as error:
        raise InputError(f"TF_CONFIG must be JSON. Received: {text!r}") from error
    if not isinstance(config, dict):
        raise InputError(f"TF_CONFIG must be a JSON object. Received: {text!r}")
    return config
