"""The settings of an export: checked when they are made, without TensorFlow."""

from __future__ import annotations

import pytest

from doa_core.errors import InputError
from doa_export import Budget, ExportSettings
from doa_export.budget import BUDGETS


def test_what_is_not_asked_for_is_the_mode_s():
    settings = ExportSettings(quantize="int16x8", calibrate="scenes")
    assert (settings.form, settings.allowed) == ("unrolled", BUDGETS["int16x8"])
    budget = Budget(median_deg=1.0, p99_deg=2.0)
    settings = ExportSettings(quantize="none", lstm="rolled", budget=budget)
    assert (settings.form, settings.allowed) == ("rolled", budget)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantize": "half"}, "must be one of none, .*'half'"),
        ({"quantize": "int8"}, "needs scenes to calibrate on"),
        (
            {"quantize": "none", "calibration_windows": 0},
            "`calibration_windows` must be an integer between 1 and 1000000. Received: 0",
        ),
        ({"quantize": "none", "decode": "best"}, "`decode` must be one of peak, centroid"),
        ({"quantize": "float16", "split": True}, "Only none and dynamic files can be split"),
        ({"quantize": "none", "split": True, "frontend": True}, "whose input is features"),
        ({"quantize": "none", "stream_highpass": True}, "belongs to files with a front end"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        ExportSettings(**options)
