"""`doa_edge info`: the spec of a model file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from doa_edge.tflite.shipped import MODEL_HELP, model_path


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "info",
        help="the spec of a model file",
        description="Print the spec of a model file as JSON.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    text = f"{MODEL_HELP}; or a .keras checkpoint"
    parser.add_argument("model", metavar="FILE", type=model_path, nargs="?", help=text)


def run(options: argparse.Namespace) -> int:
    """Print the spec, the shapes and the digest of a model file as JSON.

    Raises:
        InputError: a file that neither doa_export nor doa_tf made.
    """
    import json

    from doa_edge.tflite.checkpoint import SUFFIX, checkpoint_facts
    from doa_edge.tflite.network import default_model_path

    path = options.model or default_model_path()
    if path.suffix.lower() == SUFFIX:
        facts = checkpoint_facts(path)
        sys.stderr.write("doa_edge: a checkpoint; doa_export makes the .tflite that boards run\n")
    else:
        facts = _tflite_facts(path)
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    return 0


def _tflite_facts(path: Path) -> dict[str, Any]:
    import hashlib

    from doa_edge.tflite.file import read_model_file

    flatbuffer, spec, halves = read_model_file(path)
    turning = None if halves is None else halves.turning
    features = spec.features
    return {
        **spec.to_dict(),
        "input_shape": [1, *spec.window_shape],
        "output_shape": [1, features.frames, spec.outputs],
        "window_s": features.samples / features.sample_rate,
        "file": {
            "path": str(path),
            "bytes": path.stat().st_size,
            "flatbuffer_bytes": len(flatbuffer),
            "halves_bytes": None if halves is None else [len(half) for half in halves.parts],
            **({} if turning is None else {"halves_turning": turning.to_dict()}),
            "flatbuffer_sha256": hashlib.sha256(flatbuffer).hexdigest(),
        },
    }
