"""Mixing: directions, ratios and levels come out as drawn, and every scene can be made again."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from doa_core.angles import great_circle_distance
from doa_core.spec import SAMPLE_RATE
from doa_edge.errors import InputError
from doa_tf import cli
from doa_tf.bank import read_bank
from doa_tf.mixing import CONDITIONS, MixSettings, SceneMixer, read_voices
from doa_tf.noise import clatter, coloured_noise, diffuse_field

DRY = MixSettings(diffuse_fields=1, weak_dipole_share=0.0, self_noise_db=(90, 90))


def level_db(waveform):
    return 10 * np.log10(np.mean(waveform[:, 0].astype(float) ** 2))


@pytest.fixture(scope="module")
def rooms(bank):
    return read_bank(bank)


@pytest.fixture(scope="module")
def voices(speech):
    return read_voices(speech)


def intensity_direction(waveform):
    vector = np.sum(waveform[:, :1] * waveform[:, [3, 1, 2]], axis=0)
    return vector / np.linalg.norm(vector)


def test_a_clean_scene_of_a_dry_room_points_to_the_talker(rooms, voices):
    dry = [room for room in rooms if room.rt60 == 0.0]
    assert dry  # the fixture's settings make some
    mixer = SceneMixer(dry, voices, settings=DRY)
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
    dry = [room for room in rooms if room.rt60 == 0.0]
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


def test_weak_dipoles_lose_low_frequencies_only(rooms, voices):
    weak = replace(DRY, weak_dipole_share=1.0, dipole_cutoff=(276.0, 276.0))
    gain_db = {}
    full = SceneMixer(rooms, voices, settings=DRY).mix((4, 4), condition="clean").waveform
    lossy = SceneMixer(rooms, voices, settings=weak).mix((4, 4), condition="clean").waveform
    frequency = np.fft.rfftfreq(len(full), 1 / SAMPLE_RATE)
    ratio = np.abs(np.fft.rfft(lossy, axis=0)) / np.abs(np.fft.rfft(full, axis=0))
    ratio /= np.median(ratio[:, :1])  # the drawn levels differ; W is not filtered
    for wanted in (125, 250, 500):
        near = np.abs(frequency - wanted) < 10
        gain_db[wanted] = 20 * np.log10(np.median(ratio[near, 1:]))
    # A measured 32-capsule sphere: -7.7, -3.2, -1.1 dB. One pole at 276 Hz is within 0.5 dB.
    assert gain_db[125] == pytest.approx(-7.7, abs=0.5)
    assert gain_db[250] == pytest.approx(-3.2, abs=0.5)
    assert gain_db[500] == pytest.approx(-1.1, abs=0.5)


def test_shares_of_conditions(mixer):
    names = [mixer.mix((6, index)).condition for index in range(60)]
    # Binomial: 0.45 of 60 is 27 with a deviation of 3.9; four of them on either side.
    assert 11 <= names.count("interferer") <= 43
    assert "clean" in names
    assert "diffuse" in names


def test_the_command_offers_the_conditions_there_are():
    # The command line has its own list: importing the mixer would slow its help down.
    assert cli.CONDITIONS == CONDITIONS


def test_an_unknown_condition_is_refused(mixer):
    with pytest.raises(ValueError, match="clean, diffuse, interferer"):
        mixer.mix((0,), condition="loud")


def test_an_interferer_needs_a_second_source(rooms, voices):
    lonely = [replace(room, srirs=room.srirs[:1]) for room in rooms]
    with pytest.raises(ValueError, match="two sources"):
        SceneMixer(lonely, voices, settings=DRY).mix((0,), condition="interferer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": (0.5, 0.5, 0.5)}, "shares"),
        ({"snr_db": (10, 0)}, "snr_db"),
        ({"diffuse_fields": 0}, "diffuse_fields"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MixSettings(**change)


def test_a_diffuse_field_is_isotropic():
    rng = np.random.default_rng(0)
    sources = [rng.standard_normal(16_000) for _ in range(40)]
    field = diffuse_field(rng, sources, 16_000).astype(float)
    covariance = field.T @ field / len(field)
    covariance /= covariance[0, 0]
    # 40 equal waves on a spiral: each dipole a third of W, nothing correlated, within 5 % of W.
    np.testing.assert_allclose(covariance, np.diag([1, 1 / 3, 1 / 3, 1 / 3]), atol=0.05)


@pytest.mark.parametrize("make", [coloured_noise, clatter])
def test_synthetic_noises_sound(make):
    for seed in range(20):
        noise = make(np.random.default_rng(seed), 8_000)
        assert noise.shape == (8_000,)
        assert np.all(np.isfinite(noise))
        assert np.std(noise) > 0


def test_voices_are_resampled_and_mixed_down(tmp_path):
    time = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone, tone], -1), 44_100)
    (voice,) = read_voices(tmp_path)
    assert len(voice) == 16_000
    assert np.argmax(np.abs(np.fft.rfft(voice))) == 440  # one bin is 1 Hz


def test_short_and_silent_voices_are_left_out_aloud(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.ones(20_000) * 0.1, SAMPLE_RATE)
    soundfile.write(tmp_path / "short.wav", np.ones(100) * 0.1, SAMPLE_RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(20_000), SAMPLE_RATE)
    with caplog.at_level(logging.WARNING):
        assert len(read_voices(tmp_path, shortest=13_312)) == 1
    assert "short.wav" in caplog.text
    assert "silent.wav" in caplog.text


def test_folders_without_voices_are_refused(tmp_path):
    with pytest.raises(InputError, match="which is none"):
        read_voices(tmp_path / "nowhere")
    with pytest.raises(InputError, match="none usable"):
        read_voices(tmp_path)
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")
    with pytest.raises(InputError, match=r"letter\.wav can't be read"):
        read_voices(tmp_path)
