"""Weights between those of two networks."""

from __future__ import annotations

import numpy as np
import pytest

import doa_tf
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.spec import FeatureSpec
from doa_tf.cli.main import main
from doa_tf.models import load_model
from doa_tf.training.blend import blend_models

SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))
SIZES = {"filters": (2, 2, 2), "lstm_units": 2, "dense_units": 3}


def network(value, head="cartesian", **options):
    """Every weight of it has the value."""
    model = doa_tf.build_crnn(doa_tf.heads.get(head), **{**SIZES, **options})
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.25, 2.0), (1.0, 5.0)])
def test_weights_are_the_mean_by_shares(share, value):
    blended = blend_models(network(1.0), network(5.0), share=share)
    for weight in blended.get_weights():  # of powers of two: exact
        np.testing.assert_array_equal(weight, np.full_like(weight, value))


def test_the_decoding_stays_and_the_calibration_does_not():
    first, second = network(1.0, "gibbs-weighted"), network(3.0, "gibbs-weighted")
    second.get_layer("head").calibration = ((0.0, 0.1), (1.0, 0.9))
    second.get_layer("head").decode = "centroid"
    spec = doa_tf.model_spec(blend_models(first, second, share=0.5))
    assert (spec.decode, spec.calibration) == ("centroid", ())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"head": "onehot"}, "head was 'cartesian', not 'onehot'"),
        ({"features": SEVEN}, "channels was"),
        ({"highpass_hz": 50.0}, r"highpass_hz was 0\.0, not 50\.0"),
        ({"dense_units": 4}, "dense was"),
        ({"dense_units": 3}, None),
    ],
)
def test_other_networks_are_refused_by_what_differs(other, words):
    first, second = network(1.0), network(2.0, **other)
    if words is None:
        assert blend_models(first, second, share=0.5) is second
        return
    with pytest.raises(InputError, match=f"same head, input and layers.*{words}"):
        blend_models(first, second, share=0.5)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(ValueError, match=rf"`share` must lie between 0 and 1\. Received: {share}"):
        blend_models(network(1.0), network(1.0), share=share)


def test_from_the_command_line(tmp_path, capsys):
    network(1.0).save(tmp_path / "a.keras")
    network(2.0).save(tmp_path / "b.keras")
    network(2.0, "onehot").save(tmp_path / "c.keras")
    a, b, c, out = (tmp_path / f"{name}.keras" for name in ("a", "b", "c", "out"))
    assert main(f"blend {a} {b} --out {out}".split()) == 0
    out_text, err = capsys.readouterr()
    assert (out_text, err.splitlines()[-1]) == ("", f"doa_tf: wrote {out}")
    assert all(np.all(weight == 1.5) for weight in load_model(out).get_weights())
    for arguments, message in (
        (f"{a} {c} --out {tmp_path}/d.keras", "head was 'cartesian', not 'onehot'"),
        (f"{a} {b} --out {tmp_path}/d.tflite", "--out must be a .keras file"),
        (f"{a} {tmp_path}/none.keras --out {tmp_path}/d.keras", "none.keras"),
        (f"{a} {b} --share 2 --out {tmp_path}/d.keras", "between 0 and 1. Received: 2"),
    ):
        assert main(f"blend {arguments}".split()) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "d.keras").exists()
