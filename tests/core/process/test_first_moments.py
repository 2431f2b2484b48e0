"""A signal that comes as soon as a command begins is said in a line, as later ones are."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Where the command lies, and what it imports first when it is called.
DOORS = {
    "doa_edge": ("doa_edge.commands.main", "doa_edge.commands.parser"),
    "doa_tf": ("doa_tf.cli.main", "doa_edge.options"),
    "doa_export": ("doa_export.cli", "doa_export.command"),
}
PROGRAM = """
import os, signal, sys
from importlib import import_module

main = import_module(sys.argv[1]).main
assert "argparse" not in sys.modules, "imported before signals are heard"

def interrupt(event, arguments):
    if event == "import" and arguments[0] == sys.argv[2]:
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))

sys.addaudithook(interrupt)
sys.exit(main(["--help"]))
"""


@pytest.mark.parametrize("prog", DOORS)
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 129, "hung up")],
)
def test_a_signal_in_the_first_moments_is_a_line(prog, number, status, word):
    pytest.importorskip(prog)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *DOORS[prog], number], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", f"{prog}: {word}\n")
    assert done.returncode == status
