"""Several recordings in one call, and when each of them began."""

from __future__ import annotations

import datetime
import json
import os
import struct

import pytest

from doa_edge.commands.main import main
from doa_edge.commands.parser import parse_options
from doa_edge.input.audio import FileSource
from doa_edge.input.containers.broadcast import Broadcast, began
from doa_edge.input.pipe import PipeSource
from tests.edge.input.wave_files import chunk, pcm16, wave
from tests.edge.tracking.lobe_model import LobeModel

HOUR = 3600 * 16_000  # samples
RATE = 16_000


def broadcast(date="2026-03-28", time="12:00:00", reference=0):
    return Broadcast(
        date=date and datetime.date.fromisoformat(date),
        time=time and datetime.time.fromisoformat(time),
        time_reference=reference,
    )


# --- when a recording began


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (broadcast(), "2026-03-28T12:00:00"),
        (broadcast(reference=12 * HOUR + 8000), "2026-03-28T12:00:00.500000"),
        (broadcast(reference=15 * HOUR), "2026-03-28T15:00:00"),  # the third file of a long take
        (broadcast(time="23:30:00", reference=HOUR), "2026-03-29T01:00:00"),  # past midnight
        (broadcast(time="00:00:01", reference=24 * HOUR - 1600), "2026-03-27T23:59:59.900000"),
        (broadcast(time=None, reference=HOUR), "2026-03-28T01:00:00"),
        (broadcast(reference=24 * HOUR), "2026-03-28T12:00:00"),  # no time of a day
        (broadcast(reference=2**64 - 1), "2026-03-28T12:00:00"),
        (broadcast(time=None), None),
        (broadcast(time=None, reference=2**64 - 1), None),
        (broadcast(date=None, reference=HOUR), None),
        (broadcast(date="1904-01-01"), None),
        (broadcast(date="9999-12-31"), None),
        (None, None),
    ],
)
def test_when_a_recording_began(found, expected):
    moment = began(found, RATE)
    assert (moment and moment.isoformat()) == expected


def bext(date, time, reference=0):
    """A chunk as field recorders write it."""
    body = bytes(320) + date.encode() + time.encode() + struct.pack("<QH", reference, 1)
    return chunk(b"bext", body + bytes(254))


@pytest.fixture
def write(tmp_path, plane_wave):
    """Write a recording from one direction, whose recorder has a clock if its time is given."""

    def make(name, azimuth_deg=40.0, *, time=None, seconds=1.2, date="2026-03-28", reference=0):
        path = tmp_path / name
        before = bext(date, time, reference) if time else b""
        sound = pcm16(plane_wave(azimuth_deg, 0.0, seconds=seconds))
        path.write_bytes(wave(sound, before=before))
        return str(path)

    return make


def test_a_file_and_a_pipe_tell_when_they_began(write):
    path = write("a.wav", time="12:00:00", reference=12 * HOUR + 1)
    expected = datetime.datetime(2026, 3, 28, 12, 0, 0, 63)  # 62.5, to microseconds
    with FileSource(path) as source:
        assert source.began == expected
    with open(path, "rb") as file:
        piped = PipeSource(file.fileno())
        assert piped.began is None
        list(piped)
    assert piped.began == expected


def test_a_reference_that_is_no_time_of_day_is_told(write, no_network, capsys):
    """A recorder that counts what it has recorded, from one o'clock on."""
    path = write("a.wav", time="14:32:10", reference=HOUR)
    _, lines, said = run(capsys, path)
    assert lines[0]["time"] == "2026-03-29T01:00:00.832"
    assert said == (
        "doa_edge: a.wav: its time reference says 2026-03-29 01:00:00, its date and time "
        "2026-03-28 14:32:10: `time` follows the reference\n"
    )
    assert run(capsys, write("b.wav", time="01:00:59", reference=HOUR))[2] == ""


# --- several in one call


def run(capsys, *arguments):
    """Status, printed lines and what was said."""
    status = main(["run", *map(str, arguments)])
    out, said = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], said


def azimuths(lines):
    """(file, azimuth to the degree) of each first line of a recording."""
    firsts = {line["file"]: round(line["azimuth_deg"]) for line in reversed(lines)}
    return sorted(firsts.items())


@pytest.mark.parametrize("given", ["bare", "option", "repeated"])
def test_each_line_names_its_recording(write, no_network, capsys, given):
    paths = [write("b.wav", 40.0), write("a.wav", -40.0)]
    arguments = {
        "bare": paths,
        "option": ["--input", *paths],
        "repeated": ["--input", paths[0], "--input", paths[1]],
    }[given]
    status, lines, said = run(capsys, *arguments)
    assert (status, said) == (0, "")
    assert [line["file"] for line in lines] == 3 * paths[:1] + 3 * paths[1:]
    assert [line["time_s"] for line in lines] == 2 * [0.832, 0.992, 1.152]
    assert azimuths(lines) == [(paths[1], -40), (paths[0], 40)]
    assert "time" not in lines[0]


def test_each_is_heard_as_it_is_alone(write, no_network, capsys):
    paths = [write("a.wav", 40.0), write("b.wav", -40.0, seconds=2.0)]
    alone = [line for path in paths for line in run(capsys, path)[1]]
    together = run(capsys, *paths)[1]
    assert [{k: v for k, v in line.items() if k != "file"} for line in together] == alone


def test_those_with_a_clock_are_on_one_time_line(write, no_network, capsys):
    late = write("a.wav", time="12:00:00")
    early = write("b.wav", time="11:59:59", reference=12 * HOUR - 16_000 + 80)
    _, lines, said = run(capsys, late, early)
    assert said == ""
    assert [line["file"] for line in lines] == 3 * [early] + 3 * [late]
    times = [line["time"] for line in lines]
    assert times[0] == "2026-03-28T11:59:59.837"
    assert times[3] == "2026-03-28T12:00:00.832"
    _, zoned, _ = run(capsys, late, early, "--zone", "-03:30")
    assert zoned[3]["time"] == "2026-03-28T12:00:00.832-03:30"


def test_one_without_a_clock_leaves_them_in_the_order_in_which_they_came(write, no_network, capsys):
    paths = [write("a.wav", time="12:00:00"), write("b.wav"), write("c.wav", time="11:00:00")]
    _, lines, said = run(capsys, *paths)
    assert list(dict.fromkeys(line["file"] for line in lines)) == paths
    assert [line.get("time", "")[:16] for line in lines[::3]] == [
        *("2026-03-28T12:00", "", "2026-03-28T11:00")
    ]
    assert said == (
        f"doa_edge: {paths[1]} carries no clock: the recordings are taken in the order in which "
        "they are named\n"
    )


def test_a_bad_recording_loses_no_answers_of_the_others(write, tmp_path, no_network, capsys):
    good = [write("a.wav"), write("z.wav")]
    short, out = write("short.wav", seconds=0.1), tmp_path / "x.jsonl"
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"RIFF" + bytes(100))
    missing = tmp_path / "none.wav"
    arguments = (good[0], missing, short, noise, good[1], "--out", out)
    status, lines, said = run(capsys, *arguments)
    assert status == 2
    assert [line["file"] for line in lines] == 3 * good[:1] + 3 * good[1:]
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines
    told = said.splitlines()
    assert told[0] == f"doa_edge: The recording must be a sound file. Not found: {missing}"
    assert str(noise) in told[1]
    assert told[2].startswith(f"doa_edge: {short}: The recording must last 0.832 s or more")
    assert told[3] == f"doa_edge: wrote {out}"
    assert len(told) == 4


def test_one_that_the_system_refuses_midway_is_a_failure(write, no_network, capsys, monkeypatch):
    paths = [write("a.wav"), write("b.wav")]
    items = FileSource.__iter__

    def failing(self):
        yield from items(self)
        if self.name == "a.wav":
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(FileSource, "__iter__", failing)
    status, lines, said = run(capsys, *paths)
    assert status == 1
    assert len(lines) == 6
    assert said == f"doa_edge: {paths[0]}: [Errno 5] Input/output error\n"


def test_where_none_can_be_heard_what_was_there_stays(write, tmp_path, no_network, capsys):
    out = tmp_path / "x.csv"
    out.write_text("of yesterday")
    for first in (write("short.wav", seconds=0.1), tmp_path / "none"):
        status, lines, said = run(capsys, first, tmp_path / "none.wav", "--out", out)
        assert (status, lines) == (2, [])
        assert said.splitlines()[-1] == (
            "doa_edge: One recording at least must be heard; standard error says why each is not. "
            "Received: 2 recordings"
        )
        assert out.read_text() == "of yesterday"


def test_an_interruption_keeps_what_was_heard(write, tmp_path, no_network, capsys, monkeypatch):
    paths, out = [write("a.wav"), write("b.wav"), write("c.wav")], tmp_path / "x.csv"
    items = FileSource.__iter__

    def interrupted(self):
        yield from items(self)
        if self.name == "b.wav":
            raise KeyboardInterrupt

    monkeypatch.setattr(FileSource, "__iter__", interrupted)
    status, lines, said = run(capsys, *paths, "--out", out)
    assert status == 130
    assert [line["file"] for line in lines] == 3 * paths[:1] + 3 * paths[1:2]
    assert len(out.read_text().splitlines()) == 1 + len(lines)
    assert said == f"doa_edge: wrote {out}\ndoa_edge: interrupted\n"


def test_a_full_disk_ends_the_run(write, no_network, capsys):
    status, lines, said = run(capsys, write("a.wav"), write("b.wav"), "--out", "/dev/full")
    assert status == 1
    assert len(lines) <= 1
    assert "No space left on device" in said


def test_a_table_of_several(write, no_network, capsys, tmp_path):
    out = tmp_path / "x.csv"
    paths = [write("a.wav", time="12:00:00"), write("b.wav", time="13:00:00")]
    assert run(capsys, *paths, "--out", out)[0] == 0
    rows = out.read_text().splitlines()
    assert rows[0].startswith("time,time_s,file,")
    assert [row.split(",")[:3] for row in rows[1::3]] == [
        ["2026-03-28T12:00:00.832", "0.832", paths[0]],
        ["2026-03-28T13:00:00.832", "0.832", paths[1]],
    ]


@pytest.mark.parametrize("clocks", [(None, None), ("12:00:00", "12:30:00")])
def test_nobody_goes_from_one_recording_to_the_next(write, no_network, capsys, clocks):
    """The events of each are those that it has alone; none is between them."""
    zones = ("--zones", "left=20,160", "--name", "door")
    paths = [write(name, 40.0, time=t) for name, t in zip(("a.wav", "b.wav"), clocks, strict=True)]
    alone = [{**line, "file": path} for path in paths for line in run(capsys, path, *zones)[1]]
    _, together, _ = run(capsys, *paths, *zones)
    assert together == alone
    events = [line for line in together if "event" in line]
    assert [(event["time_s"], event["event"], event["file"]) for event in events] == [
        (1.152, "zone_entered", path) for path in paths
    ]
    began = ["2026-03-28T12:00:01.152", "2026-03-28T12:30:01.152"]
    assert [event.get("time") for event in events] == (began if clocks[0] else [None, None])


def test_a_summary_is_a_line_each(write, no_network, capsys):
    paths = [write("a.wav", 40.0), write("b.wav", -40.0, seconds=2.0)]
    status, lines, _ = run(capsys, *paths, "--summary")
    assert status == 0
    assert [(line["file"], line["duration_s"]) for line in lines] == [
        (paths[0], 1.2),
        (paths[1], 2.0),
    ]
    assert [round(line["azimuth_deg"]) for line in lines] == [40, -40]


def test_a_summary_of_one_is_as_ever(write, no_network, capsys):
    _, (line,), _ = run(capsys, write("a.wav"), "--summary")
    assert "file" not in line


def test_each_is_listened_to_in_a_folder_of_its_own(write, no_network, capsys, tmp_path):
    paths = [write("a.wav", time="12:00:00"), write("b.wav", date="2026-03-29", time="13:00:00")]
    folder = tmp_path / "heard"
    status, _, said = run(capsys, *paths, "--listen", folder)
    assert status == 0
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))
    assert names == [
        "run-0001/talker-0001_from_0.00s_at_2026-03-28T12-00-00.wav",
        "run-0002/talker-0001_from_0.00s_at_2026-03-29T13-00-00.wav",
    ]
    assert said == (
        f"doa_edge: --listen keeps speech of {paths[0]} in {folder}/run-0001\n"
        f"doa_edge: --listen keeps speech of {paths[1]} in {folder}/run-0002\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "x.png"], "--plot is of one recording: call doa_edge once for each. Received"),
        (["--dcase", "x.csv"], "--dcase is of one recording: call doa_edge once for each"),
        (["--device", "3"], "--input and --device exclude each other. Received: --device 3"),
    ],
)
def test_what_several_recordings_cannot_have(write, capsys, options, message):
    status, lines, said = run(capsys, write("a.wav"), write("b.wav"), *options)
    assert (status, lines) == (2, [])
    assert message in said
    assert not os.path.exists(options[1])


def test_a_pipe_is_none_of_several(write, capsys, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for pipe in ("-", fifo):
        status, _, said = run(capsys, "--input", write("a.wav"), pipe)
        assert status == 2
        assert said == f"doa_edge: Several inputs must be recordings. Received a pipe: {pipe}\n"


def test_an_output_replaces_none_of_them(write, capsys):
    paths = [write("a.wav"), write("b.wav")]
    status, _, said = run(capsys, *paths, "--out", paths[1])
    assert status == 2
    assert "must not replace another file in use" in said


def test_several_in_a_configuration(tmp_path):
    path = tmp_path / "doa.toml"
    path.write_text('input = ["a.wav", "/b,c.wav"]\n')
    options = parse_options(["run", "--config", str(path)])
    assert options.inputs == [str(tmp_path / "a.wav"), "/b,c.wav"]
    assert options.input == options.inputs[0]
    assert parse_options(["run", "d.wav", "--config", str(path)]).inputs == ["d.wav"]
    path.write_text('input = "a.wav"\nzone = "Europe/Berlin"\n')
    options = parse_options(["run", "--config", str(path)])
    assert options.inputs == [options.input] == [str(tmp_path / "a.wav")]
    assert str(options.zone) == "Europe/Berlin"


@pytest.mark.parametrize("value", ["[]", "[1.5, [2]]", "true", "[true]"])
def test_what_no_configuration_may_name(tmp_path, capsys, value):
    path = tmp_path / "doa.toml"
    path.write_text(f"input = {value}\n")
    assert main(["run", "--config", str(path)]) == 2
    assert "`input` must be a text, a number or a list of them" in capsys.readouterr().err


def test_no_id_is_used_twice_in_a_run(write, capsys, monkeypatch):
    class Lobes(LobeModel):
        runtime = "numpy"

        def __init__(self, path, *, threads):
            super().__init__(lambda _: [(0.0, 0.0, 0.8), (90.0, 0.0, 0.8)])

    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", Lobes)
    _, lines, _ = run(capsys, write("a.wav"), write("b.wav"), "--margin", "0")
    ids = {line["file"][-5:]: sorted(one["id"] for one in line["talkers"]) for line in lines}
    assert ids == {"a.wav": [1, 2], "b.wav": [3, 4]}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "-15:00", ""])
def test_what_is_no_zone_is_misuse(write, tmp_path, capsys, zone):
    message = "must be a name of the IANA data base such as Europe/Berlin, or an offset"
    assert main(["run", write("a.wav"), "--zone", zone]) == 2
    assert f"doa_edge run: --zone {message}" in capsys.readouterr().err
    config = tmp_path / "doa.toml"
    config.write_text(f'zone = "{zone}"\n')
    assert main(["run", "--config", str(config)]) == 2
    assert f"doa_edge: {config}: `zone` {message}" in capsys.readouterr().err
