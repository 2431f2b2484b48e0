"""`.keras` checkpoint -> TFLite flatbuffer, in a subprocess that may crash without us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, one_line
from doa_export.convert.convert_worker import EXIT_BAD_INPUT
from doa_export.convert.modes import LSTM_FORMS, MODES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AUTO = "auto"  # the form of the LSTM that is best for the mode
TIMEOUT = 900.0  # seconds; the paper's network takes about five on a free core
# Start-up talk of TensorFlow and absl, which is not what went wrong.
_TALK = re.compile(r"^(WARNING|INFO|\[?[IWE]\d{4} |\d{4}-\d\d-\d\d \S+: [IWE] |\s*$)")
_ERROR = re.compile(r"(?i:\berror: )|^[\w.]*(Error|Exception)\b")


class ConversionError(RuntimeError):
    """The converter crashed, gave up or took too long, or its file does not do what it should."""


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

    TensorFlow's converter can end its process with a segmentation fault; so it has its own.

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
    lstm = check_mode(quantize, lstm, audio=audio)
    if MODES[quantize].needs_calibration and windows is None:
        raise InputError(
            f"The mode {quantize} needs scenes to calibrate on: --calibrate SCENES. Received: none"
        )
    # The converter's own intermediate files lie in the same folder and go with it.
    with tempfile.TemporaryDirectory(prefix="doa_export-") as folder:
        out = Path(folder) / "model.tflite"
        options = ["--quantize", quantize, "--lstm", lstm, *(["--audio"] if audio else [])]
        options += [] if only is None else ["--only", only]
        if MODES[quantize].needs_calibration and windows is not None:
            import numpy as np

            np.save(Path(folder) / "windows.npy", windows)
            options += ["--windows", str(Path(folder) / "windows.npy")]
        environment = {
            **os.environ,
            "TMPDIR": folder,
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",  # on a GPU an LSTM would become a cuDNN call
            "TF_CPP_MIN_LOG_LEVEL": "2",  # errors are wanted here
        }
        try:
            done = subprocess.run(
                _worker_command(Path(model_path).absolute(), out, options),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionError(
                f"The converter was stopped after {timeout:g} s without a result"
            ) from error
        if done.returncode == EXIT_BAD_INPUT:
            raise InputError(last_words(done.stderr))
        if done.returncode != 0:
            raise ConversionError(f"{_ending(done.returncode)}: {last_words(done.stderr)}")
        if not out.is_file():
            raise ConversionError(f"The converter wrote no file: {last_words(done.stderr)}")
        return out.read_bytes()


def last_words(stderr: str) -> str:
    """The last line of an error output that says what went wrong."""
    lines = [line for line in stderr.splitlines() if not _TALK.match(line)]
    errors = [line for line in lines if _ERROR.search(line)]
    return one_line((errors or lines or ["it said nothing"])[-1])


def check_mode(quantize: str, lstm: str = AUTO, *, audio: bool = False) -> str:
    """The form of the LSTM that a mode is to have.

    Raises:
        InputError: an unknown mode, or a form or an input that it cannot have.
    """
    if quantize not in MODES:
        raise InputError(
            f"`quantize` must be one of {', '.join(MODES)}. Received: quantize={quantize!r}"
        )
    mode = MODES[quantize]
    if lstm not in (AUTO, *LSTM_FORMS):
        raise InputError(
            f"`lstm` must be one of {', '.join((AUTO, *LSTM_FORMS))}. Received: lstm={lstm!r}"
        )
    if lstm not in (AUTO, *mode.forms):
        raise InputError(
            f"The LSTM of the mode {quantize} can be {' or '.join(mode.forms)}. "
            f"Received: lstm={lstm!r}"
        )
    if audio and not mode.float_input:
        raise InputError(
            "A front end takes samples as floats: use the mode int8. "
            f"Received: quantize={quantize!r}"
        )
    return mode.lstm if lstm == AUTO else lstm


def _worker_command(model: Path, out: Path, options: list[str]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "doa_export.convert.convert_worker",
        str(model),
        str(out),
        *options,
    ]


def _ending(returncode: int) -> str:
    if returncode > 0:
        return f"The converter failed with exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = str(-returncode)
    return f"The converter crashed with signal {name}"
