"""The heading of a stream: that of a window's intensity, held until it has moved away."""

import numpy as np
import pytest

from doa_core.features import intensity_heading
from doa_edge.tflite.heading import HeldHeading, Turning


def window(azimuth_deg, frames=4, bins=10, channels=7):
    """Features whose active intensity in bins 2 to 7 is from an azimuth, and others elsewhere."""
    features = np.random.default_rng(0).uniform(-1, 1, (frames, bins, channels))
    features[:, 2:8, 0] = np.cos(np.radians(azimuth_deg))
    features[:, 2:8, 1] = np.sin(np.radians(azimuth_deg))
    return features.astype(np.float32)


def azimuth_of(heading):
    return np.degrees(np.arctan2(heading[1], heading[0]))


@pytest.mark.parametrize("azimuth_deg", [0.0, 30.0, 179.0, -91.0])
def test_heading_is_the_azimuth_of_the_intensity_in_the_bins(azimuth_deg):
    heading = intensity_heading(window(azimuth_deg), bins=(2, 8))
    assert heading.dtype == np.float32
    assert azimuth_of(heading) == pytest.approx(azimuth_deg, abs=1e-4)
    assert np.hypot(*heading) == pytest.approx(1.0, abs=1e-6)


def test_silence_is_ahead():
    np.testing.assert_array_equal(
        intensity_heading(np.zeros((4, 10, 7), np.float32), bins=(2, 8)), [1.0, 0.0]
    )


def test_a_heading_is_held_up_to_the_bound():
    held = HeldHeading(Turning(bins=(2, 8), hold_deg=45.0))
    steps = [  # azimuth, fresh; turned anew, held azimuth
        (170.0, True, True, 170.0),
        (-146.0, False, False, 170.0),  # 44 degrees on, across the seam
        (-144.0, False, True, -144.0),
        (-100.0, False, False, -144.0),
        (-100.0, True, True, -100.0),
        (-146.0, False, True, -146.0),
    ]
    for azimuth_deg, fresh, turned, held_deg in steps:
        assert held.update(window(azimuth_deg), fresh=fresh) is turned
        assert azimuth_of(held.value) == pytest.approx(held_deg, abs=1e-4)


def test_a_bound_of_0_holds_nothing():
    held = HeldHeading(Turning(bins=(2, 8), hold_deg=0.0))
    assert held.update(window(20.0), fresh=True)
    assert held.update(window(20.0), fresh=False)


def test_turning_as_a_dictionary():
    turning = Turning(bins=(2, 8), hold_deg=45)
    assert turning.to_dict() == {"bins": [2, 8], "hold_deg": 45.0}
    assert Turning.from_dict(turning.to_dict()) == turning
    with pytest.raises(ValueError, match=r"must have the keys bins and hold_deg\. Received: None"):
        Turning.from_dict(None)
    with pytest.raises(ValueError, match=r"between 0 and 180\. Received: hold_deg=nan"):
        Turning(bins=(2, 8), hold_deg=float("nan"))
