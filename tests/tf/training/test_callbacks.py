"""What happens between batches and epochs: rates, validation, interruptions, weights."""

from __future__ import annotations

import signal

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.errors import InputError
from doa_tf.data import scenes_arrays
from doa_tf.training import callbacks, start
from doa_tf.training.interruption import StopBetweenBatches
from doa_tf.training.run_folder import RunFolder, TrainingState
from doa_tf.training.start import copy_weights

pytestmark = pytest.mark.usefixtures("small_net")


def test_validation_measures_the_angle_to_the_true_directions(scenes):
    features, directions = scenes_arrays(scenes, features=doa_tf.FeatureSpec())
    assert features.shape == (6, 25, 513, 6)
    head = doa_tf.heads.get("onehot")
    judge = callbacks.Validation(features, directions, head, batch_size=4)

    class Oracle:
        """Answers each scene with its cell, the first two with the opposite one."""

        def __init__(self):
            self.number = 0

        def __call__(self, x, training):
            scores = head.encode(directions * np.where(np.arange(6) < 2, -1, 1)[:, None, None])
            padded = np.concatenate([scores, np.zeros((2, 429))])[self.number : self.number + 4]
            self.number += 4
            return np.repeat(20.0 * padded[:, None], 25, axis=1).astype(np.float32)

    judge.set_model(Oracle())
    judge._predict = lambda x: judge.model(x, training=False)
    figures = judge.figures()
    # The cell is up to 7 degrees from the truth.
    assert 0.5 < figures["val_median_angular_error"] < 7.0
    assert figures["val_accuracy_within_10"] == pytest.approx(4 / 6)
    assert figures["val_outliers_above_30"] == pytest.approx(2 / 6)


def test_weights_are_copied_where_they_fit():
    build = start.build_network
    source = build(doa_tf.heads.get("cartesian"), features=None)
    target = build(doa_tf.heads.get("gibbs-weighted"), features=None)
    bias = target.get_layer("directions").get_weights()[1]
    copy_weights(source, target)
    for name in ("dense",):
        for ours, theirs in zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(target.get_layer("directions").get_weights()[1], bias)
    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="elsewhere")])
    with pytest.raises(InputError, match="shares none"):
        copy_weights(other, target)


def test_ctrl_c_stops_between_batches_and_a_second_one_at_once():
    stop = StopBetweenBatches()
    stop.set_params({"steps": 3})
    before = signal.getsignal(signal.SIGINT)
    with stop.listening():
        stop.on_train_batch_end(0)
        signal.raise_signal(signal.SIGTERM)
        stop.on_train_batch_end(2)  # the epoch's last: it may end
        with pytest.raises(KeyboardInterrupt):
            stop.on_train_batch_end(0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_weights_that_are_nan_are_not_saved(tmp_path):
    model = start.build_network(doa_tf.heads.get("cartesian"), features=None)
    folder = RunFolder(path=tmp_path, state=TrainingState())
    keep = callbacks.KeepState(folder, steps_per_epoch=2, patience=1, keep_metrics=False)
    model.compile(keras.optimizers.Nadam())
    model.optimizer.iterations.assign(1)
    keep.set_model(model)
    keep.back_up()
    good = (tmp_path / "last.keras").read_bytes()
    model.get_layer("dense").kernel.assign(model.get_layer("dense").kernel * np.inf)
    with pytest.raises(FloatingPointError, match="weights of dense/kernel"):
        keep.back_up()
    assert (tmp_path / "last.keras").read_bytes() == good


def test_the_learning_rate_rises_and_falls():
    rate = callbacks.CosineLearningRate(highest=1e-3, warmup_steps=10, steps=2560)
    seen = [rate.rate(step) for step in (0, 9, 1280, 2559, 5000)]
    np.testing.assert_allclose(seen, [1e-4, 1e-3, 5.05e-4, 1e-5, 1e-5], rtol=0.01)
