"""Answers and talkers as sets: the order of neither matters, and what is missing has an error."""

import numpy as np
import pytest

from doa_core.angles import angles_to_vector, random_rotation
from doa_tf.matching import (
    NO_ANSWER_DEG,
    angles_between,
    errors_of_talkers,
    match,
)


def vectors(*angles_deg):
    return angles_to_vector(*np.radians(np.array(angles_deg, float).reshape(-1, 2).T))


TALKERS = vectors((30, 0), (-60, 10), (150, -20))


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_swapped_answers_have_no_error(order):
    np.testing.assert_allclose(errors_of_talkers(TALKERS, TALKERS[order]), 0.0, atol=1e-5)


def test_the_sum_of_all_angles_is_smallest_and_not_each():
    # The answer at 10 degrees is nearest to both; the talker at 0 has to take the one at -30.
    talkers, answers = vectors((0, 0), (20, 0)), vectors((10, 0), (-30, 0))
    assert errors_of_talkers(talkers, answers) == pytest.approx([30.0, 10.0])
    pairs = match(angles_between(talkers, answers))
    assert pairs.answers.tolist() == [1, 0]
    assert [pairs.hits(deg) for deg in (9.9, 10.0001, 30.0001)] == [0, 1, 2]


def test_a_talker_without_an_answer_has_the_largest_error():
    errors = errors_of_talkers(TALKERS, TALKERS[[2]])
    assert errors == pytest.approx([NO_ANSWER_DEG, NO_ANSWER_DEG, 0.0], abs=1e-5)
    assert errors_of_talkers(TALKERS, np.zeros((0, 3))).tolist() == [NO_ANSWER_DEG] * 3
    assert errors_of_talkers(np.zeros((0, 3)), TALKERS).tolist() == []
    assert errors_of_talkers([], []).tolist() == []


def test_a_surplus_answer_costs_no_talker():
    answers = np.concatenate([vectors((100, 70)), TALKERS])
    np.testing.assert_allclose(errors_of_talkers(TALKERS, answers), 0.0, atol=1e-5)


def test_a_rotation_of_all_changes_nothing():
    rng = np.random.default_rng(0)
    answers = vectors((40, 5), (-50, 0), (120, -20))
    before = errors_of_talkers(TALKERS, answers)
    turn = random_rotation(rng)
    np.testing.assert_allclose(errors_of_talkers(TALKERS @ turn.T, answers @ turn.T), before)


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((2, 2)), np.ones((1, 2, 3))])
def test_what_is_no_list_of_vectors_is_refused(bad):
    with pytest.raises(ValueError, match=r"must be \(count, 3\)"):
        angles_between(TALKERS, bad)
