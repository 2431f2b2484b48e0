"""Lines as `doa_edge run` writes them, of a run that the tests know."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from doa_edge.commands.main import main
from doa_edge.report.files import find_outputs
from doa_edge.report.lines import read_report

STEP_S = 0.16
CET = timezone(timedelta(hours=1))
EVENING = datetime(2026, 11, 28, 19, 0, 0, tzinfo=CET)


def estimate(time_s, *azimuths, clock=None, zones=(), **keys):
    """An estimate of several voices, one at each azimuth, by a clock that began at `clock`."""
    talkers = [
        {
            "id": number,
            "slot": number,
            "azimuth_deg": azimuth_deg,
            "elevation_deg": 5.0,
            "confidence": 0.9,
            **({"zones": list(zones)} if zones else {}),
        }
        for number, azimuth_deg in enumerate(azimuths, 1)
    ]
    return {
        "time_s": round(time_s, 6),
        "azimuth_deg": azimuths[0] if azimuths else 12.0,
        "elevation_deg": 5.0,
        "confidence": 0.9,
        "active": bool(azimuths),
        "level_dbfs": -30.0,
        "of_s": round(time_s - 0.2, 6),
        "talkers": talkers,
        **timed(clock, time_s),
        **keys,
    }


def timed(clock, time_s):
    """The key `time`, where there is a clock."""
    if clock is None:
        return {}
    return {"time": (clock + timedelta(seconds=round(time_s, 6))).isoformat()}


def run_of(count, *azimuths, clock=None, first_s=0.832, **keys):
    """As many estimates, one every 0.16 s."""
    times = [first_s + STEP_S * n for n in range(count)]
    return [estimate(time_s, *azimuths, clock=clock, **keys) for time_s in times]


def write_lines(path, messages, end=""):
    """A file of lines; `end` follows the last one."""
    path.write_text("".join(json.dumps(one) + "\n" for one in messages) + end, encoding="utf-8")
    return path


def history_of(path):
    """What a report has of the one microphone of a file or folder."""
    report, _ = read_report(find_outputs([path]))
    (history,) = report.histories.values()
    return history


def made(folder, *files, suffix="html", options=()):
    """A report of files, by the command."""
    out = folder / f"report.{suffix}"
    assert main(["report", *map(str, files), "--out", str(out), *options]) == 0
    return out
