"""Which layers a mode costs accuracy in: one layer at a time in the mode, all others in float32."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError
from doa_core.files import temporary_folder
from doa_edge.tflite.file import embed_spec
from doa_export.convert.launch import convert
from doa_export.judge.parity import parity
from doa_export.settings import ExportSettings
from doa_export.windows import Clip
from doa_tf.files import write_json

if TYPE_CHECKING:
    import keras
    import numpy as np
    import numpy.typing as npt

RECORDINGS = 200  # that each layer is judged on, at most


def write_report(
    path: str | os.PathLike[str],
    model_path: Path,
    model: keras.Model,
    settings: ExportSettings,
    *,
    clips: Callable[[], Iterable[Clip]],
    windows: npt.NDArray[np.float32] | None,
) -> None:
    """Write the figures of `parity` for each layer, by name, as JSON.

    A layer that the mode leaves in float32 shows no difference.

    Args:
        path: the JSON file.
        model_path: a `.keras` file.
        model: the same, loaded.
        settings: mode, and form of the recurrences.
        clips: gives the recordings to judge on, each time it is called.
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
    quantize = settings.quantize if settings.mode.float_input else "int8"
    layers = {}
    with temporary_folder("doa_export") as folder:
        file = folder / "layer.tflite"
        for name in layer_names(read_network(scoring, spec)):
            flatbuffer = convert(
                model_path, quantize=quantize, lstm=settings.form, windows=windows, only=name
            )
            file.write_bytes(embed_spec(flatbuffer, spec))
            layers[name] = parity(model, file, islice(clips(), RECORDINGS)).to_dict()
    figures = {"quantization": settings.quantize, "lstm": settings.form, "layers": layers}
    write_json(Path(path), figures)
