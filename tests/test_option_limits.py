"""Every number that a command takes has a least and a greatest value, which are kept to."""

from __future__ import annotations

import argparse
import math
import re

import pytest

from doa_core.errors import InputError
from doa_edge.commands.parser import make_parser
from doa_edge.limits import LIMITS
from doa_edge.options.command import Limited
from doa_edge.options.config import read_config
from doa_edge.sinks.network import address
from tests.test_help import parsers

# Values that are texts, by what stands for them in a help; what is none of them is a number.
TEXTS = {
    *(
        "FILE",
        "FILE|-",
        "FILE.jsonl",
        "FILE.png",
        "FILE.wav",
        "FILE.toml",
        "FILE.json",
        "FILE.sofa",
        "FILE.csv",
        "FILE.html",
        "FILE.html|.png",
        "FILE|DIR",
    ),
    *(
        "FILE.keras",
        "TRAINED.keras",
        "FILE.tflite",
        "DIR",
        "BANK",
        "NEW",
        "SCENES",
        "RUN",
        "REPORT",
        "MODEL",
    ),
    *(
        "MODEL.keras",
        "MODULE",
        "COLUMN",
        "NAME",
        "NUMBER|NAME",
        "FORMAT",
        "KIND",
        "/PREFIX",
        "PREFIX",
        "TOPIC",
        "ZONE",
    ),
    *("NAME=UNITS", "SECTION.KEY=VALUE", "peak|centroid", "tcp://HOST:PORT"),
}
ADDRESSES = (address.listening_address, address.receiving_address, address.broker_address)


def options_of(parser):
    """The options of a parser that take a value which is no choice of texts."""
    return [
        action
        for action in parser._actions
        if action.nargs != 0
        and not isinstance(action, argparse._SubParsersAction)
        and not (action.choices and all(isinstance(choice, str) for choice in action.choices))
        and (action.metavar or action.dest) not in TEXTS
    ]


CASES = [
    pytest.param(parser, action, id=f"{parser.prog} {action.option_strings[0]}")
    for parser in parsers()
    for action in options_of(parser)
]
NUMBERS = [case for case in CASES if case.values[1].type not in ADDRESSES]


def beyond(limits):
    """Texts of numbers out of some limits."""
    step = 1 if limits.whole else max(1.0, abs(limits.highest)) * 1e-6
    near = [limits.lowest - step, limits.highest + step]
    return [*map(repr, near), "1e400", "nan", "inf", "-inf", "9" * 5000, "-1e19", ""]


def written(action, text):
    """A command line with a value, as often as the option takes one."""
    name, count = action.option_strings[0], (action.metavar or "").count(",") + 1
    if action.nargs is not None:
        return [name, *[text] * action.nargs]
    return [f"{name}={','.join([text] * count)}"]


def test_there_are_numbers_in_the_parsers():
    assert len(NUMBERS) > 25
    names = {case.values[1].option_strings[0] for case in NUMBERS}
    assert {"--threads", "--gate", "--out-count", "--every", "--mount"} <= names


@pytest.mark.parametrize(("parser", "action"), CASES)
def test_every_number_is_in_the_table(parser, action):
    assert action.type in ADDRESSES or isinstance(action.type, Limited), (
        "a number needs limits in doa_edge.limits, a text a name in TEXTS here"
    )
    if isinstance(action.type, Limited):
        assert action.type.limits in LIMITS.values()


@pytest.mark.parametrize(("parser", "action"), NUMBERS)
def test_what_lies_beyond_is_one_line_and_misuse(parser, action, capsys):
    limits = action.type.limits
    for text in beyond(limits):
        if action.nargs is not None and text.startswith("-"):
            continue  # argparse takes it for an option
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(written(action, text))
        assert stop.value.code == 2, text
        said = capsys.readouterr().err
        assert re.match(rf"{parser.prog}: {action.option_strings[0]}\S* must ", said), (text, said)
        assert f"{limits.allowed}. Received: " in said, (text, said)
        assert said.count("\n") == 1, text
        assert len(said) < 400, text


@pytest.mark.parametrize(
    ("parser", "action"), [case for case in NUMBERS if "," not in case.values[1].metavar]
)
def test_the_limits_themselves_are_allowed(parser, action):
    limits = action.type.limits
    for value in (limits.lowest, limits.highest):
        assert action.type(f"{value}") == value
    if action.default is not None:
        defaults = action.default if isinstance(action.default, tuple) else (action.default,)
        assert all(map(limits.holds, defaults))


@pytest.mark.parametrize("text", ["65536", "-1", "nan", "1e3", "99999999999999999999"])
@pytest.mark.parametrize("kind", ADDRESSES)
def test_ports_end_at_65535(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"a port from [01] to 65535"):
        kind(f"127.0.0.1:{text}")


@pytest.mark.parametrize("name", ["threads", "gate", "margin", "every", "out-count", "listen-size"])
def test_a_configuration_has_the_same_limits(tmp_path, name):
    _, run_parser = make_parser()
    config = tmp_path / "run.toml"
    limits = LIMITS[name]
    for value in (limits.lowest - 1, limits.highest + 1, "1e300", "nan", "inf"):
        config.write_text(f"{name} = {value}\n")
        with pytest.raises(InputError) as refused:
            read_config(config, run_parser)
        assert f"`{name}` {limits.allowed}. Received: " in str(refused.value)
    config.write_text(f"{name} = {limits.lowest}\n")
    assert read_config(config, run_parser)[name.replace("-", "_")] == limits.lowest


def test_choices_that_are_numbers_are_limits_too():
    for parser in parsers():
        for action in parser._actions:
            numbers = [c for c in action.choices or () if isinstance(c, (int, float))]
            assert not numbers, f"{parser.prog} {action.option_strings}: {numbers}"
            assert action.type not in (int, float), f"{parser.prog} {action.option_strings}"
    assert all(math.isfinite(limits.highest) for limits in LIMITS.values())
