"""The wheel, made from the source archive: it holds the four packages and nothing else."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.places import PROJECT

ROOTS = {"doa_core": PROJECT, "doa_tf": PROJECT, "doa_edge": PROJECT / "edge"}
ROOTS["doa_export"] = PROJECT / "export"
BESIDE = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "requirements.txt")
KINDS = {".py", ".pyi", ".typed", ".html", ".tflite", ".md"}
LEFT = {".keras"}  # what the shipped files were made of stays in the repository


def files(package):
    """What lies in a package, from its root."""
    root = ROOTS[package]
    return {
        str(path.relative_to(root))
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build.__main__", reason="needs the extra dev")
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    for name in BESIDE:
        shutil.copy(PROJECT / name, clone)
    for package, root in ROOTS.items():
        shutil.copytree(
            root / package,
            clone / (root / package).relative_to(PROJECT),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    # With the setuptools that is there: a test needs no network.
    options = ["--no-isolation", "--skip-dependency-check", "--outdir", str(out), str(clone)]
    done = subprocess.run(
        [sys.executable, "-m", "build", *options], capture_output=True, text=True, cwd=clone
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (path,) = out.glob("*.whl")
    assert len(list(out.glob("*.tar.gz"))) == 1
    return zipfile.ZipFile(path)


def test_all_of_the_packages_is_in_the_wheel_and_nothing_else(wheel):
    tree = set.union(*map(files, ROOTS))
    kinds = {name: "." + name.rpartition(".")[2] for name in tree}
    assert set(kinds.values()) == KINDS | LEFT
    wanted = {name for name, kind in kinds.items() if kind in KINDS}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_what_it_says_of_itself(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    cited = re.search(r"^version: (.+)$", (PROJECT / "CITATION.cff").read_text(), re.MULTILINE)
    assert metadata["Version"] == cited[1]
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*\b{re.escape(metadata['Version'])}\b", changes, re.MULTILINE)
    assert "](docs/" not in metadata.get_payload()  # links that lead nowhere from an index


# What messages call a package, and what it is called where it is installed from.
NAMES = {"Dask distributed": "dask", "A TFLite runtime": "ai-edge-litert"}
NAMES |= {"TensorFlow with Keras 3": "tensorflow", "JAX with Keras 3": "jax"}


def named_extras():
    """(file, package or None, extra) of every message and page that names an extra."""
    for root in (*ROOTS.values(), PROJECT / "docs", PROJECT / "edge"):
        for path in {*root.glob("doa_*/**/*.py"), *root.glob("*.md")}:
            text = path.read_text(encoding="utf-8")
            missing = re.findall(r'MissingPackageError\(\s*"([^"]+)",\s*"([\w,]+)"', text)
            bare = re.findall(r'(?:doa-tf|"\.)\[([\w,]+)\]|extra="(\w+)"|extras? `(\w+)`', text)
            for package, extras in [*missing, *((None, "".join(names)) for names in bare)]:
                if not {"EXTRA", "extra"} & set(extras.split(",")):  # of a pattern
                    yield path.name, package, extras.split(",")


def test_extras_that_are_named_exist_and_hold_what_is_missing(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    held = {extra: set() for extra in metadata.get_all("Provides-Extra")}
    for requirement in metadata.get_all("Requires-Dist"):
        package = re.match(r"[\w-]+", requirement)[0].lower()
        for extra in re.findall(r"""extra == ["'](\w+)["']""", requirement):
            held[extra].add(package)
    found = list(named_extras())
    assert len(found) > 25
    assert {"edge", "web", "mqtt", "plot", "train", "export", "cluster", "jax"} <= set(held)
    for file, package, extras in found:
        assert set(extras) <= set(held), file
        if package:
            wanted = NAMES.get(package, package).lower()
            assert wanted in set().union(*(held[extra] for extra in extras)), (file, package)


def test_every_package_is_typed():
    for package, root in ROOTS.items():
        assert (root / package / "py.typed").exists()
