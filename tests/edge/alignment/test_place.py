"""One place: a robust direction, and who may not stand there."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.angles import great_circle_distance, rotation_matrix
from doa_core.errors import InputError
from doa_edge.alignment.place import PlaceListener, mode, place_of
from doa_edge.input.stream import Gap
from tests.edge.conftest import unit_vector

CLOSE_DEG = 1.0  # of a mode of scattered directions


def scattered(azimuth_deg, elevation_deg=0.0, *, windows=20, spread_deg=3.0, seed=0):
    """(M, 4, 3) directions of windows around one."""
    generator = np.random.default_rng(seed)
    noise = np.radians(spread_deg) * generator.standard_normal((windows, 4, 3))
    vectors = unit_vector(azimuth_deg, elevation_deg) + noise
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def place(*windows):
    vectors = np.concatenate(windows)
    return place_of(vectors, np.full(vectors.shape[:2], 0.8), speech_s=5.0)


def off_deg(direction, azimuth_deg, elevation_deg=0.0):
    return np.degrees(great_circle_distance(direction, unit_vector(azimuth_deg, elevation_deg)))


def test_windows_far_off_do_not_move_the_place():
    found = place(scattered(30, 10), scattered(150, windows=4), scattered(-80, windows=4))
    assert off_deg(found.direction, 30, 10) < CLOSE_DEG
    assert 2.0 < found.spread_deg < 8.0


def test_confidence_weighs():
    vectors = np.array([unit_vector(0, 0), unit_vector(90, 0)])
    assert off_deg(mode(vectors, np.array([0.2, 0.8])), 90) < CLOSE_DEG
    assert off_deg(mode(vectors, np.array([0.8, 0.2])), 0) < CLOSE_DEG


def test_no_confidence_at_all_counts_each_window_alike():
    vectors = scattered(40)
    found = place_of(vectors, np.zeros(vectors.shape[:2]), speech_s=5.0)
    assert off_deg(found.direction, 40) < CLOSE_DEG


@pytest.mark.parametrize("to_deg", [35, 90, 180])
def test_a_talker_who_moved_is_refused(to_deg):
    with pytest.raises(InputError, match=r"the talker moved"):
        place(scattered(0), scattered(to_deg))


def test_a_talker_who_walks_is_refused():
    steps = [scattered(azimuth, windows=1) for azimuth in np.linspace(0, 45, 20)]
    with pytest.raises(
        InputError, match=r"the talker moved. Received: [23]. degrees from the begin"
    ):
        place(*steps)


def test_several_who_take_turns_are_refused():
    turns = [scattered(azimuth, windows=5) for azimuth in (0, 70, 0, 70)]
    with pytest.raises(InputError, match=r"several talked. Received: voices 70 degrees apart, 50%"):
        place(*turns)


def test_sound_gives_its_direction_whatever_the_blocks(intensity_model, plane_wave):
    sound = plane_wave(50, -20, seconds=4.0)
    places = []
    for size in (997, 20_000):
        listener = PlaceListener(intensity_model)
        for start in range(0, len(sound), size):
            listener.push(sound[start : start + size])
        places.append(listener.finish())
    assert off_deg(places[0].direction, 50, -20) < 0.1
    np.testing.assert_array_equal(places[0].direction, places[1].direction)
    assert listener.heard_s == 4.0
    assert 3.0 < listener.speech_s <= 4.0


def test_a_gap_is_no_speech(intensity_model, plane_wave):
    listener = PlaceListener(intensity_model)
    listener.push(plane_wave(50, 0, seconds=2.0))
    before = listener.speech_s
    listener.push(Gap(samples=48_000, reason="lost"))
    assert (listener.speech_s, listener.heard_s) == (before, 5.0)


def test_silence_is_refused(intensity_model):
    listener = PlaceListener(intensity_model)
    listener.push(np.zeros((80_000, 4), np.float32))
    with pytest.raises(
        InputError, match=r"Somebody must speak.*Received: 0\.0 s of speech in 5\.0"
    ):
        listener.finish()


def test_errors_that_stay_with_the_networks_axes_average_out(intensity_model, plane_wave):
    class Leaning:
        """A network that hears everything turned by ten degrees about its z axis."""

        spec, runtime = intensity_model.spec, "numpy"
        turn = rotation_matrix(np.radians(10.0))

        def predict(self, features):
            outputs = intensity_model.predict(features)
            return (0.5 * (2.0 * outputs - 1.0) @ self.turn.T + 0.5).astype(np.float32)

    listener = PlaceListener(Leaning())
    listener.push(plane_wave(0, 0, seconds=3.0))
    assert off_deg(listener.finish().direction, 0) < 5.0
