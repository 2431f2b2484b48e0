"""Options of `doa_edge run` from a TOML file: each option's name without its dashes is a key.

    device = "AMBEO"
    format = "tetrahedral"
    mount = [0, 0, 180]
    osc = "127.0.0.1:9000"

    [zones]
    desk = [-30, 30]

Values are checked as on the command line, which wins over the file. Paths are relative to the
file's folder.
"""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from doa_core.errors import InputError
from doa_core.files import existing_path
from doa_core.reading.toml import read_toml
from doa_edge.options.zones import AddZone
from doa_edge.tflite.shipped import SHIPPED, model_path

_NO_KEYS = ("help", "version", "config")


def read_config(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Defaults for a parser, by destination.

    Args:
        path: the TOML file.
        parser: its long options are the keys; `_` may stand for `-`.

    Raises:
        InputError: not readable, no TOML, an unknown key, or a value that the option refuses.
        MissingPackageError: Python 3.10 without tomli.
    """
    options = {
        option[2:]: action
        for action in parser._actions  # argparse has no public list of them
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-")
    }
    values = {}
    for key, value in read_toml(path).items():
        name = key.replace("_", "-")
        if name not in options or name in _NO_KEYS:
            near = difflib.get_close_matches(name, set(options) - set(_NO_KEYS), 1, 0.5)
            hint = f"did you mean `{near[0]}`?" if near else "see doa_edge run --help."
            raise InputError(
                f"{path}: a key must be an option of doa_edge run; {hint} Received: `{key}`"
            )
        values[options[name].dest] = _value(path, key, value, options[name])
    return values


def _value(path: Path, key: str, value: object, action: argparse.Action) -> Any:
    """The value as the command line would give it."""
    if isinstance(action, AddZone):
        try:
            return action.of_table(value)
        except ValueError as error:
            raise InputError(f"{path}: `{key}`: {error}") from error
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise InputError(f"{path}: `{key}` must be true or false. Received: {value!r}")
        return value
    if action.nargs == "?" and isinstance(value, bool):  # an option that needs no value
        return action.const if value else None
    if action.nargs == "+" and isinstance(value, list) and value:
        return [_text_value(path, key, item, action) for item in value]
    converted = _text_value(path, key, value, action)
    return [converted] if action.nargs == "+" else converted


def _text_value(path: Path, key: str, value: object, action: argparse.Action) -> Any:
    """What an option makes of its one text."""
    holds_one = isinstance(value, list) and not any(isinstance(i, list | dict) for i in value)
    if isinstance(value, list) and holds_one and action.nargs != "+":
        text = ",".join(map(str, value))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value)
    else:
        table = "; did you mean `zones`?" if key == "zone" and isinstance(value, dict) else "."
        raise InputError(
            f"{path}: `{key}` must be a text, a number or a list of them{table} Received: {value!r}"
        )
    names_a_file = isinstance(action.metavar, str) and action.metavar.startswith(("FILE", "DIR"))
    if names_a_file and text != "-" and not (action.type is model_path and text in SHIPPED):
        text = str(existing_path(path.parent / text))
    try:
        converted = action.type(text) if callable(action.type) else text
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{path}: `{key}` {error}") from error
    except ValueError as error:
        raise InputError(f"{path}: `{key}` cannot be {text!r}") from error
    if action.choices is not None and converted not in action.choices:
        allowed = ", ".join(map(str, action.choices))
        raise InputError(f"{path}: `{key}` must be one of {allowed}. Received: {text!r}")
    return converted
