"""Heads, losses and metrics on another backend of Keras: equal numbers, finite gradients."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import doa_tf

PROGRAM = """
import json, sys
sys.modules.update(dict.fromkeys(("tensorflow", "sklearn", "matplotlib")))  # Keras looks for them
import jax, numpy as np, keras
import doa_tf
assert keras.config.backend() == "jax"
results = {}
for name in doa_tf.heads.names():
    head = doa_tf.heads.get(name, resolution_deg=30.0 if doa_tf.heads.get(name).grid else None)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = directions[:, None].astype(np.float32)
    encoded = np.repeat(head.encode(directions)[:, None], 3, axis=1)
    outputs = rng.uniform(0.05, 0.95, encoded.shape).astype(np.float32)
    loss = lambda values: head.loss()(directions, values)
    value, gradient = jax.value_and_grad(loss)(outputs)
    same = jax.grad(loss)(encoded)
    metrics = {}
    for metric in head.metrics():
        metric.update_state(directions, outputs)
        metrics[metric.name] = float(metric.result())
    results[name] = {
        "loss": float(value),
        "gradient": np.asarray(gradient).sum(axis=(1, 2)).tolist(),
        "encoded": float(abs(head.encode_tensor(directions) - head.encode(directions)).max()),
        "finite": bool(np.isfinite(gradient).all() and np.isfinite(same).all()),
        "metrics": metrics,
        "decoded": head.decode(outputs)[0].tolist(),
    }
for name in ("gibbs", "gibbs-weighted"):
    head = doa_tf.heads.get(name, resolution_deg=30.0)
    rng = np.random.default_rng(0)
    talkers = rng.standard_normal((4, 3, 2, 3))
    talkers /= np.linalg.norm(talkers, axis=-1, keepdims=True)
    talkers[:, 0], talkers[1, 1, 0] = 0.0, 0.0
    outputs = rng.uniform(0.05, 0.95, (4, 3, head.outputs)).astype(np.float32)
    loss = lambda values: head.loss()(talkers.astype(np.float32), values)
    value, gradient = jax.value_and_grad(loss)(outputs)
    metrics = {}
    for metric in head.metrics():
        metric.update_state(talkers, outputs)
        metrics[metric.name] = float(metric.result())
    encoded = head.encode_tensor(talkers.astype(np.float32))
    results["several " + name] = {
        "loss": float(value),
        "gradient": np.asarray(gradient).sum(axis=2).tolist(),
        "encoded": float(abs(encoded - head.encode(talkers)).max()),
        "metrics": metrics,
    }
head = doa_tf.heads.get("gibbs-softmax")
model = doa_tf.build_crnn(head, filters=2, lstm_units=2, dense_units=4)
model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss(), metrics=head.metrics())
x = rng.uniform(-1, 1, (4, 25, 513, 6)).astype(np.float32)
history = model.fit(x, directions, batch_size=2, epochs=1, verbose=0).history
results["fit"] = float(history["loss"][-1])
json.dump(results, sys.stdout)
"""


@pytest.fixture(scope="module")
def on_jax():
    pytest.importorskip("jax", reason='the extra "dev" has it')
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", doa_tf.heads.names())
def test_jax_gives_the_numbers_of_tensorflow(on_jax, name):
    import tensorflow as tf

    there = on_jax[name]
    head = doa_tf.heads.get(name, resolution_deg=30.0 if doa_tf.heads.get(name).grid else None)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    directions = directions[:, None].astype(np.float32)
    shape = (4, 3, head.outputs)
    outputs = tf.Variable(rng.uniform(0.05, 0.95, shape).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = head.loss()(directions, outputs)
    gradient = tape.gradient(loss, outputs).numpy().sum(axis=(1, 2))
    assert there["loss"] == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(there["gradient"], gradient, rtol=1e-3, atol=1e-5)
    assert there["finite"]
    assert there["encoded"] < 1e-5
    for metric in head.metrics():
        metric.update_state(directions, outputs.numpy())
        assert there["metrics"][metric.name] == pytest.approx(float(metric.result()), abs=0.11)
    np.testing.assert_allclose(there["decoded"], head.decode(outputs.numpy())[0], atol=1e-5)


@pytest.mark.parametrize("name", ["gibbs", "gibbs-weighted"])
def test_jax_gives_the_numbers_of_tensorflow_for_several_talkers(on_jax, name):
    import tensorflow as tf

    there, head = on_jax[f"several {name}"], doa_tf.heads.get(name, resolution_deg=30.0)
    rng = np.random.default_rng(0)
    talkers = rng.standard_normal((4, 3, 2, 3))
    talkers /= np.linalg.norm(talkers, axis=-1, keepdims=True)
    talkers[:, 0], talkers[1, 1, 0] = 0.0, 0.0
    assert (~talkers.any(axis=(-1, -2))).any()  # frames of nobody
    outputs = tf.Variable(rng.uniform(0.05, 0.95, (4, 3, head.outputs)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = head.loss()(talkers, outputs)
    gradient = tape.gradient(loss, outputs).numpy().sum(axis=2)
    assert np.isfinite(gradient).all()
    assert there["loss"] == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(there["gradient"], gradient, rtol=1e-3, atol=1e-5)
    assert there["encoded"] < 1e-5
    for metric in head.metrics():
        metric.update_state(talkers, outputs.numpy())
        assert there["metrics"][metric.name] == pytest.approx(float(metric.result()), abs=0.11)


def test_the_network_trains_on_jax(on_jax):
    assert np.isfinite(on_jax["fit"])
