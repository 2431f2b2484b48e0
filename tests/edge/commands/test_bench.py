"""`doa_edge bench` measures the parts that `run` is made of."""

import json

import pytest

from doa_core.errors import InputError
from doa_edge.commands import bench
from doa_edge.commands.main import main
from doa_edge.engine import DirectionEngine

FIGURES = {
    "resample",
    "features",
    "network",
    "decode",
    "all",
    "real_time_factor",
    "processor_share",
    "estimate_ms",
    "slowest_estimate_ms",
    "start_s",
    "peak_memory_mb",
}


@pytest.fixture(scope="module")
def result():
    pytest.importorskip("ai_edge_litert")
    return bench.measure(None, seconds=2.0, rounds=2)


def test_every_figure_has_median_and_range(result):
    figures = result["figures"]
    assert set(figures) == FIGURES
    for name, values in figures.items():
        assert 0.0 < values["lowest"] <= values["median"] <= values["highest"], name
    assert result["model"]["file"] == "default.tflite"
    assert result["settings"]["rounds"] == 2


def test_figures_agree_with_each_other(result):
    figures = {name: values["median"] for name, values in result["figures"].items()}
    stages = sum(figures[name] for name in ("resample", "features", "network", "decode"))
    assert stages == pytest.approx(figures["all"], rel=0.01)  # a median of two is linear
    assert figures["all"] == pytest.approx(1e3 * figures["real_time_factor"], rel=0.01)
    assert figures["real_time_factor"] > 0.0
    assert figures["estimate_ms"] <= figures["slowest_estimate_ms"]
    assert figures["peak_memory_mb"] > 20.0


def test_every_sets_how_often_the_network_is_asked(monkeypatch):
    pytest.importorskip("ai_edge_litert")
    push, asked = DirectionEngine.push, []

    def counted(engine, block):
        estimates = push(engine, block)
        asked.extend(estimates)
        return estimates

    monkeypatch.setattr(DirectionEngine, "push", counted)
    monkeypatch.setattr(bench, "_start_times", lambda path: [1.0])
    for every, count in ((1, 2 * 37), (20, 2 * 2)):  # of 61 frames, warmed up by as many
        asked.clear()
        result = bench.measure(None, seconds=2.0, rounds=1, every=every)
        assert result["settings"]["every"] == every
        assert len(asked) == count


def test_table_and_json(capsys, monkeypatch, result):
    monkeypatch.setattr(bench, "measure", lambda *_, **__: result)
    assert main(["bench"]) == 0
    table = capsys.readouterr().out
    for words in (
        "network",
        "ms per second of sound",
        "start to first direction",
        "processor time",
    ):
        assert words in table
    assert main(["bench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seconds", "0"], "--seconds must lie between 2 and 3600"),
        (
            ["--every", "0"],
            "--every must be frames, or seconds such as 0.5s, between 1 and 2000 frames",
        ),
        (["--every", "100s"], "between 1 and 2000 frames. Received: '100s'"),
        (["--threads", "0"], "--threads must be an integer between 1 and 256. Received: 0"),
        (["--rate", "10"], "--rate"),
        (["--model", "nothing.tflite"], "Not found: nothing.tflite"),
    ],
)
def test_bad_options(options, words, capsys):
    assert main(["bench", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_run_that_fails_is_told(tmp_path):
    with pytest.raises(OSError, match=r"doa_edge run failed.*Not found"):
        bench._start_times(tmp_path / "nothing.tflite")


def test_seconds_are_checked():
    with pytest.raises(InputError, match="Received: nan"):
        bench.measure(None, seconds=float("nan"))
