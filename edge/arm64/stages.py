"""Run a stage of the device runner a given number of times, under an instruction counter.

    python stages.py STAGE TIMES

Prepares everything and runs every stage once; then STAGE another TIMES times, each for 0.64 s of
sound: four estimates. The counts of two runs differ by these alone.
"""

from __future__ import annotations

import sys

import numpy as np

from doa_core.stft import samples_of_frames
from doa_edge.commands.bench import synthetic_sound
from doa_edge.engine import DEFAULT_EVERY, DirectionEngine
from doa_edge.input.conversion import AmbixConverter
from doa_edge.tflite.network import TfliteModel, default_model_path

ESTIMATES = 4
INPUT_RATE = 48_000  # hertz
BLOCK = 960  # samples at that rate: 20 ms


class Silent:
    """A model without a network: constant outputs."""

    def __init__(self, model: TfliteModel) -> None:
        self.spec = model.spec
        self._outputs = np.full((model.spec.features.frames, model.spec.outputs), 0.1, np.float32)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The same outputs for every window."""
        return self._outputs


def main() -> None:
    """Run what the command line asks for."""
    stage, times = sys.argv[1], int(sys.argv[2])
    model = TfliteModel(default_model_path())
    features = model.spec.features
    samples = ESTIMATES * DEFAULT_EVERY * features.hop
    chunk = synthetic_sound(samples / features.sample_rate, features.sample_rate)[:samples]
    raw = synthetic_sound(samples / features.sample_rate, INPUT_RATE)
    length = samples_of_frames(
        DEFAULT_EVERY, window_length=features.window_length, hop=features.hop
    )
    converter = AmbixConverter(from_rate=INPUT_RATE, to_rate=features.sample_rate)
    full, silent = DirectionEngine(model), DirectionEngine(Silent(model))
    for engine in (full, silent):
        engine.push(np.concatenate([chunk, chunk]))  # the first window is longer than the others

    def resample() -> None:
        for start in range(0, len(raw), BLOCK):
            converter.push(raw[start : start + BLOCK])

    def transform() -> None:
        for _ in range(ESTIMATES):
            features.compute(chunk[:length])

    stages = {
        "resample": resample,
        "features": transform,
        "without-network": lambda: silent.push(chunk),
        "all": lambda: full.push(chunk),
    }
    for run in stages.values():
        run()
    for _ in range(times):
        stages[stage]()


main()
