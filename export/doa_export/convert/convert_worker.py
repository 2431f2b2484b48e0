"""The converter, in a process of its own because it can crash:

`doa_export.convert.convert` starts this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from doa_core.errors import InputError

EXIT_BAD_INPUT = 65  # sysexits' EX_DATAERR: no code that Python or a shell gives by itself


def main(argv: Sequence[str] | None = None) -> int:
    """Convert `MODEL` to `OUT`; 0 done, 65 bad input, anything else failed."""
    parser = argparse.ArgumentParser(prog="doa_export.convert.convert_worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quantize", required=True)
    parser.add_argument("--lstm", required=True)
    parser.add_argument("--windows", type=Path, help="(M, T, F, K) features to calibrate on, .npy")
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--only", metavar="LAYER", help="leave all other layers in float32")
    args = parser.parse_args(argv)
    import numpy as np

    from doa_export.convert.network import is_crnn, read_network
    from doa_export.convert.stages import convert_keras, convert_network
    from doa_tf.models import load_scoring_model

    windows = None if args.windows is None else np.load(args.windows)
    try:
        model, spec = load_scoring_model(args.model)
        if is_crnn(model):
            network = read_network(model, spec)
            flatbuffer = convert_network(
                network,
                mode=args.quantize,
                lstm=args.lstm,
                windows=windows,
                audio=args.audio,
                only=args.only,
            )
        else:
            flatbuffer = convert_keras(
                model, spec, mode=args.quantize, windows=windows, audio=args.audio
            )
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_INPUT
    args.out.write_bytes(flatbuffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
