"""Where a mode loses: each layer in its turn as the mode has it, with all others in float32."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError
from doa_core.files import write_beside
from doa_edge.tflite.file import embed_spec
from doa_export.convert.convert import convert
from doa_export.convert.modes import MODES
from doa_export.judge.parity import parity
from doa_export.windows import Clip

if TYPE_CHECKING:
    import keras
    import numpy as np
    import numpy.typing as npt

RECORDINGS = 200  # that each layer is judged on, at most


def write_report(
    path: str | os.PathLike[str],
    model_path: Path,
    model: keras.Model,
    *,
    clips: Callable[[], Iterable[Clip]],
    quantize: str,
    lstm: str,
    windows: npt.NDArray[np.float32] | None,
) -> None:
    """Write the figures of `layer_report` as JSON."""
    layers = layer_report(
        model_path, model, clips=clips, quantize=quantize, lstm=lstm, windows=windows
    )
    with write_beside(path) as part:
        part.write_text(
            json.dumps({"quantization": quantize, "lstm": lstm, "layers": layers}, indent=2) + "\n",
            encoding="utf-8",
        )


def layer_report(
    model_path: Path,
    model: keras.Model,
    *,
    clips: Callable[[], Iterable[Clip]],
    quantize: str,
    lstm: str,
    windows: npt.NDArray[np.float32] | None,
) -> dict[str, dict[str, Any]]:
    """Figures of `parity` for each layer, by name.

    A layer that the mode leaves in float32 shows no difference.

    Args:
        model_path: a `.keras` file.
        model: the same, loaded.
        clips: gives the recordings to judge on, as often as it is called.
        quantize: a name in `doa_export.convert.modes.MODES`.
        lstm: form of the recurrences.
        windows: (M, T, F, K) features to calibrate on.

    Raises:
        InputError: a network that has not the layers of `doa_tf.build_crnn`.
        ConversionError: the converter failed.
    """
    from doa_export.convert.network import is_crnn, read_network
    from doa_export.convert.stages import layer_names
    from doa_tf.models import load_scoring_model

    scoring, spec = load_scoring_model(model)
    if not is_crnn(scoring):
        raise InputError(
            "Layers can be looked at one by one in a network of `doa_tf.build_crnn` only. "
            f"Received: {model_path}"
        )
    # Stages must fit each other: between integers and floats they do with floats in and out.
    stage_mode = quantize if MODES[quantize].float_input else "int8"
    figures = {}
    with tempfile.TemporaryDirectory(prefix="doa_export-") as folder:
        path = Path(folder) / "layer.tflite"
        for name in layer_names(read_network(scoring, spec)):
            flatbuffer = convert(
                model_path, quantize=stage_mode, lstm=lstm, windows=windows, only=name
            )
            path.write_bytes(embed_spec(flatbuffer, spec))
            figures[name] = parity(model, path, islice(clips(), RECORDINGS)).to_dict()
    return figures
