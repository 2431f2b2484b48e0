"""The systemd unit: it says what systemd understands, what is there, and what is safe."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from doa_edge.commands.parser import parse_options
from tests.places import PROJECT

UNIT = PROJECT / "edge" / "doa_edge.service"
ANALYZE = shutil.which("systemd-analyze")


def unit():
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_its_command_is_one_that_we_understand(tmp_path):
    _, *arguments = unit()["Service"]["ExecStart"].split()
    config = tmp_path / "doa_edge.toml"
    config.write_text('device = "AMBEO"\n')
    arguments = [str(config) if word.endswith(".toml") else word for word in arguments]
    options = parse_options(arguments)
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


def test_systemd_understands_it(tmp_path):
    if ANALYZE is None:
        pytest.skip("needs systemd-analyze: apt install systemd")
    there = tmp_path / UNIT.name
    there.write_text(UNIT.read_text().replace("/opt/doa/bin/doa_edge", shutil.which("true")))
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
