"""Zones of a run: on the command line, in the configuration, in what is printed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doa_edge import Zone
from doa_edge.commands.main import main
from doa_edge.commands.parser import parse_options
from tests.edge.tracking.lobe_model import LobeModel

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

KEYS = ["time_s", "azimuth_deg", "elevation_deg", "confidence", "active", "level_dbfs"]
DESK = Zone(name="desk", azimuth_deg=(-30, 30))


def parse(tmp_path, text, *arguments):
    path = tmp_path / "doa.toml"
    path.write_text(text)
    return parse_options(["run", "--config", str(path), *arguments])


def run(capsys, *arguments):
    status = main(["run", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


@pytest.fixture
def two_voices(monkeypatch, write_wave):
    """A recording of five seconds with two voices in it, for the command line."""

    def load(path, *, threads=1):
        model = LobeModel(lambda _: [(40.0, 0.0, 0.8), (-70.0, 0.0, 0.7)])
        model.runtime = "numpy"
        return model

    monkeypatch.setattr("doa_edge.tflite.network.TfliteModel", load)
    noise = 0.1 * np.random.default_rng(0).standard_normal((32_000, 4))
    return write_wave(samples=noise.astype(np.float32))


def test_the_forms_of_a_configuration(tmp_path):
    options = parse(
        tmp_path,
        """
        [zones]
        desk = [-30, 30]
        board = {azimuth = [60, 120], elevation = [0, 40]}
        "K\xfcche" = {elevation = [-90, -10.5]}
        [ignore]
        tv = [150, -150]
        """,
    )
    assert options.zones == (
        DESK,
        Zone(name="board", azimuth_deg=(60, 120), elevation_deg=(0, 40)),
        Zone(name="K\xfcche", elevation_deg=(-90, -10.5)),
    )
    assert options.ignore == (Zone(name="tv", azimuth_deg=(150, -150)),)
    assert parse(tmp_path, "[zones]\n").zones == ()


def test_the_forms_of_the_command_line():
    options = parse_options(
        ["run", "--zones", "desk=-30,30", "--ignore=tv=150,-150", "--zones=board=60,120,0,40"]
    )
    assert options.zones == (DESK, Zone(name="board", azimuth_deg=(60, 120), elevation_deg=(0, 40)))
    assert options.ignore == (Zone(name="tv", azimuth_deg=(150, -150)),)
    without = parse_options(["run"])
    assert (without.zones, without.ignore) == (None, None)


def test_the_command_line_replaces_the_zones_of_the_file(tmp_path):
    text = "[zones]\nsofa = [90, 120]\n[ignore]\ntv = [150, -150]\n"
    options = parse(tmp_path, text, "--zones", "desk=-30,30", "--zones", "door=0,9")
    assert [zone.name for zone in options.zones] == ["desk", "door"]
    assert [zone.name for zone in options.ignore] == ["tv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[zones]\ndesk = [30, 30]", "`zones`: the azimuths of zone desk must span more than 0"),
        ("[zones]\ndesk = [0, 400]", "`zones`: the azimuths of zone desk must be two numbers betw"),
        ("[ignore]\ntv = [-190, 180]", "`ignore`: the azimuths of zone tv must span more than 0"),
        ("[zones]\ndesk = [nan, 30]", "Received: nan, 30"),
        ("[zones]\ndesk = 30", "`zones`: zone desk must be [FROM, TO] or {azimuth = [FROM, TO]"),
        ("[zones]\ndesk = [true, 30]", "Received: True, 30"),
        ("[zones]\n'a/b' = [0, 30]", "the name of a zone must have 1 to 32 letters, digits"),
        ("[zones]\n'+' = [0, 30]", "Received: '+'"),
        ("[zones]\ndesk = [0, 30]\ndesk = [0, 40]", "must be a TOML file"),
        ("[zones]\ndesk = [0, 30]\nDesk = [0, 40]", "must differ, in more than upper and lower"),
        ("zones = [0, 30]", "`zones`: it must be a table of NAME = [FROM, TO] or {azimuth"),
        ("zones = 'desk=0,30'", "`zones`: it must be a table of NAME"),
        ("[zones.desk]\nazimuth = [0, 30]\nhight = [0, 1]", "zone desk must be [FROM, TO] or"),
        ("[zone]\ndesk = [0, 30]", "did you mean `zones`?"),
        (
            "[zones]\n" + "".join(f"z{n} = [0, 9]\n" for n in range(33)),
            "there must be 32 zones at most. Received: 33",
        ),
    ],
)
def test_mistakes_of_a_configuration_are_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "doa.toml"
    path.write_text(text)
    assert main(["run", "--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert str(path) in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("desk", "--zones must be NAME=FROM,TO such as desk=-30,30, or"),
        ("desk=1", "--zones must be NAME=FROM,TO"),
        ("desk=1,2,3", "--zones must be NAME=FROM,TO"),
        ("desk=nan,3", "--zones must be NAME=FROM,TO"),
        ("desk=0,361", "azimuths between -360 and 360 degrees. Received: 'desk=0,361'"),
        ("=0,30", "the name of a zone must have 1 to 32 letters"),
        ("a#=0,30", "the name of a zone must have 1 to 32 letters"),
        ("desk=30,30", "the azimuths of zone desk must span more than 0 and at most 360 degrees"),
        ("desk=0,30,20,10", "the elevations of zone desk must be the lower one and then the high"),
        ("desk=0,30,0,91", "the elevations of zone desk must be two numbers between -90 and 90"),
    ],
)
def test_mistakes_of_the_command_line_are_one_line(capsys, value, message):
    assert main(["run", f"--zones={value}"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_name_is_given_once(capsys):
    assert main(["run", "--ignore=tv=0,30", "--ignore=TV=40,50"]) == 2
    assert "must differ, in more than upper and lower case. Received: tv and TV" in (
        capsys.readouterr().err
    )


def test_a_run_of_one_voice_has_zones_on_its_lines(write_wave, no_network, capsys):
    wave = write_wave(10.0, 20.0, seconds=2.0)
    status, lines, said = run(
        capsys, wave, "--zones", "desk=-30,30", "--zones", "up=-180,180,30,90"
    )
    assert (status, said) == (0, "")
    estimates = [line for line in lines if "event" not in line]
    assert [list(line) for line in estimates] == [[*KEYS, "zones"]] * len(estimates)
    assert {tuple(line["zones"]) for line in estimates} == {("desk",)}
    assert [line for line in lines if "event" in line] == [
        {"time_s": 1.152, "event": "zone_entered", "zone": "desk"}
    ]
    _, plain, _ = run(capsys, wave)
    for line in estimates:
        del line["zones"]
    assert estimates == plain


def test_a_run_of_several_voices_has_zones_of_each_talker(two_voices, tmp_path, capsys):
    config = tmp_path / "doa.toml"
    config.write_text("[zones]\nleft = [0, 180]\nsofa = [30, 50]\n")
    status, lines, said = run(capsys, two_voices, "--config", config)
    assert (status, said) == (0, "")
    for line in lines:
        if "event" not in line:
            assert list(line) == [*KEYS, "of_s", "talkers"]
            assert [talker["zones"] for talker in line["talkers"]] == [["left", "sofa"], []]
    assert [line for line in lines if "event" in line] == [
        {"time_s": 1.152, "event": "zone_entered", "zone": name, "id": 1}
        for name in ("left", "sofa")
    ]


def test_what_is_ignored_is_in_no_line(two_voices, capsys):
    status, lines, _ = run(capsys, two_voices, "--ignore", "tv=20,60")
    assert status == 0
    assert {len(line["talkers"]) for line in lines} == {1}
    assert all(-80 < line["azimuth_deg"] < -60 for line in lines)
    assert all(talker["id"] == talker["slot"] == 1 for line in lines for talker in line["talkers"])
    assert all("zones" not in talker for line in lines for talker in line["talkers"])
    (summary,) = run(capsys, two_voices, "--ignore", "tv=20,60", "--summary")[1]
    assert [talker["id"] for talker in summary["talkers"]] == [1]
    assert -80 < summary["azimuth_deg"] < -60
    _, nobody, _ = run(capsys, two_voices, "--ignore", "room=-180,180")
    assert {(len(line["talkers"]), line["active"]) for line in nobody} == {(0, False)}


def test_with_one_voice_an_ignored_line_is_not_active(write_wave, no_network, capsys):
    wave = write_wave(100.0, 0.0)
    _, plain, _ = run(capsys, wave)
    status, lines, _ = run(capsys, wave, "--ignore", "tv=80,120", "--zones", "tv=80,120")
    assert status == 0
    assert lines == [{**line, "active": False, "zones": []} for line in plain]


def test_a_name_that_osc_cannot_send_is_refused(write_wave, no_network, capsys):
    pytest.importorskip("pythonosc")
    status, lines, said = run(
        capsys, write_wave(), "--zones", "K\xfcche=0,90", "--osc", "127.0.0.1:9"
    )
    assert (status, lines) == (2, [])
    assert "With --osc the name of a zone must be ASCII" in said
