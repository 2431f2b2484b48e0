"""A meeting in one picture: who talks where and when, and what the runner makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doa_core.errors import InputError
from doa_edge.engine import DirectionEngine
from doa_edge.estimate import Estimate
from doa_edge.sinks.plot_talkers import draw_talkers, tracks_of
from doa_edge.tflite.network import TfliteModel
from doa_tf.plotting import GREY, finish, new_figure, save_figure
from doa_tf.scenes.folder import Scene, SceneTalker, read_scenes

RIGHT_DEG = 10.0  # half the height of a bar: an answer inside it is right
_BAR = "#c9ccd2"
_TEXT: dict[str, Any] = {"color": GREY, "fontsize": 8}
_PLACES = {
    180: "180\nbehind",
    90: "90\nleft",
    0: "0\nahead",
    -90: "-90\nright",
    -180: "-180\nbehind",
}


def find_scene(recording: Path) -> Scene:
    """The scene of a recording that lies in a scenes folder, beside its labels.csv.

    Raises:
        InputError: no scenes folder, or one whose labels do not name the recording.
    """
    for scene in read_scenes(recording.parent):
        if scene.path.resolve() == recording.resolve():
            return scene
    raise InputError(
        f"The meeting must be a recording that labels.csv names. Received: {recording}"
    )


def hear(model: str, scene: Scene) -> list[Estimate]:
    """What the runner, as it is, says of a recording.

    Raises:
        InputError: not a `.tflite`, or one of one voice.
    """
    network = TfliteModel(model)
    engine = DirectionEngine(network)
    samples = scene.read(sample_rate=network.spec.features.sample_rate)
    estimates = list(engine.run([samples]))
    if estimates[0].talkers is None:
        raise InputError(
            f"A meeting needs a model of several voices. Received: {model}, which knows "
            f"{network.spec.voices}"
        )
    return estimates


def plot_meeting(path: Path, scene: Scene, estimates: Sequence[Estimate]) -> None:
    """Draw azimuth over time: grey bars where people talk, tracks in colours over them.

    Args:
        path: of the picture.
        scene: with everybody who talks, and their times.
        estimates: of the recording, in order.
    """
    figure = new_figure(path, 10.0, 4.4)
    axes = figure.subplots()
    end_s = estimates[-1].time_s
    for talker in scene.talkers:
        for stretch in talker.stretches:
            _draw_bar(axes, stretch.start_s, min(stretch.end_s, end_s), stretch.azimuth_deg)
        _draw_name(axes, talker)
    draw_talkers({"azimuth_deg": axes}, tracks_of(estimates))
    finish(axes, f"Grey: where somebody talks, {RIGHT_DEG:g}° to each side")
    axes.set(xlim=(0.0, end_s), ylim=(-180, 180), xlabel="time [s]", ylabel="azimuth [degrees]")
    axes.set_yticks(list(_PLACES), list(_PLACES.values()))
    save_figure(figure, path, "A meeting: who talks, where, and when")


def _draw_name(axes: Any, talker: SceneTalker) -> None:
    """The name above the first bar, or below one that touches the upper edge."""
    first = talker.stretches[0]
    above = first.azimuth_deg < 150.0
    place = (first.start_s, first.azimuth_deg + (RIGHT_DEG if above else -RIGHT_DEG))
    where = {"xytext": (2, 2 if above else -2), "va": "bottom" if above else "top"}
    axes.annotate(f"person {talker.name}", place, textcoords="offset points", **where, **_TEXT)


def _draw_bar(axes: Any, start_s: float, end_s: float, azimuth_deg: float) -> None:
    """A bar, and the part of it that the other side of the picture shows."""
    for around in (-360.0, 0.0, 360.0):
        low = azimuth_deg - RIGHT_DEG + around
        if -180.0 - 2 * RIGHT_DEG < low < 180.0:
            span = [(start_s, end_s - start_s)]
            axes.broken_barh(span, (low, 2 * RIGHT_DEG), color=_BAR, linewidth=0.0, zorder=1)
