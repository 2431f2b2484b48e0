"""What is written for people holds nothing that a terminal obeys."""

import logging

import pytest

from doa_core.errors import one_line
from doa_core.files import say_written
from doa_core.terminal import VisibleFormatter, say, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07.wav", "\\x1b]0;title\\x07.wav"),
        ("a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"),
        ("\x7f\x9b2J", "\\x7f\\x9b2J"),
        ("invoice\u202egnp.wav\u2066\u2069", "invoice\\u202egnp.wav\\u2066\\u2069"),
        ("one\u2028two\u2029", "one\\u2028two\\u2029"),
        (
            "B\u00fcro \u05d0\u200f \u97f3 \U0001f3a4 \\x1b",
            "B\u00fcro \u05d0\u200f \u97f3 \U0001f3a4 \\x1b",
        ),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text, shown):
    assert visible(text) == shown


def test_a_table_keeps_its_lines():
    assert visible_lines("a\tb\n\x1b[2Jc\r\n") == "a\tb\n\\x1b[2Jc\\r\n"


def test_other_softwares_words_are_shown_in_one_line():
    assert one_line("bad\n  \x1b[31mname") == "bad \\x1b[31mname"
    assert len(one_line("\x1b" * 300)) == 300


def test_lines_to_standard_error(capsys, tmp_path):
    say("doa_edge: \x1b[2J\nfake: line")
    say_written("doa_tf", "a\x1bb.csv", None)
    assert capsys.readouterr().err == (
        "doa_edge: \\x1b[2J\\nfake: line\ndoa_tf: wrote a\\x1bb.csv\n"
    )


def test_a_log_record_is_shown_and_its_traceback_keeps_its_lines():
    formatter = VisibleFormatter("%(levelname)s: %(message)s")
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s is gone", ("m\x1b[1m",), None)
    assert formatter.format(record) == "INFO: m\\x1b[1m is gone"
