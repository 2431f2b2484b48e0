"""edge/arm64/check.py: what does not end is stopped, with all that it started, and named.

The check itself runs at the end of CI, where it can.
"""

import importlib.util
import os
import subprocess
import sys
import time

import pytest

from tests.places import PROJECT
from tests.processes import gone

CHECK = PROJECT / "edge" / "arm64" / "check.py"


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("arm64_check", CHECK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_command_that_ends_gives_what_it_says(check):
    assert check.run(["echo", "word"], limit_s=20.0) == "word\n"
    with pytest.raises(subprocess.CalledProcessError) as failure:
        check.run(["sh", "-c", "echo why >&2; exit 3"])
    assert failure.value.stderr == "why\n"


def test_a_command_that_hangs_is_stopped_with_its_children(check, tmp_path):
    number = tmp_path / "number"
    # The child holds the pipe open: without its end there would be none of ours.
    with pytest.raises(subprocess.TimeoutExpired):
        check.run(["sh", "-c", f"sleep 60 & echo $! > {number}; wait"], limit_s=0.5)
    deadline = time.monotonic() + 60.0
    while not gone(int(number.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_chance_and_then_the_name(check, tmp_path, capsys):
    mark = tmp_path / "mark"
    once = ["sh", "-c", f"[ -e {mark} ] && exec echo word; touch {mark}; exec sleep 60"]
    assert check.run_again(once, limit_s=2.0, what="office.wav", env=dict(os.environ)) == "word\n"
    assert "office.wav did not end within 2 s" in capsys.readouterr().out
    with pytest.raises(check.CheckError, match=r"office\.wav did not end within 0\.2 s, 2 times"):
        check.run_again(["sleep", "60"], limit_s=0.2, what="office.wav")
