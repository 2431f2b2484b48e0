"""The pages: a site without a dead link, a reference of every public name, commands that exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import zlib

import pytest

from tests.places import PROJECT

# All that a user may import: packages with a face, and modules that are public.
FACES = [
    *(
        "doa_tf",
        "doa_tf.heads",
        "doa_tf.losses",
        "doa_tf.metrics",
        "doa_tf.layers",
        "doa_tf.models",
    ),
    *("doa_tf.microphones", "doa_tf.rooms", "doa_tf.rooms.bank", "doa_tf.scenes", "doa_tf.data"),
    *("doa_tf.training", "doa_tf.evaluation", "doa_edge", "doa_export"),
    *sorted(f"doa_core.{path.stem}" for path in (PROJECT / "doa_core").glob("[a-z]*.py")),
]
ROOTS = (PROJECT, PROJECT / "edge", PROJECT / "export")
INSIDE = {"architecture.md", "decisions.md", "CHANGELOG.md"}  # of what is private, or gone, too
PAGES = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("edge/**/*.md")]
LENGTHS = {"README.md": 130, "docs/results.md": 150}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Names in the API reference of a site that was built without a warning."""
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    listing = (folder / "objects.inv").read_bytes().split(b"\n", 4)[4]  # Sphinx's, version 2
    return {line.split(" ")[0] for line in zlib.decompress(listing).decode().splitlines()}


def public_names(face):
    """What a stub or `__all__` lists, else the functions and classes of a module."""
    path = face.replace(".", "/")
    sources = [
        root / f"{path}{end}" for root in ROOTS for end in (".py", "/__init__.pyi", "/__init__.py")
    ]
    tree = ast.parse(next(file for file in sources if file.is_file()).read_text(encoding="utf-8"))
    imported, defined = [], []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            imported += [name.asname for name in node.names if name.asname]
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            defined.append(node.name)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return [name for name in imported or defined if f"{face}.{name}" not in FACES]


def words(pattern, *, inside=True):
    """(page, word) of every match in the pages, but the changelog, which has what is gone."""
    return {
        (str(page.relative_to(PROJECT)), word)
        for page in PAGES
        if page.name != "CHANGELOG.md" and (inside or page.name not in INSIDE)
        for word in re.findall(pattern, page.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_in_the_reference(face, reference):
    missing = [name for name in public_names(face) if f"{face}.{name}" not in reference]
    assert not missing


@pytest.mark.parametrize("page", LENGTHS)
def test_a_page_can_be_finished(page):
    assert len((PROJECT / page).read_text(encoding="utf-8").splitlines()) <= LENGTHS[page]


def test_commands_exist():
    found = words(r"python -m ([a-z]\w*(?:\.\w+)+)")
    assert len(found) > 10
    assert not [pair for pair in found if importlib.util.find_spec(pair[1]) is None]


def test_files_exist():
    found = words(
        r"`((?:benchmarks|configs|demo|docs|doa_\w+|edge|experiments|tests)/[\w/.]+\.\w+)`"
    )
    assert len(found) > 20
    assert not [pair for pair in found if not any((root / pair[1]).exists() for root in ROOTS)]


def test_users_are_told_public_names_only():
    names = words(r"`(doa_(?:tf|edge|export)(?:\.\w+)+)(?=[`(])", inside=False)
    for page, line in words(r"from (doa_[\w.]+ import [\w, ]+)", inside=False):
        module, imported = line.split(" import ")
        names |= {(page, f"{module}.{name}") for name in imported.split(", ")}
    assert len(names) > 20
    public = {f"{face}.{name}" for face in FACES for name in public_names(face)}
    members = {(page, name) for page, name in names if name.rpartition(".")[0] in public}
    assert not [pair for pair in names - members if pair[1] not in public.union(FACES)]
