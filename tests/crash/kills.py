"""Killing a command at random, running it again, and comparing with one that was not killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.commands import COMMANDS
from tests.places import PROJECT

LONGEST_RUN_S = 1200.0  # a guard against what hangs, not a measure
LONGEST_END_S = 60.0  # likewise, of children whose parent was killed
REFUSED = 2  # the status of a command that may not write where something is
IN_A_ROW = 2  # kills of one result, before it is made to the end
DATED = "metadata.json"  # the member of a checkpoint that holds when it was saved
# What Python's tempfile writes into a folder to see whether it can, and deletes at once.
TRIALS = {b"", b"blat"}
TRIAL_NAME = re.compile("[a-z0-9_]{8}")
LOGS = "logs"  # a run's folder of TensorBoard, which has a file for each start


@dataclass
class Outcome:
    """What came of the kills of a command.

    Attributes:
        moments: at which it was killed, of how many, and how many seconds after.
        wrong: what was not as it is without a kill.
    """

    moments: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Killer:
    """Runs commands in a folder; the undisturbed results lie in `FOLDER/NAME`.

    Args:
        folder: new.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._moments: dict[str, int] = {}
        self._expected: dict[str, dict[str, str]] = {}

    def kill(self, name: str, kills: int) -> Outcome:
        """Kill a command a number of times, running it to its end after every second one."""
        moments = self._undisturbed(name)
        command, rng = COMMANDS[name], random.Random(f"{self._seed} {name}")
        outcome, place, attempts = Outcome(), self._new(f"{name}-killed"), 0
        while len(outcome.moments) < kills:
            # What was killed before may have fewer moments left, so that later ones come sooner.
            number = rng.randint(1, max(1, moments >> min(attempts, 4)))
            seconds = rng.choice((0.0, rng.uniform(0.0, command.longest_s)))
            status = self._run(name, place, number, seconds)
            attempts += 1
            if status == -signal.SIGKILL:
                outcome.moments.append(f"{number} of {moments} + {seconds:.2f} s")
                outcome.wrong += self._still_running(name)
                attempts = 0
                if len(outcome.moments) % IN_A_ROW and len(outcome.moments) < kills:
                    continue
            elif not self._is_done(name, place, status):
                raise RuntimeError(f"{name} failed with status {status}")
            if not self._is_done(name, place, self._run(name, place, 0, 0.0)):
                outcome.wrong.append(f"{name} failed after a kill")
            outcome.wrong += _differences(self._expected[name], digests(place))
            place = self._new(f"{name}-killed")
        return outcome

    def _is_done(self, name: str, place: Path, status: int) -> bool:
        """Whether a run did its work, or refused as one killed behind its last step had done it."""
        return status == 0 or (status == REFUSED and digests(place) == self._expected[name])

    def _undisturbed(self, name: str) -> int:
        """Run a command to its end, once; how many moments it has."""
        if name not in self._moments:
            for other in COMMANDS[name].needs:
                self._undisturbed(other)
            place = self._new(name)
            if (status := self._run(name, place, 0, 0.0)) != 0:
                raise RuntimeError(f"{name} failed with status {status}")
            self._moments[name] = int(Path(f"{place}.count").read_text())
            self._expected[name] = digests(place)
        return self._moments[name]

    def _new(self, name: str) -> Path:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        (place / "tmp").mkdir(parents=True)
        return place

    def _run(self, name: str, place: Path, number: int, seconds: float) -> int:
        self._mark = uuid.uuid4().hex
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path]),
            "TMPDIR": str(place / "tmp"),
            "XDG_CACHE_HOME": str(self._folder / "cache"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            # The order of sums decides their last bits.
            **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
            "DOA_CRASH_TEST": self._mark,
        }
        victim = [sys.executable, "-m", "tests.crash.victim", str(place), str(number)]
        process = subprocess.run(
            [*victim, str(seconds), *COMMANDS[name].line],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=LONGEST_RUN_S,
        )
        if process.returncode not in (0, -signal.SIGKILL):
            sys.stderr.write(process.stderr.decode("utf-8", "replace"))
        return process.returncode

    def _still_running(self, name: str) -> list[str]:
        """What says so if a child of the last run does not end with it."""
        end = time.monotonic() + LONGEST_END_S
        while left := list(_marked(self._mark)):
            if time.monotonic() > end:
                return [f"{name}: process {number} runs on" for number in left]
            time.sleep(0.05)
        return []


def _marked(mark: str) -> Iterator[int]:
    """Numbers of the processes that have a mark in their environment."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found = mark.encode() in (path / "environ").read_bytes()
            ended = (path / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if found and not ended:
            yield int(path.name)


def digests(folder: Path) -> dict[str, str]:
    """What a command has left: each file and folder with a digest of what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if LOGS in name.parts:
            continue
        content = b""
        if path.is_symlink():
            content = os.fsencode(os.readlink(path))
        elif path.is_file():
            content = _READERS.get(path.suffix, Path.read_bytes)(path)
            is_trial = path.parent.name == "tmp" and TRIAL_NAME.fullmatch(path.name)
            if is_trial and content in TRIALS:
                continue
        found[str(name)] = hashlib.sha256(content).hexdigest()
    return found


def _checkpoint(path: Path) -> bytes:
    """All that a checkpoint holds but when it was saved."""
    parts = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(set(archive.namelist()) - {DATED}):
            content = archive.read(name)
            if name == "config.json":
                content = json.dumps(_without_addresses(json.loads(content))).encode()
            parts.append(name.encode() + content)
    return b"\0".join(parts)


def _without_addresses(value: Any) -> Any:
    """A configuration of Keras without where its objects were in memory, and which were one."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name != "shared_object_id"}
        return {name: _without_addresses(each) for name, each in kept.items()}
    return [_without_addresses(each) for each in value] if isinstance(value, list) else value


def _sound(path: Path) -> bytes:
    """The samples of a sound file, whose header holds when it was written."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    return str(rate).encode() + samples.tobytes()


_READERS = {".keras": _checkpoint, ".wav": _sound}


def _differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    left = [f"{name} was left behind" for name in sorted(found.keys() - expected.keys())]
    missing = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    both = sorted(expected.keys() & found.keys())
    return left + missing + [f"{name} differs" for name in both if expected[name] != found[name]]
