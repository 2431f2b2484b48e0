"""Lines about bad input, with advice where a command has the option."""

import pickle
from argparse import Namespace

from doa_core.errors import InputError, one_line
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
