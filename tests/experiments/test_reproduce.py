"""The experiment: stages are done once, and an experiment that was stopped goes on."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from doa_core.errors import InputError
from doa_tf.scenes.folder import read_scenes
from doa_tf.scenes.speaker_split import PARTS
from experiments.reproduce import trainings
from experiments.reproduce.plan import Plan, Size
from experiments.reproduce.results import collect_results
from experiments.reproduce.run import run_experiment
from tests.places import DEMO

pytest.importorskip("tensorflow")

from doa_tf.training import TrainSettings

SPEECH = DEMO / "speech"
MINUTE = Size(
    train_rooms=2, other_rooms=1, rt60=(0.2, 0.25), valid_scenes=2, test_scenes=4, sequences=16,
    batch_size=8, epochs=1,
)  # fmt: skip


@contextmanager
def tiny_networks_here(*, but=()):
    """Trainings run in this process, with tiny networks, apart from those of some names."""
    start = trainings._start
    tiny = partial(TrainSettings, filters=(2, 2, 2), lstm_units=2, dense_units=4)

    def train(folder, name, threads):
        if name in but:
            return start(folder, name, threads)
        trainings.train_one(folder, Plan.read(folder), name)
        return SimpleNamespace(poll=lambda: 0, returncode=0)

    with pytest.MonkeyPatch.context() as patch:
        for module in ("doa_tf.training", "doa_tf.training.settings"):
            patch.setattr(f"{module}.TrainSettings", tiny)
        patch.setattr(trainings, "_start", train)
        yield


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A finished experiment with two heads, and the stages that it went through."""
    folder = tmp_path_factory.mktemp("experiment") / "out"
    plan = Plan(size=MINUTE, speech=str(SPEECH), runs=("cartesian", "gibbs-weighted-level"))
    with tiny_networks_here(but=["cartesian"]):
        stages = run(folder, plan)
    return folder, plan, stages


@pytest.fixture
def copied(experiment, tmp_path):
    """(folder, plan) of a copy of it, to be changed."""
    folder, plan, _ = experiment
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy", plan


def run(folder, plan, **options):
    stages = []

    @contextmanager
    def bars(name):
        stages.append(name)
        yield lambda done, total: None

    run_experiment(folder, plan, jobs=2, bars=bars, **options)
    return stages


@pytest.mark.slow
def test_an_experiment_ends_in_a_report(experiment):
    folder, plan, stages = experiment
    text = (folder / "report.md").read_text()
    for part in (
        "| Gibbs targets are slightly better than one-hot | **not tested** |",
        "### diffuse: 4 scenes",
        "### interferer: 4 scenes",
        "| gibbs-weighted-level | peak |",
        "| gibbs-weighted-level | centroid |",
        "| music |",
        "| cartesian | 1 |",
        "less cartesian:",
    ):
        assert part in text, part
    values = json.loads((folder / "report.json").read_text())
    assert values["plan"] == plan.to_dict()
    assert len(values["statements"]) == 8
    for picture in ("distribution", "confidence", "spheres", "training"):
        assert f"({picture}.png)" in text
        assert (folder / f"{picture}.png").exists()
    assert set(json.loads((folder / "times.json").read_text())) == {
        "rooms", "scenes", "features", "training", "evaluation"
    }  # fmt: skip
    assert "test: cartesian" in stages
    # Speakers and rooms are not shared.
    speakers = [{p.name.split("-")[0] for p in (folder / "speech" / x).iterdir()} for x in PARTS]
    assert not set.union(*speakers) - {"awb", "rms", "slt"}
    assert sum(map(len, speakers)) == 3
    assert (folder / "rooms" / "valid" / "index.json").read_text() != (
        folder / "rooms" / "test" / "index.json"
    ).read_text()


@pytest.mark.slow
def test_what_is_done_is_not_done_again(experiment, monkeypatch):
    folder, plan, _ = experiment
    made = {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.suffix in (".keras", ".wav", ".npy", ".npz", ".csv") and path.is_file()
    }
    assert len(made) > 20

    def must_not(*args, **options):
        raise AssertionError("done again")

    monkeypatch.setattr("experiments.reproduce.trainings.subprocess.Popen", must_not)
    monkeypatch.setattr("experiments.reproduce.results.predict", must_not)
    (folder / "report.md").unlink()
    stages = run(folder, plan)
    assert not any(stage.startswith(("scenes", "test:")) for stage in stages)
    assert (folder / "report.md").exists()
    assert {path: path.stat().st_mtime_ns for path in made} == made


@pytest.mark.slow
def test_fresh_scenes_of_the_processor_go_on_from_those_of_an_accelerator(copied):
    copy, plan = copied
    shutil.rmtree(copy / "features")
    with pytest.raises(InputError, match=r"begun with other engine"):
        run(copy, replace(plan, engine="live"))
    (copy / "experiment.json").write_text(json.dumps(replace(plan, engine="jax").to_dict()))
    more = replace(plan, runs=(*plan.runs, "gibbs-harmonic"), engine="live")
    with tiny_networks_here():
        stages = run(copy, more)
    assert not (copy / "features").exists()
    assert "features" not in stages
    settings = json.loads((copy / "runs" / "gibbs-harmonic" / "settings.json").read_text())
    assert settings["settings"]["live"] is True
    engines = {
        p.parent.name: json.loads(p.read_text())["engine"] for p in copy.glob("runs/*/done.json")
    }
    assert engines == {
        "cartesian": "keras",
        "gibbs-weighted-level": "keras",
        "gibbs-harmonic": "live",
    }
    assert "| gibbs-harmonic | centroid |" in (copy / "report.md").read_text()


@pytest.mark.slow
def test_results_of_another_model_are_made_anew(copied):
    copy, plan = copied
    shutil.copy(copy / "runs/cartesian/last.keras", copy / "runs/cartesian/model.keras")
    again = []

    @contextmanager
    def bars(name):
        again.append(name)
        yield lambda done, total: None

    scenes = read_scenes(copy / "scenes" / "test")
    (comparison,) = collect_results(copy, plan, [scenes], bars=bars)
    assert again == ["test: cartesian"]
    assert len(comparison.entries) == 5


@pytest.mark.slow
def test_a_training_that_fails_says_why_and_the_others_are_ended(copied):
    copy, plan = copied
    shutil.rmtree(copy / "runs")
    (copy / "experiment.json").unlink()
    with pytest.raises(OSError, match=r"training .* ended with status 1; .*train\.log ends with"):
        trainings.train_all(copy, plan, jobs=2, threads=1, progress=lambda done, total: None)


def test_a_training_ends_with_its_experiment(tmp_path):
    # Given a parent that it has not, as after a kill: it ends before it has done anything.
    command = ["-m", "experiments.reproduce.trainings", str(tmp_path), "cartesian", "1", "1"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    # The same with its own parent goes on, until it finds no experiment there.
    command[-1] = str(os.getpid())
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 1
    assert "experiment.json" in done.stderr
