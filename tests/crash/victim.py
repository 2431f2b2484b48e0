"""A command that kills itself, or counts at what moments it could have.

python -m tests.crash.victim FOLDER NUMBER SECONDS PROGRAM ARGUMENTS...

A moment is a change of the disk below FOLDER (a file opened for writing, a rename, a new folder, a
removal) or the start of a child. At the one of that NUMBER, and SECONDS later, the process gets
SIGKILL. With 0 it lives, and prints how many there were to FOLDER.count.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

PROGRAMS = {"doa_tf": "doa_tf.cli.main", "doa_export": "doa_export.cli"}
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")


class Moments:
    """Counts the moments of this process, as an audit hook; kills it at one of them.

    Args:
        folder: below which changes count.
        number: of the moment, from 1; 0 for none.
        seconds: from the moment to the kill.
    """

    def __init__(self, folder: str, number: int, seconds: float) -> None:
        self.count = 0
        self._folder, self._number, self._seconds = folder, number, seconds

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """See one event."""
        if event == "subprocess.Popen" or (self._changes(event, arguments)):
            self.count += 1
            if self.count == self._number:
                kill = (os.getpid(), signal.SIGKILL)
                if self._seconds == 0.0:
                    os.kill(*kill)
                timer = threading.Timer(self._seconds, os.kill, kill)
                timer.daemon = True
                timer.start()

    def _changes(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return False
        elif event in CHANGES:
            path = arguments[0] if event != "os.symlink" else arguments[1]
        else:
            return False
        is_path = isinstance(path, (str, bytes, os.PathLike))
        return is_path and os.path.abspath(os.fsdecode(path)).startswith(self._folder)


def main() -> int:
    """Run the command."""
    folder, number, seconds, program, *arguments = sys.argv[1:]
    command = import_module(PROGRAMS[program]).main
    sys.argv[:] = [program, *arguments]
    moments = Moments(folder, int(number), float(seconds))
    sys.addaudithook(moments)
    if int(number) == 0:
        atexit.register(lambda: Path(f"{folder}.count").write_text(str(moments.count)))
    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
