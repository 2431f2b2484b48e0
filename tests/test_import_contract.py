"""What may import what: held on paper by import-linter, in fact by subprocesses."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys

import pytest

from tests.places import PROJECT

TRAINING_ONLY = ("tensorflow", "keras", "scipy", "librosa", "pyroomacoustics")
ROOMS = ("doa_tf", "doa_edge", "doa_export")
FACES = ["data", "evaluation", "heads", "microphones", "rooms", "scenes", "training"]
BEYOND_NUMPY = (*TRAINING_ONLY, "matplotlib", "soundfile", "soxr", "rich", "ai_edge_litert")

IMPORT_ALL = """
import importlib, json, pkgutil, sys

blocked = set(json.loads(sys.argv[1]))


class Block:
    # Raising at the import itself: merely looking for the package must not pass for its absence.
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"{name} is blocked")
        return None


sys.meta_path.insert(0, Block())
names = []
for root in sys.argv[2:]:
    package = importlib.import_module(root)
    names.append(root)
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
            names.append(module.name)
print(json.dumps({"imported": names, "loaded": sorted(sys.modules)}))
"""


def python(code, *arguments):
    """The JSON object that a fresh interpreter prints last."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=PROJECT,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def top_level(modules):
    return {name.partition(".")[0] for name in modules}


def test_contracts_of_import_linter():
    pytest.importorskip("importlinter", reason="needs the extra dev")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(PROJECT / path) for path in (".", "edge", "export")),
    }
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=PROJECT,
        env=environment,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    kept = re.findall(r"^(.+) KEPT$", result.stdout, re.MULTILINE)
    asked = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert kept == re.findall(r'^\[\[tool.importlinter.contracts\]\]\nname = "(.+)"$', asked, re.M)
    assert {"No circles, in no folder", *(f"The rooms of {name}" for name in ROOMS)} < set(kept)
    assert "0 broken" in result.stdout


def test_signal_contract_needs_numpy_alone():
    found = python(IMPORT_ALL, json.dumps(BEYOND_NUMPY), "doa_core")
    files = [path.relative_to(PROJECT) for path in (PROJECT / "doa_core").rglob("*.py")]
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert set(found["imported"]) == modules
    assert len(modules) >= 20
    third_party = top_level(found["loaded"]) - set(sys.stdlib_module_names)
    assert {"doa_core", "numpy"} <= third_party
    assert not third_party & {*BEYOND_NUMPY, "doa_edge", "doa_tf", "doa_export"}


def test_device_runner_needs_no_training_environment():
    found = python(IMPORT_ALL, json.dumps([*TRAINING_ONLY, "doa_tf", "doa_export"]), "doa_edge")
    files = (PROJECT / "edge" / "doa_edge").rglob("*.py")
    assert len(found["imported"]) >= len([path for path in files if path.stem != "__main__"])
    assert not top_level(found["loaded"]) & {*TRAINING_ONLY, "doa_tf", "doa_export"}


@pytest.mark.parametrize("package", [*ROOMS, ", ".join(f"doa_tf.{name}" for name in FACES)])
def test_importing_a_package_stays_light(package):
    code = f"import json, sys, {package}; print(json.dumps(sorted(sys.modules)))"
    loaded = top_level(python(code))
    assert package.partition(".")[0] in loaded
    assert not loaded & {*TRAINING_ONLY, "matplotlib", "soundfile", "soxr", "numba", "pandas"}


# Packages whose names are looked up in a stub when they are asked for.
STUBS = {
    ".".join(path.parent.relative_to(root).parts): path
    for root in (PROJECT, PROJECT / "edge", PROJECT / "export")
    for path in sorted(root.glob("doa_*/**/__init__.pyi"))
}


@pytest.mark.parametrize("package", STUBS)
def test_a_stub_names_what_there_is(package):
    imports = ast.parse(STUBS[package].read_text(encoding="utf-8")).body
    names = [name.asname for node in imports for name in node.names]
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(names)
    assert set(names) <= set(dir(module))
    for name in names:
        assert getattr(module, name) is not None
    assert not hasattr(module, "nothing_of_this_name")


@pytest.mark.parametrize("command", ["doa_edge", "doa_tf.cli", "doa_export.cli"])
def test_a_command_is_a_module_as_well(command):
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"], capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {command.partition('.')[0]} ")


@pytest.mark.parametrize("blocked", ["tensorflow", "numpy"])
def test_the_block_itself_blocks(blocked):
    # Without this the tests above could pass because nothing is blocked.
    with pytest.raises(AssertionError, match=f"ImportError: {blocked} is blocked"):
        python(IMPORT_ALL + f"\nimport {blocked}\n", json.dumps([blocked]), "json")
