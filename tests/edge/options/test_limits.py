"""Numbers within limits: what holds, what is read, and what is said of the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from doa_edge.limits import LIMITS, Limits, check, check_the_rest

WHOLE = Limits(1, 4, whole=True)
REAL = Limits(0, 90, "dB")


@pytest.mark.parametrize("value", [1, 4, np.int64(3)])
def test_integers_that_hold(value):
    assert WHOLE.holds(value)


@pytest.mark.parametrize("value", [0, 5, 1.0, True, "2", None, 10**400, math.nan])
def test_integers_that_do_not_hold(value):
    assert not WHOLE.holds(value)


@pytest.mark.parametrize("value", [0, 90, 0.0, 45.5, np.float32(3.0)])
def test_reals_that_hold(value):
    assert REAL.holds(value)


@pytest.mark.parametrize(
    "value", [-1e-300, 90.01, math.nan, math.inf, -math.inf, True, "2", 10**400]
)
def test_reals_that_do_not_hold(value):
    assert not REAL.holds(value)


@pytest.mark.parametrize(
    ("limits", "text", "message"),
    [
        (REAL, "1e19", "must lie between 0 and 90 dB. Received: 1e19"),
        (REAL, "nan", "must lie between 0 and 90 dB. Received: nan"),
        (REAL, "-inf", "must lie between 0 and 90 dB. Received: -inf"),
        (REAL, "loud", "must lie between 0 and 90 dB. Received: 'loud'"),
        (REAL, "", "must lie between 0 and 90 dB. Received: ''"),
        (REAL, "95\n", "must lie between 0 and 90 dB. Received: '95\\n'"),
        (WHOLE, "5", "must be an integer between 1 and 4. Received: 5"),
        (WHOLE, "2.5", "must be an integer between 1 and 4. Received: 2.5"),
        (WHOLE, "9" * 5000, f"must be an integer between 1 and 4. Received: {'9' * 40}..."),
        (LIMITS["rt60"], "x", "both between 0.01 and 30 seconds. Received: 'x'"),
    ],
)
def test_what_is_said_of_a_text(limits, text, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        limits.read(text)
    assert str(refused.value).endswith(message)
    assert "\n" not in str(refused.value)


def test_what_is_read():
    assert REAL.read("45.5") == 45.5
    assert (WHOLE.read("4"), type(WHOLE.read("4"))) == (4, int)
    assert LIMITS["seed"].read(str(2**64 - 1)) == 2**64 - 1
    with pytest.raises(ValueError, match="between 0 and 18446744073709551615"):
        LIMITS["seed"].read(str(2**64))


def test_settings_are_named_as_python_writes_them():
    check("batch-size", 64)
    check("filters", (64, 64, 64))
    with pytest.raises(ValueError, match="`batch_size` must be an integer between 1 and 65536"):
        check("batch-size", 0)
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        check("train seed", 2**32)
    with pytest.raises(ValueError, match="`count` must be an integer between 1 and 10000000"):
        check("rooms", -1, named="count")
    with pytest.raises(ValueError, match=r"`filters` must .* Received: \(64, 0, 64\)"):
        check("filters", (64, 0, 64))


def test_the_rest_of_some_settings_is_finite():
    check_the_rest(name="x", size=(1, 2.5), none=None, live=True, seed=2**64)  # a seed has its own
    for value in (math.nan, math.inf, 1e7, (0.0, -1e7), [math.nan]):
        with pytest.raises(ValueError, match="`size` must lie between -1000000 and 1000000"):
            check_the_rest(size=value)


def test_every_row_of_the_table_has_an_order():
    for name, limits in LIMITS.items():
        assert math.isfinite(limits.lowest), name
        assert limits.lowest < limits.highest < math.inf, name
        assert limits.holds(limits.lowest), name
        assert limits.holds(limits.highest), name
