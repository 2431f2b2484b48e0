"""A bank of tiny rooms and a folder of speech-like recordings, made once."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile

from doa_core.spec import SAMPLE_RATE
from doa_tf.rooms.bank.bank import read_bank
from doa_tf.rooms.plan import RoomSettings
from doa_tf.rooms.simulate import simulate_bank
from doa_tf.scenes.draw import MixSettings
from doa_tf.scenes.folder import write_scenes
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.recordings import read_recordings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOMS = RoomSettings(rt60=(0.2, 0.4), sources=2, dry_share=0.25, microphone="ideal")


def speech_like(seed: int, seconds: float) -> np.ndarray:
    """(N,) noise in syllables of 0.2 s, falling with frequency."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / (1 + frequency / 500), samples)
    syllables = 0.05 + np.sin(np.pi * np.arange(samples) / (0.2 * SAMPLE_RATE)) ** 2
    return (0.3 * noise / np.abs(noise).max() * syllables).astype(np.float32)


@pytest.fixture(scope="session")
def room_settings():
    return ROOMS


@pytest.fixture(scope="session")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank") / "rooms"
    simulate_bank(folder, rooms=6, seed=3, settings=ROOMS, workers=1)
    return folder


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    (folder / "speaker").mkdir()
    for number in range(3):
        path = folder / "speaker" / f"{number}.wav"
        soundfile.write(path, speech_like(number, 3.0), SAMPLE_RATE)
    return folder


@pytest.fixture(scope="session")
def mixer(bank, speech):
    return SceneMixer(
        read_bank(bank), read_recordings(speech), settings=MixSettings(diffuse_fields=2), seed=0
    )


@pytest.fixture(scope="session")
def scenes(tmp_path_factory, mixer):
    folder = tmp_path_factory.mktemp("scenes") / "valid"
    mixed = [mixer.mix((9, index)) for index in range(6)]

    def rows():
        for index, scene in enumerate(mixed):
            x, y, z = scene.direction
            row = {
                "azimuth_deg": float(np.degrees(np.arctan2(y, x))),
                "elevation_deg": float(np.degrees(np.arcsin(z))),
                "condition": scene.condition,
            }
            yield f"scene_{index}.wav", scene.waveform, row

    write_scenes(folder, rows())
    return folder
