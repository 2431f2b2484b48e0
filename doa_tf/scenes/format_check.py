"""Are the recordings of a folder what they are read as? Said once for a folder, if not."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.input.audio import FileSource
from doa_edge.input.format import InputFormat
from doa_edge.input.format_evidence import Contradiction, FormatEvidence
from doa_tf.scenes.folder import Scene, Scenes

logger = logging.getLogger(__name__)

MOST = 256  # recordings of a folder that are looked at, evenly spread


def warn_of_formats(scenes: Scenes) -> None:
    """Log a warning if the energies of recordings say another format than they are read as.

    That is the one that was asked for, else the one that a file declares, else AmbiX. Recordings of
    two seconds and more are judged one by one, and all of one format together, which tells of short
    ones, too. No more than `MOST` are read, and of each no more than its first seconds with sound
    from somewhere. See `doa_edge.input.format_evidence`.

    Args:
        scenes: of `read_scenes`. Recordings that cannot be read are left to those who need them.
    """
    together: dict[InputFormat, FormatEvidence] = {}
    contrary: list[tuple[Scene, str, Contradiction]] = []
    looked_at = _spread(scenes)
    for scene in looked_at:
        try:
            read_as, evidence = _evidence(scene)
        except InputError:
            continue
        of_format = FormatEvidence(read_as, sample_rate=SAMPLE_RATE)
        together.setdefault(read_as, of_format).add(evidence)
        if found := evidence.contradiction():
            contrary.append((scene, read_as.format_name, found))
    for read_as, evidence in together.items():
        if found := evidence.contradiction():
            _warn(f"the recordings of {scenes.folder}", read_as.format_name, found)
            return
    if contrary:
        (first, name, what), count = contrary[0], len(contrary)
        where = str(first.path)
        if count > 1:
            where += f", one of {count} such among {len(looked_at)} recordings of {scenes.folder}"
        _warn(where, name, what)


def _warn(where: str, name: str, found: Contradiction) -> None:
    shown = "AmbiX" if name == "ambix" else name
    logger.warning(
        "%s: by the energies this is no %s (%+.1f dB off), but can be %s: directions are wrong "
        "then (docs/conventions.md)",
        where,
        shown,
        found.error_db,
        " or ".join(found.fits),
    )


def _evidence(scene: Scene) -> tuple[InputFormat, FormatEvidence]:
    """What a recording is read as, and what its first seconds say.

    Raises:
        InputError: it cannot be read.
    """
    with FileSource(scene.path, scene.input_format) as source:
        read_as = scene.input_format.declared_as(source.declared)
        evidence = FormatEvidence(read_as, sample_rate=SAMPLE_RATE)
        for block in source:
            evidence.push(block)
            if evidence.full:
                break
    return read_as, evidence


def _spread(scenes: Iterable[Scene]) -> list[Scene]:
    """Up to `MOST` of different recordings, evenly spread."""
    different = list({scene.path: scene for scene in scenes}.values())
    step = max(1.0, len(different) / MOST)
    return [different[int(step * k)] for k in range(min(MOST, len(different)))]
