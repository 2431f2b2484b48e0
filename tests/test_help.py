"""What every command answers to `--help` and `--version`."""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys

import pytest

from doa_edge.activity import (
    DEFAULT_GATE_DBFS,
    DEFAULT_MARGIN_DB,
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_PROBABILITY,
)
from doa_edge.commands.main import main as edge
from doa_edge.commands.parser import make_parser
from doa_edge.engine import EngineSettings

# Options without which something is not done, or which say what to use.
WITHOUT_DEFAULT = {
    "doa_edge run": "input profile encoding name out dcase report log listen plot web web-name osc "
    "tcp tcp-connect mqtt mqtt-user config",
    "doa_edge convert": "input profile encoding",
    "doa_edge align": "input profile encoding place config",
    "doa_edge doctor": "input profile encoding speaker",
    "doa_tf simulate": "settings scheduler from-sofa array sofa-units plot",
    "doa_tf render": "noise",
    "doa_tf train": "bank speech noise scenes init-from",
    "doa_tf evaluate": "json per-scene plot",
    "doa_tf recipe": "noise set init-from",
    "doa_export": "calibrate report json",
}


def all_parsers(parser):
    """A parser, and those of its verbs and of theirs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from all_parsers(verb)


def parsers():
    found = list(all_parsers(make_parser()[0]))
    try:
        from doa_export.command import make_parser as export
        from doa_tf.cli.main import _parser as training
    except ImportError:  # a board's installation
        return found
    return [*found, *all_parsers(training()), *all_parsers(export())]


def helps(prog):
    """The help of each option of a command, as it is shown, by its name without dashes."""
    parser = next(parser for parser in parsers() if parser.prog == prog)
    formatter = parser._get_formatter()
    return {
        name.removeprefix("--"): formatter._expand_help(action) if action.help else ""
        for action in parser._actions
        for name in action.option_strings
    }


def default_in(text):
    """What a help says after `default:`."""
    return text.partition("default: ")[2]


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.prog)
def test_every_option_says_what_it_is_and_its_default(parser):
    formatter = parser._get_formatter()
    free = WITHOUT_DEFAULT.get(parser.prog, "").split()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue  # each of its verbs has a help
        name = (action.option_strings or [action.dest])[0].removeprefix("--")
        assert action.help, name
        takes_value = bool(action.option_strings) and action.nargs != 0 and not action.required
        text = formatter._expand_help(action)
        if takes_value:
            assert (name in free) != ("default:" in text), name
        if takes_value and isinstance(action.default, (int, float, str)):
            shown = action.default if isinstance(action.default, str) else f"{action.default:g}"
            assert default_in(text).startswith(shown), name


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.prog)
def test_every_command_knows_its_version(parser, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--version"])
    assert stop.value.code == 0
    version = importlib.metadata.version("doa-tf")
    assert capsys.readouterr().out == f"{parser.prog.split()[0]} {version}\n"


def test_version_without_an_installation(monkeypatch, capsys):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert edge(["--version"]) == 0
    assert capsys.readouterr().out == "doa_edge unknown\n"


def test_defaults_of_the_engine_are_those_of_run():
    text, engine = helps("doa_edge run"), EngineSettings()
    assert default_in(text["every"]).startswith(f"{engine.every}, 0.16 s")
    assert default_in(text["gate"]).startswith(f"{DEFAULT_GATE_DBFS:g})")
    assert default_in(text["margin"]).startswith(f"{DEFAULT_MARGIN_DB:g})")
    both = f"{DEFAULT_MIN_PROBABILITY:g} where the model calibrates it, else"
    assert default_in(text["confidence"]).startswith(f"{both} {DEFAULT_MIN_CONFIDENCE:g})")
    assert default_in(text["smooth"]).startswith(f"{engine.smooth_s:g},")
    assert default_in(text["lead"]).startswith(f"{engine.lead_s:g},")


def test_defaults_of_a_training_are_those_of_train():
    settings = pytest.importorskip("doa_tf.training.settings", exc_type=ImportError)
    text, defaults = helps("doa_tf train"), vars(settings.TrainSettings())
    names = {name: name.replace("_", "-") for name in defaults}
    shown = {name: default_in(text[option]) for name, option in names.items() if option in text}
    assert len(shown) > 10
    for name, value in shown.items():
        values = defaults[name] if isinstance(defaults[name], tuple) else (defaults[name],)
        expected = " ".join(one if isinstance(one, str) else f"{one:g}" for one in values)
        assert name == "live" or value == f"{expected})", name


def test_defaults_of_rooms_are_those_of_simulate():
    plan = pytest.importorskip("doa_tf.rooms.plan", exc_type=ImportError)
    text, rooms = helps("doa_tf simulate"), plan.RoomSettings()
    assert default_in(text["mic"]) == f"{rooms.microphone})"
    assert default_in(text["rt60"]) == f"{rooms.rt60[0]:g},{rooms.rt60[1]:g})"
    assert default_in(text["dry-share"]) == f"{rooms.dry_share:g})"
    assert default_in(text["sources"]) == f"{rooms.sources})"


def test_defaults_of_recordings_are_those_of_render():
    pytest.importorskip("doa_tf.scenes.render", exc_type=ImportError)
    from doa_tf.scenes.sessions.meeting import MeetingSettings
    from doa_tf.scenes.sessions.moving import MovingSettings

    text, meeting, moving = helps("doa_tf render"), MeetingSettings(), MovingSettings()
    assert default_in(text["seconds"]) == f"{meeting.seconds:g})"
    assert meeting.seconds == moving.seconds
    assert default_in(text["people"]) == f"{meeting.people})"
    assert default_in(text["walkers"]) == f"{moving.walkers})"


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_a_help_that_cannot_be_written_is_told(asked):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "doa_edge", asked],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "standard output cannot be written: [Errno 28]" in done.stderr
