"""Count the instructions that the stages of the device runner take on Cortex-A72 and Cortex-A76.

    python edge/arm64/count.py --qemu FOLDER [--json FILE]

FOLDER is a build of qemu 7.2 or later with plugins, which Debian's is not. From its source package,
with Debian's meson, ninja-build, pkg-config and libglib2.0-dev, in some minutes (`./configure` has
to be one line):

    ./configure --target-list=aarch64-linux-user --enable-plugins --meson=/usr/bin/meson
        --disable-system --disable-tools --disable-docs --disable-install-blobs
    ninja -C build qemu-aarch64 tests/plugin/libinsn.so

Every figure is the difference of two runs that differ by repetitions of one stage alone (it varies
by a few thousandths from run to run). Time is estimated with one instruction a cycle, as the table
states.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from check import ENVIRONMENT, SYSTEMS, build_wheel, describe_processor, make_userland, run, why_not

STAGES = ("resample", "features", "without-network", "all")
TIMES = 4
SECONDS = 0.64  # of sound in one repetition
CPUS = {"cortex-a72": 1.5e9, "cortex-a76": 2.4e9}  # hertz, of a Raspberry Pi 4 and 5
PER_CYCLE = 1.0  # instructions, assumed
PLUGIN = "build/tests/plugin/libinsn.so"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qemu", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures, too")
    options = parser.parse_args()
    if reason := why_not():
        print(f"not counted, {reason}")
        return 1
    figures = {}
    with counting_userland(options.qemu, "stages.py") as root:
        for cpu in CPUS:
            describe_processor(root, cpu)
            count(root, cpu, "all", 0)  # the first run writes bytecode
            base = count(root, cpu, "all", 0)
            per_second = {
                stage: (count(root, cpu, stage, TIMES) - base) / TIMES / SECONDS for stage in STAGES
            }
            figures[cpu] = {
                **{name: per_second[name] for name in ("resample", "features")},
                "network": per_second["all"] - per_second["without-network"],
                "decode": per_second["without-network"] - per_second["features"],
                "all": per_second["all"] + per_second["resample"],
            }
            report(cpu, figures[cpu])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def report(cpu: str, stages: dict[str, float]) -> None:
    """Millions of instructions per second of sound, and the share of a core."""
    for stage, instructions in stages.items():
        share = instructions / PER_CYCLE / CPUS[cpu]
        print(
            f"{cpu}  {stage:9} {instructions / 1e6:7.1f} million a second of sound, "
            f"{100 * share:5.1f} % of a core at {CPUS[cpu] / 1e9:.1f} GHz and "
            f"{PER_CYCLE:.0f} instruction a cycle",
            flush=True,
        )


@contextmanager
def counting_userland(qemu: Path, script: str) -> Iterator[Path]:
    """A userland with the wheel, a counting qemu and one of the scripts beside this one."""
    with tempfile.TemporaryDirectory(prefix="doa-arm64-") as folder:
        root = Path(folder) / "bookworm"
        make_userland(root, SYSTEMS["bookworm"], build_wheel(Path(folder)))
        _install_counter(root, qemu)
        shutil.copy2(Path(__file__).with_name(script), root / script)
        yield root


def _install_counter(root: Path, qemu: Path) -> None:
    """Copy qemu, its plugin, and this machine's libraries that it needs into a userland."""
    program = qemu / "build" / "qemu-aarch64"
    shutil.copy2(program, root / "qemu-counting")
    shutil.copy2(qemu / PLUGIN, root / "libinsn.so")
    for needed in (program, qemu / PLUGIN):
        for library in re.findall(r"(/\S+) \(0x", run(["ldd", str(needed)])):
            place = root / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copy2(library, place)


def counts(root: Path, cpu: str, *program: str, limit_s: float | None = None) -> list[int]:
    """Instructions of a Python program in a userland and of its forks, in the order of their ends.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it was stopped after the limit.
    """
    (root / "counted").unlink(missing_ok=True)
    command = ["chroot", str(root), "/qemu-counting", "-cpu", cpu, "-plugin"]
    command += ["/libinsn.so,inline=on", "-d", "plugin", "-D", "/counted", "/usr/bin/python3"]
    run([*command, *program], limit_s=limit_s, env={**ENVIRONMENT, "PYTHONHASHSEED": "0"})
    return [int(n) for n in re.findall(r"insns: (\d+)", (root / "counted").read_text())]


def count(root: Path, cpu: str, stage: str, times: int) -> int:
    """Instructions of one run of `stages.py`."""
    return counts(root, cpu, "/stages.py", stage, str(times))[-1]


if __name__ == "__main__":
    sys.exit(main())
