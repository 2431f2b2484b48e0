"""Do the energies of a recording say another format than the one that it is read in?

A wrong format gives wrong directions, and nothing else shows it. Where there is sound from
somewhere, the energy of the dipoles over that of W tells formats apart (`doa_edge.input.inspection`
says why), in a median over parts of time and frequency: recordings of one format are within 0.7 dB
of 0 in their own, those of measured halls within 2.2 dB, and the nearest other format is 3 dB away.

What is said must be right, so some sound says nothing:

- below the gate, or less than two seconds;
- from nowhere: the noise of four microphones, which do not hear the same, is by its energies N3D,
  and so is nothing a voice; in sound from anywhere at once, formats cannot be told from that;
- where the format that was asked for does not fit, and no other does either.

FuMa and N3D are 1.8 dB apart, which is too little. Their channels have the same order, and a common
gain of the dipoles turns no direction. Capsules read as FuMa or N3D can look right, from some sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from doa_core.stft import HOP, samples_of_frames
from doa_edge.activity import DEFAULT_GATE_DBFS
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.inspection import (
    FORMAT_ERROR_DB,
    PART,
    FieldParts,
    band_spectra,
    covariances,
    dipoles_over_pressure_db,
    formats_by_name,
)
from doa_edge.input.stream import Gap, Samples, StreamItem, no_sound

CONTRARY_DB = 2.2  # further from its format than any recording that is known to be of it
LEAST, ENOUGH = 4, 16  # blocks of half a second with sound from somewhere
_DIRECTED = 0.2  # purity; sound from nowhere and from everywhere has 0.1 at most
_DIRECTED_SHARE = 0.25  # of the parts of a block


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """What energies say against a format.

    Attributes:
        error_db: of the dipoles' energy over W's, from what the format has to have.
        fits: formats that it would fit, best first, as `--format` or `--channels` has them.
    """

    error_db: float
    fits: tuple[str, ...]

    def sentence(self, audio_format: str) -> str:
        """What to tell people who read the sound as `audio_format`."""
        return (
            f"by its energies this is no {audio_format} ({self.error_db:+.1f} dB off), but can be "
            f"{' or '.join(self.fits)}: directions are wrong then"
        )


class FormatEvidence:
    """Collects the first seconds of a stream that tell formats apart.

    Args:
        input_format: how the stream is read.
        sample_rate: of the samples [hertz].
    """

    def __init__(self, input_format: InputFormat = AMBIX, *, sample_rate: int) -> None:
        self._rate = sample_rate
        self._to_ambix = input_format.to_ambix
        self._as_given = np.linalg.inv(self._to_ambix).T.astype(np.float32)
        self._rest = no_sound()
        self._blocks: list[FieldParts] = []

    @property
    def full(self) -> bool:
        """Whether more sound would not matter."""
        return len(self._blocks) >= ENOUGH

    def push(self, samples: Samples) -> None:
        """Take the next (N, 4) AmbiX samples, as the format made them."""
        if self.full:
            return
        length, step = samples_of_frames(PART[0]), PART[0] * HOP
        self._rest = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        while len(self._rest) >= length and not self.full:
            self._take(self._rest[:length])
            self._rest = self._rest[step:]

    def interrupt(self) -> None:
        """Continue behind a gap."""
        self._rest = no_sound()

    def add(self, other: FormatEvidence) -> None:
        """Take what another one of the same format has collected, up to `LEAST` blocks of it."""
        self._blocks += other._blocks[:LEAST]

    def contradiction(self) -> Contradiction | None:
        """What the sound says against its format; None where it says nothing."""
        if len(self._blocks) < LEAST:
            return None
        parts = np.concatenate(self._blocks)
        error_db = _median_db(parts, self._to_ambix)
        if abs(error_db) <= CONTRARY_DB:
            return None
        errors = [(_spread_db(parts, matrix), name) for name, matrix in formats_by_name().items()]
        fits = sorted(error for error in errors if error[0] <= FORMAT_ERROR_DB)
        if not fits:
            return None
        return Contradiction(error_db=error_db, fits=tuple(name for _, name in fits))

    def _take(self, block: Samples) -> None:
        """Keep the parts of a block with sound from somewhere."""
        power = np.mean(np.square(block[:, 0] - block[:, 0].mean(), dtype=np.float64))
        if power <= 10.0 ** (DEFAULT_GATE_DBFS / 10.0):
            return
        parts = covariances(band_spectra(block @ self._as_given, self._rate))
        if np.mean(_purity(parts, self._to_ambix) > _DIRECTED) >= _DIRECTED_SHARE:
            self._blocks.append(parts)


def watch_format(
    items: Iterable[StreamItem],
    input_format: InputFormat,
    tell: Callable[[str], None],
    *,
    sample_rate: int,
) -> Iterator[StreamItem]:
    """The same blocks and gaps; `tell` gets a sentence, once, if they are of another format.

    It gets it as soon as there is enough sound, at the latest when that ends.

    Args:
        items: AmbiX blocks, and gaps.
        input_format: what made AmbiX of them.
        tell: told what is wrong.
        sample_rate: of the blocks [hertz].
    """
    evidence: FormatEvidence | None = FormatEvidence(input_format, sample_rate=sample_rate)

    def judge(evidence: FormatEvidence) -> None:
        if found := evidence.contradiction():
            tell(found.sentence(input_format.audio_format))

    for item in items:
        if evidence is not None:
            if isinstance(item, Gap):
                evidence.interrupt()
            else:
                evidence.push(item)
            if evidence.full:
                judge(evidence)
                evidence = None
        yield item
    if evidence is not None:
        judge(evidence)


def _median_db(parts: FieldParts, to_ambix: np.ndarray) -> float:
    return float(np.median(dipoles_over_pressure_db(parts, to_ambix)))


def _spread_db(parts: FieldParts, to_ambix: np.ndarray) -> float:
    return float(np.median(np.abs(dipoles_over_pressure_db(parts, to_ambix))))


def _purity(parts: FieldParts, to_ambix: np.ndarray) -> np.ndarray:
    """(P,) active intensity over the roots of W's and the dipoles' energies: 1 for a plane wave."""
    ambix = to_ambix @ parts @ to_ambix.T
    energies = np.maximum(ambix.diagonal(axis1=1, axis2=2), 1e-20)
    intensity = np.linalg.norm(ambix[:, 0, 1:], axis=-1)
    purity: np.ndarray = intensity / np.sqrt(energies[:, 0] * energies[:, 1:].sum(axis=1))
    return purity
