"""Numbers to check an implementation in another language against: `reference_vectors.json`.

`python examples/reference_vectors.py` writes them anew. docs/other-runtimes.md has the formulas and
says which numbers are of which; `doa_core` is the specification. The windows are short and the grid
is coarse, so that the numbers can be read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import vector_to_angles
from doa_core.calibration import calibrate
from doa_core.decode import decode, decode_peaks
from doa_core.features import INTENSITY_CHANNELS, LEVEL_CHANNEL
from doa_core.grid import sphere_grid
from doa_core.highpass import butterworth_highpass, highpass
from doa_core.spec import FeatureSpec
from doa_core.stft import sine_window, stft

FILE = Path(__file__).with_suffix(".json")
RATE = 16_000  # hertz
CUTOFF_HZ = 30.0
STEP_DEG = 30.0
TALKERS = ((50.0, 10.0, 0.8), (-100.0, -20.0, 0.5))  # azimuth, elevation [degrees], height
TABLE = ((0.1, 0.2), (0.5, 0.6), (0.9, 0.95))
_DIGITS, _DECIMALS = 7, 8  # significant; and what is less is rounding


def reference_vectors() -> dict[str, Any]:
    """All of them, ready for JSON."""
    return {
        "highpass": _highpass(),
        "features": _features(),
        "grid": _grid(),
        "decoding": _decoding(),
    }


def _sound(samples: int) -> npt.NDArray[np.float64]:
    """(N, 4) AmbiX of 16 bits: two tones from two directions, and an offset."""
    n = np.arange(samples)
    low, high = 0.4 * np.sin(0.9 * n), 0.2 * np.cos(2.1 * n + 0.5)
    sound = np.outer(low, [1.0, 0.5, 0.3, -0.6]) + np.outer(high, [1.0, -0.7, 0.1, 0.4])
    sound += [0.05, -0.02, 0.01, 0.03]
    return np.round(sound * 2**15) / 2**15


def _highpass() -> dict[str, Any]:
    sound = _sound(12)
    numerator, denominator = butterworth_highpass(CUTOFF_HZ, RATE)
    heard = highpass(sound, cutoff_hz=CUTOFF_HZ, sample_rate=RATE)
    return {
        "cutoff_hz": CUTOFF_HZ,
        "sample_rate": RATE,
        "numerator": numerator.tolist(),
        "denominator": denominator.tolist(),
        "samples": sound.tolist(),
        "filtered": _rounded(heard),
    }


def _features() -> dict[str, Any]:
    spec = FeatureSpec(
        window_length=16, hop=8, frames=2, channels=(*INTENSITY_CHANNELS, LEVEL_CHANNEL)
    )
    sound = _sound(spec.samples)
    transform = stft(sound, window_length=spec.window_length, hop=spec.hop)
    return {
        "window_length": spec.window_length,
        "hop": spec.hop,
        "channels": list(spec.channels),
        "energy_floor": spec.energy_floor,
        "window": _rounded(sine_window(spec.window_length)),
        "samples": sound.tolist(),
        "transform_real": _rounded(transform.real),
        "transform_imag": _rounded(transform.imag),
        "features": _rounded(spec.compute(sound)),
    }


def _grid() -> dict[str, Any]:
    grid = sphere_grid(STEP_DEG)
    return {
        "resolution_deg": STEP_DEG,
        "cells_at_10_deg": len(sphere_grid(10.0)),
        "azimuth_deg": _rounded(np.degrees(grid.azimuth)),
        "elevation_deg": _rounded(np.degrees(grid.elevation)),
    }


def _decoding() -> dict[str, Any]:
    grid = sphere_grid(STEP_DEG)
    scores = np.zeros(len(grid))
    for azimuth_deg, elevation_deg, height in TALKERS:
        azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
        horizontal = np.cos(elevation)
        talker = [
            horizontal * np.cos(azimuth),
            horizontal * np.sin(azimuth),
            np.sin(elevation),
        ]
        distance = np.arccos(np.clip(grid.vectors @ talker, -1.0, 1.0))
        scores += height * np.exp(-((distance / np.radians(1.25 * STEP_DEG)) ** 2))
    outputs = np.round(np.stack([scores, 0.5 * scores]), 6)
    head = {"head": "gibbs-weighted", "grid": grid}
    made: dict[str, Any] = {"resolution_deg": STEP_DEG, "head": "gibbs-weighted"}
    made |= {"apart_deg": 20.0, "calibration": TABLE, "outputs": outputs.tolist()}
    for method in ("peak", "centroid"):
        direction, confidence = decode(outputs, **head, method=method)
        made[method] = _answer(direction, confidence)
    directions, heights = decode_peaks(outputs, **head, count=2, apart_deg=20.0)
    made["peaks"] = [_answer(*pair) for pair in zip(directions, heights, strict=True)]
    return made


def _answer(direction: Any, confidence: Any) -> dict[str, Any]:
    azimuth, elevation = vector_to_angles(direction)
    values = {
        "azimuth_deg": np.degrees(azimuth),
        "elevation_deg": np.degrees(elevation),
        "raw": confidence,
        "confidence": calibrate(confidence, TABLE),
    }
    return {name: _rounded(value) for name, value in values.items()}


def _rounded(values: Any) -> Any:
    """Numbers without what differs from machine to machine, in lists as the array has them."""
    values = np.asarray(values, np.float64)
    if values.ndim:
        return [_rounded(value) for value in values]
    return float(f"{round(float(values), _DECIMALS):.{_DIGITS}g}") + 0.0


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(reference_vectors(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
