import warnings

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave, from_ambix, rotate_ambix
from doa_core.angles import random_rotation
from doa_core.features import (
    ENERGY_FLOOR,
    INTENSITY_CHANNELS,
    LEVEL_CHANNEL,
    check_channels,
    intensity_features,
    level_feature,
)
from doa_core.stft import StreamingStft, stft

SEVEN = (*INTENSITY_CHANNELS, LEVEL_CHANNEL)
# float32 samples and transform, divided by an energy that comes from the same numbers.
FLOAT32 = 2e-6


@pytest.fixture
def speechlike(rng):
    """(N, 4) five waves at once; energy falls by 60 dB over the spectrum."""
    sources = rng.standard_normal((5, 8192))
    shape = np.logspace(0, -3, 4097)
    sources = np.fft.irfft(np.fft.rfft(sources) * shape)
    where = rng.standard_normal((5, 3))
    where /= np.linalg.norm(where, axis=-1, keepdims=True)
    mixture = encode_plane_wave(sources, where).sum(axis=0)
    return (0.05 / mixture.std() * mixture).astype(np.float32)


def test_a_plane_wave_gives_its_direction_and_nothing_reactive(rng, directions):
    signal = rng.standard_normal(4096)
    for direction in directions:
        features = intensity_features(stft(encode_plane_wave(signal, direction)))
        # A bin is 25 on average, but one of 3000 may be 100 times smaller; its rounding is not.
        np.testing.assert_allclose(
            features[..., :3], np.broadcast_to(direction, (7, 513, 3)), atol=2e-4
        )
        np.testing.assert_allclose(features[..., 3:], 0.0, atol=2e-4)
        assert np.median(np.abs(features[..., :3] - direction)) < FLOAT32


def test_a_standing_wave_is_reactive():
    # On the axis of u, cos(k r - phase) cos(w t): the particle velocity is a quarter of a period
    # from the pressure. With W = 1 and a dipole of i tan(angle), I / E is i sin(2 angle).
    for angle in (-1.2, -0.4, 0.4, np.pi / 4, 1.2):
        for axis, channel in enumerate((3, 1, 2)):  # x, y, z among W, Y, Z, X
            transform = np.zeros((1, 4), np.complex128)
            transform[0, 0] = np.cos(angle)
            transform[0, channel] = 1j * np.sin(angle)
            expected = np.zeros(6)
            expected[3 + axis] = np.sin(2 * angle)
            np.testing.assert_allclose(
                intensity_features(transform), expected[np.newaxis], atol=FLOAT32
            )


def test_two_opposite_waves_in_quadrature_are_half_active_half_reactive():
    # W = 1 + i g, X = 1 - i g for waves of 1 and g from ahead and behind, 90 degrees apart.
    # conj(W) X = 1 - g^2 - 2 i g, and E = 1 + g^2.
    for g in (0.0, 0.3, 1.0):
        transform = np.array([[1 + 1j * g, 0, 0, 1 - 1j * g]])
        expected = np.array([1 - g**2, 0, 0, -2 * g, 0, 0]) / (1 + g**2)
        np.testing.assert_allclose(intensity_features(transform)[0], expected, atol=FLOAT32)


def test_quadrature_in_time_is_reactive_with_the_sign_of_the_phase():
    time = np.arange(4096) / 16_000
    w, lag = np.cos(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 1000 * time)
    zero = np.zeros_like(w)
    features = intensity_features(stft(np.stack([w, zero, zero, lag], axis=-1)))
    # X is -i W: Im(conj(W) X) / E = -1. Other bins of a window reach into bin 64 by 1e-3.
    np.testing.assert_allclose(features[:, 64], [[0, 0, 0, -1, 0, 0]] * 7, atol=5e-3)


def test_an_energy_that_is_shared_halves_the_vector(rng):
    # Independent noise in W and X of equal power: E counts both, their product is zero on average.
    w, x = rng.standard_normal((2, 200_000))
    zero = np.zeros_like(w)
    features = intensity_features(stft(np.stack([w, zero, zero, x], axis=-1)))
    # 200,000 values of standard deviation 0.5.
    np.testing.assert_allclose(features.mean(axis=(0, 1)), 0.0, atol=0.01)


def test_rotated_scene_rotates_both_vectors_exactly(speechlike, rng):
    before = intensity_features(stft(speechlike))
    assert np.abs(before[..., 3:]).max() > 0.5  # there is something reactive to turn
    for _ in range(5):
        rotation = random_rotation(rng)
        after = intensity_features(stft(rotate_ambix(speechlike, rotation)))
        turned = np.concatenate([before[..., :3] @ rotation.T, before[..., 3:] @ rotation.T], -1)
        # Where the waves cancel, and in the bins 60 dB down, float32 rounding is 1e-3 of the rest.
        np.testing.assert_allclose(after, turned, atol=1e-3)
        assert np.median(np.abs(after - turned)) < FLOAT32


def test_relation_to_the_n3d_feature_of_the_paper(speechlike):
    # Perotin et al.: conj(W) [X, Y, Z] over |W|^2 + (|X|^2 + |Y|^2 + |Z|^2) / 3, all N3D.
    n3d = stft(from_ambix(speechlike.astype(np.float64), "n3d")).astype(np.complex128)
    power = np.abs(n3d) ** 2
    energy = power[..., 0] + power[..., 1:].sum(axis=-1) / 3
    intensity = np.conj(n3d[..., :1]) * n3d[..., 1:] / energy[..., np.newaxis]
    theirs = np.concatenate([intensity.real, intensity.imag], axis=-1)
    ours = intensity_features(stft(speechlike))
    np.testing.assert_allclose(ours, 2 / np.sqrt(3) * theirs, atol=1e-3)  # as above


@pytest.mark.parametrize("channels", [INTENSITY_CHANNELS, SEVEN])
@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_level_does_not_matter(gain, channels, rng):
    signal = encode_plane_wave(0.1 * rng.standard_normal((3, 8192)), np.eye(3)).sum(axis=0)
    quiet = intensity_features(stft(gain * signal), channels=channels)
    # The gain rounds each sample anew; where three waves cancel that shows a little.
    np.testing.assert_allclose(
        quiet, intensity_features(stft(signal), channels=channels), atol=1e-4
    )


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("channels", [INTENSITY_CHANNELS, SEVEN])
def test_silence_gives_zeros_without_a_warning(channels, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = intensity_features(np.zeros((3, 513, 4), dtype), channels=channels)
    np.testing.assert_array_equal(features, np.zeros((3, 513, len(channels))))


def test_intensity_is_bounded(rng):
    transform = rng.standard_normal((200, 513, 8)) @ np.kron(np.eye(4), [[1], [1j]])
    for scale in (1e-6, 1e-4, 1.0, 1e4):
        features = intensity_features((scale * transform).astype(np.complex64))
        assert np.abs(features).max() <= 1 + 1e-6  # rounding of float32
        # Stronger: both vectors together.
        assert (features[..., :3] ** 2).sum(-1).max() <= 1 + 1e-6
    assert np.abs(features).max() > 0.9


def test_below_the_energy_floor_a_bin_fades(directions):
    direction = directions[0]
    wave = encode_plane_wave([1.0], direction)  # E is |W|^2
    for ratio in (1e-4, 1e-2, 0.5, 1.0, 2.0, 1e6):
        features = intensity_features(np.sqrt(ratio * ENERGY_FLOOR) * wave.astype(np.complex128))
        np.testing.assert_allclose(
            features[0, :3], min(ratio, 1.0) * direction, rtol=FLOAT32, atol=1e-9
        )


def test_energy_floor_can_be_chosen():
    wave = encode_plane_wave([1.0], [1.0, 0.0, 0.0]).astype(np.complex64)
    assert intensity_features(wave, energy_floor=4.0)[0, 0] == pytest.approx(0.25, rel=FLOAT32)


def test_the_floor_is_where_its_comment_says(rng):
    # White noise at -127 dBFS, a plane wave: the mean E of a bin is the floor, within 1 dB.
    noise = 10 ** (-127 / 20) * rng.standard_normal(100_000)
    energy = np.mean(np.abs(stft(noise[:, np.newaxis])) ** 2)
    assert abs(10 * np.log10(energy / ENERGY_FLOOR)) < 1.0


def test_level_channel_is_the_seventh_and_leaves_the_six_alone(speechlike):
    transform = stft(speechlike)
    seven = intensity_features(transform, channels=SEVEN)
    assert seven.shape[-1] == 7
    np.testing.assert_array_equal(seven[..., :6], intensity_features(transform))
    # |W|^2 by way of a square root differs in the last digit.
    level = level_feature(np.abs(transform[..., 0]) ** 2)
    np.testing.assert_allclose(seven[..., 6], level, atol=FLOAT32)


def test_level_follows_the_spectrum(speechlike):
    level = intensity_features(stft(speechlike), channels=SEVEN)[..., 6]
    # Half of the log10 of a power that falls by 60 dB: 3 from the first bins to the last.
    fall = level[:, 5:25].mean() - level[:, -25:-5].mean()
    assert fall == pytest.approx(2.9, abs=0.2)


def test_level_has_no_mean_and_no_gain(speechlike, rng):
    for gain in (1.0, 0.01, 100.0):
        level = intensity_features(stft(gain * speechlike), channels=SEVEN)[..., 6]
        # 513 values of about 1 with float32 rounding.
        np.testing.assert_allclose(level.mean(axis=-1), 0.0, atol=1e-6)
        # A log10 of powers with float32 rounding; bins 60 dB down have lost some digits.
        expected = intensity_features(stft(speechlike), channels=SEVEN)[..., 6]
        np.testing.assert_allclose(level, expected, atol=2e-3)


def test_level_of_one_loud_bin_stays_in_range():
    power = np.zeros(513)
    power[100] = 1.0
    level = level_feature(power)
    # Half of log10(513 / 1e-6) above bins that are at the floor.
    assert level[100] - level[0] == pytest.approx(0.5 * np.log10(513 / 1e-6), rel=1e-5)


def test_a_frame_of_a_stream_has_the_features_of_the_recording(speechlike):
    stream = StreamingStft()
    blocks = [stream.push(block) for block in np.split(speechlike, [100, 2100, 2101, 7000])]
    streamed = [intensity_features(frame, channels=SEVEN) for block in blocks for frame in block]
    # One frame at a time or all at once, numpy may group sums otherwise: a last digit.
    np.testing.assert_allclose(
        streamed, intensity_features(stft(speechlike), channels=SEVEN), atol=FLOAT32
    )


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_features_are_single_precision(dtype):
    transform = np.ones((2, 513, 4), dtype)
    features = intensity_features(transform, channels=SEVEN)
    assert features.shape == (2, 513, 7)
    assert features.dtype == np.float32
    assert level_feature(np.ones((2, 513), transform.real.dtype)).dtype == np.float32


def test_single_precision_is_not_left_on_the_way(monkeypatch):
    # A float64 intermediate costs a small board twice the time. Both floors are met half-way.
    seen = set()
    maximum = np.maximum

    def spy(values, floor):
        result = maximum(values, floor)
        seen.add(result.dtype)
        return result

    monkeypatch.setattr(np, "maximum", spy)
    intensity_features(np.ones((2, 513, 4), np.complex64), channels=SEVEN)
    assert seen == {np.dtype(np.float32)}


def test_no_frames_are_no_features():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = intensity_features(np.zeros((0, 513, 4), np.complex64), channels=SEVEN)
    assert features.shape == (0, 513, 7)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        INTENSITY_CHANNELS[:3],
        INTENSITY_CHANNELS[::-1],
        (LEVEL_CHANNEL, *INTENSITY_CHANNELS),
        (*SEVEN, LEVEL_CHANNEL),
        "level",
    ],
)
def test_unknown_channels(wrong):
    with pytest.raises(ValueError, match=r"`channels` must be .*may end with 'level'.*Received"):
        intensity_features(np.zeros((1, 513, 4), np.complex64), channels=wrong)


def test_channels_may_be_any_sequence():
    check_channels(list(SEVEN))


def test_transforms_need_four_channels():
    with pytest.raises(ValueError, match=r"`transform` must hold 4 channels.*\(25, 513, 2\)"):
        intensity_features(np.zeros((25, 513, 2), np.complex64))
