"""Are the recordings of a folder AmbiX, or what they declare? Said once for a folder, if not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import FileSource
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.format_evidence import Contradiction, FormatEvidence
from doa_tf.scenes.folder import Scenes

logger = logging.getLogger(__name__)

MOST = 256  # recordings of a folder that are looked at, evenly spread


def warn_of_formats(scenes: Scenes) -> None:
    """Log a warning if the energies of recordings say another format than they are read in.

    That is the one that a recording declares, else AmbiX. Recordings of two seconds and more are
    judged one by one, and all of one format together, which tells of short ones, too. No more than
    `MOST` are read, and of each no more than its first seconds with sound from somewhere. See
    `doa_edge.input.format_evidence`.

    Args:
        scenes: of `read_scenes`. Recordings that cannot be read are left to those who need them.
    """
    together: dict[str, FormatEvidence] = {}
    contrary: dict[str, list[tuple[Path, Contradiction]]] = {}
    looked_at = _spread([scene.path for scene in scenes])
    for path in looked_at:
        try:
            input_format, evidence = _evidence(path)
        except InputError:
            continue
        name = input_format.format_name
        together.setdefault(name, FormatEvidence(input_format, sample_rate=SAMPLE_RATE))
        together[name].add(evidence)
        if found := evidence.contradiction():
            contrary.setdefault(name, []).append((path, found))
    for name, all_of_it in together.items():
        kind = "" if len(together) == 1 else f" that are read as {name}"
        if found := all_of_it.contradiction():
            _warn(f"the recordings of {scenes.folder}{kind}", name, found)
        elif found_in := contrary.get(name):
            (first, found), count = found_in[0], len(found_in)
            others = f", one of {count} such among {len(looked_at)} recordings of {scenes.folder}"
            _warn(f"{first}{others if count > 1 else ''}", name, found)


def _warn(where: str, name: str, found: Contradiction) -> None:
    """Say that recordings, read in the format `name`, are of another one."""
    fits = " or ".join(fit.removeprefix("--format ") for fit in found.fits)
    if name == AMBIX.format_name:
        logger.warning(
            "%s: by the energies this is no AmbiX (%+.1f dB off), but can be %s: directions are "
            "wrong then. Scenes must be AmbiX (docs/conventions.md)",
            *(where, found.error_db, fits),
        )
    else:
        logger.warning(
            "%s: declared to be %s, but by the energies this is none (%+.1f dB off), and can be "
            "%s: directions are wrong then. Write them anew as what they are",
            *(where, name, found.error_db, fits),
        )


def _evidence(path: Path) -> tuple[InputFormat, FormatEvidence]:
    """The format that a recording is read in, and what its first seconds say.

    Raises:
        InputError: it cannot be read.
    """
    with FileSource(path, AMBIX) as source:
        input_format = AMBIX.declared_as(source.declared)
        evidence = FormatEvidence(input_format, sample_rate=SAMPLE_RATE)
        for block in source:
            evidence.push(block)
            if evidence.full:
                break
    return input_format, evidence


def _spread(paths: Sequence[Path]) -> list[Path]:
    """Up to `MOST` different ones, evenly spread."""
    different = list(dict.fromkeys(paths))
    step = max(1.0, len(different) / MOST)
    return [different[int(step * k)] for k in range(min(MOST, len(different)))]
