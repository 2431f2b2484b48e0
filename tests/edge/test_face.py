"""What `import doa_edge` offers: the names of its stub, lazily, and with numpy alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import doa_edge
from tests.places import PROJECT

STUB = Path(doa_edge.__file__).with_suffix(".pyi")


def test_the_stub_has_the_names_and_their_homes():
    homes = {
        alias.name: node.module for node in ast.parse(STUB.read_text()).body for alias in node.names
    }
    assert homes == doa_edge._HOMES
    for name in doa_edge.__all__:
        assert getattr(doa_edge, name).__module__.removeprefix("doa_edge.") == homes[name]
    assert set(doa_edge.__all__) <= set(dir(doa_edge))


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="'doa_edge' has no attribute 'read_block'"):
        doa_edge.read_block  # noqa: B018


def test_the_engine_needs_numpy_alone():
    """A board may install the wheel with --no-deps and numpy, as edge/install.md does."""
    code = (
        "import sys; sys.modules['lazy_loader'] = None; import doa_edge; "
        "assert 'numpy' not in sys.modules; doa_edge.DirectionEngine; "
        "names = {m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names; "
        "print(sorted(name for name in names if 'cython' not in name))"  # of numpy before 2
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={
            "PYTHONPATH": ":".join([str(PROJECT), str(PROJECT / "edge"), *filter(None, sys.path)])
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['__main__', 'doa_core', 'doa_edge', 'lazy_loader', 'numpy']"
