"""Runs changed inputs one after the other in a forked process, which may crash or hang."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 10.0  # processor time of one input
HANG_S = 300.0  # by the clock, far beyond that
MEMORY = 6 * 2**30  # bytes; more is an error of the input, not the end of the machine
FILE_SIZE = 2**30
STATUSES = (0, 1, 2)
SHOWN, SHOWN_LINE = 1_500, 300  # characters of what went wrong, and of a line of it


@dataclass
class Tally:
    """How the inputs of a kind ended, and whether each is shown."""

    show: bool = False
    results: int = 0
    lines: int = 0
    failures: int = 0
    slowest_s: float = 0.0


def fuzz(kind, *, seed, numbers, keep, show=False):
    """Run changed inputs of a kind, print each failure, and keep its files.

    Args:
        kind: of `tests.fuzz.kinds`.
        seed: of all changes.
        numbers: of the inputs, ascending.
        keep: folder for those that fail, as KIND-SEED-NUMBER.
        show: whether the end of each input is printed.

    Returns:
        A `Tally`.
    """
    tally, numbers = Tally(show=show), list(numbers)
    work = keep / f".{kind.name}-{os.getpid()}"
    try:
        while numbers:
            ended = _run_child(kind, seed, numbers, work, tally, keep)
            numbers = [number for number in numbers if number > ended]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tally


def _run_child(kind, seed, numbers, work, tally, keep):
    """Fork a process for the inputs; returns the last one that was begun, as it may not live on."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sys.stdout.flush()
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _child(kind, seed, numbers, work, keep, writing)
    os.close(writing)
    try:
        number, ended = _follow(process, reading, tally)
    except BaseException:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == 0:
        return numbers[-1]
    if number < 0:
        raise RuntimeError(f"{kind.name}: its valid files could not be made")
    tally.failures += 1
    if status < 0 and not ended.startswith("hangs"):
        ended = f"signal {signal.Signals(-status).name}"
    elif status > 0:
        ended = f"status {status}: {(work / 'told').read_text(errors='replace')}"
    sys.stdout.write(_kept(kind, seed, number, ended, work, keep))
    return number


def _follow(process, reading, tally):
    """Count what a process answers; returns the last input that was begun, and how it hangs."""
    number, ended = -1, "gave no answer"
    with os.fdopen(reading, "rb", buffering=0) as answers:
        for line in _lines(answers):
            if line is None:
                os.kill(process, signal.SIGKILL)
                return number, f"hangs: no answer within {HANG_S:g} s"
            answer = json.loads(line)
            number = answer["number"]
            if "failure" in answer:
                _count(tally, answer)
    return number, ended


def _lines(answers):
    """Complete lines of a pipe; None where none came for too long."""
    kept = b""
    while True:
        if not select.select([answers], [], [], HANG_S)[0]:
            yield None
            return
        data = answers.read(65_536)
        if not data:
            return
        *lines, kept = (kept + data).split(b"\n")
        yield from lines


def _count(tally, answer):
    if tally.show:
        sys.stdout.write(f"{answer['number']}: {answer['status']} {answer['line']!a}\n")
    tally.slowest_s = max(tally.slowest_s, answer["seconds"])
    if answer["failure"]:
        sys.stdout.write(answer["report"])
        tally.failures += 1
    elif answer["status"] == 0:
        tally.results += 1
    else:
        tally.lines += 1


def _kept(kind, seed, number, failure, work, keep):
    """Keep the files of an input that failed; returns what is said of it."""
    kept = keep / f"{kind.name}-{seed}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(work / "input", kept)
    shown = "\n".join(line[:SHOWN_LINE] for line in failure.splitlines())[-SHOWN:]
    text = f"{kind.name} --seed {seed} --only {number}: {shown}\n  kept in {kept}\n"
    (kept / "failure.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


def _child(kind, seed, numbers, work, keep, writing):
    """Run all inputs and end this process, with status 0 if it comes that far."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for limit, value in ((resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_FSIZE, FILE_SIZE)):
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
        (work / "seeds").mkdir()
        kind.prepare(work / "seeds")
        said = work / "said"
        with said.open("w+b") as out, (work / "told").open("w+b") as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.stdout, sys.stderr = (open(to, "w", closefd=False) for to in (1, 2))  # noqa: SIM115
            for number in numbers:
                os.write(writing, json.dumps({"number": number}).encode() + b"\n")
                answer = _one(kind, random.Random(f"{kind.name}/{seed}/{number}"), work, out, err)
                if answer["failure"]:
                    answer["report"] = _kept(kind, seed, number, answer["failure"], work, keep)
                os.write(writing, json.dumps({"number": number, **answer}).encode() + b"\n")
        status = 0
    except BaseException:  # noqa: BLE001, a forked process must not return
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _one(kind, rng, work, out, err):
    """How one input ended."""
    folder = work / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    arguments = kind.write(rng, folder)
    for file in (out, err):
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    began, status, failure = time.process_time(), None, ""
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # of numpy: a value that nobody checked
            status = kind.run(folder, arguments)
    except BaseException:  # noqa: BLE001, whatever it is, it is the finding
        failure = traceback.format_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(work)
    seconds = time.process_time() - began
    told = os.pread(err.fileno(), 100_000, 0).decode(errors="replace")
    failure = failure or _what_is_wrong(status, told, seconds)
    line = (told.splitlines() or [""])[-1][:SHOWN]
    return {"failure": failure, "status": status, "seconds": round(seconds, 3), "line": line}


def _what_is_wrong(status, told, seconds):
    """Why an end is no clear one; an empty text where it is."""
    lines = told.splitlines()
    if status not in STATUSES:
        return f"status {status}: {told}"
    if "Traceback" in told:
        return told
    if status and not (lines and lines[-1].startswith("doa_")):
        return f"status {status} without a line that says why: {told!r}"
    if status and len([line for line in lines if line.startswith("doa_")]) != 1:
        return f"status {status} with more than one line: {told!r}"
    if seconds > LONGEST_S:
        return f"took {seconds:.1f} s of processor time"
    return ""


def main_folder(path):
    """A folder for failures, made where it is missing."""
    path = Path(path).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path
