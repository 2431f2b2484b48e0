"""What the device checks before it lets a runtime read a network holds of all that we write."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.spec import FeatureSpec
from doa_edge.tflite.structure import check_structure
from doa_export.convert.launch import convert
from doa_export.convert.modes import MODES

pytest.importorskip("tensorflow")

FEATURES = FeatureSpec(frames=4)  # an LSTM of four steps unrolls, converts and is read sooner
HEADS = (
    *("spherical", "spherical-angular", "cartesian", "onehot", "gibbs", "gibbs-weighted"),
    *("gibbs-softmax", "gibbs-harmonic"),
)
FLOATS, INTEGERS = ("none", "float16", "dynamic", "int8"), ("int8-full", "int16x8")
TURNING = "gibbs-harmonic"  # in floats: the others refuse it
SOON = [("cartesian", "int8-full"), ("gibbs-weighted", "int16x8")]  # the others take minutes
CASES = [
    *((head, mode) for head in HEADS for mode in INTEGERS if head != TURNING),
    *((head, mode) for head in ("cartesian", TURNING) for mode in FLOATS),
]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """(checkpoint, its outputs) of an untrained network of each head, made when it is asked for."""
    from doa_tf import build_crnn, heads

    made, folder = {}, tmp_path_factory.mktemp("networks")

    def network(name):
        if name not in made:
            head, path = heads.get(name), folder / f"{name}.keras"
            sizes = {"filters": 12, "lstm_units": 4, "dense_units": 8}
            model = build_crnn(head, features=FEATURES, **sizes)
            model.save(path)
            made[name] = path, model.output_shape[-1]
        return made[name]

    return network


def test_every_head_and_every_mode_is_among_them():
    from doa_tf import heads

    assert set(HEADS) == set(heads.names())
    assert {*FLOATS, *INTEGERS} == set(MODES)


@pytest.mark.parametrize(
    ("head", "mode"),
    [pytest.param(*case, marks=[] if case in SOON else [pytest.mark.slow]) for case in CASES],
)
def test_every_head_in_every_mode_has_a_structure_that_the_device_accepts(networks, head, mode):
    path, outputs = networks(head)
    rng = np.random.default_rng(8)
    windows = rng.uniform(-1.0, 1.0, (4, *FEATURES.input_shape)).astype(np.float32)
    outline = check_structure(convert(path, quantize=mode, windows=windows))
    assert outline.inputs == ((1, *FEATURES.input_shape),)
    assert outline.outputs == ((1, FEATURES.frames, outputs),)
