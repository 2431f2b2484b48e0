"""What the tests of the signal contract share."""

import itertools

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20190901)


@pytest.fixture(scope="session")
def directions():
    """(D, 3) the eight octants, the six axes (poles and azimuth 180 among them), 50 at random."""
    octants = np.array(list(itertools.product([1.0, -1.0], repeat=3))) * [1.0, 0.6, 0.3]
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    random = np.random.default_rng(7).standard_normal((50, 3))
    vectors = np.concatenate([octants, axes, random])
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
