"""`.keras` checkpoint -> TFLite flatbuffer, in a subprocess that may crash without us."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from doa_export.convert.launch import TIMEOUT, run_worker
from doa_export.convert.modes import AUTO, MODES, check_mode
from doa_export.convert.worker import MODEL

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def convert(
    model_path: str | os.PathLike[str],
    *,
    quantize: str,
    lstm: str = AUTO,
    windows: npt.NDArray[np.float32] | None = None,
    audio: bool = False,
    only: str | None = None,
    timeout: float = TIMEOUT,
) -> bytes:
    """TFLite flatbuffer of a checkpoint: scores out, one window a call, builtins only.

    Args:
        model_path: a `.keras` file made by this package.
        quantize: a name in `doa_export.convert.modes.MODES`.
        lstm: `rolled`, `unrolled`, `fused`, or `auto` for the best of the mode.
        windows: (M, T, F, K) features to calibrate on, for the modes that need them.
        audio: take samples instead of features.
        only: a layer; all others stay in float32.
        timeout: [seconds] after which the converter is stopped.

    Returns:
        The flatbuffer, without a spec; equal input gives equal bytes.

    Raises:
        InputError: an unknown mode or form, nothing to calibrate on, or a checkpoint that cannot
            be used.
        ConversionError: with the converter's own last words.
    """
    lstm = check_mode(quantize, lstm, audio=audio, calibrated=windows is not None)
    options = ["--quantize", quantize, "--lstm", lstm, *(["--audio"] if audio else [])]
    options += [] if only is None else ["--only", only]
    (flatbuffer,) = run_worker(
        model_path,
        options,
        files=[MODEL],
        windows=windows if MODES[quantize].needs_calibration else None,
        timeout=timeout,
    )
    return flatbuffer
