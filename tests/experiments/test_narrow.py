"""A narrower network begins with the filters of a wide one that matter."""

import os

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_edge.tflite.shipped import shipped_checkpoint
from doa_tf import heads
from doa_tf.models import build_crnn, load_model
from experiments.choices.narrow import main, narrowed

FEATURES = FeatureSpec(frames=3)
NETWORK = {"features": FEATURES, "lstm_units": 4, "dense_units": 8, "voices": 3}


def wide_network(filters, matter):
    """A network in which only some filters of each convolution are heard."""
    model = build_crnn(heads.get("gibbs-harmonic"), filters=filters, **NETWORK)
    generator = np.random.default_rng(3)
    for number, kept in enumerate(matter, start=1):
        layer = model.get_layer(f"normalisation_{number}")
        scale, offset, mean, variance = layer.get_weights()
        silent = np.setdiff1d(np.arange(len(scale)), kept)
        offset = generator.standard_normal(len(offset))
        mean = generator.uniform(-1, 1, len(mean))
        scale[silent] = offset[silent] = 0.0
        layer.set_weights([scale, offset, mean, variance])
    return model


def test_filters_that_nothing_hears_are_left_out_and_no_answer_changes(tmp_path, capsys):
    matter = [[1, 2], [0, 3, 5], [1, 4]]
    wide = wide_network((4, 6, 5), matter)
    path, out = tmp_path / "wide.keras", tmp_path / "narrow.keras"
    wide.save(path)
    main([str(path), "--filters", "2", "3", "2", "--out", str(out)])
    told = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert told == ["1 2", "0 3 5", "1 4"]
    narrow = load_model(out)
    assert narrow.count_params() < wide.count_params()
    features = np.random.default_rng(0).uniform(-1, 1, (2, *FEATURES.input_shape))
    np.testing.assert_allclose(narrow(features), wide(features), atol=1e-5)


@pytest.mark.parametrize("filters", [(4, 6), (0, 6, 5), (4, 7, 5)])
def test_what_cannot_be_kept_is_refused(filters):
    with pytest.raises(InputError, match=r"from 1 to those of the wide network, \(4, 6, 5\)"):
        narrowed(wide_network((4, 6, 5), [range(4), range(6), range(5)]), filters)


def test_a_built_in_checkpoint_and_other_files_are_not_written(tmp_path):
    before = shipped_checkpoint().read_bytes()
    for out in (str(shipped_checkpoint()), os.path.relpath(shipped_checkpoint()), "x.txt"):
        with pytest.raises(InputError, match=r"must be a \.keras file of your own"):
            main(["default", "--filters", "8", "8", "8", "--out", out])
    with pytest.raises(OSError, match="No such file or directory"):
        main(["default", "--filters", "8", "8", "8", "--out", str(tmp_path / "no" / "x.keras")])
    assert shipped_checkpoint().read_bytes() == before
