"""Image sources: summed by us, they are what pyroomacoustics makes of the same room."""

from __future__ import annotations

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.draw import IdealMicrophone, TetrahedralMicrophone, draw_microphone
from doa_tf.rooms.diffuse_tail import DECAY_HOP, decay_curves, decay_time, diffuse_tail
from doa_tf.rooms.image_sources import (
    BANDS,
    SPEED_OF_SOUND,
    WALLS,
    air_absorption,
    band_weights,
    render_images,
    trace_images,
)

SIZE = np.array([5.0, 4.0, 3.0])
MICROPHONE = np.array([2.0, 1.7, 1.4])
SOURCE = np.array([3.6, 2.9, 1.9])


def walls(seed: int = 0) -> np.ndarray:
    """(6, 7) absorption: each wall of its own, different in every band."""
    return np.random.default_rng(seed).uniform(0.05, 0.7, (6, 7))


def traced(order: int = 3, until: float = 0.2, absorption: np.ndarray | None = None):
    absorption = walls() if absorption is None else absorption
    sources = SOURCE[np.newaxis]
    return trace_images(SIZE, absorption, MICROPHONE, sources, order=order, until=until)[0]


def in_octave(response: np.ndarray, band: float) -> np.ndarray:
    spectrum = np.fft.rfft(response, 8192, axis=0)
    frequencies = np.fft.rfftfreq(8192, 1 / SAMPLE_RATE)
    inside = (frequencies > band / 2**0.5) & (frequencies < min(band * 2**0.5, 7000.0))
    return np.sum(np.abs(spectrum[inside]) ** 2, axis=0)


def test_the_sum_is_that_of_pyroomacoustics():
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import DirectionVector, FigureEight, Omnidirectional

    absorption = walls()
    materials = {
        wall: pra.Material({"coeffs": list(row), "center_freqs": list(BANDS)})
        for wall, row in zip(WALLS, absorption, strict=True)
    }
    room = pra.ShoeBox(SIZE, fs=SAMPLE_RATE, materials=materials, max_order=3, air_absorption=True)
    capsules = [Omnidirectional()]
    for azimuth, colatitude in ((90, 90), (0, 0), (0, 90)):
        axis = DirectionVector(azimuth=azimuth, colatitude=colatitude, degrees=True)
        capsules.append(FigureEight(orientation=axis))
    room.add_microphone_array(np.tile(MICROPHONE[:, np.newaxis], 4), directivity=capsules)
    room.add_source(SOURCE)
    room.compute_rir()
    ours = render_images(traced(), IdealMicrophone(), samples=2000)
    for channel in range(4):
        theirs = room.rir[channel][0][pra.constants.get("frac_delay_length") // 2 :]
        for band in BANDS[1:]:
            # The filters of the bands differ in their phase and at their edges.
            ratio = in_octave(ours[:, channel], band) / in_octave(theirs, band)
            assert 10 * np.log10(ratio) == pytest.approx(0.0, abs=1.0)
        peak = np.argmax(np.abs(ours[:, channel]))
        assert peak == pytest.approx(np.argmax(np.abs(theirs)), abs=1)


def test_the_direct_sound_comes_first_when_and_from_where_it_should():
    images = traced()
    offset = SOURCE - MICROPHONE
    distance = np.linalg.norm(offset)
    assert images.delays[0] == pytest.approx(distance / SPEED_OF_SOUND)
    assert great_circle_distance(images.directions[0], offset / distance) < 1e-6
    np.testing.assert_allclose(images.departures[0], -offset / distance, atol=1e-6)
    np.testing.assert_allclose(images.gains[:5, 0], 1 / distance, rtol=0.01)  # air takes the rest
    assert np.all(np.diff(images.delays) >= 0)


def test_a_reflection_leaves_the_source_towards_its_wall():
    # Sound that reaches the microphone by way of the floor left the source downwards.
    absorption = np.ones((6, 7))
    absorption[WALLS.index("floor")] = 0.0
    images = traced(order=1, absorption=absorption)
    heard = np.flatnonzero(images.gains[0] > 1e-3)
    assert len(heard) == 2
    mirrored = SOURCE * [1, 1, -1] - MICROPHONE
    np.testing.assert_allclose(
        images.directions[heard[1]], mirrored / np.linalg.norm(mirrored), atol=1e-6
    )
    expected = mirrored * [-1, -1, 1]
    np.testing.assert_allclose(
        images.departures[heard[1]], expected / np.linalg.norm(mirrored), atol=1e-6
    )


def test_images_end_where_asked():
    images = traced(order=12, until=0.03)
    assert images.delays[-1] < 0.03
    assert len(images.delays) < len(traced(order=12, until=0.06).delays)


def test_capsules_of_no_size_are_an_ideal_microphone():
    class Slow(IdealMicrophone):
        """The same gains by the general formula."""

    tetrahedral = draw_microphone(np.random.default_rng(0), kind="tetrahedral")
    assert isinstance(tetrahedral, TetrahedralMicrophone)
    images = traced()
    ideal = render_images(images, IdealMicrophone(), samples=2000)
    real = render_images(images, tetrahedral, samples=2000)
    # In the middle of its range a real one hears what an ideal one does, within its tolerances.
    for band in (500.0, 1000.0):
        levels = 10 * np.log10(in_octave(real, band) / in_octave(ideal, band))
        assert np.all(np.abs(levels) < 3.0)
    assert not np.allclose(real, ideal, atol=1e-3)


def test_a_response_longer_than_a_block_has_no_seam():
    # The same images in one block and in several: an impulse every 100 samples.
    images = traced(order=10, until=0.12)
    whole = render_images(images, IdealMicrophone(), samples=1920)
    for start in (0, 300, 900):
        delays = images.delays + start / SAMPLE_RATE
        later = type(images)(delays, images.directions, images.departures, images.gains)
        moved = render_images(later, IdealMicrophone(), samples=1920 + start)
        # What an impulse rings outside of its block's margins is lost: 64 dB and more below it.
        np.testing.assert_allclose(moved[start:], whole, atol=6e-4 * np.abs(whole).max())


def test_band_weights_share_every_frequency():
    frequencies = np.linspace(0, 8000, 400)
    weights = band_weights(frequencies)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(band_weights(BANDS), np.eye(7), atol=1e-12)


def test_the_decay_of_like_walls_in_a_cube_lies_between_its_directions():
    # A wave along an axis meets a wall every L / c; one along the diagonal sqrt(3) as often.
    size, attenuation = np.full(3, 4.0), np.full((6, 7), 0.3)
    times = np.arange(0, 0.4, 0.01)
    curves = decay_curves(size, attenuation, np.zeros(7), times)
    slowest = np.exp(-0.3 * SPEED_OF_SOUND * times / 4.0)
    fastest = np.exp(-0.3 * SPEED_OF_SOUND * times * np.sqrt(3) / 4.0)
    assert np.all(curves[1:, 0] < slowest[1:])
    assert np.all(curves[1:, 0] > fastest[1:])
    np.testing.assert_allclose(curves[0], 1.0)


def test_the_decay_is_that_of_the_traced_images():
    # Energy of the images per 10 ms of arrivals, against the formula and its rate.
    absorption = walls(3)
    images = traced(order=60, until=0.15, absorption=absorption)
    edges = np.arange(0.05, 0.15, 0.01)
    counted = np.array(
        [
            np.sum(images.gains[:, (images.delays >= a) & (images.delays < a + 0.01)] ** 2, axis=1)
            for a in edges
        ]
    )
    curves = decay_curves(SIZE, -np.log1p(-absorption), air_absorption(), edges + 0.005)
    expected = 4 * np.pi * SPEED_OF_SOUND / np.prod(SIZE) * 0.01 * curves
    # A hundred to a thousand images a bin, of unequal strength.
    assert np.abs(10 * np.log10(counted / expected)).max() < 1.5


def test_decay_time_of_an_exponential():
    times = np.linspace(0, 1.0, 200)
    curves = np.tile(10.0 ** (-6.0 * times / 0.5)[:, np.newaxis], 7)
    np.testing.assert_allclose(decay_time(times, curves), 0.5, rtol=0.01)
    assert np.all(np.isnan(decay_time(times[:20], curves[:20])))


def test_the_tail_is_isotropic_and_decays_by_band():
    times = np.arange(0, 0.8, DECAY_HOP / SAMPLE_RATE)
    rt60 = np.array([0.6, 0.6, 0.6, 0.6, 0.3, 0.3, 0.3])
    curves = 10.0 ** (-6.0 * times[:, np.newaxis] / rt60)
    tails = [
        diffuse_tail(
            np.random.default_rng(seed), curves, volume=60.0, powers=np.ones(7), samples=9600
        )
        for seed in range(12)
    ]
    powers = np.mean([np.mean(tail**2, axis=0) for tail in tails], axis=0)
    np.testing.assert_allclose(powers / powers[0], [1, 1 / 3, 1 / 3, 1 / 3], rtol=0.15)
    from doa_tf.rooms.acoustics import t30

    low = np.median([t30(tail[:, 0], band=(177, 707)) for tail in tails])
    high = np.median([t30(tail[:, 0], band=(2828, 5657)) for tail in tails])
    assert low == pytest.approx(0.6, rel=0.08)
    assert high == pytest.approx(0.3, rel=0.08)


def test_the_tail_of_a_microphone_has_its_channels():
    # A microphone that hears the left twice as loud in every channel has it in its tail.
    response = np.zeros((8, 4, 4), np.float32)
    response[0] = np.diag([1.0, 2.0, 1.0, 1.0])
    curves = np.ones((80, 7))
    tail = diffuse_tail(
        np.random.default_rng(0),
        curves,
        volume=60.0,
        powers=np.ones(7),
        samples=5000,
        diffuse_response=response,
    )
    powers = np.mean(tail**2, axis=0)
    np.testing.assert_allclose(powers / powers[0], [1, 4 / 3, 1 / 3, 1 / 3], rtol=0.1)


def test_mirrored_departures_match_the_geometry_of_every_order():
    # Folding the room back along the departure must land on the microphone: path lengths agree.
    images = traced(order=4)
    for delay, departure in zip(images.delays[:60], images.departures[:60], strict=True):
        end = SOURCE + departure * delay * SPEED_OF_SOUND
        period = 2.0 * SIZE
        folded = np.mod(end, period)
        folded = np.where(folded > SIZE, period - folded, folded)
        np.testing.assert_allclose(folded, MICROPHONE, atol=1e-3)


def test_angles_to_vector_and_render_agree_on_the_channels():
    source = MICROPHONE + 1.2 * angles_to_vector(np.pi / 2, 0.0)  # on the left
    absorption = np.ones((6, 7))
    images = trace_images(SIZE, absorption, MICROPHONE, source[np.newaxis], order=0, until=0.05)[0]
    w, y, z, x = np.moveaxis(render_images(images, IdealMicrophone(), samples=800), -1, 0)
    np.testing.assert_allclose(y, w, atol=1e-6)
    np.testing.assert_allclose(z, 0, atol=1e-6)
    np.testing.assert_allclose(x, 0, atol=1e-6)
