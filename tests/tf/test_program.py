"""How a command ends: by a signal, with a line and 128 and its number, whatever libraries do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from doa_core.files import write_beside
from doa_tf.cli.program import NOTHING, status_of

ENDS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "hung up"),
]


@pytest.mark.parametrize(("number", "status", "word"), ENDS)
def test_a_signal_ends_the_work_its_files_and_its_children(number, status, word, tmp_path, capfd):
    children = []

    def work():
        with write_beside(tmp_path / "figures.json") as part:
            part.write_text("half")
            with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
                children.append(child)
                try:
                    os.kill(os.getpid(), number)
                    time.sleep(60)
                finally:
                    child.kill()

    assert status_of(work, "doa_tf", interrupted=NOTHING) == status
    assert capfd.readouterr().err == f"doa_tf: {word}; {NOTHING}\n"
    assert children[0].returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ImportError, RuntimeError, OSError])
def test_what_a_library_makes_of_an_interruption_is_not_what_is_said(error, capfd):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as stop:
            raise error("this installation is broken") from stop

    assert status_of(work, "doa_tf", interrupted=NOTHING) == 143
    assert capfd.readouterr().err == f"doa_tf: terminated; {NOTHING}\n"


def test_an_error_is_a_line_and_a_bug_is_not(capfd):
    def full():
        raise OSError(28, "No space left on device")

    def bug():
        raise AttributeError("no such thing")

    assert status_of(full, "doa_tf", interrupted=NOTHING) == 1
    assert capfd.readouterr().err == "doa_tf: [Errno 28] No space left on device\n"
    with pytest.raises(AttributeError):
        status_of(bug, "doa_tf", interrupted=NOTHING)
