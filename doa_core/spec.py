"""The spec of a model: features in, head out. Frozen, JSON, with a digest.

The same text is stored in the `.keras` checkpoint and in the `.tflite` file; a runner refuses a
file whose features it cannot compute.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray
from doa_core.calibration import Table, check_table
from doa_core.decode import GRID_HEADS, HEADS, METHODS, decode, decode_peaks, head_outputs
from doa_core.errors import check_choice
from doa_core.features import ENERGY_FLOOR, INTENSITY_CHANNELS, check_channels, intensity_features
from doa_core.grid import Grid, check_resolution, sphere_grid
from doa_core.peaks import APART_DEG, LOBE_STEPS, check_apart
from doa_core.reading.json_text import parse_json
from doa_core.refine import CHANNELS, REFINEMENTS, refine
from doa_core.stft import HOP, WINDOW_LENGTH, samples_of_frames, stft

SPEC_VERSION = 1
SEVERAL_VERSION = 2  # of files that know several voices, which doa_edge 0.1 cannot decode
MOST_VOICES = 4
SPEC_FILE_NAME = "doa_spec.json"  # its name inside a .tflite
SAMPLE_RATE = 16_000  # hertz
QUANTIZATIONS = ("none", "float16", "dynamic", "int8", "int16x8")
AUDIO = "audio"
INPUTS = ("features", AUDIO)  # of a file: features, or samples
_FLOORS = (1e-30, 1e6)  # of energies, which are 32-bit floats: a bin of full scale has some 1e5
# What a file may ask for, far beyond any network: it costs memory before one is looked at.
_MOST = {"sample_rate": 768_000, "window_length": 1 << 16, "hop": 1 << 16, "frames": 10_000}


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """The path from AmbiX samples to a network's input.

    Attributes:
        sample_rate: [hertz].
        window: name of the analysis window; `sine` is the only one.
        window_length: [samples].
        hop: [samples].
        frames: in one window of the network, T.
        channels: feature channels in order, K.
        energy_floor: smallest energy that a bin is divided by.
    """

    sample_rate: int = SAMPLE_RATE
    window: str = "sine"
    window_length: int = WINDOW_LENGTH
    hop: int = HOP
    frames: int = 25
    channels: tuple[str, ...] = INTENSITY_CHANNELS
    energy_floor: float = ENERGY_FLOOR

    def __post_init__(self) -> None:
        if not isinstance(self.channels, (tuple, list)):  # JSON has lists
            raise ValueError(
                f"`channels` must be a list of names. Received: channels={self.channels!r}"
            )
        object.__setattr__(self, "channels", tuple(self.channels))
        check_channels(self.channels)
        if self.window != "sine":
            raise ValueError(f"`window` must be 'sine'. Received: window={self.window!r}")
        for name, most in _MOST.items():
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
            if value > most:
                raise ValueError(f"`{name}` must be at most {most}. Received: {name}={value}")
        if self.window_length % 2 or self.hop > self.window_length:
            raise ValueError(
                "`window_length` must be even and not shorter than `hop`. Received: "
                f"window_length={self.window_length}, hop={self.hop}"
            )
        object.__setattr__(self, "energy_floor", _as_float("energy_floor", self.energy_floor))
        if not _FLOORS[0] <= self.energy_floor <= _FLOORS[1]:
            text = "`energy_floor` must be positive, from {:g} to {:g}. Received: energy_floor={!r}"
            raise ValueError(text.format(*_FLOORS, self.energy_floor))

    @property
    def bins(self) -> int:
        """Frequency bins F."""
        return self.window_length // 2 + 1

    @property
    def bin_hz(self) -> float:
        """Distance of two bins [hertz]."""
        return self.sample_rate / self.window_length

    @property
    def samples(self) -> int:
        """Samples of one window of the network, N."""
        return samples_of_frames(self.frames, window_length=self.window_length, hop=self.hop)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(T, F, K) of the network's input."""
        return (self.frames, self.bins, len(self.channels))

    def compute(self, signal: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """(..., T, F, K) features of (..., N, 4) AmbiX; an incomplete last frame is left out."""
        transform = stft(signal, window_length=self.window_length, hop=self.hop)
        return intensity_features(transform, channels=self.channels, energy_floor=self.energy_floor)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """The spec of `to_dict`. Raises ValueError for an unknown key."""
        _check_keys(cls, values)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Features, head and decoding of a model, and where the file comes from.

    Attributes:
        features: the path to the input.
        head: name of the output head.
        resolution_deg: grid step of a grid head [degrees]; None for a regression head.
        decode: `peak` or `centroid`.
        quantization: of the weights in this file.
        input: of the file: `features`, or the samples of a window as `audio`.
        calibration: (raw, calibrated) pairs of the confidence, see `doa_core.calibration`; empty
            where it was not calibrated.
        highpass_hz: high-pass cutoff [Hz], applied before the features (of an `audio` file: before
            its input); 0 for no high-pass. See `doa_core.highpass`.
        voices: how many voices at once the network was trained on, 1 to 4; several only with the
            heads of `doa_core.peaks.LOBE_STEPS`.
        apart_deg: least distance of two voices, of a network of several [degrees].
        refine: `intensity` where directions are refined by the features, see `doa_core.refine`;
            `none` where they are left as they are decoded.
        provenance: free JSON values: digests, versions, command, figures.
    """

    features: FeatureSpec = field(default_factory=FeatureSpec)
    head: str = "cartesian"
    resolution_deg: float | None = None
    decode: str = "peak"
    quantization: str = "none"
    input: str = "features"
    calibration: Table = ()
    highpass_hz: float = 0.0
    voices: int = 1
    apart_deg: float = APART_DEG
    refine: str = "none"
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.features, FeatureSpec):
            raise ValueError(
                f"`features` must be a FeatureSpec. Received: {type(self.features).__name__}"
            )
        if not isinstance(self.provenance, dict):
            raise ValueError(
                f"`provenance` must be a dictionary. Received: {type(self.provenance).__name__}"
            )
        check_choice("head", self.head, HEADS)
        check_choice("decode", self.decode, METHODS)
        check_choice("quantization", self.quantization, QUANTIZATIONS)
        check_choice("input", self.input, INPUTS)
        check_choice("refine", self.refine, REFINEMENTS)
        if self.refine != "none" and self.features.channels != CHANNELS:
            raise ValueError(
                f"`refine` needs the channels {', '.join(CHANNELS)}. "
                f"Received: {', '.join(self.features.channels)}"
            )
        if (self.head in GRID_HEADS) != (self.resolution_deg is not None):
            raise ValueError(
                f"`resolution_deg` belongs to the heads {', '.join(GRID_HEADS)} and to no other. "
                f"Received: head={self.head!r}, resolution_deg={self.resolution_deg!r}"
            )
        if self.resolution_deg is not None:
            # As a float, so that 10 and 10.0 have one digest.
            resolution_deg = _as_float("resolution_deg", self.resolution_deg)
            object.__setattr__(self, "resolution_deg", resolution_deg)
            check_resolution(resolution_deg)
        object.__setattr__(self, "calibration", check_table(self.calibration))
        highpass_hz = _as_float("highpass_hz", self.highpass_hz)
        if not 0.0 <= highpass_hz < self.features.sample_rate / 2:
            raise ValueError(
                "`highpass_hz` must be 0 or lie below half of the sample rate. "
                f"Received: highpass_hz={highpass_hz:g}"
            )
        object.__setattr__(self, "highpass_hz", highpass_hz)
        self._check_voices()

    def _check_voices(self) -> None:
        check_voices(self.voices)
        if self.voices > 1 and self.head not in LOBE_STEPS:
            raise ValueError(
                f"Several voices need one of the heads {', '.join(LOBE_STEPS)}. "
                f"Received: voices={self.voices}, head={self.head!r}"
            )
        object.__setattr__(self, "apart_deg", _as_float("apart_deg", self.apart_deg))
        check_apart(self.apart_deg)
        if self.voices == 1 and self.apart_deg != APART_DEG:
            raise ValueError(
                "`apart_deg` belongs to networks of several voices. "
                f"Received: voices=1, apart_deg={self.apart_deg:g}"
            )

    @property
    def version(self) -> int:
        """Of the format: the oldest that can say what this spec says."""
        return SEVERAL_VERSION if self.voices > 1 else SPEC_VERSION

    @property
    def grid(self) -> Grid | None:
        """The cells of a grid head."""
        return None if self.resolution_deg is None else sphere_grid(self.resolution_deg)

    @property
    def window_shape(self) -> tuple[int, ...]:
        """Shape of the file's input: (T, F, K) features, or (N, 4) samples."""
        features = self.features
        return (features.samples, 4) if self.input == AUDIO else features.input_shape

    @property
    def outputs(self) -> int:
        """Outputs of the head per frame, K."""
        return head_outputs(self.head, self.grid)

    def directions(
        self,
        outputs: npt.ArrayLike,
        *,
        method: str | None = None,
        features: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """(..., 3) unit vectors and (...) confidences of (..., T, K) outputs of the head.

        Args:
            outputs: as in `doa_core.decode.decode`.
            method: `peak` or `centroid`; this spec's choice if None.
            features: (..., F, C) of the frames of the outputs, which are then of one window, to
                refine the direction by where the spec does that; None to leave it as decoded.
        """
        direction, confidence = decode(
            outputs,
            head=self.head,
            grid=self.grid,
            method=method or self.decode,
            calibration=self.calibration,
        )
        if features is not None:
            direction = self.refined(direction[np.newaxis], features)[0]
        return direction, confidence

    def refined(self, directions: FloatArray, features: npt.ArrayLike) -> FloatArray:
        """(P, 3) unit vectors, refined by (..., F, C) features where the spec does that."""
        if self.refine == "none":
            return directions
        return refine(directions, features, bin_hz=self.features.bin_hz)

    def peaks(
        self,
        outputs: npt.ArrayLike,
        *,
        count: int | None = None,
        features: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """(P, 3) unit vectors of voices, most probable first, and their (P,) confidences.

        Where the spec is calibrated, a confidence is the probability that somebody who talks in
        30 % of the frames or more is within 10 degrees. Most windows have peaks that are nobody:
        of few scores, and of little confidence.

        Args:
            outputs: (T, K) float in [0, 1], activated outputs of the head.
            count: the most peaks, P; `voices` if None.
            features: as in `directions`.

        Raises:
            ValueError: as `doa_core.decode.decode_peaks`.
        """
        found, confidences = decode_peaks(
            outputs,
            head=self.head,
            grid=self.grid,
            count=self.voices if count is None else count,
            apart_deg=self.apart_deg,
            calibration=self.calibration,
        )
        return (found if features is None else self.refined(found, features)), confidences

    @property
    def digest(self) -> str:
        """SHA-256 of everything but the provenance: equal for files that behave alike."""
        text = json.dumps(self._behaviour(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """All fields with version and digest, ready for JSON."""
        return {**self._behaviour(), "provenance": dict(self.provenance), "digest": self.digest}

    def _behaviour(self) -> dict[str, Any]:
        behaviour = {
            "version": self.version,
            "features": self.features.to_dict(),
            "head": self.head,
            "resolution_deg": self.resolution_deg,
            "decode": self.decode,
            "quantization": self.quantization,
        }
        if self.input != "features":  # as with the calibration
            behaviour["input"] = self.input
        if self.calibration:  # left out when empty: older files keep their digest
            behaviour["calibration"] = [list(pair) for pair in self.calibration]
        if self.highpass_hz:
            behaviour["highpass_hz"] = self.highpass_hz
        if self.voices > 1:
            behaviour["voices"] = self.voices
            behaviour["apart_deg"] = self.apart_deg
        if self.refine != "none":
            behaviour["refine"] = self.refine
        return behaviour

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """The spec of `to_dict`.

        Raises:
            ValueError: another version, an unknown key, a bad value or a wrong digest.
        """
        values = dict(values)
        version = values.pop("version", None)
        digest = values.pop("digest", None)
        if version not in (SPEC_VERSION, SEVERAL_VERSION):
            raise ValueError(
                f"The model's spec must have version {SPEC_VERSION} or {SEVERAL_VERSION}; a later "
                f"one needs a later doa-tf. Received: version={version!r}"
            )
        _check_keys(cls, values)
        if isinstance(values.get("features"), Mapping):
            values["features"] = FeatureSpec.from_dict(values["features"])
        spec = cls(**values)
        if digest != spec.digest or version != spec.version:
            raise ValueError(
                f"The model's spec does not match its digest {spec.digest[:12]}: it was changed "
                f"after it was written. Received: digest={str(digest)[:12]}"
            )
        return spec

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelSpec:
        """The spec of `to_json`. Raises ValueError for anything else."""
        try:
            values = parse_json(text, finite=False)  # a provenance may hold figures that are not
        except ValueError as error:
            raise ValueError(f"The model's spec is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(
                f"The model's spec must be a JSON object. Received: {type(values).__name__}"
            )
        return cls.from_dict(values)


def check_voices(voices: object, *, name: str = "voices") -> None:
    """Raise ValueError unless there can be so many voices; the name is for the message."""
    if type(voices) is not int or not 1 <= voices <= MOST_VOICES:
        raise ValueError(
            f"`{name}` must be an integer from 1 to {MOST_VOICES}. Received: {name}={voices!r}"
        )


def _as_float(name: str, value: Any) -> float:
    # Compared with the largest, as an integer may be too large to become a float.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -sys.float_info.max <= value <= sys.float_info.max:
        raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}")
    return float(value)


def _check_keys(cls: type, values: Mapping[str, Any]) -> None:
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{cls.__name__} has the keys {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}"
        )
