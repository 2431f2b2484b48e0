"""Scenes from a bank of rooms and folders of speech and noise.

A scene is one talker in one room, and by condition diffuse noise and one localised interferer
in the same room. Every draw derives from the scene's key, so a scene can be made again alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from doa_core.ambisonics import rotate_ambix
from doa_core.angles import random_rotation
from doa_core.spec import SAMPLE_RATE
from doa_edge.errors import InputError
from doa_tf.noise import DIFFUSE_DIRECTIONS, clatter, coloured_noise, diffuse_field
from doa_tf.rooms import Room

logger = logging.getLogger(__name__)

CONDITIONS = ("clean", "diffuse", "interferer")
SPEECH_SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")
_FIELD_SAMPLES = 6 * SAMPLE_RATE  # of a diffuse field, at least
_ACTIVE_DB = 15.0  # a segment counts as speech down to this far below its recording's level


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """Distributions that scenes are drawn from, all uniform.

    Attributes:
        samples: length of a scene at 16 kHz.
        shares: of clean, diffuse and interferer scenes when no condition is asked for.
        snr_db: (low, high) reverberant speech over diffuse noise, at W.
        sir_db: (low, high) reverberant speech over the interferer, at W.
        level_dbfs: (low, high) level of W.
        self_noise_db: (low, high) level of W over the noise of each channel.
        weak_dipole_share: share of scenes whose dipoles lose their low frequencies, as those of
            microphones of finite size do.
        dipole_cutoff: (low, high) [hertz] of that first-order loss, drawn logarithmically.
        babble_share: share of diffuse fields that are talkers; the others are stationary noise.
        diffuse_fields: how many fields are made; scenes take rotated parts of them.
    """

    samples: int = 13_312
    shares: tuple[float, float, float] = (0.15, 0.4, 0.45)
    snr_db: tuple[float, float] = (0.0, 25.0)
    sir_db: tuple[float, float] = (0.0, 20.0)
    level_dbfs: tuple[float, float] = (-45.0, -15.0)
    self_noise_db: tuple[float, float] = (35.0, 70.0)
    weak_dipole_share: float = 0.5
    dipole_cutoff: tuple[float, float] = (40.0, 500.0)
    babble_share: float = 0.7
    diffuse_fields: int = 64

    def __post_init__(self) -> None:
        for name in ("snr_db", "sir_db", "level_dbfs", "self_noise_db", "dipole_cutoff"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"`{name}` must be (low, high). Received: ({low}, {high})")
        if len(self.shares) != len(CONDITIONS) or abs(sum(self.shares) - 1.0) > 1e-6:
            raise ValueError(f"`shares` must be three that sum to 1. Received: {self.shares}")
        if self.diffuse_fields < 1 or self.samples < 1:
            raise ValueError(
                "`samples` and `diffuse_fields` must be at least 1. "
                f"Received: {self.samples}, {self.diffuse_fields}"
            )


@dataclass(frozen=True)
class MixedScene:
    """One scene.

    Attributes:
        waveform: (N, 4) float32 AmbiX.
        direction: (3,) unit vector to the talker.
        condition: a name in `CONDITIONS`.
        rt60: [seconds]; 0 for a dry room.
        snr_db, sir_db: as drawn; nan where the condition has none.
    """

    waveform: np.ndarray
    direction: np.ndarray
    condition: str
    rt60: float
    snr_db: float
    sir_db: float


def read_voices(folder: str | Path, *, shortest: int = 1) -> list[np.ndarray]:
    """Mono float32 recordings at 16 kHz below a folder, in the order of their paths.

    Any rate is resampled (soxr), several channels are averaged. Unreadable files are an error:
    a training set that shrinks in silence is worse than one that stops.

    Args:
        folder: searched with all of its sub-folders for FLAC, WAV, Ogg and MP3.
        shortest: [samples] recordings shorter than that are left out, with a warning.

    Raises:
        InputError: no folder, no usable recording, or one that can't be read.
    """
    import librosa
    import soundfile

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"A folder of recordings is needed. Received: {folder}, which is none")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SPEECH_SUFFIXES)
    recordings = []
    for path in paths:
        try:
            channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise InputError(f"{path} can't be read as audio: {error}") from error
        signal = librosa.to_mono(channels.T)
        if rate != SAMPLE_RATE:
            signal = librosa.resample(
                signal, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq"
            )
        if not np.all(np.isfinite(signal)):
            raise InputError(f"{path} holds samples that are no finite numbers")
        if len(signal) >= shortest and np.any(signal):
            recordings.append(signal.astype(np.float32))
        else:
            logger.warning("%s is silent or shorter than %d samples: left out", path, shortest)
    if not recordings:
        raise InputError(
            f"{folder} must hold recordings ({', '.join(SPEECH_SUFFIXES)}) of at least "
            f"{shortest / SAMPLE_RATE:.1f} s. Received: {len(paths)} files, none usable"
        )
    return recordings


class SceneMixer:
    """Mixes scenes; `mix(key)` is a pure function of the key and of what is given here.

    Args:
        rooms: from `doa_tf.bank.read_bank`.
        speech: recordings, from `read_voices`.
        noise: recordings of noise for interferers; synthetic ones are drawn as well.
        settings: what scenes are drawn from.
        seed: of the diffuse fields, which are shared by all scenes.
    """

    def __init__(
        self,
        rooms: list[Room],
        speech: list[np.ndarray],
        noise: Iterable[np.ndarray] = (),
        *,
        settings: MixSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.rooms = rooms
        self.speech = speech
        self.noise = list(noise)
        self.settings = settings or MixSettings()
        self._fields = [
            self._diffuse_field(np.random.default_rng((seed, number)))
            for number in range(self.settings.diffuse_fields)
        ]

    def mix(self, key: tuple[int, ...], *, condition: str | None = None) -> MixedScene:
        """The scene of a key.

        Args:
            key: non-negative integers, such as (seed, epoch, index).
            condition: a name in `CONDITIONS`; drawn by the settings' shares if None.

        Raises:
            ValueError: unknown condition, or an interferer where rooms have one source.
        """
        settings = self.settings
        rng = np.random.default_rng(key)
        if condition is None:
            condition = str(rng.choice(CONDITIONS, p=settings.shares))
        if condition not in CONDITIONS:
            raise ValueError(
                f"`condition` must be one of {', '.join(CONDITIONS)}. Received: {condition!r}"
            )
        room = self.rooms[rng.integers(len(self.rooms))]
        positions = rng.permutation(len(room.srirs))
        if condition == "interferer" and len(positions) < 2:
            raise ValueError("An interferer needs rooms with at least two sources. Received: one")
        scene = _place(self._speech_part(rng, room.srirs[positions[0]]), room.srirs[positions[0]])
        speech_power = _power(scene)
        snr_db = sir_db = float("nan")
        if condition != "clean":
            snr_db = float(rng.uniform(*settings.snr_db))
            scene = scene + _at_ratio(self._field_part(rng), speech_power, snr_db)
        if condition == "interferer":
            sir_db = float(rng.uniform(*settings.sir_db))
            srir = room.srirs[positions[1]]
            interferer = _place(self._noise_part(rng, self._dry_samples(srir)), srir)
            scene = scene + _at_ratio(interferer, speech_power, sir_db)
        waveform = self._record(rng, scene)
        return MixedScene(
            waveform, room.directions[positions[0]], condition, room.rt60, snr_db, sir_db
        )

    def _dry_samples(self, srir: np.ndarray) -> int:
        """Dry samples whose reverberation fills a scene: the past rings into its first sample."""
        return self.settings.samples + len(srir) - 1

    def _speech_part(self, rng: np.random.Generator, srir: np.ndarray) -> np.ndarray:
        """A part of a recording whose last `settings.samples` samples hold speech."""
        samples = self._dry_samples(srir)
        recording = self.speech[rng.integers(len(self.speech))]
        needed = np.mean(recording**2) * 10.0 ** (-_ACTIVE_DB / 10.0)
        for _ in range(20):
            end = int(rng.integers(min(self.settings.samples, len(recording)), len(recording) + 1))
            part = recording[max(0, end - samples) : end]
            if np.mean(part[-self.settings.samples :] ** 2) >= needed:
                break
        return np.pad(part, (samples - len(part), 0))

    def _noise_part(self, rng: np.random.Generator, samples: int) -> np.ndarray:
        """(N,) an interferer: recorded noise or a synthetic one."""
        kind = rng.random()
        if self.noise and kind < 0.4:
            recording = self.noise[rng.integers(len(self.noise))]
            part = _loop_part(rng, recording, samples)
            if np.any(part):
                return part
        return clatter(rng, samples) if kind < 0.7 else coloured_noise(rng, samples)

    def _diffuse_field(self, rng: np.random.Generator) -> np.ndarray:
        """(N, 4) one field of babble or of stationary noise."""
        babble = rng.random() < self.settings.babble_share
        samples = max(_FIELD_SAMPLES, self.settings.samples)
        signals = []
        for _ in range(DIFFUSE_DIRECTIONS):
            if babble:
                recording = self.speech[rng.integers(len(self.speech))]
                signals.append(_loop_part(rng, recording, samples))
            else:
                signals.append(coloured_noise(rng, samples))
        return diffuse_field(rng, signals, samples)

    def _field_part(self, rng: np.random.Generator) -> np.ndarray:
        field = self._fields[rng.integers(len(self._fields))]
        start = int(rng.integers(len(field) - self.settings.samples + 1))
        part = field[start : start + self.settings.samples]
        return rotate_ambix(part, random_rotation(rng))

    def _record(self, rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
        """(N, 4) float32 scene as a microphone hands it over: weak dipoles, noise, level."""
        settings = self.settings
        if rng.random() < settings.weak_dipole_share:
            cutoff = np.exp(rng.uniform(*np.log(settings.dipole_cutoff)))
            frequency = np.fft.rfftfreq(len(scene), 1.0 / SAMPLE_RATE)[:, np.newaxis]
            gain = frequency / np.hypot(frequency, cutoff)
            spectrum = np.fft.rfft(scene[:, 1:], axis=0)
            scene = np.concatenate(
                [scene[:, :1], np.fft.irfft(gain * spectrum, len(scene), axis=0)], axis=1
            )
        scale = 10.0 ** (rng.uniform(*settings.level_dbfs) / 20.0) / np.sqrt(_power(scene))
        self_noise = np.sqrt(_power(scene)) * 10.0 ** (-rng.uniform(*settings.self_noise_db) / 20.0)
        scene = scene + self_noise * rng.standard_normal(scene.shape)
        return (scale * scene).astype(np.float32)


def _place(dry: np.ndarray, srir: np.ndarray) -> np.ndarray:
    """(N, 4) dry signal heard through an SRIR."""
    from scipy.signal import fftconvolve

    return fftconvolve(dry[:, np.newaxis], srir, mode="valid", axes=0)


def _power(scene: np.ndarray) -> float:
    """Mean power of W, never zero."""
    return float(np.mean(scene[:, 0] ** 2)) + 1e-20


def _at_ratio(scene: np.ndarray, power: float, ratio_db: float) -> np.ndarray:
    """The scene scaled so that `power` is `ratio_db` above its own."""
    return scene * np.sqrt(power / _power(scene) * 10.0 ** (-ratio_db / 10.0))


def _loop_part(rng: np.random.Generator, recording: np.ndarray, samples: int) -> np.ndarray:
    """(N,) of a recording from a random place on, repeated if it is too short."""
    start = int(rng.integers(len(recording)))
    return np.take(recording, np.arange(start, start + samples), mode="wrap")
