"""What a command prints is written, or it says that it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMAND = """
import sys
from doa_edge.options.streams import open_standard_streams
from doa_tf.cli.program import NOTHING, status_of
open_standard_streams()
sys.exit(status_of(lambda: print("data"), "doa_tf", interrupted=NOTHING))
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_of_standard_output_is_told_once(unbuffered):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND],
            stdout=full,
            stderr=subprocess.PIPE,
            env={"PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": ":".join(sys.path)},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"doa_tf: [Errno 28] No space left on device: 'standard output'\n"
