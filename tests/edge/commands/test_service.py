"""The systemd units: they say what systemd understands, what is there, and what is safe."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from doa_core.reading.toml import parse_toml
from doa_edge.commands.parser import parse_options
from tests.places import PROJECT

UNIT = PROJECT / "edge" / "doa_edge.service"
TEMPLATE = PROJECT / "edge" / "doa_edge@.service"
INSTALL = (PROJECT / "edge" / "install.md").read_text(encoding="utf-8")
ANALYZE = shutil.which("systemd-analyze")


def unit(path=UNIT):
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(path)
    return parser


def file_in_the_guide(path):
    """What the guide has people write into a file."""
    return re.search(rf"sudo tee {re.escape(path)} <<'EOF'\n(.*?)^EOF$", INSTALL, re.M | re.S)[1]


def parsed(arguments, tmp_path, text):
    """The options of a unit's command line, whose configuration holds a text."""
    config = tmp_path / "doa_edge.toml"
    config.write_text(text)
    return parse_options([str(config) if word.endswith(".toml") else word for word in arguments])


def test_its_command_is_one_that_we_understand(tmp_path):
    _, *arguments = unit()["Service"]["ExecStart"].split()
    options = parsed(arguments, tmp_path, file_in_the_guide("/etc/doa_edge.toml"))
    assert options.device == "AMBEO"


def test_it_is_confined_and_watched():
    service = unit()["Service"]
    for key, value in {
        "Type": "notify",
        "DynamicUser": "yes",
        "ProtectSystem": "strict",
        "SupplementaryGroups": "audio",
        "Restart": "on-failure",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "SuccessExitStatus": "129 130 143",
    }.items():
        assert service[key] == value
    assert int(service["WatchdogSec"]) >= 10


def test_it_can_read_what_the_page_tells_people_to_write():
    """Files that are named in the page or in the unit, such as a model that is not shipped."""
    service = unit()["Service"]
    assert (service["ProtectHome"], service["PrivateTmp"]) == ("yes", "yes")
    hidden = [Path(path) for path in ("/home", "/root", "/run/user", "/tmp", "/var/tmp")]
    page = (PROJECT / "edge" / "install.md").read_text(encoding="utf-8")
    pattern = r"(?<![\w/.])/(?:[\w.-]+/)*[\w-]+\.(?:tflite|toml|env)"
    named = {Path(path) for path in re.findall(pattern, page + UNIT.read_text(encoding="utf-8"))}
    model = Path("/opt/doa/models/kitchen.tflite")
    assert {model, Path("/etc/doa_edge.toml"), Path("/etc/doa_edge.env")} <= named
    assert [path for path in named if not set(hidden).isdisjoint(path.parents)] == []
    assert f"sudo install -D -m 644 {model.name} {model}\n" in page
    assert f'`model = "{model}"`' in page
    closed = ("InaccessiblePaths", "TemporaryFileSystem", "NoExecPaths", "RootDirectory")
    assert [key for key in closed if key in service] == []


@pytest.mark.parametrize(("path", "name"), [(UNIT, UNIT.name), (TEMPLATE, "doa_edge@door.service")])
def test_systemd_understands_it(path, name, tmp_path):
    if ANALYZE is None:
        pytest.skip("needs systemd-analyze: apt install systemd")
    there = tmp_path / name
    there.write_text(path.read_text().replace("/opt/doa/bin/doa_edge", shutil.which("true")))
    done = subprocess.run(
        [ANALYZE, "verify", str(there)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
    done = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--threshold=25", str(there)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-500:]  # exposure 2.5 of 10 at most


# --- several microphones


def test_the_template_is_the_unit_but_for_what_each_microphone_has_of_its_own():
    one, each = unit(), unit(TEMPLATE)
    assert {name: set(each[name]) for name in each} == {name: set(one[name]) for name in one}
    differing = {
        key: each[section][key]
        for section in one
        for key in one[section]
        if each[section][key] != one[section][key]
    }
    assert differing == {
        "Description": "Direction of a voice from the Ambisonic microphone %i",
        "ExecStart": "/opt/doa/bin/doa_edge run --config /etc/doa_edge/%i.toml --name %i",
        "EnvironmentFile": "-/etc/doa_edge/%i.env",
        "StateDirectory": "doa_edge-%i",
        "WorkingDirectory": "%S/doa_edge-%i",
    }


def test_two_microphones_of_the_guide_share_nothing(tmp_path):
    _, *arguments = unit(TEMPLATE)["Service"]["ExecStart"].split()
    door, table = (
        parsed(
            [word.replace("%i", name) for word in arguments],
            tmp_path,
            file_in_the_guide(f"/etc/doa_edge/{name}.toml"),
        )
        for name in ("door", "table")
    )
    assert (door.name, table.name) == ("door", "table")
    for key in ("device", "web", "out"):
        assert getattr(door, key) != getattr(table, key)
    for name, options in (("door", door), ("table", table)):
        assert str(options.out).startswith(f"/var/lib/doa_edge-{name}/")
        assert options.mqtt_topic is None  # doa/door and doa/table


def test_the_page_that_the_guide_announces_is_the_one_that_is_served():
    text = file_in_the_guide("/etc/avahi/services/doa_edge.service")
    service = ElementTree.fromstring(text).find("service")
    assert service.find("type").text == "_http._tcp"
    web = parse_toml(file_in_the_guide("/etc/doa_edge.toml"))["web"]
    assert service.find("port").text == web.rpartition(":")[2]
