"""Keras layers: the feature layer, and two that carry the model's spec."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from doa_core.calibration import check_table
from doa_core.decode import METHODS
from doa_core.errors import check_choice
from doa_core.features import ENERGY_FLOOR, LEVEL_CHANNEL, LEVEL_FLOOR
from doa_core.peaks import APART_DEG
from doa_core.refine import REFINEMENTS
from doa_core.spec import FeatureSpec, check_voices
from doa_core.stft import sine_window
from doa_tf import heads


@keras.saving.register_keras_serializable(package="doa_tf")
class IntensityFeatures(keras.layers.Layer):
    """(B, N, 4) AmbiX at 16 kHz to (B, T, F, K) features, for models that take waveforms.

    `doa_core.features.intensity_features` is the specification; this is equal to 1e-5.

    Args:
        features: a `FeatureSpec`, or its `to_dict`.
    """

    def __init__(self, features: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.features = _feature_spec(features)

    def call(self, waveform: Any) -> Any:
        spec = self.features
        waveform = ops.cast(waveform, "float32")
        channels = ops.transpose(waveform, (0, 2, 1))  # (B, 4, N): frames along the last axis
        frames = ops.extract_sequences(channels, spec.window_length, spec.hop)
        frames = frames * ops.convert_to_tensor(np.array(sine_window(spec.window_length)))
        real, imag = (ops.transpose(part, (0, 2, 3, 1)) for part in ops.rfft(frames))
        w_real, w_imag = real[..., :1], imag[..., :1]
        dipole_real = ops.take(real, [3, 1, 2], axis=-1)  # x, y, z
        dipole_imag = ops.take(imag, [3, 1, 2], axis=-1)
        power = ops.sum(real**2 + imag**2, axis=-1, keepdims=True)
        energy = ops.maximum(0.5 * power, spec.energy_floor)
        parts = [
            (w_real * dipole_real + w_imag * dipole_imag) / energy,
            (w_real * dipole_imag - w_imag * dipole_real) / energy,
        ]
        if LEVEL_CHANNEL in spec.channels:
            w_power = w_real**2 + w_imag**2
            mean = ops.maximum(ops.mean(w_power, axis=-2, keepdims=True), ENERGY_FLOOR)
            level = ops.log10(w_power / mean + LEVEL_FLOOR)
            parts.append(0.5 * (level - ops.mean(level, axis=-2, keepdims=True)))
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        samples = input_shape[1]
        spec = self.features
        frames = None if samples is None else 1 + (samples - spec.window_length) // spec.hop
        return (input_shape[0], frames, spec.bins, len(spec.channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "features": self.features.to_dict()}


@keras.saving.register_keras_serializable(package="doa_tf")
class FeatureInput(keras.layers.Layer):
    """Identity on features; carries their spec in the model file.

    Args:
        features: a `FeatureSpec`, or its `to_dict`.
        highpass_hz: high-pass cutoff [Hz] of recordings and streams, applied before the features,
            see `doa_core.highpass`; 0 for none.
    """

    def __init__(self, features: Any = None, highpass_hz: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.features = _feature_spec(features)
        self.highpass_hz = float(highpass_hz)

    def build(self, input_shape: Any) -> None:
        if tuple(input_shape[1:]) != self.features.input_shape:
            raise ValueError(
                f"The input must be (batch, {', '.join(map(str, self.features.input_shape))}), as "
                f"its feature spec says. Received: {tuple(input_shape)}"
            )

    def call(self, features: Any) -> Any:
        return features

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"features": self.features.to_dict(), "highpass_hz": self.highpass_hz}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="doa_tf")
class HeadOutput(keras.layers.Layer):
    """The outputs that a head is trained on; carries the head in the model file.

    Logits pass unchanged where the head's loss takes logits, otherwise the activation is applied.

    Args:
        head: its name.
        resolution_deg: grid step of a grid head.
        calibration: (raw, calibrated) pairs of the confidence, see `doa_core.calibration`.
        voices: how many voices at once the network is trained on.
        apart_deg: least distance of two voices that are told apart [degrees].
        decode: `peak` or `centroid`, how files of the network are decoded; the head's choice if
            None.
        options: `refine`, `intensity` or `none`, how they refine directions, see `doa_core.refine`;
            and those of a Keras layer.

    Raises:
        ValueError: a number of voices out of range, several for a head of one, or an unknown
            decoding or refinement.
    """

    def __init__(
        self,
        head: str = "cartesian",
        resolution_deg: float | None = None,
        calibration: Any = (),
        voices: int = 1,
        apart_deg: float = APART_DEG,
        decode: str | None = None,
        **options: Any,
    ) -> None:
        self.refine = options.pop("refine", "none")
        super().__init__(**options)
        self.head = heads.get(head, resolution_deg=resolution_deg)
        check_voices(voices)
        if voices > 1 and not self.head.several:
            raise ValueError(
                f"The head '{self.head.name}' takes one voice. Received: voices={voices}"
            )
        self.calibration = check_table(calibration)
        self.voices, self.apart_deg = voices, apart_deg
        self.decode = self.head.preferred_decode if decode is None else decode
        check_choice("decode", self.decode, METHODS)
        check_choice("refine", self.refine, REFINEMENTS)

    def call(self, outputs: Any) -> Any:
        return outputs if self.head.gives_logits else self.head.activate(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "head": self.head.name,
            "resolution_deg": self.head.resolution_deg,
            "calibration": [list(pair) for pair in self.calibration],
        }
        if self.voices > 1:  # left out of others, which older versions can then load
            config |= {"voices": self.voices, "apart_deg": self.apart_deg}
        if self.decode != self.head.preferred_decode:  # likewise
            config["decode"] = self.decode
        if self.refine != "none":
            config["refine"] = self.refine
        return config


def _feature_spec(features: Any) -> FeatureSpec:
    if features is None:
        return FeatureSpec()
    return features if isinstance(features, FeatureSpec) else FeatureSpec.from_dict(features)
