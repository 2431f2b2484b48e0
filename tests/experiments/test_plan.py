"""What an experiment depends on: other plans need other folders."""

from dataclasses import replace

import pytest

from doa_core.errors import InputError
from experiments.reproduce.plan import SIX_HEADS, SIZES, Plan, features_of
from experiments.reproduce.run import claim

TINY = Plan(size=SIZES["tiny"], speech="a")


def test_another_plan_needs_another_folder(tmp_path):
    with (
        claim(tmp_path / "e", TINY),
        pytest.raises(InputError, match="Another process is working"),
        claim(tmp_path / "e", TINY),
    ):
        pass
    assert Plan.read(tmp_path / "e") == TINY
    other = Plan(size=SIZES["small"], speech="b")
    with (
        pytest.raises(InputError, match="begun with other size, speech"),
        claim(tmp_path / "e", other),
    ):
        pass
    more = replace(TINY, runs=("gibbs", "cartesian-level"))
    with claim(tmp_path / "e", more):
        assert Plan.read(tmp_path / "e") == more
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="needs a new folder"), claim(tmp_path / "other", TINY):
        pass


@pytest.mark.parametrize("runs", [("gibs",), (), ("gibbs", "gibbs"), ("gibbs-levels",)])
def test_unknown_heads_are_refused(runs):
    with pytest.raises(InputError, match=r"The runs must be among spherical, .*level channel"):
        replace(TINY, runs=runs)


def test_the_six_heads_hear_six_channels():
    assert TINY.runs[:6] == SIX_HEADS
    assert len(features_of("gibbs").channels) == 6
    assert len(features_of("gibbs-level").channels) == 7
