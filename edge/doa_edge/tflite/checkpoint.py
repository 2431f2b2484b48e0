"""What a `.keras` checkpoint says of itself, read without Keras."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doa_core.errors import InputError, as_damage
from doa_core.reading.json_text import parse_json
from doa_core.reading.zip_archive import open_zip, read_entry
from doa_core.spec import FeatureSpec

SUFFIX = ".keras"
_CONFIG, _METADATA = "config.json", "metadata.json"  # in its zip
_MORE = ("resolution_deg", "decode", "calibration", "voices", "apart_deg", "refine")  # of a head


def checkpoint_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Input, head and versions of a checkpoint of `doa_tf`.

    Args:
        path: a `.keras` file.

    Returns:
        JSON values: what its layers `FeatureInput` and `HeadOutput` hold, the shapes of its input
        and output, `window_s`, and the file.

    Raises:
        InputError: not such a file, damaged, or a network that `doa_tf` cannot judge.
    """
    path = Path(path)
    with as_damage(f"{path} cannot be read as a checkpoint of doa_tf"):
        with path.open("rb") as file, open_zip(file) as archive:
            config = parse_json(read_entry(archive, _CONFIG), finite=False)
            keras_version = parse_json(read_entry(archive, _METADATA)).get("keras_version")
            file.seek(0)
            data = file.read()
        inputs, heads = (list(_layers(config, name)) for name in ("FeatureInput", "HeadOutput"))
        if len(inputs) != 1 or len(heads) != 1:
            raise InputError(
                f"{path} must hold one FeatureInput and one HeadOutput layer of doa_tf. "
                f"Received: {len(inputs)} and {len(heads)}"
            )
        features = FeatureSpec.from_dict(inputs[0]["config"]["features"])
        outputs = heads[0]["build_config"]["input_shape"][-1]
        highpass_hz = inputs[0]["config"].get("highpass_hz", 0.0)
        head = heads[0]["config"]
        facts = {"head": head["head"], **{name: head[name] for name in _MORE if name in head}}
    return {
        "features": features.to_dict(),
        **facts,
        "highpass_hz": highpass_hz,
        "input_shape": [1, *features.input_shape],
        "output_shape": [1, features.frames, outputs],
        "window_s": features.samples / features.sample_rate,
        "file": {
            "path": str(path),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "keras_version": keras_version,
        },
    }


def _layers(config: object, name: str) -> Iterator[dict[str, Any]]:
    """The layers of a class anywhere in a network, which may lie inside one another."""
    if isinstance(config, dict):
        if config.get("class_name") == name:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for inner in config:
            yield from _layers(inner, name)
