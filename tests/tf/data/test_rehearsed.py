"""Recordings of one's own among mixed scenes: whose turn it is, targets, and who is not turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.data.pipeline import mixed_dataset
from doa_tf.data.recorded import RecordedScenes
from doa_tf.data.rehearsed import RehearsedScenes, own_number
from doa_tf.data.validation import balanced_arrays, scenes_arrays
from doa_tf.scenes.draw import usual_counts
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.mixer import SceneMixer

SIX = FeatureSpec()
AHEAD, LEFT = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]


def written(folder, *azimuths_deg, **more):
    rng = np.random.default_rng(5)
    scenes = [
        (
            f"s{number}",
            0.1 * rng.standard_normal((SIX.samples, 4)),
            {"azimuth_deg": azimuth_deg, "elevation_deg": 0.0, **more},
        )
        for number, azimuth_deg in enumerate(azimuths_deg)
    ]
    write_scenes(folder, scenes)
    return folder


@pytest.fixture
def recorded(tmp_path):
    return RecordedScenes(written(tmp_path / "own", 0, 90, 180))


@pytest.fixture
def several(bank, speech, mixer):
    settings = replace(mixer.settings, talkers=usual_counts(2))
    return SceneMixer(mixer.rooms, mixer.speech, settings=settings)


@pytest.mark.parametrize(
    ("share", "numbers"),
    [
        (0.5, [None, 0, None, 1, None, 2, None, 3]),
        (0.25, [None, None, None, 0, None, None, None, 1]),
        (0.75, [None, 0, 1, 2, None, 3, 4, 5]),
    ],
)
def test_recordings_are_spread_evenly(share, numbers):
    assert [own_number(index, share) for index in range(8)] == numbers


def test_each_recording_comes_as_often_as_another(recorded, mixer):
    both = RehearsedScenes(recorded, mixer, share=0.5)
    assert (both.target_shape, both.voices, both.sample_rate) == ((1, 3), 1, 16_000)
    scenes = [both.mix((7, 0, index)) for index in range(12)]
    assert [scene.own for scene in scenes] == 6 * [False, True]
    own = [scene for scene in scenes if scene.own]
    for number, scene in enumerate(own):
        window = recorded.mix((number % 3,))
        np.testing.assert_array_equal(scene.waveform, window.waveform)
        np.testing.assert_array_equal(scene.targets, window.targets)
    mixed = mixer.mix((7, 0, 4))
    np.testing.assert_array_equal(scenes[4].waveform, mixed.waveform)
    np.testing.assert_array_equal(scenes[4].targets, mixed.targets)


def test_one_who_talks_all_through_does_so_in_each_frame_beside_several(recorded, several):
    both = RehearsedScenes(recorded, several)
    assert (both.target_shape, both.voices) == ((25, 2, 3), 2)
    targets = both.mix((0, 0, 1)).targets
    np.testing.assert_allclose(targets[:, 0], np.tile(AHEAD, (25, 1)), atol=1e-7)
    assert not targets[:, 1].any()
    assert (targets.shape, targets.dtype) == ((25, 2, 3), np.float32)
    np.testing.assert_array_equal(both.mix((0, 0, 0)).targets, several.mix((0, 0, 0)).targets)


def test_recordings_of_more_talkers_than_the_scenes_keep_their_places(tmp_path, mixer):
    rows = [
        {"azimuth_deg": azimuth, "elevation_deg": 0.0, "talker": name}
        for name, azimuth in (("a", 0.0), ("b", 90.0))
    ]
    write_scenes(tmp_path / "s", [("x", np.full((SIX.samples, 4), 0.01), rows)])
    both = RehearsedScenes(RecordedScenes(tmp_path / "s"), mixer)
    assert both.target_shape == (25, 2, 3)
    np.testing.assert_allclose(both.mix((0, 0, 1)).targets[3], [AHEAD, LEFT], atol=1e-7)
    mixed = both.mix((0, 0, 0)).targets
    np.testing.assert_array_equal(mixed[:, 0], np.repeat(mixer.mix((0, 0, 0)).targets, 25, axis=0))
    assert not mixed[:, 1].any()


def test_a_network_of_more_voices_has_places_for_them(tmp_path):
    recorded = RecordedScenes(written(tmp_path / "own", 0), voices=3)
    assert (recorded.voices, recorded.single, recorded.target_shape) == (3, False, (25, 3, 3))
    assert recorded.sources["voices"] == 3
    assert "voices" not in RecordedScenes(tmp_path / "own").sources


@pytest.mark.parametrize(
    ("share", "received"), [(0.0, "0.0"), (1.0, "1.0"), (float("nan"), "nan"), ("half", "'half'")]
)
def test_a_share_is_between_none_and_all(recorded, mixer, share, received):
    with pytest.raises(ValueError, match=rf"`own_share` must lie .* 0\.99\. Received: {received}"):
        RehearsedScenes(recorded, mixer, share=share)


def test_windows_and_scenes_must_be_as_long(recorded, mixer, tmp_path):
    longer = SceneMixer(mixer.rooms, mixer.speech, settings=replace(mixer.settings, samples=20_000))
    message = r"as long as these: 20000 samples at 16000 Hz.*network of 13312 samples at 16000 Hz"
    with pytest.raises(InputError, match=message):
        RehearsedScenes(recorded, longer)
    fast = RecordedScenes(
        written(tmp_path / "long", 0), features=replace(SIX, sample_rate=8_000, frames=12)
    )
    with pytest.raises(InputError, match=r"16000 Hz.*at 8000 Hz"):
        RehearsedScenes(fast, mixer)


@pytest.mark.parametrize("live", [False, True])
def test_recordings_are_not_turned(recorded, mixer, tmp_path, live):
    """Of a cache and live: batches hold the recordings' own directions, and turned others."""
    both = RehearsedScenes(recorded, mixer)
    options = {"features": SIX, "batch_size": 12, "seed": 1, "epochs": (0,), "augment": "vertical"}
    if live:
        batches = mixed_dataset(both, scenes=12, **options)
    else:
        made_with = {"own_share": 0.5}
        cache = FeatureCache(
            tmp_path / "c", mixer=lambda: both, made_with=made_with, scenes=12, seed=1
        )
        assert [cache.is_own(index) for index in range(4)] == [False, True, False, True]
        batches = cached_dataset(cache, **options)
    ((_, directions),) = batches.as_numpy_iterator()
    own = recorded.mix((0,)).targets, recorded.mix((1,)).targets, recorded.mix((2,)).targets
    found = [sum(np.allclose(d, target, atol=1e-6) for d in directions) for target in own]
    assert found == [2, 2, 2]
    plain = np.array([mixer.mix((1, 0, index)).targets for index in range(0, 12, 2)])
    assert not any(np.allclose(d, target, atol=1e-3) for d in directions for target in plain)


def test_folders_of_validation_count_the_same(tmp_path):
    few, many = written(tmp_path / "few", 0, 90), written(tmp_path / "many", *range(5))
    inputs, directions = balanced_arrays([few, many], features=SIX)
    assert (inputs.shape, directions.shape) == ((10, 25, 513, 6), (10, 1, 3))
    own, given = scenes_arrays(few, features=SIX)
    np.testing.assert_array_equal(inputs[:5], own[[0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(directions[:5], given[[0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(directions[5:], scenes_arrays(many, features=SIX)[1])


def test_validation_of_one_and_of_several_has_directions_in_each_frame(tmp_path):
    one = written(tmp_path / "one", 90)
    rows = [
        {"azimuth_deg": azimuth, "elevation_deg": 0.0, "talker": name}
        for name, azimuth in (("a", 0.0), ("b", 180.0))
    ]
    write_scenes(tmp_path / "two", [("x", np.full((SIX.samples, 4), 0.01), rows)])
    _, directions = balanced_arrays([one, tmp_path / "two"], features=SIX)
    assert directions.shape == (2, 25, 2, 3)
    np.testing.assert_allclose(directions[0, 24], [LEFT, [0, 0, 0]], atol=1e-7)
    np.testing.assert_allclose(directions[1, 24], [AHEAD, [-1, 0, 0]], atol=1e-7)
