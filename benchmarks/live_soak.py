"""A live microphone, all outputs at once, and what befalls a device in months, within half an hour.

    python -m benchmarks.live_soak [--seconds 1800] [--json FILE]

`doa_edge run` hears a microphone that PulseAudio makes, through PortAudio, and gives to a reader of
its standard output, a file, the files of each talker, the page, OSC, TCP both ways and an MQTT
broker. One after another the broker is killed and started again, the microphone is unplugged and
plugged in, a busy process for each processor runs beside it, and the disk of its file is filled, by
which it ends and is started anew, as by a service manager. Its memory and descriptors are read
every second up to then. The last line has the figures; the status is 1 where a bound is broken, and
standard error says which. Needs pulseaudio, PortAudio and mosquitto, see CONTRIBUTING.md; as root
the disk is a small file system of its own, otherwise a limit on the size of files.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_receivers import Receivers, Run
from benchmarks.soak import memory_mb
from doa_edge.input.audio import read_recording
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json
from tests.edge import virtual_microphone
from tests.edge.broker import MOSQUITTO, Broker
from tests.edge.virtual_microphone import VirtualMicrophone
from tests.places import DEMO

STEP_S = 0.16  # between two estimates
DISK_BYTES = 4 << 20
WAIT_S = 60.0  # for anything that must come about

# Bounds of the figures.
GROWTH_MB = 2.0  # of written memory after the warm-up
MORE_DESCRIPTORS = 2
LATE_S = {"late_99_s": 1.0, "late_most_s": 4.5}  # four seconds of sound are held at most
LEAST_SHARE = 0.9  # of the estimates that the sound is good for
UNEXPLAINED_S = 2.0  # of sound that was lost while the microphone was there


class Talker:
    """Plays a recording into the microphone for as long as it is there."""

    def __init__(self, microphone: VirtualMicrophone) -> None:
        self._microphone = microphone
        sound = np.tile(read_recording(DEMO / "recordings" / "office.wav"), (12, 1))
        self._playing = microphone.play(sound)
        self._path = Path(self._playing.args[-1])  # type: ignore[index, arg-type]

    def go_on(self) -> None:
        """Begin again where it has ended."""
        if self._playing.poll() is not None:
            self._microphone.processes.remove(self._playing)
            self._playing = self._microphone.play_again(self._path)


class Soak:
    """The run with what it hears and who listens, looked at once a second."""

    def __init__(self, folder: Path, disk: Path, *, seconds: float) -> None:
        self.folder, self.disk = folder, disk
        self.seconds = seconds
        self.broken: list[str] = []
        self.memory_mb: list[float] = []  # of the first run after its warm-up
        self.descriptors: list[int] = []
        self.away_s = 0.0  # of the microphone
        self._warm_s = min(60.0, seconds / 6)

    def __enter__(self) -> Soak:
        with ExitStack() as stack:
            self.broker = Broker(self.folder)
            stack.callback(self.broker.kill)
            self.microphone = VirtualMicrophone(self.folder)
            stack.callback(self.microphone.stop)
            self.talker = Talker(self.microphone)
            self.receivers = stack.enter_context(Receivers(self.broker.port))
            self.runs = [self.start()]
            stack.callback(lambda: self.runs[-1].stop())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> Run:
        """Start `doa_edge` with all outputs."""
        size = ("--out-size", "500K", "--out-count", "2")
        listen = ("--listen", self.folder / "heard", "--listen-size", "500K")
        arguments = ("run", "--device", virtual_microphone.DEVICE, "--out", self.out, *size)
        arguments += (*listen, *self.receivers.options)
        run = Run(arguments, self.microphone.environment)
        if not wait_until(lambda: bool(run.estimates)):
            self.broken.append("nothing was heard")
        return run

    @property
    def out(self) -> Path:
        """The file of lines."""
        return self.disk / "directions.jsonl"

    def watch(self, seconds: float) -> None:
        """Let time pass."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            time.sleep(min(1.0, max(0.0, end_s - time.monotonic())))
            self.talker.go_on()
            run = self.runs[0]
            if len(self.runs) == 1 and run.age_s > self._warm_s and run.ended is None:
                self.memory_mb.append(memory_mb(run.pid)[0])
                self.descriptors.append(len(os.listdir(f"/proc/{run.pid}/fd")))

    def lose_broker(self, seconds: float) -> None:
        """Kill the broker, and start it again later."""
        self.broker.kill()
        self.watch(seconds)
        self.broker.start()

    def lose_microphone(self, seconds: float) -> None:
        """Unplug the microphone, and plug it in later."""
        before, begun_s = len(self.runs[-1].gaps), time.monotonic()
        self.microphone.unplug()
        self.watch(seconds)
        self.microphone.plug()
        self.talker.go_on()
        if not wait_until(lambda: "recovered" in self.runs[-1].reasons(before)):
            self.broken.append("the microphone was not found again")
        self.away_s += time.monotonic() - begun_s

    def starve(self, seconds: float) -> None:
        """Keep every processor busy."""
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(os.cpu_count() or 1)
        ]
        self.watch(seconds)
        for process in busy:
            process.kill()
            process.wait()

    def fill_disk(self, seconds: float) -> None:
        """Fill the disk until the run has ended, and start it again when there is room."""
        run = self.runs[-1]
        if self.disk.is_mount():
            fill(self.disk / "ballast")
        else:
            size = self.out.stat().st_size
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
        if not wait_until(lambda: run.ended is not None) or run.ended != 1:
            self.broken.append(f"a full disk must end it with 1. Received: {run.ended}")
            run.stop()
        if not self.out.read_bytes().endswith(b"\n"):
            self.broken.append("half a line was left on the full disk")
        (self.disk / "ballast").unlink(missing_ok=True)
        self.runs.append(self.start())
        self.watch(seconds)

    def go_through(self) -> None:
        """All of it, one after another."""
        fault_s = min(30.0, self.seconds / 15)
        faults: tuple[Callable[[float], None], ...] = (
            *(self.lose_broker, self.lose_microphone),
            *(self.starve, self.fill_disk),
        )
        quiet_s = (self.seconds - len(faults) * fault_s) / (len(faults) + 1)
        for fault in faults:
            self.watch(quiet_s)
            fault(fault_s)
        self.watch(quiet_s)
        if (status := self.runs[-1].stop()) != 143:
            self.broken.append(f"SIGTERM must end it with 143. Received: {status}")

    def figures(self) -> dict[str, Any]:
        """What is told and judged."""
        late_s = np.concatenate([run.late_s() for run in self.runs])
        gaps = [gap for run in self.runs for gap in run.gaps]
        heard_s = sum(run.heard_s for run in self.runs)
        return {
            "seconds": round(self.seconds),
            "estimates": sum(len(run.estimates) for run in self.runs),
            "expected": round((heard_s - sum(gap["lost_s"] for gap in gaps)) / STEP_S),
            "gaps": len(gaps),
            "lost_s": round(sum(gap["lost_s"] for gap in gaps), 2),
            "away_s": round(self.away_s, 2),
            "growth_mb": round(max(self.memory_mb) - self.memory_mb[0], 2),
            "memory_mb": round(self.memory_mb[-1], 2),
            "curve_mb": [round(memory, 2) for memory in self.memory_mb[::10]],
            "descriptors": [self.descriptors[0], self.descriptors[-1], max(self.descriptors)],
            "late_99_s": round(float(np.percentile(late_s, 99)), 3),
            "late_most_s": round(float(late_s.max()), 3),
            "received": self.receivers.counts(),
            "disk": "a small file system" if self.disk.is_mount() else "a limit on files",
        }


def judge(figures: dict[str, Any]) -> list[str]:
    """Bounds that the figures break."""
    first, last, _ = figures["descriptors"]
    least = LEAST_SHARE * figures["expected"]
    checks = {
        f"estimates: {least:.0f} at least": figures["estimates"] >= least,
        f"memory: {GROWTH_MB:g} MiB more at most": figures["growth_mb"] <= GROWTH_MB,
        f"descriptors: {MORE_DESCRIPTORS} more at most": last <= first + MORE_DESCRIPTORS,
        f"lost sound: {UNEXPLAINED_S:g} s more than the microphone was away": (
            figures["lost_s"] <= figures["away_s"] + UNEXPLAINED_S
        ),
        **{f"{name}: {most:g} s at most": figures[name] <= most for name, most in LATE_S.items()},
        **{
            f"{name}: half of the estimates at least": 2 * count >= figures["estimates"]
            for name, count in figures["received"].items()
        },
    }
    return [bound for bound, holds in checks.items() if not holds]


def in_one_line(figures: dict[str, Any]) -> str:
    """The figures for people."""
    first, last, most = figures["descriptors"]
    return (
        f"{figures['seconds']} s: {figures['estimates']} estimates of {figures['expected']}, "
        f"{figures['gaps']} gaps ({figures['lost_s']:.1f} s, microphone away "
        f"{figures['away_s']:.1f} s), memory {figures['memory_mb']:.1f} MiB, grown by "
        f"{figures['growth_mb']:.2f}, descriptors {first} to {last} ({most} at most), late by "
        f"{figures['late_99_s']:.2f} s (99 %) and {figures['late_most_s']:.2f} s at most, "
        f"disk {figures['disk']}"
    )


def wait_until(condition: Callable[[], bool]) -> bool:
    """Whether something comes about within a minute."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


def fill(path: Path) -> None:
    """Write until there is no room; what is deleted meanwhile does not count."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"x")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a small file system of its own; an ordinary one where that is not allowed."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "doa_edge", str(disk)]
    mounted = os.geteuid() == 0 and not subprocess.run(mount, stderr=subprocess.DEVNULL).returncode
    try:
        yield disk
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def missing() -> str:
    """What is not installed, in words; empty if everything is there."""
    return virtual_microphone.missing() or ("" if MOSQUITTO else "mosquitto not installed")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures in a line; 1 if a bound is broken."""
    parser = program("benchmarks.live_soak", __doc__)
    parser.add_argument("--seconds", type=float, default=1800.0, help="60 or more")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if not args.seconds >= 60.0:
        parser.error(f"--seconds must be 60 or more. Received: {args.seconds:g}")
    if absent := missing():
        sys.stderr.write(f"benchmarks.live_soak: {absent}\n")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything is stopped
    with tempfile.TemporaryDirectory(prefix="soak-") as name, small_disk(Path(name)) as disk:
        with Soak(Path(name), disk, seconds=args.seconds) as soak:
            soak.go_through()
        figures = soak.figures()
    broken = [*soak.broken, *judge(figures)]
    for bound in broken:
        sys.stderr.write(f"broken: {bound}\n")
    if broken:
        sys.stderr.writelines(f"  {line}\n" for run in soak.runs for line in run.talk[-20:])
        sys.stderr.write(f"  received: {figures['received']}\n")
    if args.json:
        write_json(args.json, {**figures, "broken": broken})
    print(in_one_line(figures))
    return int(bool(broken))


if __name__ == "__main__":
    run_program(main)
