"""Scenes of several talkers and of nobody: who is heard, from where, how loud and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_core.stft import HOP, WINDOW_LENGTH
from doa_tf.rooms.room import Room
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import Recordings, speaker_of
from doa_tf.scenes.render import render_scenes
from doa_tf.scenes.talkers import check_rooms

AZIMUTHS = (0.0, 10.0, 100.0, 200.0)
BINS = (400, 700, 1100, 1400)  # of a scene's transform, where the talkers' tones are
HERTZ = tuple(k * SAMPLE_RATE / 13_312 for k in BINS)
SETTINGS = MixSettings(
    diffuse_fields=1,
    synthetic_noises=4,
    self_noise_db=(90, 90),
    shares=(1.0, 0.0, 0.0),
    talkers=(0.25, 0.25, 0.25, 0.25),
    drift_db=(0.0, 0.0),
    turns=0.0,
)


def open_room():
    """No walls; four sources, of which the first two are 10 degrees apart."""
    azimuths = np.radians(AZIMUTHS)
    directions = np.stack([np.cos(azimuths), np.sin(azimuths), 0.0 * azimuths], axis=1)
    impulse = np.ones(1, np.float32)
    return Room(
        number=0,
        rt60=0.0,
        size=np.full(3, 9.0),
        microphone=np.full(3, 4.0),
        directions=directions,
        distances=np.ones(4),
        srirs=[encode_plane_wave(impulse, direction) for direction in directions],
    )


def tones():
    time = np.arange(40_000) / SAMPLE_RATE
    return [np.sin(2 * np.pi * hertz * time) for hertz in HERTZ]


def mixer(**changes):
    return SceneMixer([open_room()], tones(), settings=replace(SETTINGS, **changes))


def test_a_scene_has_as_many_talkers_as_its_shares_say():
    mix = mixer(apart_deg=0.0)
    counts = [len(mix.draw((0, 0, index)).talkers) for index in range(400)]
    np.testing.assert_allclose(np.bincount(counts, minlength=4) / 400, 0.25, atol=0.08)
    assert mix.voices == 3
    assert mix.target_shape == (25, 3, 3)


def test_each_voice_comes_from_its_direction_at_its_level():
    mix = mixer(below_db=(6.0, 6.0), shares=(1.0, 0.0, 0.0))
    for index in range(12):
        draw = mix.draw((1, 0, index), condition="talkers")
        scene = mix.render(draw)
        assert scene.condition == "talkers"
        spectrum = np.fft.rfft(scene.waveform * np.hanning(len(scene.waveform))[:, None], axis=0)
        levels = []
        for talker, direction in zip(draw.talkers, scene.directions, strict=True):
            w, y, z, x = spectrum[BINS[talker.speech]]
            heard = np.real(np.conj(w) * np.array([x, y, z])) / np.abs(w) ** 2
            np.testing.assert_allclose(heard, direction, atol=1e-3)
            levels.append(20 * np.log10(np.abs(w)))
        np.testing.assert_allclose(levels[0] - np.array(levels[1:]), 6.0, atol=0.1)


def test_talkers_are_apart_and_are_different_speakers():
    mix = mixer()
    for index in range(100):
        scene = mix.mix((2, 0, index))
        cosines = scene.directions @ scene.directions.T
        assert np.all(cosines - 2.0 * np.eye(len(cosines)) < np.cos(np.radians(15.0)))
        draw = mix.draw((2, 0, index))
        assert len({talker.speech for talker in draw.talkers}) == len(draw.talkers)
    block = Recordings.from_signals(tones())
    same = Recordings(block.samples, block.starts, block.power, ["a", "a", "a", "b"])
    mix = SceneMixer([open_room()], same, settings=SETTINGS)
    for index in range(50):
        draw = mix.draw((2, 0, index), condition="talkers")
        first_two = {same.speakers[talker.speech] for talker in draw.talkers[:2]}
        assert first_two == {"a", "b"}


def test_a_talker_who_begins_or_ends_is_in_the_targets_only_while_heard():
    mix = mixer(turns=1.0, talkers=(0.0, 1.0))
    centres = np.arange(25) * HOP + WINDOW_LENGTH / 2
    kinds = set()
    for index in range(20):
        draw = mix.draw((3, 0, index))
        scene, (talker,) = mix.render(draw), draw.talkers
        begin = talker.begin or 0
        end = talker.end or 13_312
        kinds.add((talker.begin is None, talker.end is None))
        talks = (centres > begin) & (centres < end)
        sure = np.minimum(np.abs(centres - begin), np.abs(centres - end)) > WINDOW_LENGTH / 2
        np.testing.assert_array_equal(scene.activity[0][sure], talks[sure])
        expected = scene.activity[0][:, None] * scene.directions[0]
        np.testing.assert_allclose(scene.targets[:, 0], expected, atol=1e-7)
        silent = np.sqrt(np.mean(scene.waveform[: max(0, begin - 10), 0] ** 2)) if begin > 20 else 0
        assert silent < 1e-4  # the microphone's own noise
    assert kinds == {(True, False), (False, True)}


def test_pauses_of_a_recording_are_in_no_target():
    """A recording of nine tenths silence; `pauses` takes any part of it."""
    voice = np.zeros(160_000, np.float32)
    voice[80_000:96_000] = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    settings = replace(SETTINGS, talkers=(0.0, 1.0), pauses=1.0)
    mix = SceneMixer([open_room()], [voice], settings=settings)
    scenes = [mix.mix((4, 0, index)) for index in range(60)]
    nobody = sum(scene.condition == "nobody" for scene in scenes)
    assert 35 < nobody < 58  # 83 % of the parts hold no speech
    for scene in scenes:
        silent = np.all(scene.targets == 0.0, axis=(1, 2))
        if len(scene.activity):
            np.testing.assert_array_equal(~silent, scene.activity[0])
        else:
            assert silent.all()


def test_nobody_is_noise_at_its_level_with_no_target():
    mix = mixer(shares=(0.0, 0.5, 0.5))
    for index in range(6):
        scene = mix.mix((5, 0, index), condition="nobody")
        assert scene.condition == "nobody"
        assert scene.directions.shape == (0, 3)
        assert scene.targets.shape == (25, 3, 3)
        assert not scene.targets.any()
        level = 10 * np.log10(np.mean(scene.waveform[:, 0].astype(float) ** 2))
        assert level == pytest.approx(mix.draw((5, 0, index), condition="nobody").level_dbfs)
        with pytest.raises(ValueError, match="nobody talks"):
            _ = scene.direction
    quiet = mixer(shares=(1.0, 0.0, 0.0)).mix((5, 0, 1), condition="nobody")
    assert np.isfinite(quiet.waveform).all()
    assert quiet.waveform.std() > 0.0


def test_a_localised_noise_takes_a_place_that_is_left():
    mix = mixer(shares=(0.0, 0.0, 1.0), apart_deg=0.0)
    for index in range(20):
        scene = mix.mix((6, 0, index))
        assert scene.interferer is not None
        assert scene.interferer not in scene.sources


def test_one_talker_is_drawn_as_before_where_nothing_else_is_asked_for():
    mix = SceneMixer([open_room()], tones(), settings=replace(SETTINGS, talkers=()))
    scene = mix.mix((7, 0, 1), condition="clean")
    assert mix.target_shape == (1, 3)
    np.testing.assert_array_equal(scene.targets, scene.directions.astype(np.float32))
    assert scene.activity.all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"talkers": (1.0,)}, "talkers"),
        ({"talkers": (0.5, 0.6)}, "sum to 1"),
        ({"talkers": (0.2,) * 6}, "up to 4"),
        ({"talkers": (-0.5, 1.5)}, "talkers"),
        ({"below_db": (3.0, 1.0)}, "below_db"),
        ({"apart_deg": 120.0}, "apart_deg"),
        ({"apart_deg": float("nan")}, "apart_deg"),
        ({"pauses": 1.5}, "pauses"),
        ({"turns": -0.1}, "turns"),
    ],
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(SETTINGS, **changes)


def test_a_speaker_is_a_folder_or_the_start_of_a_name(tmp_path):
    assert speaker_of(tmp_path / "103" / "1240" / "103-1240-0001.flac", tmp_path) == "103"
    assert speaker_of(tmp_path / "103-1240-0001.flac", tmp_path) == "103"


def test_a_condition_that_has_no_share_is_refused():
    with pytest.raises(ValueError, match="no share of several"):
        mixer(talkers=(0.5, 0.5)).draw((0, 0, 0), condition="talkers")
    assert mixer(talkers=(0.0, 1.0)).draw((0, 0, 0), condition="nobody").talkers == ()


def test_rooms_need_a_source_for_each_talker(tmp_path):
    rooms = [replace(open_room(), directions=open_room().directions[:1])]
    with pytest.raises(InputError, match=r"--sources 3 or more. Received: rooms with 1$"):
        check_rooms(rooms, 3)
    check_rooms(rooms, 1)
    mixer = SceneMixer(rooms, [np.ones(16_000, np.float32)])
    with pytest.raises(InputError, match="Scenes of 2 talkers need rooms with as many sources"):
        render_scenes(tmp_path / "s", mixer=mixer, conditions=["talkers"], scenes=1)
    assert not (tmp_path / "s").exists()
