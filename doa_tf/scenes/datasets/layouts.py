"""Which published data set a folder is, by the names that it holds."""

from __future__ import annotations

from pathlib import Path

from doa_core.errors import InputError
from doa_tf.scenes.datasets import dcase, l3das, locata, spatial_librispeech
from doa_tf.scenes.datasets.reading import Layout, Reading
from doa_tf.scenes.labels.scene import Scene

LAYOUTS: tuple[Layout, ...] = (
    *dcase.LAYOUTS,
    l3das.LAYOUT,
    locata.LAYOUT,
    spatial_librispeech.LAYOUT,
)


def layout_of(folder: Path) -> Layout | None:
    """The layout that a folder has; None where it has none.

    Raises:
        InputError: it has several.
    """
    found = [layout for layout in LAYOUTS if layout.holds(folder)]
    if len(found) > 1:
        both = " and ".join(f"{layout.name} ({layout.looks})" for layout in found)
        raise InputError(
            f"{folder} must hold one data set, as each counts its classes anew: put each into a "
            f"folder of its own. Received: one that looks like {both}"
        )
    return found[0] if found else None


def why_none(folder: Path) -> str:
    """Why a folder is read as no published data set, for a message; begins with a semicolon."""
    if reason := dcase.why_not(folder):
        return f"; to be read as a data set of DCASE, {reason}"
    if folder.parent != folder and any(layout.holds(folder.parent) for layout in LAYOUTS):
        return f"; a data set is named by the folder above: {folder.parent}"
    return f"; nor is it one of {', '.join(layout.name for layout in LAYOUTS)} (docs/datasets.md)"


def read_layout(folder: Path, layout: Layout, reading: Reading) -> tuple[Scene, ...]:
    """The scenes of a published data set, in the order of their files' names.

    Raises:
        InputError: labels that are not as they are published, or none with a recording.
    """
    return tuple(layout.scenes(folder, reading))
