"""The numbers that other implementations are checked against are those of today's code."""

from __future__ import annotations

import json
import math
import runpy

import numpy as np
import pytest

from tests.places import PROJECT

SCRIPT = PROJECT / "examples" / "reference_vectors.py"


@pytest.fixture(scope="module")
def stored():
    return json.loads(SCRIPT.with_suffix(".json").read_text(encoding="utf-8"))


def test_they_are_what_the_script_makes(stored):
    made = json.loads(json.dumps(runpy.run_path(str(SCRIPT))["reference_vectors"]()))
    assert paths(made) == paths(stored)
    for (path, value), (_, expected) in zip(leaves(made), leaves(stored), strict=True):
        # Of seven digits; single precision differs between processors by less.
        close = pytest.approx(expected, rel=1e-5, abs=1e-6) if is_number(expected) else expected
        assert value == close, path


def test_the_filter_is_the_recursion_of_its_coefficients(stored):
    """As the page has it: from the steady state of the first sample, output zero before."""
    vectors = stored["highpass"]
    samples = np.array(vectors["samples"])
    before = np.repeat(samples[:1], 3, axis=0)
    sound, heard = np.concatenate([before, samples]), np.zeros((len(samples) + 3, 4))
    for n in range(3, len(sound)):
        for lag in range(4):
            heard[n] += vectors["numerator"][lag] * sound[n - lag]
            heard[n] -= vectors["denominator"][lag] * heard[n - lag] if lag else 0.0
    np.testing.assert_allclose(heard[3:], vectors["filtered"], atol=1e-7)


def test_the_talkers_are_found(stored):
    """The vectors are not empty: centroid and peaks are near what the scores were made of."""
    decoding = stored["decoding"]
    assert decoding["centroid"]["azimuth_deg"] == pytest.approx(50.0, abs=1.0)
    found = [(peak["azimuth_deg"], peak["elevation_deg"]) for peak in decoding["peaks"]]
    assert found == [pytest.approx((50.0, 10.0), abs=1.0), pytest.approx((-100.0, -20.0), abs=1.0)]
    assert stored["grid"]["cells_at_10_deg"] == 429
    assert len(decoding["outputs"][0]) == len(stored["grid"]["azimuth_deg"]) == 51


def leaves(value, path=""):
    """(path, value) of all that is neither a list nor an object."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, f"{path}[{number}]")
    else:
        yield path, value


def paths(value):
    return [path for path, _ in leaves(value)]


def is_number(value):
    return isinstance(value, (int, float)) and math.isfinite(value)
