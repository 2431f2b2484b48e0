"""What the reader of a layout is asked for, and how a layout is told from others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from doa_core.errors import InputError, check_choice
from doa_edge.input.format import AMBIX, InputFormat
from doa_tf.scenes.labels.scene import Scene

logger = logging.getLogger(__name__)

SPEECH, ALL = "speech", "all"
SOUNDS = (SPEECH, ALL)
SOUND_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a public data set is read.

    Attributes:
        input_format: what the channels of its recordings are; where it says no format, that which
            the set is published in.
        sounds: `speech`, or `all` that is labelled.
        clockwise: whether its azimuths count clockwise.

    Raises:
        ValueError: other sounds.
    """

    input_format: InputFormat = AMBIX
    sounds: str = SPEECH
    clockwise: bool = False

    def __post_init__(self) -> None:
        check_choice("sounds", self.sounds, SOUNDS)

    def azimuth_deg(self, azimuth_deg: float) -> float:
        """An azimuth of the set [degrees] as this project counts it, in (-180, 180]."""
        turned = (-azimuth_deg if self.clockwise else azimuth_deg) % 360.0
        return turned - 360.0 if turned > 180.0 else turned


ScenesOf: TypeAlias = Callable[[Path, Reading], Iterator[Scene]]


@dataclass(frozen=True)
class Layout:
    """The layout of a published data set.

    Attributes:
        name: of the set, for people.
        looks: what its folder holds, for people.
        holds: whether a folder has this layout; looks at names alone.
        scenes: of such a folder, by file.
    """

    name: str
    looks: str
    holds: Callable[[Path], bool]
    scenes: ScenesOf


def visible_files(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match, sorted; none of those that begin with a point."""
    found = (path for path in folder.glob(pattern) if not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def recording_of(path: Path) -> Path | None:
    """The recording of that name, whatever its suffix; None where there is none."""
    names = (path.with_name(path.name + suffix) for suffix in SOUND_SUFFIXES)
    return next((name for name in names if name.is_file()), None)


def check_some(folder: Path, found: int, missing: Iterable[str], *, of: str) -> None:
    """Say once which labelled recordings are not there, as where only a part was downloaded.

    Args:
        folder: of the set.
        found: how many are there.
        missing: names of the others.
        of: the set's name.

    Raises:
        InputError: none is there.
    """
    names = list(missing)
    if not found:
        example = f", {names[0]} for one" if names else ""
        raise InputError(
            f"{folder} looks like {of} and must hold its recordings beside its labels. Received: "
            f"none of {len(names)} labelled recordings{example}"
        )
    if names:
        logger.warning(
            "%s: %d of %d labelled recordings are not there and are left out, %s for one",
            folder,
            len(names),
            found + len(names),
            names[0],
        )
