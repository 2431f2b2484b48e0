"""The feature layer is doa_core's features; the network is the paper's."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import doa_tf
from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf.data.features import waveform_features
from doa_tf.models import architecture_of, load_model
from tests.places import PROJECT

SIX = FeatureSpec()
SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
SMALL = {"filters": 2, "lstm_units": 3, "dense_units": 5}


@pytest.mark.parametrize("spec", [SIX, SEVEN])
@pytest.mark.parametrize("gain", [1e-4, 0.1, 1.0])
def test_the_layer_equals_the_numpy_features(spec, gain):
    rng = np.random.default_rng(0)
    wave = encode_plane_wave(rng.standard_normal(13_312), angles_to_vector(0.5, -0.3))
    waveform = (gain * (wave + 0.1 * rng.standard_normal(wave.shape))).astype(np.float32)[None]
    layer = doa_tf.IntensityFeatures(spec)
    features = np.asarray(layer(waveform))
    assert features.shape == (1, *spec.input_shape) == layer.compute_output_shape(waveform.shape)
    expected = waveform_features(waveform, spec)
    np.testing.assert_allclose(features[..., :6], expected[..., :6], atol=1e-5)
    # The logarithm of a bin 60 dB below its frame magnifies the rounding of two FFTs.
    np.testing.assert_allclose(features[..., 6:], expected[..., 6:], atol=1e-4)


def test_silence_gives_zeros():
    features = np.asarray(doa_tf.IntensityFeatures(SEVEN)(np.zeros((1, 13_312, 4), np.float32)))
    np.testing.assert_array_equal(features, 0.0)


def test_a_plane_wave_gives_its_direction():
    direction = angles_to_vector(2.0, 0.4)
    noise = np.random.default_rng(1).standard_normal(13_312)
    features = doa_tf.IntensityFeatures()(encode_plane_wave(noise, direction)[None])
    np.testing.assert_allclose(
        np.asarray(features)[0, :, 1:, :3].mean((0, 1)), direction, atol=1e-4
    )


@pytest.mark.parametrize("name", ["cartesian", "gibbs-weighted"])
def test_a_saved_model_comes_back_without_custom_objects(tmp_path, name):
    head = doa_tf.heads.get(name)
    model = doa_tf.build_crnn(head, features=SEVEN, **SMALL)
    model.compile(keras.optimizers.SGD(1e-3), loss=head.loss(), metrics=head.metrics())
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "x.keras")
    again = keras.saving.load_model(tmp_path / "x.keras")
    features = np.random.default_rng(0).uniform(-1, 1, (2, *SEVEN.input_shape)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(features, verbose=0), model(features))
    assert doa_tf.model_spec(again) == doa_tf.model_spec(model)
    assert doa_tf.model_spec(again).features == SEVEN
    assert doa_tf.model_spec(again).head == name


def test_a_saved_model_knows_how_many_voices(tmp_path):
    head = doa_tf.heads.get("gibbs-harmonic")
    model = doa_tf.build_crnn(head, voices=3, **SMALL)
    model.get_layer("head").apart_deg = 25.0
    model.save(tmp_path / "x.keras")
    spec = doa_tf.model_spec(load_model(tmp_path / "x.keras"))
    assert (spec.voices, spec.apart_deg, spec.version) == (3, 25.0, 2)
    assert doa_tf.model_spec(doa_tf.scoring_model(model)) == spec
    # The network is the same for any number.
    assert model.count_params() == doa_tf.build_crnn(head, **SMALL).count_params()


def test_a_checkpoint_of_one_voice_is_as_older_versions_have_it():
    config = doa_tf.build_crnn(doa_tf.heads.get("gibbs"), **SMALL).get_layer("head").get_config()
    assert not {"voices", "apart_deg", "decode", "refine"} & set(config)
    older = doa_tf.layers.HeadOutput.from_config(config)
    assert (older.voices, older.apart_deg) == (1, 20.0)


def test_a_saved_model_knows_how_its_directions_are_refined(tmp_path):
    model = doa_tf.build_crnn(doa_tf.heads.get("gibbs"), features=SEVEN, **SMALL)
    model.get_layer("head").refine = "intensity"
    model.save(tmp_path / "x.keras")
    assert doa_tf.model_spec(load_model(tmp_path / "x.keras")).refine == "intensity"
    with pytest.raises(ValueError, match="`refine` must be one of none, intensity"):
        doa_tf.layers.HeadOutput("gibbs", refine="much")


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [("gibbs-weighted", "peak", "centroid"), ("gibbs-harmonic", "centroid", "peak")],
)
def test_a_saved_model_knows_how_it_is_decoded(tmp_path, name, own, other):
    model = doa_tf.build_crnn(doa_tf.heads.get(name), **SMALL)
    assert doa_tf.model_spec(model).decode == own  # the head's choice
    model.get_layer("head").decode = other
    model.save(tmp_path / "x.keras")
    assert doa_tf.model_spec(load_model(tmp_path / "x.keras")).decode == other
    with pytest.raises(ValueError, match=r"`decode` must be one of peak, centroid.*'mean'"):
        doa_tf.layers.HeadOutput(name, decode="mean")


def test_the_architecture_of_a_network_builds_it_again():
    settings = {"filters": (2, 3, 4), "lstm_units": 5, "dense_units": 6, "dropout": 0.25}
    head = doa_tf.heads.get("gibbs-softmax")
    model = doa_tf.build_crnn(head, features=SEVEN, highpass_hz=50.0, **settings)
    found = architecture_of(model)
    assert found == {
        "head": "gibbs-softmax",
        "features": SEVEN,
        "highpass_hz": 50.0,
        "voices": 1,
        **settings,
    }
    again = doa_tf.build_crnn(doa_tf.heads.get(found.pop("head")), **found)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def test_of_a_network_of_another_make_its_head_and_input_are_known():
    features = keras.Input(SIX.input_shape)
    x = doa_tf.layers.FeatureInput(SIX, 40.0)(features)
    x = keras.layers.Reshape((25, -1))(x)
    x = keras.layers.Dense(3, name="own")(x)
    model = keras.Model(features, doa_tf.layers.HeadOutput("cartesian")(x))
    assert architecture_of(model) == {
        "head": "cartesian",
        "features": SIX,
        "highpass_hz": 40.0,
        "voices": 1,
    }


@pytest.mark.parametrize("name", ["cartesian", "spherical", "onehot", "gibbs-softmax"])
def test_a_head_of_one_voice_says_so(name):
    with pytest.raises(ValueError, match=f"'{name}' takes one voice. Received: voices=2"):
        doa_tf.build_crnn(doa_tf.heads.get(name), voices=2, **SMALL)


@pytest.mark.parametrize("voices", [0, 5, 2.0, None])
def test_a_number_of_voices_out_of_range(voices):
    with pytest.raises(ValueError, match=r"`voices` must be an integer from 1 to 4. Received:"):
        doa_tf.build_crnn(doa_tf.heads.get("gibbs"), voices=voices, **SMALL)


LOAD_ALL = """
loaded = []
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras")  # compiled, safe, nothing named
    loss = model.loss.get_config()
    loaded.append((name, loss["head"], loss["resolution_deg"]))
names = sorted(keras.saving.get_custom_objects())
print(json.dumps([loaded, names]))
"""


@pytest.fixture(scope="module")
def a_checkpoint_of_every_head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    for name in doa_tf.heads.names():
        head = doa_tf.heads.get(name, resolution_deg=30.0 if doa_tf.heads.get(name).grid else None)
        model = doa_tf.build_crnn(head, **SMALL)
        model.compile(keras.optimizers.SGD(1e-3), loss=head.loss(), metrics=head.metrics())
        model.optimizer.build(model.trainable_variables)
        model.save(folder / f"{name}.keras")
    return folder


@pytest.mark.parametrize("order", ["import doa_tf; import keras", "import keras; import doa_tf"])
def test_a_fresh_process_loads_every_head_in_either_order_of_imports(
    a_checkpoint_of_every_head, order
):
    code = f"import json, sys; {order}; {LOAD_ALL}"
    names = doa_tf.heads.names()
    command = [sys.executable, "-c", code, str(a_checkpoint_of_every_head), *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    loaded, registered = json.loads(done.stdout)
    steps = [30.0 if doa_tf.heads.get(name).grid else None for name in names]
    assert loaded == [[name, name, step] for name, step in zip(names, steps, strict=True)]
    # Whatever is registered anywhere in the package.
    marked = r'register_keras_serializable\(package="doa_tf"\)\nclass (\w+)'
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "doa_tf").rglob("*.py")]
    classes = {name for source in sources for name in re.findall(marked, source)}
    assert len(classes) >= 12
    assert {f"doa_tf>{name}" for name in classes} <= set(registered)


def test_importing_the_package_is_light():
    code = (
        "import sys, doa_tf; doa_tf.training.TrainSettings(head='onehot'); "
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_network_is_the_published_one():
    assert doa_tf.build_crnn(doa_tf.heads.get("gibbs-weighted")).count_params() == 515_587


def test_scores_are_scores():
    model = doa_tf.build_crnn(doa_tf.heads.get("gibbs-weighted"), **SMALL)
    features = np.random.default_rng(0).uniform(-1, 1, (1, *SIX.input_shape)).astype(np.float32)
    logits = model.predict(features, verbose=0)
    scores = doa_tf.scoring_model(model).predict(features, verbose=0)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    # The output bias starts at one right cell in 429.
    assert scores.mean() == pytest.approx(1 / 429, rel=0.3)


def test_features_of_another_spec_are_refused():
    layer = doa_tf.layers.FeatureInput(SEVEN)
    with pytest.raises(ValueError, match="25, 513, 7"):
        layer(np.zeros((1, *SIX.input_shape), np.float32))


def test_models_that_are_not_ours_are_refused(tmp_path):
    inputs = keras.Input((3,))
    foreign = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    foreign.save(tmp_path / "foreign.keras")
    with pytest.raises(InputError, match="FeatureInput"):
        load_model(tmp_path / "foreign.keras")
    with pytest.raises(InputError, match="Not found"):
        load_model(tmp_path / "nowhere.keras")
    (tmp_path / "text.keras").write_text("a letter")
    with pytest.raises(InputError, match=r"no \.keras file"):
        load_model(tmp_path / "text.keras")
    whole = (tmp_path / "foreign.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        load_model(tmp_path / "cut.keras")
    middle = len(whole) // 2
    (tmp_path / "bad.keras").write_bytes(whole[:middle] + b"?" * 40 + whole[middle + 40 :])
    with pytest.raises(InputError, match=r"damaged|no \.keras file"):
        load_model(tmp_path / "bad.keras")
