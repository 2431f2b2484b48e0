"""Voices and noises that no training has heard, by name.

    speech, noise       what the caller names
    two-a, two-b        the speech by halves, without its pauses: two talkers at once
    demo                twelve English sentences of the synthesiser flite (demo/speech)
    espeak-LANGUAGE     the first article of the Universal Declaration of Human Rights, read by
                        Debian's espeak-ng, two voices at two speeds
    music, siren, drill, beeps    made here

None of the last four is in `doa_tf.scenes.noise`, which training draws from.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.scenes.recordings import Recordings, read_recordings

HERE = Path(__file__).resolve().parent
DEMO_SPEECH = HERE.parents[1] / "demo" / "speech"
# Name and text by code.
LANGUAGES: dict[str, list[str]] = json.loads((HERE / "voices.json").read_text(encoding="utf-8"))
_VOICES = ("m3", "f2")
_WORDS_PER_MINUTE = (130, 170)
_SECONDS = 30  # of each noise that is made
_PAUSE_DB = 30.0  # below the peak of a recording: what is cut out of simultaneous talkers


class Sounds:
    """Recordings by name, each made when it is first asked for.

    Args:
        speech: folder of the talkers.
        noise: a recording, or a folder of them; None for none.
        work: folder in which the synthesiser's voices are kept.
    """

    def __init__(self, speech: Path, noise: Path | None, *, work: Path) -> None:
        self._speech, self._noise, self._work = speech, noise, work
        self._known: dict[str, Recordings] = {}

    def missing(self, name: str) -> str | None:
        """Why there is no such sound; None where there is one."""
        if name == "noise" and self._noise is None:
            return "no --noise was given"
        if name.startswith("espeak-") and shutil.which("espeak-ng") is None:
            return "espeak-ng is not installed"
        return None

    def get(self, name: str) -> Recordings:
        """The recordings of a name.

        Raises:
            InputError: there are none.
        """
        reason = self.missing(name)
        if reason:
            raise InputError(f"There is no sound {name}: {reason}")
        if name not in self._known:
            self._known[name] = self._make(name)
        return self._known[name]

    def _make(self, name: str) -> Recordings:
        if name == "speech":
            return read_recordings(self._speech)
        if name == "noise" and self._noise is not None:
            return _file_or_folder(self._noise)
        if name == "demo":
            return read_recordings(DEMO_SPEECH)
        if name.startswith("two-"):
            speech = self.get("speech")
            half = range(int(name == "two-b"), len(speech), 2)
            return Recordings.from_signals(without_pauses(speech[number]) for number in half)
        if name.startswith("espeak-"):
            language = name.removeprefix("espeak-")
            return read_recordings(speak(self._work / "voices" / name, language))
        if name in NOISES:
            rng = np.random.default_rng(len(name))
            return Recordings.from_signals([NOISES[name](rng, _SECONDS * SAMPLE_RATE)])
        raise InputError(f"There is no sound {name}")


def speak(folder: Path, language: str) -> Path:
    """The folder with espeak-ng's readings of a language, written where it is not there."""
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for voice, speed in product(_VOICES, _WORDS_PER_MINUTE):
            target = partial / f"{voice}-{speed}.wav"
            command = ["espeak-ng", "-v", f"{language}+{voice}", "-s", str(speed)]
            text = LANGUAGES[language][1]
            subprocess.run([*command, "-w", str(target), text], check=True, capture_output=True)
        partial.rename(folder)
    return folder


def without_pauses(signal: np.ndarray) -> np.ndarray:
    """(M,) the parts of a recording that are speech, joined."""
    import librosa

    parts = librosa.effects.split(signal, top_db=_PAUSE_DB)
    return np.concatenate([signal[start:stop] for start, stop in parts])


def music(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) plucked chords of three notes, four strokes a second, with a bass below."""
    signal = np.zeros(samples)
    for start in range(0, samples, SAMPLE_RATE // 4):
        time = np.arange(min(SAMPLE_RATE, samples - start)) / SAMPLE_RATE
        root = 110.0 * 2.0 ** (rng.integers(0, 12) / 12.0)  # hertz
        for note in (0.5 * root, root, root * 2 ** (4 / 12), root * 2 ** (7 / 12)):
            harmonics = np.arange(1, 9)[:, np.newaxis]
            tone = np.sin(2 * np.pi * note * harmonics * time) / harmonics
            decay = np.exp(-time * (2.0 + harmonics))
            signal[start : start + len(time)] += rng.uniform(0.4, 1.0) * np.sum(tone * decay, 0)
    return signal


def siren(_: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) a tone with three harmonics that sweeps from 500 to 1200 Hz and back every 3 s."""
    time = np.arange(samples) / SAMPLE_RATE
    frequency = 850.0 - 350.0 * np.cos(2 * np.pi * time / 3.0)
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    orders = np.arange(1, 4)[:, np.newaxis]
    return np.asarray(np.sum(np.sin(orders * phase) / orders, axis=0))


def drill(rng: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) a motor of 160 to 200 Hz with twenty harmonics, and broadband noise in its rhythm."""
    time = np.arange(samples) / SAMPLE_RATE
    frequency = 180.0 + 20.0 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    orders = np.arange(1, 21)[:, np.newaxis]
    hum: np.ndarray = np.sum(np.sin(orders * phase) / np.sqrt(orders), axis=0)
    return hum + rng.standard_normal(samples) * (1.0 + np.cos(phase))


def beeps(_: np.random.Generator, samples: int) -> np.ndarray:
    """(N,) 2 kHz for 100 ms, five times a second: an alarm or a machine that reverses."""
    time = np.arange(samples) / SAMPLE_RATE
    tone: np.ndarray = np.sin(2 * np.pi * 2000.0 * time)
    return tone * (time % 0.2 < 0.1)


NOISES = {"music": music, "siren": siren, "drill": drill, "beeps": beeps}


def _file_or_folder(path: Path) -> Recordings:
    if path.is_dir():
        return read_recordings(path)
    import soundfile
    import soxr

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"{path} can't be read as audio: {error}") from error
    return Recordings.from_signals([soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)])
