"""The `time` of a run's lines, rows and files: of a device, and of outputs that show it."""

from __future__ import annotations

import csv
import datetime
import io
import json

import numpy as np
import pytest

from doa_edge.commands.main import main
from doa_edge.estimate import Estimate
from doa_edge.input.pace import Pace
from doa_edge.input.stream import Gap, Source
from doa_edge.sinks.network.tcp import odas_line
from doa_edge.wall_clock.clock import WallClock
from tests.edge.sinks.messages import several, talker

NOON_S = 1_796_040_000.0  # 2026-11-30 12:00 UTC
BLOCK = 512
UTC = datetime.timezone.utc


class Device(Source):
    """A live device of a simulated time, whose blocks come late, each by another time."""

    name = "AMBEO"

    def __init__(self, sound, *, step_at_s=None, by_s=0.0):
        self.pace = Pace(live=True)
        self.s = 0.0
        self._sound = sound
        self._step_at_s, self._by_s = step_at_s, by_s
        self._rng = np.random.default_rng(0)

    def monotonic(self):
        return self.s

    def wall(self):
        stepped = self._step_at_s is not None and self.s >= self._step_at_s
        return NOON_S + self.s + (self._by_s if stepped else 0.0)

    def __iter__(self):
        for start in range(0, len(self._sound), BLOCK):
            taken_s = (start + BLOCK) / 16_000
            self.s = max(self.s, taken_s + 0.1 * self._rng.random() * (start > 0))
            yield self._sound[start : start + BLOCK]
        yield Gap(samples=1600, reason="lost")


@pytest.fixture
def hear(monkeypatch, no_network, capsys, plane_wave):
    """Run with a simulated device; printed lines and what was said."""

    def run(*arguments, seconds=4.0, **settings):
        device = Device(plane_wave(40.0, 20.0, seconds=seconds), **settings)

        def clock(zone):
            return WallClock(zone, wall=device.wall, monotonic=device.monotonic)

        monkeypatch.setattr("doa_edge.wall_clock.clock.WallClock", clock)
        monkeypatch.setattr("doa_edge.input.sources.open_source", lambda **_: device)
        assert main(["run", "--zone", "UTC", *map(str, arguments)]) == 0
        out, said = capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()], said

    return run


def seconds_of(lines):
    """The `time` of each line, since noon [seconds]."""
    times = [datetime.datetime.fromisoformat(line["time"]) for line in lines]
    return np.array([time.timestamp() - NOON_S for time in times])


def test_lines_of_a_device_have_the_time_of_their_sound(hear):
    lines, _ = hear()
    assert len(lines) == 21
    assert all(list(line)[-1] == "time" for line in lines)
    assert list(lines[0])[:-1] == [
        *("time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs")
    ]
    assert lines[-1]["event"] == "gap"
    # The first block came at once, those behind it up to 0.1 s late: that is nobody's business.
    stream_s = [line["time_s"] for line in lines]
    assert seconds_of(lines) == pytest.approx(stream_s, abs=1e-3)
    assert lines[0]["time"] == "2026-11-30T12:00:00.832+00:00"


def test_a_step_of_the_clock_is_one_event_and_one_jump(hear):
    lines, _ = hear(step_at_s=2.0, by_s=-3600.0)
    steps = [number for number, line in enumerate(lines) if line.get("event") == "clock_stepped"]
    assert len(steps) == 1
    (at,) = steps
    step, after = lines[at : at + 2]
    assert step == {
        "time_s": after["time_s"],
        "event": "clock_stepped",
        "by_s": -3600.0,
        "time": after["time"],
    }
    assert after["time_s"] == pytest.approx(2.1, abs=0.17)
    moved_s = seconds_of(lines) - [line["time_s"] for line in lines]
    assert moved_s[:at] == pytest.approx(0.0, abs=1e-3)
    assert moved_s[at:] == pytest.approx(-3600.0, abs=1e-3)


def test_a_table_has_the_times_and_the_events(hear, tmp_path):
    out = tmp_path / "x.csv"
    lines, said = hear("--out", out, step_at_s=2.0, by_s=3600.0)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["time"] for row in rows] == [line["time"] for line in lines]
    assert [row["event"] for row in rows if row["event"]] == ["clock_stepped", "gap"]
    (step,) = (row for row in rows if row["event"] == "clock_stepped")
    assert json.loads(step["details"]) == {"by_s": 3600.0}
    assert said.endswith(f"doa_edge: wrote {out}\n")
    hear("--out", out)  # a live run is added
    with out.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows) + 21


def test_files_of_talkers_are_named_by_the_clock_too(hear, tmp_path):
    hear("--listen", tmp_path / "heard")
    (path,) = (tmp_path / "heard").rglob("*.wav")
    assert path.name == "talker-0001_from_0.00s_at_2026-11-30T12-00-00+0000.wav"


def test_the_layout_of_odas_has_the_time_beside_it():
    message = {**several(1.0, talker(3, 1, 90.0)), "time": "2026-11-30T12:00:00.000+00:00"}
    told = json.loads(odas_line({**message, "file": "a.wav"}, hop_seconds=0.032))
    assert (told["time"], told["file"], told["of_s"]) == (message["time"], "a.wav", 0.75)
    plain = json.loads(odas_line(several(1.0, talker(3, 1, 90.0)), hop_seconds=0.032))
    assert set(plain) == {"timeStamp", "time_s", "level_dbfs", "of_s", "src"}


def test_the_terminal_shows_the_time_of_day():
    console_of = pytest.importorskip("rich.console").Console
    from doa_edge.sinks.view import render

    estimate = Estimate(
        **{"time_s": 12.5, "azimuth_deg": 40.0, "elevation_deg": 20.0, "confidence": 0.9},
        active=True,
        level_dbfs=-20.0,
    )
    noon = datetime.datetime(2026, 11, 30, 12, 0, 1, tzinfo=UTC)
    for clock, expected in ((noon, "time       12.500 s   12:00:01 "), (None, "12.500 s  ")):
        console = console_of(width=90, file=io.StringIO())
        console.print(render(estimate, "AMBEO", clock=clock))
        assert expected in console.file.getvalue()
