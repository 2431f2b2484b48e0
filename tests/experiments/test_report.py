"""The report of an experiment: answers follow from the data, and go into a page."""

from dataclasses import replace

import numpy as np
import pytest

from doa_core.errors import InputError
from doa_tf.evaluation.comparison import Comparison, Entry
from doa_tf.evaluation.judge import Evaluation, SceneResult
from doa_tf.scenes.folder import Scene, Scenes
from experiments.reproduce.report import BEGIN, END, check_update, update_section
from experiments.reproduce.statements import answers


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
