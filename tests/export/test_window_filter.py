"""Files that filter their own windows: as the stream's filter does where a stream begins."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.highpass import highpass
from doa_edge.tflite.file import read_spec
from doa_edge.tflite.network import TfliteModel
from doa_export.cli import main

from .conftest import small_model

SAMPLES = 13_312


def sounds():
    """(M, N, 4): noise with an offset 30 dB above it, a constant, digital silence."""
    rng = np.random.default_rng(8)
    noise = 0.01 * rng.standard_normal((SAMPLES, 4)) + [0.3, -0.2, 0.1, 0.0]
    constant = np.full((SAMPLES, 4), 0.5)
    return np.stack([noise, constant, 0.0 * noise]).astype(np.float32)


@pytest.mark.parametrize("cutoff_hz", [30.0, 100.0, 1000.0])
def test_it_is_numpys(cutoff_hz):
    pytest.importorskip("tensorflow")
    from doa_export.convert import window_filter
    from doa_export.convert.stages import convert_stage, run_stage

    options = {"cutoff_hz": cutoff_hz, "sample_rate": 16_000}
    parts = [lambda audio: window_filter.highpass(audio, **options)]
    flatbuffer, given = convert_stage(parts, (SAMPLES, 4), mode="none")
    assert given == (SAMPLES, 4)
    assert len(flatbuffer) < 35_000
    heard = run_stage(flatbuffer, sounds())
    expected = np.stack([highpass(sound, **options) for sound in sounds()])
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    np.testing.assert_array_equal(heard[2], 0.0)


def test_a_window_that_it_cannot_cut():
    pytest.importorskip("tensorflow")
    from doa_export.convert import window_filter

    words = "window of whole blocks of 16 samples. Received: 1001 samples"
    audio = np.zeros((1, 1001, 4), np.float32)
    with pytest.raises(InputError, match=words):
        window_filter.highpass(audio, cutoff_hz=30.0, sample_rate=16_000)


@pytest.fixture(scope="module")
def filtering(tmp_path_factory):
    """(checkpoint, file, figures) of a network with a high-pass, exported by the command."""
    pytest.importorskip("tensorflow")
    from doa_tf.layers import FeatureInput

    folder = tmp_path_factory.mktemp("filtering")
    checkpoint, out = folder / "net.keras", folder / "net.tflite"
    model = small_model("cartesian")
    (layer,) = [layer for layer in model.layers if isinstance(layer, FeatureInput)]
    layer.highpass_hz = 30.0
    model.save(checkpoint)
    report = folder / "net.json"
    options = ("--quantize", "none", "--frontend", "--json", report, "--out", out)
    assert main([str(word) for word in (checkpoint, *options)]) == 0
    return checkpoint, out, json.loads(report.read_text())


def test_its_spec_has_no_highpass_that_would_be_applied_twice(filtering):
    spec = read_spec(filtering[1])
    assert (spec.input, spec.highpass_hz) == ("audio", 0.0)
    assert spec.provenance["export"]["highpass_hz"] == 30.0
    assert filtering[2]["parity"]["max_deg"] < 0.05


def test_an_offset_does_not_matter(filtering):
    model = TfliteModel(filtering[1])
    sound = sounds()[0]
    without = model.predict(sound - sound.mean(axis=0))
    np.testing.assert_allclose(model.predict(sound), without, atol=2e-3)


def test_the_stream_may_be_filtered_instead(filtering, tmp_path):
    checkpoint, out = filtering[0], tmp_path / "stream.tflite"
    options = ("--quantize", "none", "--frontend", "--stream-highpass", "--out", out)
    assert main([str(word) for word in (checkpoint, *options)]) == 0
    spec = read_spec(out)
    assert (spec.input, spec.highpass_hz) == ("audio", 30.0)
    assert "highpass_hz" not in spec.provenance["export"]
    sound = sounds()[0]
    inside = TfliteModel(filtering[1]).predict(sound)
    heard = TfliteModel(out).predict(highpass(sound, cutoff_hz=30.0, sample_rate=16_000))
    np.testing.assert_allclose(heard, inside, atol=1e-4)
