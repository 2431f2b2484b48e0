"""A recording of any length: images that add up to it, block by block, and its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_edge import limits
from doa_tf.scenes.sessions.background import Image

NOISE = "noise"  # the name of the background's image
BLOCK = 4 * SAMPLE_RATE  # samples that are rendered at once


@dataclass(frozen=True, kw_only=True)
class Session:
    """A recording before its sound is computed.

    Attributes:
        samples: its length.
        images: of the talkers and of the noise, by name.
        gain: of amplitude, of all of them.
        rows: of labels.csv.
    """

    samples: int
    images: Mapping[str, Image]
    gain: float
    rows: Sequence[Mapping[str, Any]]

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """Consecutive blocks: (n, 4) float32 AmbiX of each image, by name."""
        gain = np.float32(self.gain)
        for start in range(0, self.samples, BLOCK):
            stop = min(start + BLOCK, self.samples)
            yield {name: gain * image(start, stop) for name, image in self.images.items()}


def level_gain(level_dbfs: float, power: float) -> float:
    """The amplitude gain that gives a sound of that mean power at W its level [dB full scale]."""
    return float(10.0 ** (level_dbfs / 20.0) / power**0.5)


def check_seconds(seconds: float) -> None:
    """Raise ValueError for a length that no recording can have [seconds]."""
    limits.check("render seconds", seconds)
