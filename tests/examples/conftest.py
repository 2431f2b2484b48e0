"""The C++ example, compiled; and the default network in files that it can run."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import PROJECT

RECORDINGS = sorted((PROJECT / "demo" / "recordings").glob("*.wav"))


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Path of the program, built in a folder of its own."""
    if not (shutil.which("make") and shutil.which(os.environ.get("CXX", "g++"))):
        pytest.skip("needs make and a C++ compiler")
    folder = tmp_path_factory.mktemp("cpp")
    shutil.copytree(PROJECT / "examples" / "cpp", folder, dirs_exist_ok=True)
    (folder / "localise").unlink(missing_ok=True)
    done = subprocess.run(["make", "-C", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return folder / "localise"


@pytest.fixture(scope="session")
def library():
    """Path of LiteRT's library."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None:
        pytest.skip("needs ai-edge-litert")
    path = Path(spec.origin).with_name("libLiteRt.so")
    if not path.is_file():
        pytest.skip("this ai-edge-litert has no libLiteRt.so")
    return path


@pytest.fixture(scope="session")
def stateless(tmp_path_factory):
    """Files of the default network whose LSTM keeps no state: of features, and of sound."""
    pytest.importorskip("tensorflow")
    from doa_edge.tflite.file import embed_spec
    from doa_export.convert.network import read_network
    from doa_export.convert.stages import convert_network
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(PROJECT / "edge" / "doa_edge" / "models" / "default.keras")
    network = read_network(model, spec)
    spec = dataclasses.replace(spec, provenance={"export": {"lstm": "unrolled"}})
    folder = tmp_path_factory.mktemp("stateless")
    paths = {name: folder / f"{name}.tflite" for name in ("features", "audio")}
    for name, path in paths.items():
        audio = {"audio": name == "audio", "highpass_hz": spec.highpass_hz}
        flatbuffer = convert_network(network, mode="none", lstm="unrolled", **audio)
        inside = {"input": "audio", "highpass_hz": 0.0} if name == "audio" else {}
        path.write_bytes(embed_spec(flatbuffer, dataclasses.replace(spec, **inside)))
    return paths
