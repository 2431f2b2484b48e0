"""The terminal view and the plot."""

import io
from dataclasses import replace

import numpy as np
import pytest

from doa_core.angles import great_circle_distance
from doa_core.errors import InputError
from doa_core.files import write_beside
from doa_core.spec import ModelSpec
from doa_edge.engine import DirectionEngine, EngineSettings, Estimate
from doa_edge.recording import OutputAverage
from tests.edge.conftest import unit_vector

ESTIMATE = Estimate(
    time_s=1.25,
    azimuth_deg=90.0,
    elevation_deg=-12.0,
    confidence=0.5,
    active=True,
    level_dbfs=-30.0,
)


def drawn(estimate, title="a [b]title[/b].wav"):
    console = pytest.importorskip("rich.console")
    from doa_edge.sinks.view import render

    file = io.StringIO()
    console.Console(file=file, width=100).print(render(estimate, title))
    return file.getvalue()


def test_view_has_the_numbers():
    text = drawn(ESTIMATE)
    for part in ("+90.0°", "-12.0°", "0.50", "-30.0 dBFS", "1.250 s", "a [b]title[/b].wav"):
        assert part in text
    assert "not active" not in text
    assert "not active" in drawn(replace(ESTIMATE, active=False))


def test_view_shows_a_name_that_a_terminal_would_obey():
    text = drawn(ESTIMATE, "\x1b]0;owned\x07.wav")
    assert "\\x1b]0;owned\\x07.wav" in text
    assert not set(text) & {"\x1b", "\x07"}


@pytest.mark.parametrize("azimuth_deg", [180.0, 90.0, 0.0, -90.0, -179.99])
def test_marker_stands_over_its_label(azimuth_deg):
    text = drawn(replace(ESTIMATE, azimuth_deg=azimuth_deg)).splitlines()
    strip = next(line for line in text if "●" in line)
    start = next(line for line in text if "back" in line).index("back")
    assert strip.index("●") - start == round((180.0 - azimuth_deg) / 5.0)


def track_of(plane_wave, model):
    scene = np.concatenate(
        [plane_wave(60.0, 20.0, seconds=2.0), np.zeros((32_000, 4)), plane_wave(60.0, 20.0)]
    )
    engine = DirectionEngine(model, EngineSettings(keep_outputs=True))
    average = OutputAverage(engine.spec)
    estimates = engine.push(scene)
    for estimate in estimates:
        average.add(estimate)
    return estimates, average.outputs


def test_plot_is_a_png(tmp_path, plane_wave, intensity_model):
    pytest.importorskip("matplotlib")
    from doa_edge.sinks.plot import plot_track

    estimates, outputs = track_of(plane_wave, intensity_model)
    path = tmp_path / "track.png"
    plot_track(path, estimates, outputs, spec=intensity_model.spec, title="noise")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert path.stat().st_size > 20_000
    assert [p.name for p in tmp_path.iterdir()] == ["track.png"]


def test_plot_of_silence_says_so(tmp_path, intensity_model):
    pytest.importorskip("matplotlib")
    from doa_edge.sinks.plot import plot_track

    estimates = DirectionEngine(intensity_model).push(np.zeros((16_000, 4)))
    path = tmp_path / "silence.svg"
    plot_track(path, estimates, np.zeros((0, 3)), spec=intensity_model.spec)
    assert path.read_text().count("<svg") == 1


@pytest.mark.parametrize("head", ["cartesian", "gibbs"])
def test_scores_peak_at_the_answer(head):
    from doa_edge.sinks.plot import score_map

    answer = unit_vector(60.0, 20.0)
    if head == "gibbs":
        spec = ModelSpec(head=head, resolution_deg=10.0)
        outputs = np.exp((spec.grid.vectors @ answer - 1.0) / 0.03)[np.newaxis]
        tolerance_deg = 14.0  # the corner of the cell, and the cell from the answer
    else:
        spec = ModelSpec(head=head)
        outputs = np.repeat(0.5 * answer[np.newaxis] + 0.5, 600, axis=0)  # more than one chunk
        tolerance_deg = 2.0
    azimuth_deg, elevation_deg, scores = score_map(outputs, spec=spec)
    row, column = np.unravel_index(np.argmax(scores), scores.shape)
    peak = unit_vector(azimuth_deg[column], elevation_deg[row])
    assert np.degrees(great_circle_distance(peak, answer)) <= tolerance_deg
    assert scores.max() == pytest.approx(1.0, abs=0.3)


def test_other_suffix_is_refused(tmp_path):
    from doa_edge.sinks.plot import check_plot

    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg"):
        check_plot(tmp_path / "track.gif")


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with write_beside(path) as part:
            part.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_keeps_pointing_where_it_did(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with write_beside(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from doa_edge.sinks.plot import save_picture

    name = r"a$\frac{b$.wav"
    figure = Figure(figsize=(4.0, 3.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([1, 2], [1, 2], label=name)
    axes.legend()
    axes.barh([name, "b"], [1, 2])
    axes.set(xlabel=name, ylabel=name, title=name)
    axes.set_xticks([1, 2], [name, "$"])
    axes.annotate(name, (0, 0))
    figure.suptitle(name)
    path = tmp_path / f"picture{suffix}"
    save_picture(figure, path)
    if suffix == ".svg":
        assert path.read_text().count("<!-- a$\\frac{b$.wav -->") == 8
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_plot_of_a_name_that_looks_like_a_formula(tmp_path, intensity_model):
    pytest.importorskip("matplotlib")
    from doa_edge.sinks.plot import plot_track

    estimates = DirectionEngine(intensity_model).push(np.zeros((16_000, 4)))
    path = tmp_path / "$\\frac{.png"
    spec = intensity_model.spec
    plot_track(path, estimates, np.zeros((0, 3)), spec=spec, title="$\\frac{$")
    assert path.stat().st_size > 1000
