"""A picture of a recording: the scores over the sphere, and the track over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, angles_to_vector
from doa_core.decode import direction_scores
from doa_core.errors import InputError, MissingPackageError
from doa_core.files import printable, write_beside
from doa_core.spec import ModelSpec
from doa_edge.estimate import Estimate, direction_deg
from doa_edge.sinks.plot_talkers import draw_talkers, mark_talkers, tracks_of

SUFFIXES = (".png", ".pdf", ".svg")
STEP_DEG = 2.0  # of the map of scores
_CHUNK = 256  # windows whose scores are computed at once: bounds the memory of a long recording
_LEGEND = {
    "loc": "lower right",
    "bbox_to_anchor": (1.0, 0.98),  # above the panel, where no point can be
    "ncols": 2,
    "frameon": False,
    "fontsize": 9,
    "handletextpad": 0.2,
}
_ACCENT = "#c2185b"
_GREY = "#b8bcc4"
_ACTIVE = "#7ad151"  # viridis at a confidence of 0.8
_PLACES = {-180: "\nback", -90: "\nright", 0: "\nfront", 90: "\nleft", 180: "\nback"}


def check_plot(path: str | os.PathLike[str]) -> None:
    """Raise before the work what `plot_track` would raise after it.

    Raises:
        InputError: a suffix that is no picture's.
        MissingPackageError: Matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"The plot must end in {', '.join(SUFFIXES)}. Received: {path}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("Matplotlib", "plot", error) from error


def plot_track(
    path: str | os.PathLike[str],
    estimates: Sequence[Estimate],
    outputs: npt.ArrayLike,
    *,
    spec: ModelSpec,
    answer: tuple[float, float, float] | None = None,
    title: str = "",
) -> None:
    """Draw the scores over azimuth and elevation, with the answer, and the track over time.

    Azimuths run from 180 on the left to -180 on the right, so that left is on the left. The file
    is written whole or not at all. Of several voices, the map marks the mean direction of each, and
    the track has the colour of their slot; where nobody talks it is blank.

    Args:
        path: a .png, .pdf or .svg file.
        estimates: of the windows, in order.
        outputs: (M, K) outputs of the active windows, `OutputAverage.outputs`; M may be 0.
        spec: of the model that gave them.
        answer: azimuth and elevation [degrees] and confidence of all active windows together; what
            the spec decodes from the outputs if None.
        title: heading.

    Raises:
        InputError: a suffix that is no picture's.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 1, height_ratios=[1.9, 1.0, 1.0])
    sphere, azimuth, elevation = (figure.add_subplot(grid[row]) for row in range(3))
    tracks = None
    if any(estimate.talkers is not None for estimate in estimates):
        tracks = tracks_of(estimates)
    outputs = np.asarray(outputs)
    _draw_scores(figure, sphere, outputs, spec)
    if not len(outputs):
        nobody = "No window was active" if tracks is None else "Nobody talks"
        sphere.set_title(nobody, fontsize=11, loc="left")
    elif tracks is None:
        _mark_answer(sphere, *(answer or _decoded(outputs, spec)))
    else:
        mark_talkers(sphere, tracks)
        heading = "Scores of the windows in which somebody talks, and each talker's mean direction"
        sphere.set_title(heading, fontsize=11, loc="left")
    _prepare_track(azimuth, elevation, end=max((e.time_s for e in estimates), default=1.0))
    if tracks is None:
        _draw_track(figure, azimuth, elevation, estimates)
    else:
        draw_talkers({"azimuth_deg": azimuth, "elevation_deg": elevation}, tracks)
        elevation.set_xlabel("time [s]")
    if title:
        figure.suptitle(printable(title), fontsize=13, fontweight="bold", x=0.01, ha="left")
    save_picture(figure, path)


def save_picture(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure of Matplotlib to a .png, .pdf or .svg, which appears whole or not at all.

    Every picture of the project is written here: names of files, talkers and columns are drawn as
    they are, where Matplotlib would take what stands between two `$` for a formula.

    Raises:
        OSError: the file cannot be written.
    """
    import warnings

    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # What is made while it is drawn, such as the labels of ticks, follows the setting.
    with (
        matplotlib.rc_context({"text.parse_math": False}),
        warnings.catch_warnings(),
        write_beside(path) as part,
    ):
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(part, format=Path(path).suffix[1:].lower(), dpi=130)


def score_map(
    outputs: npt.ArrayLike, *, spec: ModelSpec
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(A,) azimuths [degrees], (E,) elevations [degrees] and (E, A) scores of (M, K) outputs."""
    outputs = np.asarray(outputs)
    azimuth_deg = np.arange(-180.0, 180.0 + STEP_DEG / 2, STEP_DEG)
    elevation_deg = np.arange(-90.0, 90.0 + STEP_DEG / 2, STEP_DEG)
    directions = angles_to_vector(
        np.radians(azimuth_deg)[np.newaxis], np.radians(elevation_deg)[:, np.newaxis]
    )
    scores = np.zeros(directions.shape[:2])
    for start in range(0, len(outputs), _CHUNK):
        rows = outputs[start : start + _CHUNK]
        part = direction_scores(
            rows, head=spec.head, grid=spec.grid, directions=directions.reshape(-1, 3)
        )
        scores += part.reshape(scores.shape) * (len(rows) / len(outputs))
    return azimuth_deg, elevation_deg, scores


def _draw_scores(figure: Any, axes: Any, outputs: FloatArray, spec: ModelSpec) -> None:
    axes.set(
        xlim=(180, -180),
        ylim=(-90, 90),
        xticks=range(-180, 181, 45),
        yticks=range(-90, 91, 30),
        xlabel="azimuth [degrees]",
        ylabel="elevation [degrees]",
    )
    axes.set_xticklabels([f"{tick}{_PLACES.get(tick, '')}" for tick in range(-180, 181, 45)])
    if not len(outputs):
        return
    azimuth_deg, elevation_deg, scores = score_map(outputs, spec=spec)
    image = axes.pcolormesh(
        azimuth_deg, elevation_deg, scores, cmap="magma", shading="nearest", rasterized=True
    )
    figure.colorbar(image, ax=axes, label="score", pad=0.01)
    axes.grid(color="white", alpha=0.18, lw=0.6)


def _decoded(outputs: FloatArray, spec: ModelSpec) -> tuple[float, float, float]:
    direction, confidence = spec.directions(outputs)
    return (*direction_deg(direction), float(confidence))


def _mark_answer(axes: Any, azimuth_deg: float, elevation_deg: float, confidence: float) -> None:
    answer = azimuth_deg, elevation_deg
    axes.plot(*answer, "o", ms=17, mfc="none", mec="white", mew=2.6)
    axes.plot(*answer, "o", ms=17, mfc="none", mec=_ACCENT, mew=1.4)
    axes.plot(*answer, "+", ms=9, color="white", mew=1.4)
    axes.set_title(
        f"Scores of the active windows: azimuth {answer[0]:.1f}°, elevation {answer[1]:.1f}°, "
        f"confidence {confidence:.2f}",
        fontsize=11,
        loc="left",
    )


def _prepare_track(azimuth: Any, elevation: Any, *, end: float) -> None:
    for axes, name, limit, step in (
        (azimuth, "azimuth", 180, 90),
        (elevation, "elevation", 90, 45),
    ):
        axes.set(
            xlim=(0.0, end * 1.02),
            ylim=(-limit * 1.05, limit * 1.05),
            yticks=range(-limit, limit + 1, step),
            ylabel=f"{name} [degrees]",
        )
        axes.grid(color="#d9dce1", lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    azimuth.set_title("Track", fontsize=11, loc="left")
    azimuth.tick_params(labelbottom=False)


def _draw_track(figure: Any, azimuth: Any, elevation: Any, estimates: Sequence[Estimate]) -> None:
    """Angles over time: a colour for the confidence of active windows, grey for the others."""
    active = [e for e in estimates if e.active]
    silent = [e for e in estimates if not e.active]
    points = None
    for axes, name in ((azimuth, "azimuth_deg"), (elevation, "elevation_deg")):
        axes.scatter(
            [e.time_s for e in silent], [getattr(e, name) for e in silent], s=12, color=_GREY
        )
        points = axes.scatter(
            [e.time_s for e in active],
            [getattr(e, name) for e in active],
            c=[e.confidence for e in active],
            s=26,
            cmap="viridis",
            vmin=0.0,
            vmax=1.0,
            edgecolors="black",
            linewidths=0.3,
            zorder=3,
        )
    shown = [
        (_ACTIVE, "active", active),
        (_GREY, "not active (gate, margin or confidence)", silent),
    ]
    for colour, text, found in shown:
        if found:
            azimuth.scatter([], [], s=26, color=colour, label=text)
    azimuth.legend(**_LEGEND)
    elevation.set_xlabel("time at the window's end [s]")
    figure.colorbar(points, ax=[azimuth, elevation], label="confidence", pad=0.01)
