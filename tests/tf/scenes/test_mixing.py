"""Mixing: directions, ratios and levels come out as drawn, and every scene can be made again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_tf.cli import scenes as cli_scenes
from doa_tf.cli import train as cli_train
from doa_tf.data.augment import AUGMENTATIONS
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.scenes.draw import CONDITIONS, MixSettings
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.noise import diffuse_field
from doa_tf.scenes.noise_kinds import NOISE_KINDS
from doa_tf.scenes.recordings import read_recordings
from doa_tf.scenes.talkers import dry_voice

DRY = MixSettings(diffuse_fields=1, self_noise_db=(90, 90))


def level_db(waveform):
    return 10 * np.log10(np.mean(waveform[:, 0].astype(float) ** 2))


@pytest.fixture(scope="module")
def rooms(bank):
    return read_bank(bank)


@pytest.fixture(scope="module")
def voices(speech):
    return read_recordings(speech)


def intensity_direction(waveform):
    vector = np.sum(waveform[:, :1] * waveform[:, [3, 1, 2]], axis=0)
    return vector / np.linalg.norm(vector)


def without_walls(rooms):
    """The same rooms, the direct sound alone."""
    impulse = np.ones(1, np.float32)
    return [
        replace(room, srirs=[encode_plane_wave(impulse, way) for way in room.directions])
        for room in rooms
    ]


def test_a_clean_scene_without_walls_points_to_the_talker(rooms, voices):
    mixer = SceneMixer(without_walls(rooms), voices, settings=DRY)
    for index in range(6):
        scene = mixer.mix((0, index), condition="clean")
        error = great_circle_distance(intensity_direction(scene.waveform), scene.direction)
        assert np.degrees(error) < 0.1  # self noise 90 dB down leaves thousandths of a degree
        assert np.isnan(scene.snr_db)
        assert np.isnan(scene.sir_db)


def test_the_same_key_gives_the_same_scene(mixer):
    first, again = mixer.mix((1, 2, 3)), mixer.mix((1, 2, 3))
    np.testing.assert_array_equal(first.waveform, again.waveform)
    assert first.waveform.shape == (13_312, 4)
    assert first.waveform.dtype == np.float32
    assert not np.array_equal(first.waveform, mixer.mix((1, 2, 4)).waveform)


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_noise_stands_at_the_drawn_ratio(rooms, voices, snr_db):
    settings = replace(DRY, snr_db=(snr_db, snr_db), level_dbfs=(-20, -20))
    mixer = SceneMixer(rooms, voices, settings=settings)
    scene = mixer.mix((0, 1), condition="diffuse")
    # Speech and noise don't correlate: powers add, up to 2 % of chance in 0.8 s of signal.
    loud = replace(settings, snr_db=(80, 80))
    clean = SceneMixer(rooms, voices, settings=loud).mix((0, 1), condition="diffuse")
    similarity = np.sum(scene.waveform[:, 0] * clean.waveform[:, 0]) / np.sqrt(
        np.sum(scene.waveform[:, 0] ** 2) * np.sum(clean.waveform[:, 0] ** 2)
    )
    expected = 1 / np.sqrt(1 + 10 ** (-snr_db / 10))
    assert similarity == pytest.approx(expected, abs=0.08)


def test_the_interferer_comes_from_another_place_of_the_same_room(rooms, voices):
    settings = replace(DRY, sir_db=(-40, -40), snr_db=(60, 60))
    dry = without_walls(rooms)
    mixer = SceneMixer(dry, voices, settings=settings)
    for index in range(4):
        scene = mixer.mix((5, index), condition="interferer")
        # 40 dB louder than the talker: the intensity now points to the interferer.
        heard = intensity_direction(scene.waveform)
        places = np.concatenate([room.directions for room in dry])
        others = places[great_circle_distance(places, scene.direction) > 1e-6]
        assert np.degrees(great_circle_distance(others, heard)).min() < 1.5
        assert np.degrees(great_circle_distance(scene.direction, heard)) > 1.5


def test_the_level_is_as_drawn(rooms, voices):
    mixer = SceneMixer(rooms, voices, settings=replace(DRY, level_dbfs=(-31, -31)))
    assert level_db(mixer.mix((0, 0)).waveform) == pytest.approx(-31.0, abs=0.1)


def test_noise_is_heard_by_the_microphone_of_the_room(rooms, voices):
    """A response that halves X and delays all by two samples; the talker's SRIR is left alone."""
    response = np.zeros((5, 4, 4), np.float32)
    response[2] = np.diag([1.0, 1.0, 1.0, 0.5])
    settings = replace(DRY, snr_db=(-60, -60), level_dbfs=(-20, -20))  # noise alone
    ideal = SceneMixer(rooms, voices, settings=settings).mix((1, 2), condition="diffuse").waveform
    odd = [replace(room, diffuse_response=response) for room in rooms]
    heard = SceneMixer(odd, voices, settings=settings).mix((1, 2), condition="diffuse").waveform
    gains = np.sqrt(np.mean(heard[2:] ** 2, axis=0) / np.mean(ideal[:-2] ** 2, axis=0))
    # The level is set on W, which the shift of two samples and the hiss change by thousandths.
    np.testing.assert_allclose(gains, [1.0, 1.0, 1.0, 0.5], rtol=0.02)
    for channel in range(4):
        ratio = np.corrcoef(heard[2:, channel], ideal[:-2, channel])[0, 1]
        assert ratio > 0.99


def test_microphone_noise_follows_the_room(rooms, voices):
    settings = replace(DRY, self_noise_db=(-60, -60))  # nothing but noise
    noisy = [replace(room, noise_gains=np.array([1.0, 3.0, 2.0, 0.5])) for room in rooms]
    scene = SceneMixer(noisy, voices, settings=settings).mix((0, 3), condition="clean")
    level = np.std(scene.waveform, axis=0)
    np.testing.assert_allclose(level / level[0], [1.0, 3.0, 2.0, 0.5], rtol=0.03)
    correlation = np.corrcoef(scene.waveform.T)
    assert np.abs(correlation - np.eye(4)).max() < 0.05  # 1 / sqrt(13312) is 0.009


def test_a_scene_says_what_it_was_mixed_from(mixer):
    scene = mixer.mix((0, 0, 5), condition="interferer")
    assert scene.interferer not in (None, scene.source)
    np.testing.assert_array_equal(scene.direction, scene.room.directions[scene.source])
    assert mixer.mix((0, 0, 5), condition="clean").interferer is None


def test_the_drawn_part_is_speech(rooms):
    """A recording of nine tenths silence: its talking second is found."""
    voice = np.zeros(160_000, np.float32)
    voice[80_000:96_000] = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    mixer = SceneMixer(rooms, [voice], settings=DRY)
    found = 0
    for index in range(30):
        draw = mixer.draw((0, 0, index), condition="clean")
        part = dry_voice(mixer.speech, draw.talkers[0], 13_312, 100)
        assert part.shape == (13_312 + 99,)
        found += np.mean(part[99:] ** 2) > 0.03 * np.mean(mixer.speech[0] ** 2)
    # One try finds speech with a chance of 0.19; twenty fail together 1.5 % of the time.
    assert found >= 27


def test_a_clip_shorter_than_a_scene_lies_somewhere_in_it(rooms):
    mixer = SceneMixer(rooms, [np.ones(5_000, np.float32)], settings=DRY)
    starts = set()
    for index in range(20):
        (talker,) = mixer.draw((0, 0, index), condition="clean").talkers
        part = dry_voice(mixer.speech, talker, 13_312, 50)[49:]
        assert np.count_nonzero(part) == 5_000
        starts.add(int(np.argmax(part > 0)))
    assert len(starts) > 15
    assert max(starts) <= 13_312 - 5_000
    assert np.all(np.isfinite(mixer.mix((0, 0)).waveform))


def test_babble_may_be_other_voices_than_the_talkers(rooms, voices):
    tone = np.sin(2 * np.pi * 1000 / SAMPLE_RATE * np.arange(50_000)).astype(np.float32)
    settings = replace(DRY, snr_db=(-60, -60), field_shares=(1.0, 0.0, 0.0))
    mixer = SceneMixer(rooms, voices, babble=[tone], settings=settings)
    w = mixer.mix((0, 0), condition="diffuse").waveform[:, 0]
    peak = np.argmax(np.abs(np.fft.rfft(w))) * SAMPLE_RATE / len(w)
    assert peak == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(("shares", "hertz"), [((0.0, 1.0, 0.0), 1000.0), ((0.0, 0.0, 1.0), None)])
def test_recorded_noise_fills_diffuse_fields(rooms, voices, shares, hertz):
    tone = np.sin(2 * np.pi * 1000 / SAMPLE_RATE * np.arange(50_000)).astype(np.float32)
    settings = replace(DRY, snr_db=(-60, -60), field_shares=shares)
    mixer = SceneMixer(rooms, voices, [tone], settings=settings)
    spectrum = np.abs(np.fft.rfft(mixer.mix((0, 0), condition="diffuse").waveform[:, 0])) ** 2
    near = int(1000 * 13_312 / SAMPLE_RATE)
    share = spectrum[near - 3 : near + 4].sum() / spectrum.sum()
    assert share > 0.9 if hertz else share < 0.1


def test_a_mixer_needs_rooms_and_speech(rooms, voices):
    with pytest.raises(ValueError, match=r"at least one room.*0 rooms"):
        SceneMixer([], voices)
    with pytest.raises(ValueError, match=r"at least one room.* 0 recordings"):
        SceneMixer(rooms, [])


def test_shares_of_conditions(mixer):
    names = [mixer.mix((6, index)).condition for index in range(60)]
    # Binomial: 0.45 of 60 is 27 with a deviation of 3.9; four of them on either side.
    assert 11 <= names.count("interferer") <= 43
    assert "clean" in names
    assert "diffuse" in names


def test_the_command_offers_the_conditions_there_are():
    # The command line has its own list: importing the mixer would slow its help down.
    assert cli_scenes.CONDITIONS == CONDITIONS
    assert cli_train.AUGMENTATIONS == AUGMENTATIONS


def test_an_unknown_condition_is_refused(mixer):
    with pytest.raises(ValueError, match="clean, diffuse, interferer"):
        mixer.mix((0,), condition="loud")


def test_an_interferer_needs_a_second_source(rooms, voices):
    lonely = [replace(room, directions=room.directions[:1]) for room in rooms]
    with pytest.raises(ValueError, match="two sources"):
        SceneMixer(lonely, voices, settings=DRY).mix((0,), condition="interferer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": (0.5, 0.5, 0.5)}, "shares"),
        ({"snr_db": (10, 0)}, "snr_db"),
        ({"diffuse_fields": 0}, "diffuse_fields"),
        ({"synthetic_noises": 0}, "synthetic_noises"),
        ({"noise_kinds": ()}, "noise_kinds"),
        ({"noise_kinds": ("clatter", "dogs")}, "Received: dogs"),
        ({"drift_db": (1, -1)}, "drift_db"),
        ({"snr_db": (float("nan"), 0)}, "snr_db"),
        ({"field_shares": (1.5, -0.5, 0.0)}, "field_shares"),
        ({"recorded_share": 1.2}, "recorded_share"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MixSettings(**change)


def test_a_talker_may_grow_louder(rooms, voices):
    """A steady voice in a dry room, 12 dB louder at the end than at the start."""
    voice = np.random.default_rng(0).standard_normal(60_000).astype(np.float32)
    settings = replace(DRY, drift_db=(12, 12))
    dry = [replace(room, srirs=[srir[:1] * 0 + 1 for srir in room.srirs]) for room in rooms]
    scene = SceneMixer(dry, [voice], settings=settings).mix((0, 1), condition="clean").waveform
    first, last = (np.mean(part[:, 0] ** 2) for part in (scene[:1331], scene[-1331:]))
    assert 10 * np.log10(last / first) == pytest.approx(12 * 0.9, abs=0.8)  # middles of tenths


def test_a_draw_holds_every_choice_and_travels(mixer):
    """What another process draws is rendered here to the same scene, and draws read no sound."""
    import pickle

    other = pickle.loads(pickle.dumps(mixer))
    for index in range(6):
        scene = mixer.render(other.draw((4, 0, index)))
        np.testing.assert_array_equal(scene.waveform, mixer.mix((4, 0, index)).waveform)
    assert not other._fields


def test_a_diffuse_field_is_isotropic():
    rng = np.random.default_rng(0)
    sources = [rng.standard_normal(16_000) for _ in range(40)]
    field = diffuse_field(rng, sources).astype(float)
    covariance = field @ field.T / field.shape[1]
    covariance /= covariance[0, 0]
    # 40 equal waves on a spiral: each dipole a third of W, nothing correlated, within 5 % of W.
    np.testing.assert_allclose(covariance, np.diag([1, 1 / 3, 1 / 3, 1 / 3]), atol=0.05)


def test_a_mixer_has_the_kinds_of_noise_that_its_settings_name(rooms, voices):
    mixer = SceneMixer(
        rooms, voices, settings=replace(DRY, noise_kinds=("water", "dishes")), seed=3
    )
    for number, kind in enumerate(["water", "dishes", "water"]):
        expected = NOISE_KINDS[kind](np.random.default_rng((3, number, 0, 4)), 6 * 16_000)
        np.testing.assert_array_equal(mixer.synthetic_noise(number), expected)
    assert MixSettings().noise_kinds == ("coloured_noise", "clatter", "machine", "notes")


@pytest.mark.parametrize("make", NOISE_KINDS.values())
def test_synthetic_noises_sound(make):
    for seed in range(20):
        noise = make(np.random.default_rng(seed), 8_000)
        assert noise.shape == (8_000,)
        assert np.all(np.isfinite(noise))
        assert np.std(noise) > 0
