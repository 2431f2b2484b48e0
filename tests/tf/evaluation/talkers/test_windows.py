"""Windows: who counts, the errors where the count is known, and what is found where it is not."""

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_tf.evaluation.talkers.tallies import MEDIAN, Tally, difference, figure, figures
from doa_tf.evaluation.talkers.windows import (
    KNOWN_FIGURES,
    UNKNOWN_FIGURES,
    Window,
    talkers_of,
    window_of,
)
from doa_tf.scenes.folder import Scene, SceneTalker, Stretch, read_scenes, write_scenes

WINDOW = 13_312  # samples: 25 frames, the middles of which are from 0.032 to 0.8 s


def vectors(*angles_deg):
    return angles_to_vector(*np.radians(np.array(angles_deg, float).reshape(-1, 2).T))


ANNA, BEN, CARL = (60.0, 0.0), (-60.0, 0.0), (170.0, 30.0)


def scene_of(*places, file="a.wav"):
    talkers = tuple(
        SceneTalker(name=str(n), stretches=(Stretch(azimuth_deg=a, elevation_deg=e),))
        for n, (a, e) in enumerate(places)
    )
    return Scene(file=file, path=file, talkers=talkers)


def window(places, known=(), unknown=None):
    return Window(
        scene=scene_of(*places),
        names=tuple(map(str, range(len(places)))),
        truth=vectors(*places),
        known=vectors(*known),
        confidence=np.ones(len(known)),
        unknown=None if unknown is None else vectors(*unknown),
    )


def test_swapped_answers_have_no_error():
    tally = window([ANNA, BEN], [BEN, ANNA], [BEN, ANNA]).tally
    assert tally.errors_deg == pytest.approx([0.0, 0.0], abs=1e-5)
    for name in ("acc5", "acc20", "recall10", "precision20", "F10", "count_right"):
        assert tally.figure(name) == 100.0
    assert tally.figure("outliers30") == tally.figure("count_error") == 0.0
    assert tally.figure("mean_deg") == pytest.approx(0.0, abs=1e-5)


def test_a_missing_answer_is_half_of_the_recall():
    tally = window([ANNA, BEN], [ANNA], [ANNA]).tally
    assert [tally.figure(f"recall{deg}") for deg in (10, 20)] == [50.0, 50.0]
    assert tally.figure("precision10") == 100.0
    assert tally.figure("F20") == pytest.approx(200.0 / 3.0)
    assert tally.figure("count_right") == 0.0
    assert tally.figure("count_error") == 1.0
    assert tally.figure("acc20") == tally.figure("outliers30") == 50.0
    assert tally.figure("mean_deg") == pytest.approx(90.0)


def test_three_answers_for_one_are_a_third_of_the_precision():
    tally = window([ANNA], [ANNA], [ANNA, (75.0, 0.0), CARL]).tally
    assert tally.figure("recall10") == 100.0
    assert tally.figure("precision10") == tally.figure("precision20") == pytest.approx(100.0 / 3.0)
    assert tally.figure("F10") == pytest.approx(50.0)
    assert tally.figure("count_error") == 2.0


def test_nobody_and_an_answer():
    silent, answered = window([], [], []).tally, window([], [], [CARL]).tally
    both = [silent, answered]
    assert figure(both, "silence_answered") == figure(both, "count_right") == 50.0
    assert figure(both, "precision10") == 0.0
    assert figure(both, "recall10") is None
    assert figure(both, MEDIAN) is None
    values = figures(both, (*KNOWN_FIGURES, *UNKNOWN_FIGURES))
    assert values["median_deg"] is values["acc10"] is values["intervals"]["acc10"] is None
    assert values["intervals"]["silence_answered"] == [0.0, 100.0]


def test_a_method_that_needs_the_count_is_not_judged_without():
    tally = window([ANNA, BEN], [ANNA, BEN]).tally
    assert "recall10" not in tally.sums
    assert tally.figure("recall10") is None


def test_limits_belong_to_what_is_within_them():
    tally = window([(0.0, 0.0)], [(9.9999, 0.0)], [(20.0001, 0.0)]).tally
    assert tally.figure("acc10") == 100.0
    assert tally.figure("acc5") == tally.figure("recall20") == 0.0


def test_answers_below_the_threshold_count_only_where_the_count_is_known():
    directions, confidence = vectors(ANNA, BEN, CARL), np.array([0.9, 0.4, 0.39])

    def answer(count):
        return directions[:count], confidence[:count]

    judged = window_of(scene_of(ANNA, BEN, CARL), answer, most=4, threshold=0.4)
    assert judged.tally.figure("acc10") == 100.0
    assert judged.tally.figure("recall10") == pytest.approx(200.0 / 3.0)
    assert judged.tally.figure("precision10") == 100.0
    assert window_of(scene_of(ANNA), answer).unknown is None
    nobody = window_of(scene_of(), answer, most=4, threshold=0.4)
    assert len(nobody.known) == 0
    assert len(nobody.unknown) == 2


def test_a_talker_counts_from_30_percent_of_the_frames_on(tmp_path):
    rows = [
        {"talker": "all", "start_s": 0.0, "end_s": 0.832, "azimuth_deg": 0.0, "elevation_deg": 0.0},
        # The middles of frames 0 to 7, and 0 to 6: 32 and 28 % of 25.
        {"talker": "more", "start_s": 0, "end_s": 0.257, "azimuth_deg": 90.0, "elevation_deg": 0.0},
        {"talker": "less", "start_s": 0, "end_s": 0.255, "azimuth_deg": 180, "elevation_deg": 0.0},
    ]
    write_scenes(tmp_path / "s", [("a", np.zeros((WINDOW, 4)), rows)])
    (scene,) = read_scenes(tmp_path / "s")
    names, directions = talkers_of(scene)
    assert names == ("all", "more")
    np.testing.assert_allclose(directions, vectors((0, 0), (90, 0)), atol=1e-12)


def test_a_walker_is_at_their_mean_direction(tmp_path):
    rows = [
        {
            "talker": "walker", "start_s": k / 10, "end_s": min((k + 1) / 10, 0.832),
            "azimuth_deg": 30.0 * (k / 10 + 0.05 - 0.416), "elevation_deg": 0.0,
        }
        for k in range(9)
    ]  # fmt: skip
    write_scenes(tmp_path / "s", [("a", np.zeros((WINDOW, 4)), rows)])
    (scene,) = read_scenes(tmp_path / "s")
    _, (direction,) = talkers_of(scene)
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    assert np.degrees(great_circle_distance(direction, [1.0, 0.0, 0.0])) < 1.0


# --- figures of many files ----------------------------------------------------------------------


def tally_of(file, errors, **sums):
    scene = Scene(file=file, path=file, azimuth_deg=0.0, elevation_deg=0.0)
    return Tally(scene=scene, errors_deg=np.array(errors, float), sums=sums)


def test_a_talker_counts_the_same_in_whatever_file():
    some = [tally_of("a", [1, 2, 3], acc10=(3, 3)), tally_of("b", [40], acc10=(0, 1))]
    values = figures(some, ("acc10", MEDIAN))
    assert values["acc10"] == 75.0
    assert values["median_deg"] == 2.5
    # Whole files are drawn: twice a, twice b, or both.
    assert values["intervals"]["acc10"] == [0.0, 100.0]
    assert values["intervals"]["median_deg"] == [2.0, 40.0]


def test_differences_are_paired():
    # Half of the files are hard, and in each the one is better by one talker of ten.
    a = [tally_of(f"{n}", [], acc10=(9 if n % 2 else 1, 10)) for n in range(40)]
    b = [tally_of(f"{n}", [], acc10=(8 if n % 2 else 0, 10)) for n in range(40)]
    found = difference(a, b, ("acc10", "recall10"))
    assert found["acc10"] == {"difference": 10.0, "interval": [10.0, 10.0]}
    assert found["recall10"] is None
