"""Killed twice at random moments and run again, a command leaves what it leaves undisturbed."""

from __future__ import annotations

import pytest

from tests.crash.commands import COMMANDS
from tests.crash.kills import Killer

pytestmark = pytest.mark.slow
SEED = 16


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    return Killer(tmp_path_factory.mktemp("crash"), SEED)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_ends_bit_identical_and_leaves_nothing(killer, name):
    outcome = killer.kill(name, kills=2)
    print(f"{name}, seed {SEED}, killed at {'; '.join(outcome.moments)}")
    assert outcome.wrong == []
    assert len(outcome.moments) == 2
