"""Recordings frame by frame: who talks by hand-made labels, who is said to by hand-made answers."""

import numpy as np
import pytest

from doa_core.angles import angles_to_vector
from doa_tf.evaluation.talkers.frames import Answers, judge_recording, moving_at
from doa_tf.scenes.folder import Scene, SceneTalker, Stretch

STEP_S = 0.16  # between estimates
ANNA, BEN = (60.0, 0.0), (-60.0, 0.0)
ENDS_S = 11.0  # 100 frames, from 1 s


def scene_of(**talkers):
    """Name -> (azimuth and elevation [degrees], (start, end) [s], ...)."""
    made = tuple(
        SceneTalker(
            name=name,
            stretches=tuple(
                Stretch(start_s=start, end_s=end, azimuth_deg=where[0], elevation_deg=where[1])
                for start, end in times
            ),
        )
        for name, (where, *times) in talkers.items()
    )
    return Scene(file="a.wav", path="a.wav", talkers=made)


def answers_of(says, *, step_s=STEP_S, late_s=0.0):
    """`says(time)` gives {id: (azimuth, elevation)}; `late_s` is how wrong `of_s` is."""
    answers = []
    for of_s in np.arange(0.4, ENDS_S, step_s):
        found = says(of_s)
        directions = angles_to_vector(*np.radians(np.array([*found.values()]).reshape(-1, 2).T))
        answers.append(Answers(of_s=of_s + late_s, directions=directions, ids=tuple(found)))
    return answers


def figures(scene, says, **options):
    tally = judge_recording(scene, answers_of(says, **options), duration_s=ENDS_S)
    return tally, lambda name: tally.figure(name)


BOTH = scene_of(anna=(ANNA, (0.0, ENDS_S)), ben=(BEN, (0.0, ENDS_S)))


def test_all_answers_right():
    # Both talk throughout; the order and the names of the answers don't matter.
    _, figure = figures(BOTH, lambda t: {7: BEN, 3: ANNA})
    names = ("recall", "recall_overlap", "LR", "recall20", "precision20", "F20", "count_right")
    assert [figure(name) for name in names] == [100.0] * 7
    assert figure("wrong") == figure("switches_per_minute") == 0.0
    assert figure("median_deg") == pytest.approx(0.0, abs=1e-5)
    assert figure("LE_deg") == pytest.approx(0.0, abs=1e-5)
    assert figure("recall_lone") is None  # nobody talks alone
    assert figure("silence_answered") is None  # and it is never silent


def test_one_of_two_is_missing():
    _, figure = figures(BOTH, lambda t: {1: (70.0, 0.0)})
    assert figure("recall") == figure("LR") == figure("recall20") == 50.0
    assert figure("precision20") == 100.0
    assert figure("F20") == pytest.approx(200.0 / 3.0)
    assert figure("count_right") == 0.0
    assert figure("median_deg") == figure("LE_deg") == pytest.approx(10.0)


def test_three_answers_for_one_talker():
    scene = scene_of(anna=(ANNA, (0.0, ENDS_S)))
    says = {1: ANNA, 2: (75.0, 0.0), 3: (150.0, 0.0)}
    _, figure = figures(scene, lambda t: says)
    assert figure("recall") == figure("recall_lone") == figure("LR") == 100.0
    assert figure("precision20") == pytest.approx(100.0 / 3.0)
    assert figure("F20") == pytest.approx(50.0)
    # Beside her is not wrong, behind her is.
    assert figure("wrong") == pytest.approx(100.0 / 3.0)


def test_answers_beyond_20_degrees_are_no_answers():
    scene = scene_of(anna=((0.0, 0.0), (0.0, ENDS_S)))
    for angle_deg, recall in ((19.99, 100.0), (20.01, 0.0)):
        tally, figure = figures(scene, lambda t, a=angle_deg: {1: (a, 0.0)})
        assert figure("recall") == figure("recall20") == recall
        assert figure("wrong") == 100.0 - recall
        assert figure("LR") == 100.0  # located, wherever
        assert figure("LE_deg") == pytest.approx(angle_deg)
        assert len(tally.errors_deg) == recall  # 100 frames, or none


def test_nobody():
    scene = Scene(file="a.wav", path="a.wav")
    _, figure = figures(scene, lambda t: {} if t < 6.0 else {1: ANNA})
    assert figure("silence_answered") == pytest.approx(50.0, abs=1.0)  # frames from 1 to 11 s
    assert figure("precision20") == 0.0
    for name in ("recall", "median_deg", "LE_deg", "LR", "wrong", "count_right"):
        assert figure(name) is None
    _, figure = figures(scene, lambda t: {})
    assert figure("silence_answered") == figure("switches_per_minute") == 0.0
    assert figure("F20") is None


def test_silence_begins_after_the_last_word_has_decayed():
    # Silence lasts from 0.6 s behind the first stretch to 0.3 s before the second: 20 frames.
    scene = scene_of(anna=(ANNA, (0.0, 4.02), (6.93, ENDS_S)))
    tally, figure = figures(scene, lambda t: {1: ANNA})
    assert tally.sums["silence_answered"] == (20, 20)
    assert figure("wrong") == 0.0
    # Still pointing at who was there 0.5 s ago is not wrong, while somebody else talks.
    scene = scene_of(anna=(ANNA, (0.0, 5.02)), ben=(BEN, (5.02, ENDS_S)))
    _, figure = figures(scene, lambda t: {1: ANNA} if t < 5.5 else {2: BEN})
    assert figure("wrong") == 0.0
    assert figure("recall_lone") == 96.0  # 5.1 to 5.4 s; the estimate for 5.5 s is of 5.52 s


def test_identity_switches_on_a_hand_made_sequence():
    # Anna, Ben, Anna again under a new name, and then both change names.
    scene = scene_of(
        anna=(ANNA, (0.0, 3.0), (6.0, ENDS_S)),
        ben=(BEN, (3.0, 6.0), (8.0, ENDS_S)),
    )

    def says(t):
        if t < 3.0:
            return {1: ANNA}
        if t < 6.0:
            return {2: BEN}
        if t < 8.0:
            return {3: ANNA}  # one switch
        return {3: ANNA, 2: BEN} if t < 9.0 else {2: ANNA, 3: BEN}  # two more

    tally, figure = figures(scene, says)
    assert tally.sums["switches_per_minute"] == (3, pytest.approx(10.0 / 60.0))
    assert figure("switches_per_minute") == pytest.approx(18.0)
    # An id that comes back after a pause is no switch; nor is a wrong answer anybody's identity.
    tally, _ = figures(scene, lambda t: {1: ANNA, 2: BEN, 9: (180.0, 0.0)} if t % 2 > 1 else {})
    assert tally.sums["switches_per_minute"][0] == 0


def test_a_runner_of_one_voice_has_no_identities():
    one = [Answers(of_s=a.of_s, directions=a.directions) for a in answers_of(lambda t: {1: ANNA})]
    tally = judge_recording(BOTH, one, duration_s=ENDS_S)
    assert tally.figure("recall") == 50.0
    assert tally.figure("switches_per_minute") is None


def test_who_moves_is_counted_apart():
    # She sits until 5 s, walks 10 degrees a second until 8 s, and sits again; Ben sits.
    azimuths = [10.0 * min(max(frame / 10 - 5.0, 0.0), 3.0) for frame in range(110)]
    walker = SceneTalker(
        name="anna",
        stretches=tuple(
            Stretch(start_s=n / 10, end_s=(n + 1) / 10, azimuth_deg=where, elevation_deg=0.0)
            for n, where in enumerate(azimuths)
        ),
    )
    (ben,) = scene_of(ben=((-120.0, 0.0), (0.0, ENDS_S))).talkers
    scene = Scene(file="a.wav", path="a.wav", talkers=(walker, ben))
    # A turn of more than 5 degrees in a second: from 5.0 + 0.1 s to 8.0 - 0.1 s, all but the edges.
    moving = moving_at(scene, np.array([1.0, 4.9, 5.15, 6.5, 7.85, 8.1, 10.0]))
    assert moving[:, 0].tolist() == [False, False, True, True, True, False, False]
    assert not moving[:, 1].any()
    # In the first half of the walk she is found, and then no more.
    tally, figure = figures(scene, lambda t: {1: (10.0 * (t - 5.0), 0.0)} if 5.0 < t < 6.5 else {})
    found, count = tally.sums["recall_moving"]
    assert count == pytest.approx(28, abs=2)
    assert found == pytest.approx(15, abs=2)
    assert tally.sums["recall_overlap"][1] == 200  # her frames and his, whoever moves
    assert figure("recall_lone") is None


def test_a_walker_is_judged_at_the_moment_that_the_answer_is_of():
    speed = 40.0  # degrees a second
    stretches = tuple(
        Stretch(start_s=t, end_s=t + 0.1, azimuth_deg=speed * (t - 5.5) / 2.0, elevation_deg=0.0)
        for t in np.arange(0.0, ENDS_S, 0.1)
    )
    scene = Scene(file="a.wav", path="a.wav", talkers=(SceneTalker(name="a", stretches=stretches),))

    def says(t):
        return {1: (speed * (t - 5.5) / 2.0, 0.0)}

    _, figure = figures(scene, says)
    # A frame and its estimate are up to 0.08 s apart, a label holds for 0.1 s.
    assert figure("recall") == 100.0
    assert figure("median_deg") < speed / 2.0 * 0.1
    # An answer of a second ago that says it were of now is 20 degrees behind.
    _, figure = figures(scene, says, late_s=1.0)
    assert figure("LE_deg") == pytest.approx(20.0, abs=1.0)


def test_a_moment_without_an_estimate_has_no_answer():
    _, figure = figures(BOTH, lambda t: {1: ANNA, 2: BEN}, step_s=0.32)
    # Differences are multiples of 0.02 s, and those of up to 0.08 s are 9 of 16.
    assert figure("recall") == pytest.approx(100.0 * 9.0 / 16.0, abs=2.0)
    tally = judge_recording(BOTH, [], duration_s=ENDS_S)
    assert tally.figure("recall") == tally.figure("count_right") == 0.0
