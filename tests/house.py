"""Sizes of folders, files and functions. `python -m tests.house` prints the largest.

Import circles are not counted here: the contracts of pyproject.toml allow none, and `lint-imports`
reads the imports inside functions as well.
"""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.places import PROJECT

FILES_IN_A_FOLDER = 14  # beside its __init__
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60  # without its docstring
PARAMETERS = 8  # self among them


class Measure(NamedTuple):
    """A size, and whose it is."""

    size: int
    of: str


def python_files() -> list[Path]:
    """Python files of the working tree, relative to the project, but for those that git ignores."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return sorted(Path(name) for name in set(names.splitlines()) if (PROJECT / name).is_file())


def folders() -> list[Measure]:
    """How many Python files lie beside the `__init__` of each folder, most first."""
    counts = Counter(path.parent for path in python_files() if path.name != "__init__.py")
    return [Measure(size, f"{folder}/") for folder, size in counts.most_common()]


def files() -> list[Measure]:
    """How many lines each file has, most first."""
    return sorted((Measure(_lines(path), str(path)) for path in python_files()), reverse=True)


def functions() -> list[Measure]:
    """How many lines each function outside tests has without its docstring, most first."""
    return sorted((Measure(_length(node), of) for of, node in _functions()), reverse=True)


def parameters() -> list[Measure]:
    """How many parameters each function outside tests has, `self` counted, most first."""
    return sorted((Measure(_parameters(node.args), of) for of, node in _functions()), reverse=True)


def lines_outside_tests() -> int:
    """Lines of Python outside tests."""
    return sum(_lines(path) for path in python_files() if path.parts[0] != "tests")


def _lines(path: Path) -> int:
    return len((PROJECT / path).read_text(encoding="utf-8").splitlines())


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in python_files():
        if path.parts[0] == "tests":
            continue
        for node in ast.walk(ast.parse((PROJECT / path).read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path}:{node.lineno} {node.name}", node


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def _parameters(arguments: ast.arguments) -> int:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len(named) + bool(arguments.vararg) + bool(arguments.kwarg)


def main() -> None:
    """Print the largest of each kind."""
    for title, limit, measures in (
        ("Python files beside __init__ in a folder", FILES_IN_A_FOLDER, folders()),
        ("lines of a file", LINES_OF_A_FILE, files()),
        ("lines of a function without its docstring", LINES_OF_A_FUNCTION, functions()),
        ("parameters of a function", PARAMETERS, parameters()),
    ):
        print(f"{title}: at most {limit}")
        for measure in measures[:3]:
            print(f"  {measure.size:4d}  {measure.of}")
    print(f"lines of Python outside tests: {lines_outside_tests():,}")


if __name__ == "__main__":
    main()
