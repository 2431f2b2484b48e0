"""Splitting a folder of recordings for training, validation and test, by speaker."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.files import write_folder_beside
from doa_tf.scenes.recordings import sound_files, speaker_of

PARTS = ("train", "valid", "test")
_STARTS = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test", "eval")}
_SHARES = (0.8, 0.1)  # of the speakers, for training and validation


def split_folder(source: str | Path, target: Path, *, seed: int = 0) -> dict[str, Path]:
    """The folder of each part.

    Sub-folders named train, valid and test, or as LibriSpeech's (`train-clean-100`, `dev-clean`,
    `test-clean`), are used as they are. Any other folder is split by speaker: 80, 10 and 10
    percent of them, linked below `target`. A speaker is a sub-folder; where there are none, it is
    the start of a file's name, up to the first `-` or `_`.

    Args:
        source: folder of recordings.
        target: where links are made; an existing one is used again.
        seed: of the random split.

    Raises:
        InputError: no folder, several sub-folders for a part, or fewer than three speakers.
    """
    source = Path(source)
    if not source.is_dir():
        raise InputError(f"A folder of recordings is needed. Received: {source}")
    folders = sorted(path for path in source.iterdir() if path.is_dir())
    found = {
        part: [f for f in folders if re.split(r"[-_.]", f.name.lower())[0] in _STARTS[part]]
        for part in PARTS
    }
    if any(found.values()):
        if any(len(paths) != 1 for paths in found.values()):
            listing = ", ".join(path.name for path in folders)
            raise InputError(
                f"{source} must hold one sub-folder each for train, valid and test, or none of "
                f"them. Received: {listing}"
            )
        return {part: paths[0] for part, paths in found.items()}
    if not target.is_dir():
        _link(_speakers(source), source, target, seed)
    return {part: target / part for part in PARTS}


def _speakers(source: Path) -> dict[str, list[Path]]:
    """Recordings of each speaker below a folder."""
    speakers: dict[str, list[Path]] = {}
    for path in sound_files(source):
        speakers.setdefault(speaker_of(path, source), []).append(path)
    if len(speakers) < len(PARTS):
        raise InputError(
            f"{source} must hold sub-folders train, valid and test, or recordings of at least "
            f"{len(PARTS)} speakers. Received: {len(speakers)} ({', '.join(speakers) or 'none'})"
        )
    return speakers


def _link(speakers: dict[str, list[Path]], source: Path, target: Path, seed: int) -> None:
    names = list(np.random.default_rng(seed).permutation(sorted(speakers)))
    train = min(max(1, round(_SHARES[0] * len(names))), len(names) - 2)
    valid = min(max(1, round(_SHARES[1] * len(names))), len(names) - train - 1)
    members = (names[:train], names[train : train + valid], names[train + valid :])
    with write_folder_beside(target) as beside:
        for part, chosen in zip(PARTS, members, strict=True):
            for name in chosen:
                for path in speakers[str(name)]:
                    link = beside / part / path.relative_to(source)
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(path.resolve())
