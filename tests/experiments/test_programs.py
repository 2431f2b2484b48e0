"""Every program that is run as `python -m ...` says its command, and answers --help."""

from importlib import import_module

import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("threadpoolctl")

QUALITY = (
    *("causes", "confidence", "listening", "model_card", "own_scenes", "pictures", "robustness"),
)
CHOICES = ("heading", "held_angle", "narrow", "offsets", "refinement", "search")
BENCHMARKS = ("accelerator", "edge", "export", "hostile_page", "recipes", "soak", "training")
PROGRAMS = (
    *("experiments.reproduce", "experiments.scenes.array_sofa"),
    *(f"experiments.quality.{name}" for name in QUALITY),
    *(f"experiments.choices.{name}" for name in CHOICES),
    *("benchmarks.rooms", "benchmarks.rooms.cluster"),
    *(f"benchmarks.{name}" for name in BENCHMARKS),
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_its_command_and_what_it_does(program, capsys):
    packages = ("experiments.reproduce", "benchmarks.rooms")
    module = import_module(f"{program}.__main__" if program in packages else program)
    assert f"python -m {program}" in module.__doc__
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m {program} ")
    assert text.count("\n\n") >= 2  # usage, what it does, options
