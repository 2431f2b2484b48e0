"""Lines about bad input, with advice where a command has it, and nothing that a terminal obeys."""

import pickle
from argparse import Namespace

import pytest

from doa_core.errors import InputError, one_line, say, visible, visible_lines
from doa_core.files import say_written
from doa_core.reading.toml import read_toml

ERROR = InputError("Four channels. Received: 16", options={"channels": "--channels says which"})


def test_advice_is_for_commands_that_have_the_option():
    assert str(ERROR) == "Four channels. Received: 16"
    assert ERROR.with_advice(Namespace(data="x")) == "Four channels. Received: 16"
    assert ERROR.with_advice(None) == "Four channels. Received: 16"
    told = ERROR.with_advice(Namespace(channels=None))
    assert told == "Four channels; --channels says which. Received: 16"
    assert InputError("Text").with_advice(Namespace(channels=None)) == "Text"


def test_an_error_keeps_its_advice_between_processes():
    again = pickle.loads(pickle.dumps(ERROR))
    assert (str(again), again.options) == (str(ERROR), ERROR.options)


def test_a_line_has_no_breaks_and_an_end():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 5000)) == 300
    assert len(one_line("x" * 5000, length=4000)) == 4000


def test_toml_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('device = "B\u00fcro"\n', encoding="utf-8-sig")
    assert read_toml(path) == {"device": "B\u00fcro"}
    path.write_bytes(b"\xef\xbb\xbf")
    assert read_toml(path) == {}


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
