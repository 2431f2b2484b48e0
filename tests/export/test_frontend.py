"""Files that hear samples: their features are numpy's, and the runner serves them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.tflite.file import embed_spec, read_model
from doa_edge.tflite.network import TfliteModel

from .conftest import small_model

LEVEL = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))


def sounds():
    """(N, 4) windows: noise, one wave, one that starts late, near and digital silence."""
    rng = np.random.default_rng(5)
    noise = 0.1 * rng.standard_normal((LEVEL.samples, 4))
    wave = encode_plane_wave(noise[:, 0], [0.6, 0.0, 0.8])
    late = noise * (np.arange(LEVEL.samples) > 6000)[:, np.newaxis]
    rounded = np.round(noise * 30.0) / 2**15  # a whisper in 16 bits
    return np.stack([noise, wave, late, rounded, 1e-6 * noise, 0.0 * noise]).astype(np.float32)


@pytest.fixture(scope="module")
def front_end():
    pytest.importorskip("tensorflow")
    from doa_export.convert.frontend import features
    from doa_export.convert.stages import convert_stage, run_stage

    shape = (LEVEL.samples, 4)
    flatbuffer, given = convert_stage([lambda x: features(x, LEVEL)], shape, mode="none")
    assert given == LEVEL.input_shape
    return flatbuffer, run_stage(flatbuffer, sounds())


def test_features_are_numpys(front_end):
    expected = LEVEL.compute(sounds())
    assert np.abs(expected[:4]).max(axis=(1, 2, 3)).min() > 0.5
    np.testing.assert_allclose(front_end[1], expected, atol=1e-3)


def test_silence_gives_zeros(front_end):
    np.testing.assert_array_equal(front_end[1][-1], 0.0)


def test_a_front_end_is_small(front_end):
    assert len(front_end[0]) < 60_000


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (FeatureSpec(hop=500), "whole hops"),
        (FeatureSpec(window_length=512, hop=256), "a square. Received: 512"),
    ],
)
def test_windows_that_it_cannot_cut(spec, words):
    pytest.importorskip("tensorflow")
    from doa_export.convert.frontend import features

    with pytest.raises(InputError, match=words):
        features(np.zeros((1, spec.samples, 4), np.float32), spec)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Files of the same network that hear features and samples."""
    pytest.importorskip("tensorflow")
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(small_model("cartesian"))
    network = read_network(model, spec)
    folder = tmp_path_factory.mktemp("pair")
    paths = []
    for audio in (False, True):
        path = folder / f"audio-{audio}.tflite"
        flatbuffer = convert_network(network, mode="dynamic", lstm="fused", audio=audio)
        spec = dataclasses.replace(
            spec, quantization="dynamic", input="audio" if audio else "features"
        )
        path.write_bytes(embed_spec(flatbuffer, spec))
        paths.append(path)
    return paths


@pytest.mark.parametrize("every", [5, 40])
def test_the_engine_gives_the_same_directions(pair, every):
    rng = np.random.default_rng(6)
    sound = encode_plane_wave(0.1 * rng.standard_normal(50_000), [0.0, 0.8, 0.6])
    features, audio = (
        DirectionEngine(TfliteModel(path), EngineSettings(every=every)) for path in pair
    )
    expected, heard = features.push(sound), audio.push(sound)
    assert len(heard) == len(expected) >= 2
    for one, other in zip(heard, expected, strict=True):
        assert one.time_s == other.time_s
        assert one.azimuth_deg == pytest.approx(other.azimuth_deg, abs=0.5)
        assert one.elevation_deg == pytest.approx(other.elevation_deg, abs=0.5)


def test_its_samples_have_a_shape(pair):
    model = TfliteModel(pair[1])
    assert model.spec.window_shape == (13_312, 4)
    with pytest.raises(ValueError, match=r"`audio` must be \(13312, 4\). Received: audio.shape"):
        model.predict(np.zeros((25, 513, 6), np.float32))


def test_a_front_end_is_never_quantised(pair):
    """Its matrices decide on every bin; and the file is builtins all the same."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(read_model(pair[1])[0])
    sizes = {
        tuple(tensor.shape): tensor.type
        for tensor in model.subgraphs[0].tensors
        if tensor.buffer and tensor.shape is not None
    }
    assert sizes[64, 32] == schema.TensorType.FLOAT32  # first half of the transform
    assert not [code.customCode for code in model.operatorCodes if code.customCode]
