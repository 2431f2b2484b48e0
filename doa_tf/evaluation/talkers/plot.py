"""A picture of how several talkers were judged: errors of windows, and recordings over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from doa_core.angles import FloatArray, vector_to_angles
from doa_tf.evaluation.panels import draw_distribution
from doa_tf.evaluation.talkers.judge import KEPT_ANSWERS, TalkerEvaluation
from doa_tf.evaluation.talkers.runner import Recording
from doa_tf.evaluation.talkers.windows import Window
from doa_tf.plotting import COLOURS, GREY, finish, legend_below, new_figure, save_figure

_LARGEST_LEGEND = 12  # groups; more of them are drawn as one
_WIDTH, _DISTRIBUTION, _RECORDING = 12.0, 5.4, 2.3  # inches
_ONE_VOICE = "#303236"


def plot_talkers(path: str | os.PathLike[str], evaluation: TalkerEvaluation) -> None:
    """Draw the errors of all talkers of windows, and who talked when and where in recordings.

    Above, the distribution of the errors per group, with the count known. Below, a panel for each
    of the first six recordings: a broad line is a talker's azimuth while they talk, a dot an answer
    of the runner, in a colour for each identity.

    Args:
        path: a .png, .pdf or .svg file. It appears whole or not at all.
        evaluation: from `evaluate_talkers`.

    Raises:
        InputError: the file's suffix is not that of a picture.
        MissingPackageError: Matplotlib is not installed.
        OSError: the file cannot be written.
    """
    errors = errors_by_group(evaluation)
    recordings = evaluation.recordings[:KEPT_ANSWERS]
    heights = [_DISTRIBUTION] * bool(errors) + [_RECORDING] * len(recordings)
    if not heights:
        heights = [_RECORDING]
    figure = new_figure(path, _WIDTH, sum(heights) + 0.5)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = [figure.add_subplot(grid[row]) for row in range(len(heights))]
    if errors:
        title = "Angle to each talker of the windows, count known"
        draw_distribution(panels[0], errors, title=title)
        panels[0].set(ylabel="talkers with at most this error [percent]")
        legend_below(panels[0], columns=1 if len(errors) <= 4 else 2)
    for axes, recording in zip(panels[bool(errors) :], recordings, strict=False):
        draw_recording(axes, recording)
    if recordings:
        panels[-1].set_xlabel("time [s]")
    counts = f"{len(evaluation.windows)} windows, {len(evaluation.recordings)} recordings"
    save_figure(figure, path, f"{evaluation.model}: {counts}")


def errors_by_group(evaluation: TalkerEvaluation) -> dict[str, FloatArray]:
    """(N,) errors of all talkers of the windows of each group [degrees], where there are any."""
    groups: dict[str, Sequence[Window | Recording]] = dict(evaluation.groups())
    if not 0 < len(groups) <= _LARGEST_LEGEND:
        groups = {"all windows": evaluation.results}
    errors = {}
    for name, results in groups.items():
        parts = [result.tally.errors_deg for result in results if isinstance(result, Window)]
        if sum(map(len, parts)):
            errors[name or "(empty)"] = np.concatenate(parts)
    return errors


def draw_recording(axes: Any, recording: Recording) -> None:
    """Draw who talks when and where, and what is said of it: time across, azimuth up."""
    for talker in recording.scene.talkers:
        for stretch in talker.stretches:
            ends = [max(stretch.start_s, 0.0), min(stretch.end_s, recording.duration_s)]
            azimuths = [stretch.azimuth_deg] * 2
            look = {"lw": 9.0, "color": GREY, "alpha": 0.35, "solid_capstyle": "butt"}
            axes.plot(ends, azimuths, **look)
    found = [
        (answer.of_s, azimuth_deg, answer.ids[place] if answer.ids else 0)
        for answer in recording.answers
        for place, azimuth_deg in enumerate(np.degrees(vector_to_angles(answer.directions)[0]))
    ]
    if found:
        times_s, azimuths_deg, ids = (np.array(values) for values in zip(*found, strict=True))
        colours = [COLOURS[(number - 1) % len(COLOURS)] if number else _ONE_VOICE for number in ids]
        axes.scatter(times_s, azimuths_deg, s=9.0, c=colours, linewidths=0.0, zorder=3)
    axes.set(xlim=(0.0, recording.duration_s), ylim=(-185.0, 185.0))
    axes.set(yticks=range(-180, 181, 90), ylabel="azimuth [degrees]")
    recall, wrong = (recording.tally.figure(name) for name in ("recall", "wrong"))
    shares = [
        f"{name} {value:.0f} %"
        for name, value in (("recall", recall), ("wrong", wrong))
        if value is not None
    ]
    finish(axes, ", ".join([recording.scene.file, *shares]))
