"""Are the recordings of a folder what they have to be, AmbiX? Said once for a folder, if not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import FileSource
from doa_edge.input.format import AMBIX
from doa_edge.input.format_evidence import FormatEvidence
from doa_tf.scenes.folder import Scenes

logger = logging.getLogger(__name__)

MOST = 256  # recordings of a folder that are looked at, evenly spread


def warn_of_formats(scenes: Scenes) -> None:
    """Log a warning if the energies of recordings say another format than AmbiX.

    Recordings of two seconds and more are judged one by one, and all of them together, which tells
    of short ones, too. No more than `MOST` are read, and of each no more than its first seconds
    with sound from somewhere. See `doa_edge.input.format_evidence`.

    Args:
        scenes: of `read_scenes`. Recordings that cannot be read are left to those who need them.
    """
    together = FormatEvidence(sample_rate=SAMPLE_RATE)
    contrary = []
    looked_at = _spread([scene.path for scene in scenes])
    for path in looked_at:
        try:
            evidence = _evidence(path)
        except InputError:
            continue
        together.add(evidence)
        if found := evidence.contradiction():
            contrary.append((path, found))
    if found := together.contradiction():
        where, what = f"the recordings of {scenes.folder}", found
    elif contrary:
        (first, what), count = contrary[0], len(contrary)
        where = str(first)
        if count > 1:
            where += f", one of {count} such among {len(looked_at)} recordings of {scenes.folder}"
    else:
        return
    fits = " or ".join(name.removeprefix("--format ") for name in what.fits)
    logger.warning(
        "%s: by the energies this is no AmbiX (%+.1f dB off), but can be %s: directions are wrong "
        "then. Scenes must be AmbiX (docs/conventions.md)",
        where,
        what.error_db,
        fits,
    )


def _evidence(path: Path) -> FormatEvidence:
    """What the first seconds of a recording say.

    Raises:
        InputError: it cannot be read.
    """
    with FileSource(path, AMBIX) as source:
        evidence = FormatEvidence(AMBIX, sample_rate=SAMPLE_RATE)
        for block in source:
            evidence.push(block)
            if evidence.full:
                break
    return evidence


def _spread(paths: Sequence[Path]) -> list[Path]:
    """Up to `MOST` different ones, evenly spread."""
    different = list(dict.fromkeys(paths))
    step = max(1.0, len(different) / MOST)
    return [different[int(step * k)] for k in range(min(MOST, len(different)))]
