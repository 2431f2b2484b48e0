"""`--dcase`: frames of 100 ms, as the scorers of DCASE read them."""

from __future__ import annotations

import pytest

from doa_edge.commands.main import main
from doa_edge.options.command import EXIT_MISUSE
from doa_edge.sinks.tables.dcase import DcaseSink

WINDOW_S = 0.832


def one(time_s, azimuth_deg=90.0, elevation_deg=30.0, *, active=True):
    """A message of a runner of one voice; it is of the middle of its window."""
    angles = {"azimuth_deg": azimuth_deg, "elevation_deg": elevation_deg}
    return {"time_s": time_s, **angles, "active": active}


def several(of_s, **azimuths_deg):
    """A message of several voices: azimuths by `_id`."""
    talkers = [
        {"id": int(name[1:]), "azimuth_deg": azimuth_deg, "elevation_deg": 0.0}
        for name, azimuth_deg in azimuths_deg.items()
    ]
    return {"time_s": of_s + 0.3, "of_s": of_s, "active": bool(talkers), "talkers": talkers}


def rows(path, *messages, **options):
    sink = DcaseSink(path, window_s=WINDOW_S, **options)
    for message in messages:
        sink.send(message)
    sink.close()
    return [tuple(map(int, line.split(","))) for line in path.read_text().splitlines()]


def test_one_voice_answers_for_its_window(tmp_path):
    # Of 0.416 s: the frames whose middles, 0.05 to 0.75 s, lie in the window.
    found = rows(tmp_path / "a.csv", one(WINDOW_S, 89.6, -30.4), class_number=7)
    assert found == [(frame, 7, 0, 90, -30) for frame in range(8)]


def test_directions_are_interpolated_to_the_frames(tmp_path):
    messages = [several(0.5, _3=10.0), several(0.66, _3=26.0), several(0.82, _3=42.0)]
    found = {row[0]: row[3] for row in rows(tmp_path / "a.csv", *messages)}
    # Middles: 0.55, 0.65 and 0.75 s, and before and behind the estimates as those have it.
    assert found[5] == pytest.approx(15, abs=1)
    assert found[6] == pytest.approx(25, abs=1)
    assert found[7] == pytest.approx(35, abs=1)
    assert found[0] == found[4] == 10
    assert found[8] == found[10] == 42
    assert max(found) == 10  # the last window ends at 1.12 s


def test_the_way_around_the_back_is_the_short_one(tmp_path):
    found = rows(tmp_path / "a.csv", several(0.5, _1=170.0), several(0.6, _1=-170.0))
    (behind,) = (row[3] for row in found if row[0] == 5)
    assert abs(behind) == 180


def test_who_is_in_one_estimate_alone_is_heard_near_it(tmp_path):
    messages = [several(0.50, _1=0.0), several(0.70, _1=0.0, _2=-90.0), several(0.90)]
    found = rows(tmp_path / "a.csv", *messages)
    assert [(row[0], row[2]) for row in found if row[0] > 4] == [
        (5, 1),
        (6, 1),
        (6, 2),
        (7, 1),
        (7, 2),
    ]
    assert all(row[3] == -90 for row in found if row[2] == 2)


def test_silence_and_events_have_no_rows(tmp_path):
    gap = {"time_s": 1.0, "event": "gap", "reason": "overrun", "lost_s": 0.25}
    messages = [one(0.832, active=False), gap, one(0.992, active=False)]
    assert rows(tmp_path / "a.csv", *messages) == []
    assert rows(tmp_path / "b.csv") == []


def test_nothing_is_said_of_a_long_gap(tmp_path):
    # Of 0.416 s and of 5.416 s: each answers for its own window.
    found = rows(tmp_path / "a.csv", one(0.832, 0.0), one(5.832, 90.0))
    assert [row[0] for row in found] == [*range(8), *range(50, 58)]
    assert {row[3] for row in found[:8]} == {0}
    assert {row[3] for row in found[8:]} == {90}


def test_run_writes_the_file(write_wave, tmp_path, capsys):
    path = tmp_path / "frames.csv"
    command = ["run", str(write_wave(seconds=3.0)), "--dcase", str(path), "--gate", "-120"]
    assert main([*command, "--margin", "0", "--confidence", "0", "--dcase-class", "6"]) == 0
    assert f"wrote {path}" in capsys.readouterr().err
    found = [tuple(map(int, line.split(","))) for line in path.read_text().splitlines()]
    assert sorted({row[0] for row in found})[-1] in (28, 29)  # of 30 frames
    assert {row[1] for row in found} == {6}
    assert all(-180 <= row[3] <= 180 and -90 <= row[4] <= 90 for row in found)


def test_misuse(write_wave, tmp_path, capsys):
    recording = write_wave(seconds=1.0)
    assert main(["run", "--dcase", str(tmp_path / "a.csv")]) == EXIT_MISUSE
    assert "--dcase is for recordings and pipes: a device has no end" in capsys.readouterr().err
    assert main(["run", str(recording), "--dcase", str(recording)]) == EXIT_MISUSE
    assert "must not replace another file in use" in capsys.readouterr().err
    assert main(["run", str(recording), "--dcase", str(tmp_path / "no" / "a.csv")]) == 1
    assert "a file in a folder that exists" in capsys.readouterr().err
    assert main(["run", str(recording), "--dcase", "a.csv", "--dcase-class", "x"]) == EXIT_MISUSE
    allowed = "--dcase-class must be an integer between 0 and 999. Received: 'x'"
    assert allowed in capsys.readouterr().err
