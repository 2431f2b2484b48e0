import itertools

import numpy as np
import pytest

from doa_core.ambisonics import (
    FORMATS,
    TETRAHEDRAL_LAYOUTS,
    capsule_directions,
    encode_plane_wave,
    format_to_ambix_matrix,
    from_ambix,
    rotate_ambix,
    rotation_to_ambix_matrix,
    steering_vector,
    tetrahedral_to_ambix_matrix,
    to_ambix,
)
from doa_core.angles import angles_to_vector, random_rotation, rotation_matrix
from doa_core.features import intensity_features
from doa_core.stft import stft

ALL_FORMATS = (
    *FORMATS,
    *(f"tetrahedral:{layout}" for layout in TETRAHEDRAL_LAYOUTS),
    "tetrahedral:BRU,FLU,BLD,FRD",
    "tetrahedral:brd-blu-fru-fld",
)
# A few roundings of a number near 1.
FLOAT64 = 1e-14
FLOAT32 = 1e-6


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "wyzx"),
    [
        (0, 0, [1, 0, 0, 1]),
        (90, 0, [1, 1, 0, 0]),
        (180, 0, [1, 0, 0, -1]),
        (0, 90, [1, 0, 1, 0]),
        (-90, 0, [1, -1, 0, 0]),
        (30, 0, [1, 0.5, 0, np.sqrt(3) / 2]),
    ],
)
def test_ambix_gains_of_a_plane_wave(azimuth_deg, elevation_deg, wyzx):
    direction = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
    np.testing.assert_allclose(steering_vector(direction), wyzx, atol=FLOAT64)


def test_encoding_scales_the_signal(rng, directions):
    signal = rng.standard_normal((len(directions), 100))
    encoded = encode_plane_wave(signal, directions)
    assert encoded.shape == (len(directions), 100, 4)
    np.testing.assert_array_equal(encoded[..., 0], signal)
    x, y, z = encoded[..., 3], encoded[..., 1], encoded[..., 2]
    dipoles = np.stack([x, y, z], axis=-1)
    np.testing.assert_allclose(
        dipoles, signal[..., np.newaxis] * directions[:, np.newaxis], atol=FLOAT64
    )


@pytest.mark.parametrize(
    ("audio_format", "channels"),
    [
        # The published encoding equations for a unit signal from (x, y, z).
        ("ambix", lambda x, y, z: [1, y, z, x]),
        ("fuma", lambda x, y, z: [1 / np.sqrt(2), x, y, z]),
        ("n3d", lambda x, y, z: [1, *(np.sqrt(3) * np.array([x, y, z]))]),
    ],
)
def test_formats_follow_their_definition(audio_format, channels, directions):
    signal = np.array([channels(*direction) for direction in directions])
    np.testing.assert_allclose(
        to_ambix(signal, audio_format), steering_vector(directions), atol=FLOAT64
    )


@pytest.mark.parametrize("layout", [*TETRAHEDRAL_LAYOUTS, "BRU,FLU,BLD,FRD", "brd-blu-fru-fld"])
@pytest.mark.parametrize("pattern", [0.5, 0.37, 0.7])
def test_capsules_of_any_pattern_give_the_plane_wave(layout, pattern, directions):
    # A capsule hears pattern + (1 - pattern) cos(angle to the source).
    cosine = directions @ capsule_directions(layout).T
    capsules = pattern + (1 - pattern) * cosine
    matrix = tetrahedral_to_ambix_matrix(layout, pattern=pattern)
    np.testing.assert_allclose(capsules @ matrix.T, steering_vector(directions), atol=FLOAT64)


def test_capsule_names_are_their_directions():
    np.testing.assert_array_equal(
        np.sign(capsule_directions()), [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    )
    np.testing.assert_array_equal(
        np.sign(capsule_directions("BRD,BLU,FRU,FLD")),
        [[-1, -1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    )
    np.testing.assert_allclose(np.linalg.norm(capsule_directions(), axis=-1), 1.0, rtol=FLOAT64)


def test_every_order_of_the_capsules_is_a_layout():
    for names in TETRAHEDRAL_LAYOUTS.values():
        for permutation in itertools.permutations(range(4)):
            layout = ",".join(names[i] for i in permutation)
            expected = capsule_directions("-".join(names))[list(permutation)]
            np.testing.assert_array_equal(capsule_directions(layout), expected)


@pytest.mark.parametrize("audio_format", ALL_FORMATS)
def test_formats_round_trip(audio_format, rng):
    signal = rng.standard_normal((3, 50, 4))
    np.testing.assert_allclose(
        to_ambix(from_ambix(signal, audio_format), audio_format), signal, atol=FLOAT64
    )
    np.testing.assert_allclose(
        from_ambix(to_ambix(signal, audio_format), audio_format), signal, atol=FLOAT64
    )


@pytest.mark.parametrize("audio_format", ALL_FORMATS)
def test_every_format_gives_the_same_features(audio_format, rng, directions):
    # Two waves from different directions at once: not only the trivial single direction.
    signal = rng.standard_normal((2, 4096))
    ambix = encode_plane_wave(signal, directions[[0, 30]]).sum(axis=0)
    expected = intensity_features(stft(ambix))
    recorded = from_ambix(ambix.astype(np.float32), audio_format)
    assert recorded.dtype == np.float32
    # Where the waves nearly cancel, float32 rounding of the samples is 1e-4 of what is left.
    np.testing.assert_allclose(
        intensity_features(stft(to_ambix(recorded, audio_format))), expected, atol=1e-3
    )
    if audio_format != "ambix":
        mistaken = intensity_features(stft(recorded))
        assert np.abs(mistaken - expected).max() > 0.1


def test_formats_differ_from_each_other():
    for one, other in itertools.combinations(ALL_FORMATS, 2):
        if {one, other} == {"tetrahedral", "tetrahedral:flu-frd-bld-bru"}:  # the default layout
            continue
        assert not np.allclose(format_to_ambix_matrix(one), format_to_ambix_matrix(other))


def test_rotated_scene_is_the_scene_of_the_rotated_source(rng, directions):
    signal = rng.standard_normal(20)
    for direction in directions:
        rotation = random_rotation(rng)
        np.testing.assert_allclose(
            rotate_ambix(encode_plane_wave(signal, direction), rotation),
            encode_plane_wave(signal, rotation @ direction),
            atol=10 * FLOAT64,  # samples reach 3
        )


@pytest.mark.parametrize(
    ("rotation", "seen_deg", "heard_deg"),
    [
        ({"yaw": np.pi / 2}, (0, 0), (90, 0)),
        ({"pitch": np.pi / 2}, (0, 0), (0, 90)),
        ({"roll": np.pi / 2}, (90, 0), (0, 90)),
        ({"roll": np.pi}, (50, 20), (-50, -20)),  # upside down, looking forward
        ({"yaw": np.pi, "roll": np.pi}, (50, 20), (130, -20)),  # upside down, looking backward
    ],
)
def test_mounting_turns_what_the_microphone_hears_into_the_room(rotation, seen_deg, heard_deg):
    seen, heard = (angles_to_vector(*np.radians(angles)) for angles in (seen_deg, heard_deg))
    np.testing.assert_allclose(
        rotate_ambix(steering_vector(seen), rotation_matrix(**rotation)),
        steering_vector(heard),
        atol=FLOAT64,
    )


def test_rotation_keeps_w_and_the_energy(rng):
    signal = rng.standard_normal((100, 4))
    rotated = rotate_ambix(signal, random_rotation(rng))
    np.testing.assert_array_equal(rotated[:, 0], signal[:, 0])
    np.testing.assert_allclose(
        np.sum(rotated**2, axis=-1), np.sum(signal**2, axis=-1), rtol=10 * FLOAT64
    )


def test_rotations_compose_as_their_matrices(rng):
    first, second = random_rotation(rng), random_rotation(rng)
    np.testing.assert_allclose(
        rotation_to_ambix_matrix(second) @ rotation_to_ambix_matrix(first),
        rotation_to_ambix_matrix(second @ first),
        atol=FLOAT64,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("audio_format", ALL_FORMATS)
def test_precision_of_the_signal_is_kept(audio_format, dtype):
    signal = np.ones((5, 4), dtype)
    assert to_ambix(signal, audio_format).dtype == dtype
    assert from_ambix(signal, audio_format).dtype == dtype
    assert rotate_ambix(signal, np.eye(3)).dtype == dtype


@pytest.mark.parametrize("audio_format", ALL_FORMATS)
def test_integer_samples_do_not_round_the_matrix(audio_format, rng):
    samples = rng.integers(-1000, 1000, (10, 4), dtype=np.int16)
    np.testing.assert_allclose(
        to_ambix(samples, audio_format), to_ambix(samples.astype(float), audio_format), rtol=FLOAT64
    )


@pytest.mark.parametrize("audio_format", ALL_FORMATS)
def test_formats_are_known_in_any_case(audio_format):
    expected = format_to_ambix_matrix(audio_format)
    for written in (audio_format.upper(), audio_format.title()):
        np.testing.assert_array_equal(format_to_ambix_matrix(written), expected)


@pytest.mark.parametrize("wrong", ["maxn", "", "b-format", "ambix:flu-frd-bld-bru"])
def test_unknown_format(wrong):
    with pytest.raises(ValueError, match=r"`format` must be one of ambix, fuma, n3d, tetrahedral"):
        format_to_ambix_matrix(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        "FLU,FRD,BLD",  # three
        "FLU,FRD,BLD,BRU,FLD",  # five
        "FLU,FRD,BLD,BRD",  # a flat one
        "FLU,FLU,BLD,BRU",  # one twice
        "FLU,FRD,BLD,BR",  # no height
        "FLU,FRD,BLD,BRUX",
        "FLU,FRD,BLD,FBU",
        "ambeo",
    ],
)
def test_unknown_layout(wrong):
    with pytest.raises(ValueError, match=r"`layout` must be one of flu-frd-bld-bru.*Received"):
        to_ambix(np.zeros((1, 4)), f"tetrahedral:{wrong}")


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.5, float("nan")])
def test_capsule_pattern_out_of_range(wrong):
    with pytest.raises(ValueError, match="`pattern` must lie between 0 and 1"):
        tetrahedral_to_ambix_matrix(pattern=wrong)


@pytest.mark.parametrize("shape", [(100,), (100, 2), (4, 100), ()])
def test_signals_need_four_channels(shape):
    for convert in (to_ambix, from_ambix):
        with pytest.raises(ValueError, match=r"`signal` must hold 4 channels.*signal\.shape="):
            convert(np.zeros(shape), "fuma")


def test_rotation_needs_a_matrix():
    with pytest.raises(ValueError, match=r"`rotation` must be a 3 x 3 matrix.*\(4, 4\)"):
        rotate_ambix(np.zeros((1, 4)), np.eye(4))
