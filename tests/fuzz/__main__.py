"""`python -m tests.fuzz`: changed inputs of every kind; each must end in a result or a clear line.

Failures are printed with the command that repeats them, and their files are kept.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.fuzz.kinds import KINDS
from tests.fuzz.runner import fuzz, main_folder
from tests.places import PROJECT


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no forked process goes on alone
    args = _parser().parse_args()
    names = args.kind or sorted(KINDS)
    if len(names) > 1:
        return _each_in_a_process(names, args)
    kind, keep = KINDS[names[0]], main_folder(args.keep)
    numbers = range(args.count) if args.only is None else [args.only]
    tally = fuzz(kind, seed=args.seed, numbers=numbers, keep=keep, show=args.show)
    print(
        f"{kind.name:12} seed {args.seed}: {tally.results} results, {tally.lines} clear lines, "
        f"{tally.failures} failures; slowest {tally.slowest_s:.2f} s",
        flush=True,
    )
    return 1 if tally.failures else 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", nargs="*", choices=[[], *sorted(KINDS)], help="(default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of all changes (default: 1)")
    parser.add_argument("--count", type=int, default=500, help="inputs a kind (default: 500)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one input")
    parser.add_argument("--show", action="store_true", help="how each input of one kind ended")
    parser.add_argument("--keep", default="build/fuzz", help="folder for those that fail")
    return parser


def _each_in_a_process(names, args):
    def run(name):
        command = [sys.executable, "-m", "tests.fuzz", name, "--seed", str(args.seed)]
        command += ["--count", str(args.count), "--keep", str(args.keep)]
        command += [] if args.only is None else ["--only", str(args.only)]
        return subprocess.run(command, cwd=PROJECT, check=False).returncode

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return max(pool.map(run, names))


if __name__ == "__main__":
    sys.exit(main())
