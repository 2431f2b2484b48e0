"""What a report costs: of hours of lines, of a month of daily logs, and beside a run.

python -m benchmarks.report                        # time, memory and size
python -m benchmarks.report --picture report.png   # an evening as a picture, for the pages
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.evening import Message, lines
from doa_edge.commands.main import main as doa_edge
from doa_edge.sinks.tables.day_log import DayLogSink
from doa_edge.sinks.tables.report import ReportSink

CET = timezone(timedelta(hours=1))
BERLIN = ZoneInfo("Europe/Berlin")
_PROGRAM = "import sys; from doa_edge.__main__ import main; sys.exit(main())"


def main() -> int:
    """Measure and print, or draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="of lines")
    parser.add_argument("--days", type=int, default=30, help="of daily logs")
    parser.add_argument("--picture", type=Path, help="draw an evening instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.picture:
            source = folder / "evening.jsonl"
            _write(source, lines(datetime(2026, 11, 28, tzinfo=CET)))
            return doa_edge(["report", str(source), "--out", str(options.picture)])
        evening = folder / "evening.jsonl"
        _write(evening, lines(datetime(2026, 11, 28, tzinfo=CET), hours=options.hours))
        print(f"{options.hours:g} hours of lines, {evening.stat().st_size / 1e6:.0f} MB")
        _measure(evening, folder)
        logs = folder / "logs"
        _write_logs(logs, options.days)
        size = sum(file.stat().st_size for file in logs.iterdir())
        print(f"{options.days} days of daily logs, {size / 1e6:.1f} MB")
        _measure(logs, folder)
        _measure_sinks(evening, folder)
    return 0


def _write(path: Path, messages: Iterator[Message]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(message) + "\n" for message in messages)


def _write_logs(folder: Path, days: int) -> None:
    """Daily logs of as many days, summer time ends among them; an estimate every four seconds."""
    sink = DayLogSink(folder, live=False)
    first = datetime(2026, 10, 5, tzinfo=BERLIN)
    for day in range(days):
        for message in lines(first + timedelta(days=day), step_s=4.0, seed=day, hours=23.9):
            sink.send(message)
    sink.close()


def _measure(source: Path, folder: Path) -> None:
    for suffix in ("html", "png"):
        out = folder / f"report.{suffix}"
        command = [sys.executable, "-c", _PROGRAM, "report", str(source), "--out", str(out)]
        started = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        peak, ended, usage = 0.0, 0, None
        while not ended:
            peak = max(peak, _peak_mb(process.pid))
            time.sleep(0.01)
            ended, _, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = 0  # it has been waited for
        seconds = time.perf_counter() - started
        busy = usage.ru_utime + usage.ru_stime
        size = out.stat().st_size / 1e3
        cost = f"{seconds:.1f} s, {busy:.1f} s of a core, {peak:.0f} MB of memory at most"
        print(f"  .{suffix}: {cost}, {size:.0f} kB", flush=True)


def _peak_mb(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _measure_sinks(source: Path, folder: Path) -> None:
    """Processor time that a message costs a run with `--report` and `--log`."""
    with source.open(encoding="utf-8") as file:
        messages = [json.loads(line) for line, _ in zip(file, range(60_000), strict=False)]
    sinks = {
        "report": ReportSink(folder / "run.html", of="a run"),
        "log": DayLogSink(folder / "run-logs", live=False),
    }
    for name, sink in sinks.items():
        started = time.process_time()
        for message in messages:
            sink.send(message)
        cost = (time.process_time() - started) / len(messages)
        print(f"--{name}: {1e6 * cost:.0f} us a message, {100 * cost / 0.16:.3f} % of a core")
        sink.close()


if __name__ == "__main__":
    raise SystemExit(main())
