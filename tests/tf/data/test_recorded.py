"""Windows of recordings of several talkers: each frame has who talks in its middle."""

import numpy as np
import pytest
import soundfile

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import FeatureSpec
from doa_tf.data import waveforms
from doa_tf.data.pipeline import mixed_dataset
from doa_tf.data.recorded import RecordedScenes, Window, filled_up, frame_times
from doa_tf.data.validation import scenes_arrays
from doa_tf.scenes.folder import Scene, read_scenes, write_scenes

SIX = FeatureSpec()
LENGTH = 2 * SIX.samples


def rows(*talkers):
    names = ("talker", "start_s", "end_s", "azimuth_deg", "elevation_deg")
    return [dict(zip(names, talker, strict=True)) for talker in talkers]


@pytest.fixture
def folder(tmp_path):
    """Anna talks from 0.4 s to 1.2 s, ben all through; then nobody; then one all through."""
    rng = np.random.default_rng(0)
    sound = [0.1 * rng.standard_normal((LENGTH, 4)) for _ in range(3)]
    turns = rows(("anna", 0.4, 1.2, 0, 0), ("ben", 0, LENGTH / 16_000, 90, 0))
    scenes = (turns, rows(("", "", "", "", "")), rows(("carl", "", "", 0, 90)))
    write_scenes(tmp_path / "s", zip("abc", sound, scenes, strict=True))
    return tmp_path / "s"


def test_the_time_of_a_frame_is_its_middle():
    times = frame_times(SIX, start=16_000)
    assert times.shape == (25,)
    np.testing.assert_allclose(times[:2], [1.0 + 512 / 16_000, 1.0 + 1024 / 16_000])


def test_windows_have_the_talkers_of_their_frames(folder):
    recorded = RecordedScenes(folder)
    assert (len(recorded), recorded.voices, recorded.single) == (6, 2, False)
    first, second = recorded.mix((0, 0, 0)), recorded.mix((0, 0, 1))
    np.testing.assert_array_equal(first.directions[:, 0].any(axis=1), frame_times(SIX) >= 0.4)
    later = frame_times(SIX, start=SIX.samples)
    np.testing.assert_array_equal(second.directions[:, 0].any(axis=1), later < 1.2)
    np.testing.assert_allclose(first.directions[:, 1], np.tile([0.0, 1.0, 0.0], (25, 1)), atol=1e-9)
    assert not recorded.mix((0, 0, 2)).targets.any()  # nobody
    alone = recorded.mix((0, 0, 4))
    np.testing.assert_allclose(alone.direction, [0.0, 0.0, 1.0], atol=1e-9)
    assert recorded.target_shape == alone.targets.shape == (25, 2, 3)
    assert alone.targets.dtype == np.float32
    np.testing.assert_allclose(alone.targets[:, 0], alone.directions[:, 0], atol=1e-7)
    assert not alone.targets[:, 1:].any()
    for window in (first, recorded.mix((0, 0, 2))):
        with pytest.raises(InputError, match="window of one talker who talks all through"):
            _ = window.direction


def test_a_talker_with_a_pause_or_a_move_has_no_one_direction():
    def window(directions):
        return Window(waveform=np.zeros(4), directions=directions, targets=directions)

    still = np.tile([1.0, 0.0, 0.0], (25, 1, 1))
    np.testing.assert_array_equal(window(still).direction, still[0, 0])
    paused, moved = still.copy(), still.copy()
    paused[7] = 0.0
    moved[7] = [[0.0, 1.0, 0.0]]
    for directions in (paused, moved):
        with pytest.raises(InputError, match="with pauses or moves"):
            _ = window(directions).direction


def test_who_is_silent_needs_no_place():
    directions = np.zeros((25, 4, 3))
    directions[:, 3] = directions[:5, 1] = [0.0, 1.0, 0.0]
    np.testing.assert_array_equal(filled_up(directions, 2), directions[:, [1, 3]])
    np.testing.assert_array_equal(filled_up(directions, 4), directions)
    directions[3, 0] = [1.0, 0.0, 0.0]
    with pytest.raises(InputError, match=r"places for 2 talkers\. Received: 3 in one window"):
        filled_up(directions, 2)


def test_arrays_of_several_talkers_have_a_direction_each_frame(folder):
    inputs, directions = scenes_arrays(folder, features=SIX)
    assert inputs.shape == (3, 25, 513, 6)
    assert (directions.shape, directions.dtype) == ((3, 25, 2, 3), np.float32)
    lengths = np.linalg.norm(directions, axis=-1)
    talks = frame_times(SIX) >= 0.4
    np.testing.assert_allclose(lengths[0], np.stack([talks, np.ones(25)], axis=1), atol=1e-6)
    assert not directions[1].any()
    np.testing.assert_allclose(lengths[2], np.tile([1.0, 0.0], (25, 1)), atol=1e-6)
    _, wider = scenes_arrays(folder, features=SIX, voices=3)
    np.testing.assert_array_equal(wider[:, :, :2], directions)
    assert not wider[:, :, 2].any()
    with pytest.raises(InputError, match="places for 1 talkers"):
        scenes_arrays(folder, features=SIX, voices=1)


def test_arrays_of_one_talker_are_as_before(tmp_path):
    sound = 0.1 * np.random.default_rng(0).standard_normal((LENGTH, 4))
    write_scenes(tmp_path / "s", [("a", sound, rows(("anna", "", "", 30, 10)))])
    recorded = RecordedScenes(tmp_path / "s")
    assert recorded.target_shape == recorded.mix((0,)).targets.shape == (1, 3)
    _, directions = scenes_arrays(tmp_path / "s", features=SIX, voices=3)
    expected = angles_to_vector(*np.radians([30.0, 10.0])).astype(np.float32)
    np.testing.assert_array_equal(directions, expected[np.newaxis, np.newaxis])


def test_windows_of_several_are_a_dataset(folder):
    recorded = RecordedScenes(folder)
    batches = mixed_dataset(recorded, scenes=6, batch_size=6, augment="none", output="waveforms")
    ((waveforms, targets),) = list(batches)
    assert waveforms.shape == (6, SIX.samples, 4)
    assert targets.shape == (6, 25, 2, 3)
    for index in range(6):
        np.testing.assert_allclose(targets[index], recorded.mix((index,)).targets, atol=1e-6)


def labelled(folder, *files):
    rows = "".join(f"{file},30,10\n" for file in files)
    (folder / "labels.csv").write_text(f"file,azimuth_deg,elevation_deg\n{rows}")


def test_a_recording_is_read_once_and_its_windows_are_those_of_the_whole(tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    for name, seconds in (("a.wav", 7.1), ("b.flac", 3.3), ("c.wav", 0.1)):
        sound = 0.1 * noise.standard_normal((round(seconds * 44_100), 4))
        soundfile.write(tmp_path / name, sound, 44_100, subtype="PCM_16")
    labelled(tmp_path, "a.wav", "b.flac", "c.wav")
    whole = {scene.file: scene.read() for scene in read_scenes(tmp_path)}
    expected = [
        sound[start : start + SIX.samples]
        for sound in whole.values()
        for start in range(0, len(sound) - SIX.samples + 1, SIX.samples)
    ]
    read = []

    blocks = Scene.blocks

    def counted(scene, **options):
        read.append(scene.file)
        return blocks(scene, **options)

    monkeypatch.setattr(Scene, "blocks", counted)
    for room in (waveforms.IN_MEMORY, 16 * 60_000):  # the second is for "b.flac" alone
        monkeypatch.setattr(waveforms, "IN_MEMORY", room)
        read.clear()
        recorded = RecordedScenes(tmp_path)
        assert len(recorded) == len(expected) == 8 + 3
        for number in [10, *range(len(expected)), 0]:
            window = recorded.mix((0, 0, number)).waveform
            np.testing.assert_array_equal(window, expected[number])
        assert sorted(read) == ["a.wav", "b.flac"]


@pytest.mark.parametrize("length", [0, 2**36 - 1])
def test_windows_are_those_of_the_sound_whatever_a_header_says(tmp_path, length):
    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.ones((3 * SIX.samples + 5, 4)), 16_000)
    data = bytearray(path.read_bytes())
    data[21] = data[21] & 0xF0 | length >> 32
    data[22:26] = (length & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    labelled(tmp_path, "a.flac")
    recorded = RecordedScenes(tmp_path)
    assert len(recorded) == 3
    assert recorded.mix((0, 0, 2)).waveform.shape == (SIX.samples, 4)


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.wav").write_text("Dear Sir or Madam")
    labelled(tmp_path, "a.wav")
    with pytest.raises(InputError, match=r"a\.wav can't be read"):
        RecordedScenes(tmp_path)
