"""The experiment: stages are done once, other plans are refused, answers follow from data."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.evaluation.comparison import Comparison, Entry
from doa_tf.evaluation.judge import Evaluation, SceneResult
from doa_tf.scenes.folder import Scene, Scenes
from doa_tf.scenes.speaker_split import PARTS, split_folder

pytest.importorskip("tensorflow")

from doa_tf.scenes.folder import read_scenes
from experiments.reproduce.plan import SIX_HEADS, SIZES, Plan, Size, features_of
from experiments.reproduce.report import BEGIN, END, check_update, update_section
from experiments.reproduce.results import collect_results
from experiments.reproduce.run import claim, run_experiment
from experiments.reproduce.statements import answers
from experiments.reproduce.trainings import train_all
from tests.places import DEMO

SPEECH = DEMO / "speech"
MINUTE = Size(
    train_rooms=2, other_rooms=1, rt60=(0.2, 0.25), valid_scenes=2, test_scenes=4, sequences=16,
    batch_size=8, epochs=1,
)  # fmt: skip


# --- the whole of it ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A finished experiment with two heads, and the stages that it went through."""
    folder = tmp_path_factory.mktemp("experiment") / "out"
    plan = Plan(size=MINUTE, speech=str(SPEECH), runs=("cartesian", "gibbs-weighted-level"))
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
    shutil.rmtree(copy / "scenes" / "valid")
    with pytest.raises(OSError, match=r"training .* ended with status 1; .*train\.log ends with"):
        train_all(copy, plan, jobs=2, threads=1, progress=lambda done, total: None)


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


# --- plans and folders ----------------------------------------------------------------------------


def test_another_plan_needs_another_folder(tmp_path):
    plan = Plan(size=MINUTE, speech="a")
    with (
        claim(tmp_path / "e", plan),
        pytest.raises(InputError, match="Another process is working"),
        claim(tmp_path / "e", plan),
    ):
        pass
    assert Plan.read(tmp_path / "e") == plan
    other = Plan(size=SIZES["tiny"], speech="b")
    with (
        pytest.raises(InputError, match="begun with other size, speech"),
        claim(tmp_path / "e", other),
    ):
        pass
    more = Plan(size=MINUTE, speech="a", runs=("gibbs", "cartesian-level"))
    with claim(tmp_path / "e", more):
        assert Plan.read(tmp_path / "e") == more
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="needs a new folder"), claim(tmp_path / "other", plan):
        pass


@pytest.mark.parametrize("runs", [("gibs",), (), ("gibbs", "gibbs"), ("gibbs-levels",)])
def test_unknown_heads_are_refused(runs):
    with pytest.raises(InputError, match=r"The runs must be among spherical, .*level channel"):
        Plan(size=MINUTE, speech="a", runs=runs)


def test_the_six_heads_hear_six_channels():
    assert Plan(size=MINUTE, speech="a").runs[:6] == SIX_HEADS
    assert len(features_of("gibbs").channels) == 6
    assert len(features_of("gibbs-level").channels) == 7


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("train-clean-100", "dev-clean", "test-clean")]
)
def test_parts_that_are_there_are_taken(tmp_path, names):
    for name in names:
        (tmp_path / "s" / name).mkdir(parents=True)
    parts = split_folder(tmp_path / "s", tmp_path / "out")
    assert [parts[part].name for part in PARTS] == list(names)
    assert not (tmp_path / "out").exists()
    (tmp_path / "s" / "train-other-500").mkdir()
    with pytest.raises(InputError, match="one sub-folder each for train, valid and test"):
        split_folder(tmp_path / "s", tmp_path / "out")


def test_speakers_are_in_one_part_only(tmp_path):
    for speaker in range(20):
        folder = tmp_path / "s" / f"p{speaker}"
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.flac").touch()
    parts = split_folder(tmp_path / "s", tmp_path / "out", seed=1)
    speakers = {part: {p.name for p in folder.iterdir()} for part, folder in parts.items()}
    assert [len(speakers[part]) for part in PARTS] == [16, 2, 2]
    assert len(set.union(*speakers.values())) == 20
    files = list((tmp_path / "out").rglob("*.flac"))
    assert len(files) == 60
    assert all(file.is_file() for file in files)
    assert split_folder(tmp_path / "s", tmp_path / "out", seed=9) == parts  # as it was


def test_too_few_speakers_are_refused(tmp_path):
    for name in ("a-1.wav", "a-2.wav", "b-1.wav"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"at least 3 speakers\. Received: 2 \(a, b\)"):
        split_folder(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="A folder of recordings is needed"):
        split_folder(tmp_path / "nowhere", tmp_path / "out")


def test_a_report_goes_between_two_lines(tmp_path):
    page, report = tmp_path / "results.md", tmp_path / "report.md"
    report.write_text(
        "# Experiment\n\n12 rooms.\n\n### Paired differences\n\nlong\n\n"
        "![Picture](a.png)\n\n## More\n\nEnd.\n"
    )
    page.write_text(f"# Results\n\nbefore\n{BEGIN}\nold\n{END}\nafter\n")
    update_section(page, report)
    text = page.read_text()
    assert text.startswith(f"# Results\n\nbefore\n{BEGIN}\n\n12 rooms.")
    assert text.endswith(f"paired differences of every pair as well.\n\n{END}\nafter\n")
    assert "\n\n### More\n\nEnd.\n" in text
    assert "old" not in text
    assert "long" not in text
    assert "![" not in text
    update_section(page, report)
    assert page.read_text() == text
    page.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(InputError, match="needs a file with the lines"):
        check_update(page)


# --- statements -----------------------------------------------------------------------------------


def comparison(tmp_path, medians, histories=None):
    """300 scenes, hard ones for all; factors of each head's errors in (diffuse, interferer)."""
    rng = np.random.default_rng(7)
    scenes = tuple(
        Scene(
            file=f"{k}.wav", path=tmp_path / f"{k}.wav", azimuth_deg=0.0, elevation_deg=0.0,
            columns={"condition": ("diffuse", "interferer")[k % 2]},
        )
        for k in range(300)
    )  # fmt: skip
    hard = rng.exponential(1.0, 300)
    entries = []
    for label, pair in medians.items():
        errors = np.where(np.arange(300) % 2 == 0, pair[0], pair[1]) * hard
        errors *= np.exp(rng.normal(0.0, 0.05, 300))
        history = tmp_path / f"{label}.csv"
        values = (histories or {}).get(label, [20.0, sum(pair)])
        rows = "".join(f"{k},{value}\n" for k, value in enumerate(values))
        history.write_text(f"epoch,val_median_angular_error\n{rows}")
        grid = label not in ("spherical", "spherical-angular", "cartesian")
        for method in ("peak", "centroid") if grid else ("direct",):
            results = tuple(
                SceneResult(
                    scene=scene, azimuth_deg=0.0, elevation_deg=0.0, error_deg=min(float(e), 180.0),
                    confidence=1.0,
                )
                for scene, e in zip(scenes, errors, strict=True)
            )  # fmt: skip
            evaluation = Evaluation(
                model=label, decode=method, group_by="condition", results=results
            )
            entries.append(Entry(label=label, evaluation=evaluation, history=history))
    folder = Scenes(folder=tmp_path, scenes=scenes, columns=("condition",))
    return Comparison(scenes=folder, group_by="condition", entries=tuple(entries), predictions={})


PAPER = {
    "spherical": (20, 40), "spherical-angular": (18, 38), "cartesian": (8, 30),
    "onehot": (13, 22), "gibbs": (12, 20), "gibbs-weighted": (10, 15), "gibbs-harmonic": (7, 12),
}  # fmt: skip


def test_what_the_paper_says_is_found_where_it_is_so(tmp_path):
    histories = {"onehot": [30, 20, 15], "gibbs": [30, 19, 14], "gibbs-weighted": [20, 13, 12]}
    found = answers(comparison(tmp_path, PAPER, histories))
    assert [answer.verdict for answer in found] == ["holds"] * 8
    gibbs, *_ = found
    assert "diffuse, median: gibbs, peak less onehot, peak -" in gibbs.evidence[0]
    assert "in epoch 2; one run each, no interval" in found[3].evidence[0]


def test_few_rooms_tell_nothing(tmp_path):
    whole = comparison(tmp_path, PAPER)
    rooms = tuple(
        replace(scene, columns={**scene.columns, "room": str(number % 8)})
        for number, scene in enumerate(whole.scenes)
    )
    entries = tuple(
        replace(entry, evaluation=replace(entry.evaluation, results=tuple(
            replace(result, scene=scene)
            for result, scene in zip(entry.evaluation.results, rooms, strict=True)
        )))
        for entry in whole.entries
    )  # fmt: skip
    found = answers(replace(whole, entries=entries))
    assert {answer.verdict for answer in found[:3]} == {"open"}
    assert "4 rooms or scenes are too few" in found[0].evidence[0]


def test_and_not_where_it_is_not(tmp_path):
    histories = {"onehot": [10], "gibbs": [10], "gibbs-weighted": [30, 11]}
    turned = {name: PAPER[other] for name, other in zip(PAPER, reversed(PAPER), strict=True)}
    found = answers(comparison(tmp_path, turned, histories))
    assert [answer.verdict for answer in found] == ["does not hold"] * 8
    assert "never" in found[3].evidence[0]


def test_what_cannot_be_told_is_open_and_what_is_missing_is_not_tested(tmp_path):
    same = dict.fromkeys(PAPER, (10, 20))
    found = answers(comparison(tmp_path, same, {name: [10.0] for name in PAPER}))
    assert {answer.verdict for answer in found} <= {"open", "does not hold"}
    assert sum(answer.verdict == "open" for answer in found) >= 5
    assert found[3].verdict == "does not hold"  # no epoch sooner
    few = {name: PAPER[name] for name in ("cartesian", "gibbs")}
    assert {answer.verdict for answer in answers(comparison(tmp_path, few))} <= {
        "not tested", "holds"
    }  # fmt: skip
