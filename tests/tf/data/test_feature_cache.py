"""Caches: targets follow turned features, draws repeat, killed ones resume."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.highpass import highpass
from doa_core.spec import FeatureSpec
from doa_tf.data import cache as feature_cache
from doa_tf.data.cache import FeatureCache, cached_dataset
from doa_tf.data.features import waveform_features
from doa_tf.scenes.mixer import SceneMixer

SIX = FeatureSpec()
SEVEN = FeatureSpec(channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL))


def make_cache(folder, mixer, scenes=8, made_with=None, **options):
    made_with = {"bank": "b"} if made_with is None else made_with
    return FeatureCache(
        folder, mixer=lambda: mixer, made_with=made_with, scenes=scenes, seed=5, **options
    )


def batches(cache, spec, epochs, **options):
    dataset = cached_dataset(cache, features=spec, batch_size=4, seed=1, epochs=epochs, **options)
    return [(x.numpy(), y.numpy()) for x, y in dataset]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cache(folder, mixer):
    return make_cache(folder, mixer)


def test_a_cache_holds_the_features_of_its_scenes(cache, mixer):
    scene = mixer.mix((5, 0, 3))
    expected = waveform_features(scene.waveform, SEVEN)
    np.testing.assert_allclose(cache.features[3], expected, atol=2e-3)  # 16-bit floats up to 3
    np.testing.assert_allclose(cache.directions[3], scene.direction, atol=1e-6)


def test_a_cache_holds_scenes_after_the_highpass_of_the_spec(tmp_path, mixer):
    cache = make_cache(tmp_path, mixer, highpass_hz=100.0)
    clean = highpass(mixer.mix((5, 0, 3)).waveform, cutoff_hz=100.0, sample_rate=16_000)
    expected = waveform_features(clean, SEVEN)
    np.testing.assert_allclose(cache.features[3], expected, atol=2e-3)
    with pytest.raises(InputError, match="other settings or data"):
        make_cache(tmp_path, mixer)
    assert "highpass_hz" in json.loads((tmp_path / "cache.json").read_text())


def test_a_cache_without_a_highpass_has_the_digest_of_0_1(folder, cache):
    """What it was made with, and nothing else: caches of old trainings go on."""
    made_with = {"bank": "b", "seed": 5, "scenes": 8, **SEVEN.to_dict()}
    digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()
    assert json.loads((folder / "cache.json").read_text())["digest"] == digest


@pytest.mark.parametrize("change", [{"sample_rate": 24_000}, {"frames": 20}, {"hop": 256}])
def test_features_of_other_frames_than_the_cache_s_are_refused(cache, change):
    with pytest.raises(ValueError, match="must be those of the cache"):
        batches(cache, replace(SEVEN, **change), [0])


@pytest.mark.parametrize("spec", [SIX, SEVEN])
@pytest.mark.parametrize("augment", ["vertical", "all"])
def test_features_and_targets_turn_together(cache, spec, augment):
    """Each given window is one stored window, turned by the matrix that turned its direction."""
    for features, targets in batches(cache, spec, [0], augment=augment):
        assert features.shape == (4, *spec.input_shape)
        assert targets.shape == (4, 1, 3)
        for window, target in zip(features, targets, strict=True):
            direction = target[0]
            lengths = np.linalg.norm(window[..., :3], axis=-1)
            matches = [
                np.abs(lengths - np.linalg.norm(stored[..., :3].astype(float), axis=-1)).max()
                for stored in cache.features
            ]
            source = int(np.argmin(matches))
            assert matches[source] < 1e-3  # turning keeps lengths
            stored = np.asarray(cache.features[source], np.float32)
            turn, *_ = np.linalg.lstsq(
                stored[..., :3].reshape(-1, 3), window[..., :3].reshape(-1, 3), rcond=None
            )
            np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-3)
            if augment == "vertical":
                np.testing.assert_allclose(turn[2], [0, 0, 1], atol=1e-3)
            np.testing.assert_allclose(cache.directions[source] @ turn, direction, atol=1e-3)
            np.testing.assert_allclose(window[..., 3:6], stored[..., 3:6] @ turn, atol=1e-3)
            np.testing.assert_allclose(window[..., 6:], stored[..., 6 : len(spec.channels)])


def test_an_epoch_is_a_function_of_seed_and_number(cache):
    two = batches(cache, SIX, [0, 1])
    resumed = batches(cache, SIX, [1])
    assert len(two) == 4
    for (x, y), (x_again, y_again) in zip(two[2:], resumed, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)
    assert not np.array_equal(two[0][1], two[2][1])


def test_a_killed_cache_goes_on(tmp_path, mixer, monkeypatch, cache):
    monkeypatch.setattr(feature_cache, "_CHUNK", 3)

    def stop(done, _total):
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cache(tmp_path, mixer, progress=stop)
    done = []
    again = make_cache(tmp_path, mixer, progress=lambda count, total: done.append((count, total)))
    assert done == [(8, 8)]  # six of eight were kept
    np.testing.assert_array_equal(again.features, cache.features)


def test_a_whole_cache_mixes_nothing(tmp_path, mixer):
    make_cache(tmp_path, mixer)
    FeatureCache(tmp_path, mixer=pytest.fail, made_with={"bank": "b"}, scenes=8, seed=5)


@pytest.mark.parametrize("change", [{"scenes": 9}, {"made_with": {"bank": "other"}}])
def test_a_cache_made_otherwise_is_refused(tmp_path, mixer, change):
    make_cache(tmp_path, mixer)
    with pytest.raises(InputError, match="other settings or data"):
        make_cache(tmp_path, mixer, **change)


def asked(bank, digest=None):
    return {"bank": bank} if digest is None else {"bank": bank, "bank_sha256": digest}


def test_a_cache_knows_its_bank_by_the_digest(tmp_path, mixer):
    make_cache(tmp_path, mixer, made_with=asked("rooms", "aa"))
    make_cache(tmp_path, None, made_with=asked("moved/rooms", "aa"))  # full: nothing is mixed
    with pytest.raises(InputError, match=r"data: bank holds something else than it did\. Name"):
        make_cache(tmp_path, None, made_with=asked("rooms", "bb"))
    make_cache(tmp_path, None, made_with=asked("rooms"))  # the bank is gone: by its path
    with pytest.raises(InputError, match="bank was 'rooms', not 'moved'"):
        make_cache(tmp_path, None, made_with=asked("moved"))


def test_a_cache_from_before_the_digest_goes_on_and_learns_it(tmp_path, mixer):
    make_cache(tmp_path, mixer, made_with=asked("rooms"))
    with pytest.raises(InputError, match="bank was 'rooms', not 'moved'"):
        make_cache(tmp_path, None, made_with=asked("moved", "aa"))
    make_cache(tmp_path, None, made_with=asked("rooms", "aa"))
    make_cache(tmp_path, None, made_with=asked("moved", "aa"))
    with pytest.raises(InputError, match="bank holds something else"):
        make_cache(tmp_path, None, made_with=asked("rooms", "bb"))


def test_two_runs_at_once_do_not_write_into_each_other(tmp_path, mixer, caplog):
    # The second asks for other scenes while the first is half way: it waits, then is refused.
    half_way, go_on = Event(), Event()

    def first_progress(_done, _total):
        half_way.set()
        assert go_on.wait(120)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make_cache, tmp_path, mixer, progress=first_progress)
        assert half_way.wait(120)
        second = pool.submit(make_cache, tmp_path, mixer, made_with={"bank": "other"})
        done, _ = wait([second], timeout=0.5)
        assert not done
        go_on.set()
        assert len(first.result(120)) == 8
        with pytest.raises(InputError, match="other settings or data"):
            second.result(120)
    assert "waiting for it" in caplog.text


def test_a_full_disk_is_an_error_before_the_work(tmp_path, mixer, monkeypatch):
    def no_space(_file, _offset, _size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache.os, "posix_fallocate", no_space)
    with pytest.raises(OSError, match="No space"):
        make_cache(tmp_path, pytest.fail)
    assert not list(tmp_path.glob("*.npy"))


def test_an_unknown_augmentation_is_refused(cache):
    with pytest.raises(ValueError, match="vertical, upright, all, none"):
        batches(cache, SIX, [0], augment="some")


def test_scenes_of_several_talkers_are_turned_frame_by_frame(tmp_path, mixer):
    several = replace(mixer.settings, talkers=(0.25, 0.25, 0.25, 0.25), apart_deg=0.0)
    crowd = SceneMixer(mixer.rooms, mixer.speech, settings=several)
    stored = make_cache(tmp_path, crowd)
    assert stored.target_shape == (25, 3, 3)
    np.testing.assert_allclose(stored.directions[3], crowd.mix((5, 0, 3)).targets, atol=1e-6)
    for x, y in batches(stored, SIX, [0], augment="vertical"):
        assert x.shape[0] == y.shape[0]
        assert y.shape[1:] == (25, 3, 3)
        lengths = np.linalg.norm(y, axis=-1)
        assert np.all((np.abs(lengths - 1.0) < 1e-6) | (lengths == 0.0))
    again = make_cache(tmp_path, None)  # full: no mixer is needed
    assert again.target_shape == (25, 3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"done": -1}, "done=-1"),
        ({"done": 9}, "done=9"),
        ({"done": "8"}, "done='8'"),
        ({"target_shape": [10**12, 3]}, "target_shape="),
        ({"target_shape": "13"}, "target_shape='13'"),
        ({"target_shape": [1, 4]}, "target_shape="),
    ],
)
def test_an_index_that_no_cache_has_is_refused(cache, folder, tmp_path, mixer, changes, message):
    index = json.loads((folder / "cache.json").read_text())
    (tmp_path / "cache.json").write_text(json.dumps({**index, **changes}))
    with pytest.raises(InputError, match=f"cache.json is damaged: .*{message}"):
        make_cache(tmp_path, mixer)


def test_an_array_that_says_more_than_it_holds_does_not_grow(cache, folder, tmp_path, mixer):
    for name in ("cache.json", "directions.npy", "features.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert len(make_cache(tmp_path, mixer)) == 8
    path = tmp_path / "directions.npy"
    whole = path.read_bytes()
    huge = whole.replace(b"(8, 3), }      ", b"(999999999, 3)}")
    assert len(huge) == len(whole)
    assert huge != whole
    path.write_bytes(huge)
    with pytest.raises(InputError, match=r"directions.npy is damaged"):
        make_cache(tmp_path, mixer)
    assert path.stat().st_size == len(whole)
    path.write_bytes(whole.replace(b"(8, 3)", b"(9, 3)"))
    with pytest.raises(InputError, match=r"shape \(8, 3\), and whole. Received: \(9, 3\)"):
        make_cache(tmp_path, mixer)
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="and whole"):
        make_cache(tmp_path, mixer)
