"""Does the edge extra run on 64-bit ARM, and does it point the same way?

    python edge/arm64/check.py                     # bookworm, bookworm-tflite, trixie
    python edge/arm64/check.py --systems bookworm

Unpacks a Debian userland for arm64, installs the wheel of this repository with the extra `edge`
beside it, gives it the processor description of a Raspberry Pi 4, and runs the demo recordings
through `doa_edge run` under qemu-user. The directions are compared with those of this machine.

Needs root, Debian's mmdebstrap and qemu-user-static, and a network; works in a temporary folder
and mounts nothing. The Python that runs it must have the extra `edge` installed.

A recording takes 10 seconds on a free core, and a minute on one that eight others share. One that
has not ended after --limit seconds is stopped and tried once more; the second time the check fails
and says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doa_core.angles import angles_to_vector, great_circle_distance

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDINGS = REPOSITORY / "demo" / "recordings"
EVERY = 25  # frames between directions: an emulated window takes seconds
LARGEST_DIFFERENCE_DEG = 0.1
LIMIT_S = 120.0  # seconds; two of them and a userland are less than five minutes
TRIES = 2
NEEDED = "apt install mmdebstrap qemu-user-static debian-archive-keyring"
CORES = 4
ENVIRONMENT = {"PYTHONPATH": "/opt/site", "PATH": "/usr/bin:/usr/sbin", "HOME": "/tmp"}
CPU_PARTS = {"cortex-a72": "0xd08", "cortex-a76": "0xd0b"}  # Raspberry Pi 4 and 5
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (34, 31, 28, 27, 17)]
BASE_PACKAGES = ["python3", "dash", "coreutils", "libc-bin", "libportaudio2", "libstdc++6"]
EDGE_WITH_OLD_RUNTIME = (
    *("tflite-runtime==2.14.*", "numpy<2"),
    *("soundfile", "soxr", "rich", "sounddevice", "python-osc"),
)


@dataclass(frozen=True)
class System:
    """A userland and what is installed in it.

    Attributes:
        suite: of Debian.
        python: its Python, as pip writes it.
        requirements: beside the wheel; None for the wheel's extra `edge`.
    """

    suite: str
    python: str
    requirements: tuple[str, ...] | None = None


SYSTEMS = {
    "bookworm": System("bookworm", "311"),
    "bookworm-tflite": System("bookworm", "311", EDGE_WITH_OLD_RUNTIME),
    "trixie": System("trixie", "313"),
}


class CheckError(Exception):
    """Something that must hold does not."""


def main() -> int:
    """Check the systems that were asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    text = "where this machine cannot emulate, say so and end with status 0"
    parser.add_argument("--if-possible", action="store_true", help=text)
    text = "after which a step that has not ended is stopped (default: %(default)g)"
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=LIMIT_S, help=text)
    options = parser.parse_args()
    if reason := why_not():
        print(f"arm64: not checked, {reason}")
        return 0 if options.if_possible else 1
    try:
        with tempfile.TemporaryDirectory(prefix="doa-arm64-") as folder:
            wheel = build_wheel(Path(folder))
            here = Path(folder) / "here"
            pip("install", "--no-deps", "--target", str(here), str(wheel))
            environment = {**os.environ, "PYTHONPATH": str(here)}
            expected = directions([sys.executable], RECORDINGS, environment)
            for name in options.systems:
                check(name, Path(folder) / name, wheel, expected, limit_s=options.limit)
    except (CheckError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, "stderr", None) or "").strip().splitlines()[-3:]
        print(f"arm64: FAILED: {error}", *detail, sep="\n  ")
        return 1
    return 0


def why_not() -> str:
    """Why this machine cannot emulate; empty if it can."""
    if os.geteuid() != 0:
        return "needs root (chroot)"
    absent = [tool for tool in ("mmdebstrap", "qemu-aarch64-static") if not shutil.which(tool)]
    return f"needs {' and '.join(absent)}: {NEEDED}" if absent else ""


def check(
    name: str,
    root: Path,
    wheel: Path,
    expected: dict[str, list[dict[str, float]]],
    *,
    limit_s: float,
) -> None:
    """Build one system, run the recordings in it and compare.

    Raises:
        CheckError: it points elsewhere, or it does not end.
    """
    started = time.monotonic()
    try:
        make_userland(root, SYSTEMS[name], wheel, limit_s=limit_s)
    except subprocess.TimeoutExpired as error:
        raise CheckError(f"{name}: {error.cmd[0]} did not end within {limit_s:g} s") from error
    built = time.monotonic()
    shutil.copytree(RECORDINGS, root / "recordings")
    command = ["chroot", str(root), "/qemu", "-cpu", "cortex-a72", "/usr/bin/python3"]
    found = directions(command, Path("/recordings"), ENVIRONMENT, limit_s=limit_s)
    distances: list[float] = []
    for recording, estimates in expected.items():
        if [e["time_s"] for e in found[recording]] != [e["time_s"] for e in estimates]:
            raise CheckError(f"{name}: {recording} gives other windows")
        distances += map(distance_deg, estimates, found[recording])
    worst = max(distances)
    print(
        f"arm64: {name:16} {len(distances)} windows of {len(expected)} recordings, largest "
        f"difference {worst:.3f} degrees; built in {built - started:.0f} s, "
        f"run in {time.monotonic() - built:.0f} s",
        flush=True,
    )
    if worst > LARGEST_DIFFERENCE_DEG:
        raise CheckError(f"{name}: {worst:.3f} degrees from this machine's directions")


def directions(
    python: list[str], folder: Path, environment: dict[str, str], *, limit_s: float | None = None
) -> dict[str, list[dict[str, float]]]:
    """The estimates of `doa_edge run` on every demo recording, with that Python.

    Raises:
        CheckError: it did not end in time, several times.
    """
    found = {}
    for name in sorted(path.name for path in RECORDINGS.glob("*.wav")):
        command = [*python, "-m", "doa_edge", "run", "--input", str(folder / name)]
        command += ["--every", str(EVERY)]
        lines = run_again(command, limit_s=limit_s, what=name, env=environment, cwd="/")
        found[name] = [json.loads(line) for line in lines.splitlines()]
    return found


def distance_deg(one: dict[str, float], other: dict[str, float]) -> float:
    """Great-circle distance of two estimates [degrees]."""
    vectors = (
        angles_to_vector(math.radians(each["azimuth_deg"]), math.radians(each["elevation_deg"]))
        for each in (one, other)
    )
    return math.degrees(great_circle_distance(*vectors))


def build_wheel(folder: Path) -> Path:
    """The wheel of this repository, built outside of it."""
    source = folder / "source"
    for name in ("doa_core", "doa_tf", "edge", "export"):
        shutil.copytree(REPOSITORY / name, source / name)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy2(REPOSITORY / name, source)
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_userland(root: Path, system: System, wheel: Path, *, limit_s: float | None = None) -> None:
    """Unpack a userland, install the wheel beside it, and describe the processor.

    Raises:
        subprocess.TimeoutExpired: a step took longer than the limit.
    """
    unpack = ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64"]
    unpack += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    unpack += [f"--include={','.join(BASE_PACKAGES)}", system.suite, str(root)]
    run(unpack, limit_s=limit_s)
    requirements = [f"{wheel}[edge]"] if system.requirements is None else list(system.requirements)
    target = ["--target", str(root / "opt" / "site"), "--no-compile", "--upgrade"]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    abis = [word for name in (f"cp{system.python}", "abi3", "none") for word in ("--abi", name)]
    foreign = ["--only-binary=:all:", "--python-version", system.python, "--implementation", "cp"]
    pip("install", *target, *foreign, *platforms, *abis, *requirements, limit_s=limit_s)
    if system.requirements is not None:
        pip("install", *target, "--no-deps", str(wheel), limit_s=limit_s)
    shutil.copy2(shutil.which("qemu-aarch64-static") or "", root / "qemu")
    describe_processor(root)
    # PortAudio and libsndfile are found by the linker's cache.
    run(["chroot", str(root), "/qemu", "/sbin/ldconfig"], limit_s=limit_s)


def describe_processor(root: Path, cpu: str = "cortex-a72") -> None:
    """Write the files by which the TFLite runtime chooses its kernels.

    With the /sys of this machine it crashes, with none it does not use its fast kernels.
    """
    folder = root / "sys" / "devices" / "system" / "cpu"
    for core in range(CORES):
        (folder / f"cpu{core}").mkdir(parents=True, exist_ok=True)
    for name in ("present", "possible", "online"):
        (folder / name).write_text(f"0-{CORES - 1}\n")
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(
        "".join(
            f"processor\t: {core}\nBogoMIPS\t: 108.00\n"
            "Features\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
            "CPU architecture: 8\nCPU variant\t: 0x0\n"
            f"CPU part\t: {CPU_PARTS[cpu]}\nCPU revision\t: 3\n\n"
            for core in range(CORES)
        )
    )


def pip(*arguments: str, limit_s: float | None = None) -> None:
    """Run this Python's pip."""
    command = [sys.executable, "-m", "pip", *arguments[:1], "--quiet", *arguments[1:]]
    run(command, limit_s=limit_s)


def run_again(command: list[str], *, limit_s: float | None, what: str, **settings: Any) -> str:
    """Standard output of a command that is tried again if it does not end.

    Raises:
        CheckError: it never did.
        subprocess.CalledProcessError: it failed.
    """
    for _ in range(TRIES):
        try:
            return run(command, limit_s=limit_s, **settings)
        except subprocess.TimeoutExpired:
            print(f"arm64: {what} did not end within {limit_s:g} s", flush=True)
    raise CheckError(
        f"{what} did not end within {limit_s:g} s, {TRIES} times: the program or the emulator "
        "hangs, or this machine is busier than --limit allows for"
    )


def run(command: list[str], *, limit_s: float | None = None, **settings: Any) -> str:
    """Standard output of a command.

    Raises:
        subprocess.CalledProcessError: it failed; its output is in the exception.
        subprocess.TimeoutExpired: it and its children were stopped after the limit.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **settings,
    ) as process:
        try:
            out, talk = process.communicate(timeout=limit_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, talk)
    return str(out)


if __name__ == "__main__":
    sys.exit(main())
