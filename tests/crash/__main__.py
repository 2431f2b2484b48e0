"""python -m tests.crash [--kills N] [--seed S] [NAME...]: kills commands, and says what came."""

from __future__ import annotations

import argparse
import sys
import time

from doa_core.files import temporary_folder
from doa_core.process.signals import Signals
from tests.crash.commands import COMMANDS
from tests.crash.kills import Killer


def main() -> int:
    """Kill; the status is 1 if anything was not as it is without a kill."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMMANDS))
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="of each command")
    parser.add_argument("--seed", type=int, default=16, metavar="S", help="of the moments")
    args = parser.parse_args()
    names = args.names or list(COMMANDS)
    if unknown := set(names) - COMMANDS.keys():
        parser.error(f"commands are {', '.join(COMMANDS)}. Received: {', '.join(unknown)}")
    begun, kills, wrong = time.monotonic(), 0, []
    with Signals(), temporary_folder("doa_crash") as folder:
        killer = Killer(folder, args.seed)
        for name in names:
            outcome = killer.kill(name, args.kills)
            kills += len(outcome.moments)
            wrong += [f"{name}: {line}" for line in outcome.wrong]
            sys.stderr.write(f"{name}, killed at {'; '.join(outcome.moments)}\n")
            sys.stderr.writelines(f"{name}: {line}\n" for line in outcome.wrong)
    left = sum("left behind" in line for line in wrong)
    running = sum("runs on" in line for line in wrong)
    sys.stdout.write(
        f"{kills} kills of {', '.join(names)} (seed {args.seed}): {left} files left, {running} "
        f"processes left, {len(wrong) - left - running} files that differ, "
        f"{time.monotonic() - begun:.0f} s\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
