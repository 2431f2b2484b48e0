"""Five hundred changed inputs of each kind; `make fuzz` runs more, and other seeds."""

import random
import subprocess
import sys

import pytest

from tests.fuzz import mutators
from tests.fuzz.kinds import KINDS
from tests.fuzz.runner import fuzz
from tests.places import PROJECT

SEED, COUNT = 1, 500


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_input_ends_in_a_result_or_a_clear_line(kind, tmp_path):
    for module in KINDS[kind].needs:
        pytest.importorskip(module)
    command = [sys.executable, "-m", "tests.fuzz", kind, "--seed", str(SEED), "--count", str(COUNT)]
    command += ["--keep", str(tmp_path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]
    (line,) = result.stdout.splitlines()
    results, lines = (int(part.split()[0]) for part in line.split(": ")[1].split(", ")[:2])
    assert results + lines == COUNT
    assert lines > 0


class Kind:
    """A kind whose inputs end as a test wants."""

    name = "kind"
    needs = ()

    def __init__(self, run):
        self._run = run

    def prepare(self, folder):
        pass

    def write(self, rng, folder):
        (folder / "input").write_text(str(rng.random()))
        return None

    def run(self, folder, arguments):
        return self._run(float((folder / "input").read_text()))


def clear_line(value):
    sys.stderr.write("doa_edge: a clear line\n")
    return 2


def two_lines(value):
    sys.stderr.write("doa_edge: one\ndoa_edge: two\n")
    return 2


def silent(value):
    return 1


def crash(value):
    import os
    import signal

    if value > 0.5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def raises(value):
    raise KeyError(value)


@pytest.mark.parametrize(
    ("run", "counts", "message"),
    [
        (lambda value: 0, (20, 0, 0), None),
        (clear_line, (0, 20, 0), None),
        (two_lines, (0, 0, 20), "status 2 with more than one line"),
        (silent, (0, 0, 20), "status 1 without a line that says why: ''"),
        (raises, (0, 0, 20), "KeyError: "),
        (lambda value: 3, (0, 0, 20), "status 3"),
    ],
)
def test_what_counts_as_a_failure(run, counts, message, tmp_path, capfd):
    tally = fuzz(Kind(run), seed=4, numbers=range(20), keep=tmp_path)
    assert (tally.results, tally.lines, tally.failures) == counts
    said = capfd.readouterr().out
    assert said.count(message or "\0") == counts[2]
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == sorted(f"kind-4-{number}" for number in range(counts[2]))


def test_a_crash_is_reported_and_the_rest_is_run(tmp_path, capfd):
    tally = fuzz(Kind(crash), seed=4, numbers=range(20), keep=tmp_path)
    values = [random.Random(f"kind/4/{number}").random() for number in range(20)]
    crashed = [number for number, value in enumerate(values) if value > 0.5]
    assert 0 < len(crashed) < 20
    assert (tally.results, tally.lines) == (20 - len(crashed), 0)
    assert tally.failures == len(crashed)
    said = capfd.readouterr().out
    for number in crashed:
        assert f"kind --seed 4 --only {number}: signal SIGSEGV" in said
        assert (tmp_path / f"kind-4-{number}" / "input").read_text() == str(values[number])


def test_the_same_seed_gives_the_same_input():
    def made(seed):
        rng = random.Random(seed)
        return [
            mutators.changed_bytes(rng, bytes(range(200)), others=[b"another"], header=20),
            mutators.changed_in_place(rng, bytes(range(200)), 10, 90),
            mutators.changed_text(rng, "a,b\n1,2\n"),
            mutators.changed_toml(rng, "a = 1\nb = 'x'\n"),
            repr(mutators.changed_values(rng, {"a": [1, 2], "b": {"c": None}})).encode(),
        ]

    assert made(5) == made(5)
    first, second = (made(seed) for seed in (5, 6))
    assert all(one != other for one, other in zip(first, second, strict=True))
