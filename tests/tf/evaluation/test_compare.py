"""Comparisons: every model once, both decodings, paired tests, and a report that says so."""

import argparse
import json

import numpy as np
import pytest

from doa_core.ambisonics import encode_plane_wave
from doa_core.angles import angles_to_vector
from doa_core.errors import InputError
from doa_core.spec import ModelSpec
from doa_tf.cli import compare as cli_compare
from doa_tf.evaluation.compare_plot import removed_by_rank
from doa_tf.evaluation.comparison import chosen_scenes, compare, model_labels, read_history
from doa_tf.evaluation.panels import threshold_shares
from doa_tf.evaluation.predictions import predict
from doa_tf.evaluation.report import write_report
from doa_tf.scenes.folder import read_scenes, write_scenes

pytest.importorskip("soundfile")

WINDOW = 13_312  # samples


class GridModel:
    """A broad lobe around the mean active intensity, as scores of a grid."""

    spec = ModelSpec(head="gibbs", resolution_deg=10.0, decode="centroid")
    runs = 0

    def __init__(self, path=None):
        pass

    def predict(self, features):
        GridModel.runs += 1
        direction = features[..., :3].mean(axis=1)
        return np.exp((direction @ self.spec.grid.vectors.T - 1.0) / np.radians(20.0) ** 2)


class BrokenModel(GridModel):
    """Gives NaN."""

    def predict(self, features):
        return np.full((25, 429), np.nan)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Thirty exact plane waves in ten rooms, two conditions."""
    rng = np.random.default_rng(5)

    def rows():
        for number in range(30):
            azimuth_deg, elevation_deg = rng.uniform(-170, 170), rng.uniform(-60, 60)
            direction = angles_to_vector(np.radians(azimuth_deg), np.radians(elevation_deg))
            wave = encode_plane_wave(0.1 * rng.standard_normal(WINDOW), direction)
            labels = {"azimuth_deg": azimuth_deg, "elevation_deg": elevation_deg}
            labels |= {"condition": ("diffuse", "interferer")[number % 2], "room": number // 3}
            labels |= {"snr_db": round(rng.uniform(0, 20), 2), "rt60_s": 0.2 + 0.02 * number}
            yield f"scene_{number:02d}", wave, labels

    folder = tmp_path_factory.mktemp("compare") / "scenes"
    write_scenes(folder, rows())
    return folder


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A run with a history, whose model loads as the stand-in."""
    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", GridModel)
    run = tmp_path / "gibbs"
    run.mkdir()
    (run / "model.tflite").write_bytes(b"not read")
    (run / "history.csv").write_text("epoch,val_median_angular_error\n0,20.0\n1,9.5\n2,11.0\n")
    return run


def test_a_model_runs_once_and_has_a_row_for_each_decoding(scenes, run_folder):
    GridModel.runs = 0
    comparison = compare([run_folder / "model.tflite", "baseline:intensity"], scenes)
    assert GridModel.runs == 30
    names = [entry.name for entry in comparison.entries]
    assert names == ["gibbs, peak", "gibbs, centroid", "intensity"]
    assert [entry.name for entry in comparison.defaults] == ["gibbs, centroid", "intensity"]
    values = comparison.to_dict()
    assert values["interval"]["drawn"] == "room"
    assert list(values["groups"]) == ["diffuse", "interferer", "all"]
    group = values["groups"]["all"]
    assert [row["n"] for row in group["figures"]] == [30, 30, 30]
    peak, centroid, intensity = (row["median_deg"] for row in group["figures"])
    assert intensity < centroid < peak  # exact waves: what is off is the grid
    (test,) = group["paired"]
    assert (test["a"], test["b"]) == ("gibbs, centroid", "intensity")
    assert test["differences"]["median_deg"] == pytest.approx(centroid - intensity, abs=1e-3)
    low, high = test["intervals"]["median_deg"]
    assert 0.0 < low <= test["differences"]["median_deg"] <= high
    assert test["nearer"] < 5.0
    assert test["wilcoxon_p_holm"] < 1e-5
    assert json.loads(json.dumps(values)) == values


def test_the_report_has_tables_answers_and_pictures(scenes, run_folder, tmp_path):
    pytest.importorskip("matplotlib")
    comparison = compare(["baseline:intensity", run_folder / "model.tflite"], scenes)
    report = write_report(
        tmp_path / "report", comparison, command="doa_tf compare", spheres=["scene_07.wav"]
    )
    text = report.read_text()
    assert "## diffuse: 15 scenes" in text
    assert "| gibbs | centroid |" in text
    assert "whole rooms" in text
    assert "less intensity:" in text
    names = {path.name for path in report.parent.iterdir()}
    pictures = {"distribution", "against", "confidence", "spheres", "training"}
    assert names == {
        "report.md", "report.json", "intensity.csv", "gibbs-peak.csv", "gibbs-centroid.csv",
        *(f"{name}.png" for name in pictures),
    }  # fmt: skip
    for name in pictures:
        assert (report.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({name}.png)" in text
    # A second report replaces the first one's files and leaves nothing half-written.
    write_report(tmp_path / "report", comparison)
    assert {path.name for path in report.parent.iterdir()} == names
    with pytest.raises(InputError, match=r"must be in labels\.csv of .*Received: other\.wav"):
        write_report(tmp_path / "other", comparison, spheres=["other.wav"])
    assert not (tmp_path / "other").exists()


def test_the_command_prints_tables_and_writes_the_folder(scenes, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    args = arguments("baseline:intensity", "baseline:music", "--data", scenes, "--out", tmp_path)
    assert args.run(args) == 0
    out = capsys.readouterr()
    assert "## All scenes: 30 scenes" in out.out
    assert "| music |" in out.out
    assert str(tmp_path / "report.md") in out.err
    assert not (tmp_path / "training.png").exists()  # baselines were not trained


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["baseline:music", "baseline:music"], r"each one once\. Received: baseline:music, base"),
        (["nowhere.keras"], "which is not there"),
        (["baseline:music", "--group-by", "colour"], r"Received: colour"),
        (["baseline:music", "--spheres", "x.wav"], r"--spheres must name files .*Received: x\.wav"),
        (["baseline:music", "--out", __file__], "must name a folder"),
        (["baseline:music", "--data", "/nowhere"], "holds recordings and labels"),
    ],
)
def test_bad_input_is_refused_before_the_work(scenes, tmp_path, argv, message):
    model, *options = argv
    models = [model, options.pop(0)] if options and options[0].startswith("baseline") else [model]
    args = arguments(*models, "--data", scenes, "--out", tmp_path / "report", *options)
    with pytest.raises(InputError, match=message):
        args.run(args)
    assert not (tmp_path / "report").exists()


def arguments(*argv):
    parser = argparse.ArgumentParser()
    cli_compare.add_parser(parser.add_subparsers())
    return parser.parse_args(["compare", *map(str, argv)])


def test_outputs_that_are_nan_name_the_model_and_the_scene(scenes, run_folder, monkeypatch):
    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", BrokenModel)
    with pytest.raises(InputError, match=r"finite outputs.* from .*tflite for .*scene_00\.wav"):
        predict(run_folder / "model.tflite", read_scenes(scenes))


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["runs/a/model.keras", "runs/b/model.keras"], ["a", "b"]),
        (["x/run/model.keras", "y/run/model.keras"], ["x/run", "y/run"]),
        (["a.tflite", "baseline:music"], ["a", "music"]),
        (["run/model.keras", "run/model.tflite"], ["run/model.keras", "run/model.tflite"]),
        (["music.tflite", "baseline:music"], ["music.tflite", "baseline:music"]),
    ],
)
def test_labels_are_short_and_distinct(models, labels):
    assert model_labels(models) == labels


def test_a_history_without_the_column_is_named(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,val\n0,1.5\n1,oops\n")
    with pytest.raises(InputError, match=r"history\.csv must hold numbers in the column loss"):
        read_history(path, "loss")
    with pytest.raises(InputError, match="column val"):
        read_history(path, "val")


def test_what_thresholds_remove():
    confidence = np.array([0.1, 0.2, 0.2, 0.6, 0.9])
    errors = np.array([90.0, 3.0, 45.0, 4.0, 60.0])
    kept, removed, left = threshold_shares(confidence, errors, [0.0, 0.2, 0.5, 1.0])
    assert kept.tolist() == pytest.approx([100, 80, 40, 0])
    assert removed.tolist() == pytest.approx([0, 100 / 3, 200 / 3, 100])
    assert left[:3].tolist() == pytest.approx([60, 50, 50])
    assert np.isnan(left[3])
    assert np.isnan(threshold_shares(confidence, np.ones(5), [0.5])[1]).all()
    # The same by rank; equal confidences go together.
    scenes, outliers = removed_by_rank(confidence, errors)
    assert scenes.tolist() == pytest.approx([0, 20, 60, 80, 100])
    assert outliers.tolist() == pytest.approx([0, 100 / 3, 200 / 3, 200 / 3, 100])
    assert len(removed_by_rank(confidence, np.ones(5))[0]) == 0


def test_chosen_scenes_run_from_easy_to_hard(scenes):
    comparison = compare(["baseline:music"], scenes)
    errors = comparison.entries[0].evaluation.errors_deg
    chosen = chosen_scenes(comparison)
    assert len(set(chosen)) == 4
    assert np.all(np.diff(errors[chosen]) >= 0.0)
