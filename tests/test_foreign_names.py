r"""Names that would command a terminal: each of the three commands shows them instead."""

from __future__ import annotations

import logging
import os

import pytest

from doa_edge.commands.main import main as edge
from doa_edge.commands.run import _quiet_runtime
from doa_edge.options.streams import VisibleFormatter, open_standard_streams

NAME, SHOWN = "\x1b]0;owned\x07\x9b2J\u202e.wav", "\\x1b]0;owned\\x07\\x9b2J\\u202e.wav"


def obeyed(text):
    """The characters of a text that a terminal would obey, the ends of lines left out."""
    return [character for character in text if not character.isprintable() and character != "\n"]


@pytest.fixture
def tf():
    pytest.importorskip("keras")
    from doa_tf.cli.main import main

    return main


@pytest.fixture
def export():
    pytest.importorskip("tensorflow")
    from doa_export.cli import main

    return main


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", NAME],
        ["run", "--input", NAME],
        ["run", "--web", NAME],
        ["run", "--osc", NAME],
        ["run", "--model", NAME, "a.wav"],
        ["run", "--config", NAME],
        ["run", "--out", f"none/{NAME}", "a.wav"],
        ["info", NAME],
        [NAME],
    ],
)
def test_edge_shows_a_name_that_it_refuses(arguments, capsys):
    assert edge(arguments) in (1, 2)
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []
    assert "\\x1b]0;owned" in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", NAME, "--data", NAME],
        ["bank", "info", NAME],
        ["train", "--bank", NAME, "--speech", NAME, "--valid", NAME, "--out", "x"],
        [NAME],
    ],
)
def test_tf_shows_a_name_that_it_refuses(arguments, tf, capsys):
    assert tf(arguments) in (1, 2)
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []
    assert "owned" in told.err


def test_export_shows_a_name_that_it_refuses(export, capsys, tmp_path):
    assert export([NAME, "--quantize", "none", "--out", str(tmp_path / "a.tflite")]) in (1, 2)
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []
    assert "owned" in told.err


def test_a_recording_and_a_file_of_such_names_are_shown(write_named, tmp_path, capsys):
    path, out = write_named(NAME), tmp_path / f"{NAME}.jsonl"
    assert edge(["run", str(path), "--out", str(out), "--summary"]) == 0
    told = capsys.readouterr().err
    assert obeyed(told) == []
    assert f"doa_edge: wrote {tmp_path}/{SHOWN}.jsonl\n" in told
    assert out.exists()
    assert edge(["doctor", str(path)]) in (0, 1)
    told = capsys.readouterr()
    assert obeyed(told.out + told.err) == []
    assert SHOWN in told.out


@pytest.fixture
def write_named(tmp_path):
    """Writes a recording of a quarter of a second under a name."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    numpy = pytest.importorskip("numpy")

    def write(name):
        noise = 0.1 * numpy.random.default_rng(0).standard_normal((16_000, 4))
        soundfile.write(tmp_path / "a.wav", noise, 16_000)
        return (tmp_path / "a.wav").rename(tmp_path / name)

    return write


def test_what_a_runtime_says_of_a_model_is_shown(capfd):
    with _quiet_runtime():
        os.write(2, b"INFO: loaded\nERROR: no operation \x1b[2J\xff\n")
    assert capfd.readouterr().err == "ERROR: no operation \\x1b[2J\\xff\n"


def test_a_warning_of_a_program_without_logging_is_shown(capsys):
    open_standard_streams()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (NAME,), None)
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == SHOWN


def test_a_log_record_is_shown_and_its_traceback_keeps_its_lines():
    formatter = VisibleFormatter("%(levelname)s: %(message)s")
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s is gone", ("m\x1b[1m",), None)
    assert formatter.format(record) == "INFO: m\\x1b[1m is gone"
