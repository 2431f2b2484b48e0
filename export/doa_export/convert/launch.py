"""`.keras` checkpoint -> TFLite flatbuffer, in a process that may crash without us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from doa_core.errors import InputError, one_line
from doa_core.files import temporary_folder
from doa_export.convert.modes import AUTO, MODES, check_mode
from doa_tf.registration import imported_modules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MODEL = "model.tflite"  # the file that a whole network is written to
TURNING = "turning.json"  # how halves turn with their scene, written beside them; null: they do not
PARENT = "DOA_EXPORT_PARENT"  # tells the worker the number of the process that it ends with
EXIT_BAD_INPUT = 65  # sysexits' EX_DATAERR: no code that Python or a shell gives by itself
TIMEOUT = 900.0  # seconds; the paper's network takes about five on a free core
# Start-up messages of TensorFlow and absl, which are not what went wrong.
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
    highpass_hz: float = 0.0,
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
        highpass_hz: of a high-pass of the samples inside the file [hertz]; 0 for none.
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
    options += ["--highpass", repr(highpass_hz)] if highpass_hz else []
    options += [] if only is None else ["--only", only]
    (flatbuffer,) = run_worker(
        model_path,
        options,
        files=[MODEL],
        windows=windows if MODES[quantize].needs_calibration else None,
        timeout=timeout,
    )
    return flatbuffer


def run_worker(
    model_path: str | os.PathLike[str],
    options: Sequence[str],
    *,
    files: Sequence[str],
    windows: npt.NDArray[np.float32] | None = None,
    timeout: float = TIMEOUT,
) -> list[bytes]:
    """Contents of the files that `doa_export.convert.worker` makes of a checkpoint.

    It imports what `doa_tf.registration.import_modules` was given here, and finds it where it was
    found here.

    Args:
        model_path: a `.keras` file made by this package.
        options: of the worker, beside model, folder and `--windows`.
        files: names of the files that it writes with these options.
        windows: (M, T, F, K) features to calibrate on.
        timeout: [seconds] after which the worker is stopped.

    Raises:
        InputError: a checkpoint that cannot be used.
        ConversionError: with the converter's own last words.
    """
    # The converter's own intermediate files lie in the same folder and go with it.
    with temporary_folder("doa_export") as place:
        folder, options = str(place), list(options)
        if windows is not None:
            import numpy as np

            np.save(place / "windows.npy", windows)
            options += ["--windows", str(place / "windows.npy")]
        for name in imported_modules():
            options += ["--import", name]
        environment = {
            **os.environ,
            PARENT: str(os.getpid()),
            "TMPDIR": folder,
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",  # on a GPU an LSTM would become a cuDNN call
            "TF_CPP_MIN_LOG_LEVEL": "2",  # errors are wanted here
        }
        if imported_modules():
            environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        with subprocess.Popen(
            _worker_command(Path(model_path).absolute(), folder, options),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                _, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as error:
                raise ConversionError(
                    f"The converter was stopped after {timeout:g} s without a result"
                ) from error
            finally:
                process.kill()  # it may still run, after an interruption as well
                process.wait()
        if process.returncode == EXIT_BAD_INPUT:
            raise InputError(last_words(stderr))
        if process.returncode != 0:
            raise ConversionError(f"{_ending(process.returncode)}: {last_words(stderr)}")
        paths = [place / name for name in files]
        if not all(path.is_file() for path in paths):
            raise ConversionError(f"The converter wrote no file: {last_words(stderr)}")
        return [path.read_bytes() for path in paths]


def last_words(stderr: str) -> str:
    """The last line of a process's standard error that tells what went wrong."""
    lines = [line for line in stderr.splitlines() if not _TALK.match(line)]
    errors = [line for line in lines if _ERROR.search(line)]
    return one_line((errors or lines or ["it said nothing"])[-1])


def _worker_command(model: Path, folder: str, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "doa_export.convert.worker", str(model), folder, *options]


def _ending(returncode: int) -> str:
    if returncode > 0:
        return f"The converter failed with exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = str(-returncode)
    return f"The converter crashed with signal {name}"
