"""Live pipelines: one key is one scene, however it is reached; features are doa_core's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import doa_tf
from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL, intensity_features
from doa_core.highpass import highpass
from doa_core.spec import FeatureSpec
from doa_core.stft import stft
from doa_tf.data import (
    RecordedScenes,
    mixed_dataset,
    scene_keys,
    scenes_arrays,
    waveform_features,
)
from doa_tf.data.features import highpassed
from doa_tf.data.targets import as_targets, refuse_bad_batches
from doa_tf.scenes.folder import read_scenes

SIX = FeatureSpec()
SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))


def examples(mixer, *, keys, batch_size=1, **options):
    """{key: (input, directions)}, each example from a dataset of those keys."""
    dataset = mixed_dataset(mixer, keys=keys, batch_size=batch_size, output="waveforms", **options)
    inputs, targets = [], []
    for x, y in dataset:
        inputs += list(x.numpy())
        targets += list(y.numpy())
    names = [tuple(key) for key in keys.as_numpy_iterator()]
    return dict(zip(names, zip(inputs, targets, strict=True), strict=True))


@pytest.fixture(scope="module")
def plain(mixer):
    return examples(mixer, keys=scene_keys(scenes=6, epochs=(0, 1), seed=3), workers=1)


def test_live_mixing_gives_the_features_of_the_mixer(mixer):
    options = {"scenes": 4, "batch_size": 2, "seed": 2, "augment": "none"}
    (x, y), _ = list(mixed_dataset(mixer, features=SEVEN, **options))
    for index in range(2):
        scene = mixer.mix((2, 0, index))
        expected = waveform_features(scene.waveform, SEVEN)
        np.testing.assert_array_equal(x[index], expected)
        np.testing.assert_allclose(y[index, 0], scene.direction, atol=1e-6)
    assert y.shape == (2, 1, 3)


@pytest.mark.parametrize("output", ["features", "waveforms"])
def test_scenes_go_through_the_highpass_of_the_spec(mixer, output):
    """An offset and rumble are in no sound that the network will hear: training has neither."""
    options = {"scenes": 2, "batch_size": 2, "seed": 2, "augment": "none", "output": output}
    mix = mixer.mix

    class Rumbling:
        target_shape, sample_rate, settings = mixer.target_shape, 16_000, mixer.settings

        def mix(self, key):
            scene = mix(key)
            return replace(scene, waveform=scene.waveform + np.float32(0.3))

    ((x, _),) = mixed_dataset(Rumbling(), highpass_hz=30.0, **options)
    ((unfiltered, _),) = mixed_dataset(mixer, **options)
    for index in range(2):
        clean = highpass(mix((2, 0, index)).waveform, cutoff_hz=30.0, sample_rate=16_000)
        if output == "waveforms":
            np.testing.assert_allclose(x[index], clean, atol=1e-6)
        else:  # rounding of the offset shows in the weakest bins
            expected = intensity_features(stft(clean))
            assert np.quantile(np.abs(x[index] - expected), 0.999) < 1e-3
    plain = mix((2, 0, 0)).waveform
    given = plain if output == "waveforms" else waveform_features(plain, SIX)
    np.testing.assert_array_equal(unfiltered[0], given)  # without a cutoff as ever


@pytest.mark.parametrize("cutoff_hz", [0.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("samples", [0, 1, 2000, 13_312])
def test_the_faster_highpass_is_the_specification(cutoff_hz, samples):
    sound = np.random.default_rng(0).standard_normal((samples, 4)).astype(np.float32) + 0.5
    found = highpassed(sound, cutoff_hz=cutoff_hz, sample_rate=16_000)
    assert found.dtype == np.float32
    expected = highpass(sound, cutoff_hz=cutoff_hz, sample_rate=16_000)
    # At 5 Hz the specification's own rounding is 1e-6: its state is a thousand times the sound.
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("augment", ["vertical", "all"])
def test_a_turned_scene_turns_with_its_target(mixer, augment):
    keys = scene_keys(scenes=4, seed=1)
    turned = examples(mixer, keys=keys, augment=augment)
    differs = 0
    for key, (waveform, targets) in turned.items():
        scene = mixer.mix([int(word) for word in key])
        moved, *_ = np.linalg.lstsq(
            scene.waveform[:, [3, 1, 2]].astype(float), waveform[:, [3, 1, 2]], rcond=None
        )
        np.testing.assert_allclose(moved.T @ moved, np.eye(3), atol=1e-3)
        np.testing.assert_allclose(targets[0], scene.direction @ moved, atol=1e-3)
        np.testing.assert_allclose(waveform[:, 0], scene.waveform[:, 0])
        differs += np.abs(moved - np.eye(3)).max() > 0.1
        if augment == "vertical":
            np.testing.assert_allclose(moved[2], [0, 0, 1], atol=1e-3)
    assert differs >= 3


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param(lambda keys: keys.shuffle(12, seed=9), id="shuffled"),
        pytest.param(lambda keys: keys.shuffle(12, seed=1).cache(), id="cached"),
        pytest.param(lambda keys: keys.shard(3, 1), id="sharded"),
        pytest.param(lambda keys: keys.skip(7), id="resumed"),
    ],
)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_key_is_the_same_scene_however_it_is_reached(mixer, plain, reach, workers):
    keys = reach(scene_keys(scenes=6, epochs=(0, 1), seed=3))
    found = examples(mixer, keys=keys.cache(), batch_size=5, workers=workers)
    assert len(found) in (12, 4, 5)
    for key, (waveform, targets) in found.items():
        np.testing.assert_array_equal(waveform, plain[key][0])
        np.testing.assert_array_equal(targets, plain[key][1])


def test_shards_are_the_whole_and_share_nothing(plain):
    keys = scene_keys(scenes=6, epochs=(0, 1), seed=3)
    shards = [{tuple(k) for k in keys.shard(2, n).as_numpy_iterator()} for n in range(2)]
    assert not shards[0] & shards[1]
    assert shards[0] | shards[1] == set(plain)


def test_a_cached_dataset_repeats_and_epochs_differ(mixer, plain):
    dataset = mixed_dataset(mixer, scenes=6, seed=3, output="waveforms").cache()
    (first, _), (again, _) = next(iter(dataset)), next(iter(dataset))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], plain[3, 0, 0][0])
    assert not np.array_equal(plain[3, 0, 0][0], plain[3, 1, 0][0])


def test_no_tuner_is_waited_for_at_the_end(mixer):
    dataset = mixed_dataset(mixer, scenes=1)
    assert dataset.options().autotune.enabled is False


def test_another_mixer_of_the_same_things_mixes_the_same(mixer, plain):
    other = type(mixer)(mixer.rooms, mixer.speech, settings=mixer.settings, seed=mixer.seed)
    # Fields are made when they are needed: begin with the last scene.
    keys = scene_keys(scenes=6, epochs=(0, 1), seed=3).skip(11)
    ((key, (waveform, _)),) = examples(other, keys=keys).items()
    np.testing.assert_array_equal(waveform, plain[key][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": 4, "augment": "some"}, "vertical, upright, all, none"),
        ({"scenes": 4, "output": "spectra"}, "features, waveforms"),
        ({}, "Either `scenes` or `keys`"),
        ({"scenes": 0}, "must not be empty"),
        ({"scenes": 4, "epochs": ()}, "must not be empty"),
        ({"scenes": 4, "features": FeatureSpec(frames=99)}, "at least as long as"),
        (
            {"scenes": 4, "features": FeatureSpec(sample_rate=24_000)},
            "scenes, 16000 Hz.*Received: sample_rate=24000",
        ),
    ],
)
def test_bad_options_are_refused(mixer, options, message):
    with pytest.raises(ValueError, match=message):
        mixed_dataset(mixer, **options)


@pytest.mark.parametrize("spec", [SIX, SEVEN])
@pytest.mark.parametrize("shape", [(13_312, 4), (2, 3, 3000, 4), (1023, 4)])
def test_features_are_those_of_the_specification(spec, shape):
    waveform = 0.1 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = intensity_features(stft(waveform), channels=spec.channels)
    found = waveform_features(waveform, spec)
    assert found.shape == expected.shape
    # Rounding of single precision, in the weakest bins of thousands.
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_silence_stays_finite():
    assert not np.any(waveform_features(np.zeros((13_312, 4)), SEVEN))


def test_scenes_become_arrays(scenes):
    features, directions = scenes_arrays(scenes, features=SIX)
    assert features.shape == (6, 25, 513, 6)
    assert directions.dtype == np.float32
    first = read_scenes(scenes)[0]
    np.testing.assert_allclose(features[0], waveform_features(first.read(), SIX), atol=1e-4)
    np.testing.assert_allclose(directions[0], first.direction[np.newaxis], atol=1e-6)


def test_scenes_of_another_rate_are_resampled_to_the_features(tmp_path):
    """The network of 24 kHz hears 24 kHz: a tone has its frequency, not two thirds of it."""
    tone = 0.1 * np.sin(2 * np.pi * 3000.0 * np.arange(48_000) / 24_000)[:, np.newaxis]
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone * [1.0, 0.0, 0.0, 1.0], 24_000, subtype="FLOAT")
    labels = "file,azimuth_deg,elevation_deg\ntone.wav,0,0\n"
    (tmp_path / "labels.csv").write_text(labels)
    features = FeatureSpec(sample_rate=24_000, channels=SEVEN.channels)
    inputs, _ = scenes_arrays(tmp_path, features=features)
    recorded = RecordedScenes(tmp_path, features=features)
    ((mixed, _),) = mixed_dataset(recorded, scenes=1, features=features, augment="none")
    for levels in (inputs[0, ..., 6], mixed[0, ..., 6].numpy()):
        assert set(levels.argmax(axis=-1)) == {128}  # 3000 Hz in bins of 23.4 Hz
    with pytest.raises(InputError, match="24000 Hz.*Received: sample_rate=16000"):
        mixed_dataset(recorded, scenes=1, features=SEVEN)


def test_a_head_is_no_argument_any_more(mixer, scenes):
    head = doa_tf.heads.get("cartesian")
    message = "takes no head: its targets are directions.*Leave the head out"
    for old_call in (
        lambda: mixed_dataset(mixer, head, scenes=4),
        lambda: mixed_dataset(mixer, scenes=4, head=head),
        lambda: doa_tf.data.cached_dataset(None, head, features=SIX),
        lambda: scenes_arrays(scenes, head, features=SIX),
    ):
        with pytest.raises(TypeError, match=message):
            old_call()
    with pytest.raises(TypeError, match="batch"):
        mixed_dataset(mixer, scenes=4, batch=3)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        (0, np.nan, "features hold NaN or infinity in batch"),
        (1, np.inf, "targets hold NaN or infinity in batch"),
        (1, 0.0, "targets are no unit vectors in batch"),  # nobody talks
    ],
)
def test_batches_that_are_no_good_are_refused(part, value, message):
    arrays = [np.ones((4, 2, 2), np.float32), np.tile(np.float32([0, 0, 1]), (4, 1, 1))]
    arrays[part][3] = value
    batches = iter(refuse_bad_batches(tf.data.Dataset.from_tensor_slices(tuple(arrays)).batch(2)))
    next(batches)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{message}\D*1"):
        next(batches)


def test_batches_of_several_talkers_may_hold_nobody():
    talkers = np.tile(np.float32([[0, 0, 1], [0, 0, 0]]), (4, 5, 1, 1))
    talkers[3, 4, 1] = 0.0, 0.5, 0.0
    arrays = np.ones((4, 2, 2), np.float32), talkers
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(2)
    batches = iter(refuse_bad_batches(dataset, several=True))
    np.testing.assert_array_equal(next(batches)[1], talkers[:2])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"no unit vectors in batch\D*1"):
        next(batches)


def test_training_data_need_directions_of_unit_length():
    with pytest.raises(ValueError, match="length 0"):
        as_targets(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="takes one talker"):
        as_targets(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"or zeros for who is silent.*length 0\.5"):
        as_targets(np.full((2, 2, 3), [[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]), several=True)


def test_targets_of_one_talker_and_of_several():
    forward = np.array([1.0, 0.0, 0.0])
    one = as_targets(np.stack([forward, forward]))
    assert one.shape == (2, 1, 3)
    several = as_targets(np.stack([forward, 0.0 * forward]), several=True)
    assert several.shape == (2, 3)
    assert one.dtype == several.dtype == np.float32
