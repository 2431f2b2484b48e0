"""The command `doa_export`. Little is imported at the top: a signal may come while the rest is.

Standard output carries one JSON object, standard error carries messages. Exit status: 0 done,
1 failed, 2 misuse or bad input, 130 interrupted, 143 terminated, 129 hung up.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from doa_core.process.signals import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Export one model and return the exit status."""
    return run_command("doa_export", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    from doa_export.command import run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
