"""Several voices on the terminal and in the picture of a recording."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from doa_core.spec import ModelSpec
from doa_edge.sinks.slots import COLOURS, DARK_COLOURS
from tests.edge.sinks.messages import heard, talker

TWO = heard(2.0, talker(7, 2, 90.0, 30.0, 0.75), talker(12, 1, -90.0, -5.0, 0.5, tentative=True))

# --- the terminal


def box(estimate, **options):
    """The text in the box of the view, with its styles."""
    pytest.importorskip("rich")
    from doa_edge.sinks.view import render

    return render(estimate, "a.wav", **options).renderable


def styles_of(text, part):
    start = text.plain.index(part)
    return [span.style for span in text.spans if span.start <= start < span.end]


def test_every_talker_has_a_line_and_a_mark_in_their_colour():
    text = box(TWO)
    strip, first, second = (text.plain.splitlines()[row] for row in (1, 4, 5))
    assert first.split()[:5] == ["1", "talker", "12", "-90.0°", "-5.0°"]
    assert first.endswith("0.50  tentative")
    assert second.split()[:5] == ["2", "talker", "7", "+90.0°", "+30.0°"]
    assert second.endswith("0.75")
    assert (strip.index("2"), strip.index("1")) == (18, 54)  # 5 degrees a cell from the left: 180
    assert styles_of(text, "talker 7") == [f"bold {DARK_COLOURS[1]}"]
    assert styles_of(text, "talker 12") == [f"dim {DARK_COLOURS[0]}"]
    assert "●" not in text.plain


def test_the_most_confident_is_on_top_where_two_meet():
    meet = heard(1.0, talker(1, 1, 40.0, 0.0, 0.5), talker(2, 2, 41.0, 0.0, 0.9))
    strip = box(meet).plain.splitlines()[1]
    assert "2" in strip
    assert "1" not in strip


def test_the_box_fits_a_terminal_and_keeps_its_height():
    console = pytest.importorskip("rich.console")
    from doa_edge.sinks.view import TerminalView

    drawn = []
    view = TerminalView("a.wav")
    for estimate in (TWO, heard(3.0)):
        view.update(estimate)
        drawn.append(view._live.renderable)
    first, silent = (own.renderable.plain for own in drawn)
    assert first.count("\n") == silent.count("\n")
    assert "not active" in silent
    assert not set("●12") & set(silent.splitlines()[1])
    file = io.StringIO()
    console.Console(file=file, width=80).print(drawn[0])
    assert re.search("tentative +│", file.getvalue())  # whole, before the right edge


# --- the picture


def tracks():
    from doa_edge.sinks.plot_talkers import tracks_of

    return tracks_of(
        [
            heard(1.0, talker(1, 1, 90.0, 0.0, 0.9)),
            heard(2.0, talker(1, 1, 100.0, 0.0, 0.3), talker(2, 2, -40.0, tentative=True)),
            heard(3.0),
            heard(4.0, talker(3, 1, 0.0), talker(2, 2, -40.0)),
            heard(5.0, talker(4, 3, 170.0, tentative=True)),
        ]
    )


def test_tracks_are_told_apart_by_slot_and_order():
    first, second, third, cough = tracks()
    assert [track.id for track in tracks()] == [1, 2, 3, 4]
    assert first.times_s == [0.75, 1.75]  # the moments that the directions are of
    assert (first.colour, second.colour) == COLOURS[:2]
    assert third.colour == first.colour  # the slot's
    assert third.marker != first.marker
    assert second.is_confirmed
    assert not cough.is_confirmed
    expected = np.degrees(np.angle(0.9 * np.exp(0.5j * np.pi) + 0.3 * np.exp(1j * np.radians(100))))
    assert first.mean_direction_deg == pytest.approx((expected, 0.0))


def test_the_picture_shows_tracks_with_a_legend_and_leaves_silence_blank():
    figure = pytest.importorskip("matplotlib.figure")
    colors = pytest.importorskip("matplotlib.colors")
    from doa_edge.sinks.plot_talkers import draw_talkers

    azimuth, elevation = figure.Figure().subplots(2)
    draw_talkers({"azimuth_deg": azimuth, "elevation_deg": elevation}, tracks())
    drawn = [own for own in azimuth.collections if len(own.get_offsets())]
    points = np.concatenate([own.get_offsets() for own in drawn])
    assert sorted(map(tuple, points)) == [
        *((0.75, 90.0), (1.75, -40.0), (1.75, 100.0), (3.75, -40.0), (3.75, 0.0), (4.75, 170.0)),
    ]  # nothing of the silence at 3 s
    assert tuple(drawn[1].get_facecolors()[0][:3]) == colors.to_rgb(COLOURS[1])
    assert drawn[1].get_facecolors()[0, 3] < drawn[1].get_facecolors()[1, 3]  # tentative is pale
    texts = [text.get_text() for text in azimuth.get_legend().get_texts()]
    assert texts == ["talker 1", "talker 2", "talker 3"]
    assert len(elevation.collections) == 4


def test_the_legend_of_a_long_meeting_is_bounded():
    figure = pytest.importorskip("matplotlib.figure")
    from doa_edge.sinks.plot_talkers import MOST_NAMED, draw_talkers, tracks_of

    long = [heard(n, talker(max(1, n - 20), 1, 0.0)) for n in range(60)]
    azimuth, elevation = figure.Figure().subplots(2)
    draw_talkers({"azimuth_deg": azimuth, "elevation_deg": elevation}, tracks_of(long))
    texts = [text.get_text() for text in azimuth.get_legend().get_texts()]
    assert texts[0] == "talker 1"
    assert len(texts) == MOST_NAMED + 1
    assert texts[-1] == f"and {39 - MOST_NAMED} more"


@pytest.mark.parametrize("estimates", [[TWO], [heard(1.0), heard(2.0)]])
def test_a_picture_of_several_voices_is_written(tmp_path, estimates):
    pytest.importorskip("matplotlib")
    from doa_edge.sinks.plot import plot_track

    spec = ModelSpec(head="gibbs", resolution_deg=10.0)
    outputs = np.full((int(estimates[0].active), spec.outputs), 0.1)
    plot_track(tmp_path / "track.png", estimates, outputs, spec=spec, title="two")
    assert (tmp_path / "track.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
