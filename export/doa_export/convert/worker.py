"""The converter, in a process of its own because it can crash; `launch` starts it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from doa_core.errors import InputError
from doa_core.process.children import end_with
from doa_export.convert.launch import EXIT_BAD_INPUT, MODEL, PARENT, TURNING
from doa_tf.registration import import_modules


def main(argv: Sequence[str] | None = None) -> int:
    """Convert `MODEL` to files in `FOLDER`; 0 done, 65 bad input, anything else failed."""
    parser = argparse.ArgumentParser(prog="doa_export.convert.worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quantize", required=True)
    parser.add_argument("--lstm")
    parser.add_argument("--windows", type=Path, help="(M, T, F, K) features to calibrate on, .npy")
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--highpass", metavar="HZ", type=float, default=0.0, help="before them")
    parser.add_argument("--only", metavar="LAYER", help="leave all other layers in float32")
    parser.add_argument("--halves", metavar="STEP", type=int, help="both halves of the network")
    parser.add_argument("--import", dest="imports", metavar="MODULE", action="append", default=[])
    args = parser.parse_args(argv)
    try:
        import_modules(args.imports)
        flatbuffers = _convert(args)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    for name, flatbuffer in flatbuffers.items():
        (args.folder / name).write_bytes(flatbuffer)
    return 0


def _convert(args: argparse.Namespace) -> dict[str, bytes]:
    """Flatbuffers by the names of their files."""
    import numpy as np

    from doa_edge.tflite.file import HALVES
    from doa_export.convert.halves import convert_halves
    from doa_export.convert.network import is_crnn, read_network
    from doa_export.convert.stages import convert_keras, convert_network
    from doa_tf.models import load_scoring_model

    model, spec = load_scoring_model(args.model)
    if args.halves is not None:
        halves = convert_halves(model, spec, mode=args.quantize, lstm=args.lstm, step=args.halves)
        turning = None if halves.turning is None else halves.turning.to_dict()
        files = dict(zip(HALVES, halves.parts, strict=True))
        return {**files, TURNING: json.dumps(turning).encode()}
    windows = None if args.windows is None else np.load(args.windows)
    settings = {"mode": args.quantize, "windows": windows, "audio": args.audio}
    settings["highpass_hz"] = args.highpass
    if not is_crnn(model):
        return {MODEL: convert_keras(model, spec, **settings)}
    network = read_network(model, spec)
    return {MODEL: convert_network(network, lstm=args.lstm, only=args.only, **settings)}


if __name__ == "__main__":
    if PARENT in os.environ:
        end_with(int(os.environ[PARENT]))  # now: TensorFlow's import, in `main`, takes seconds
    sys.exit(main())
