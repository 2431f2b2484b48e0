"""Checkpoint in, verified model file out: convert, embed the spec, prove, then rename.

from doa_export.export import export_model

export_model("run/model.keras", "model.tflite", quantize="dynamic")
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.decode import GRID_HEADS, METHODS
from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.files import write_beside
from doa_core.spec import AUDIO, ModelSpec
from doa_edge.tflite.file import embed_spec
from doa_export.budget import BUDGETS, Budget
from doa_export.convert.convert import AUTO, ConversionError, check_mode, convert
from doa_export.convert.modes import MODES
from doa_export.judge.calibration import WINDOWS, Calibration
from doa_export.judge.calibration import calibrate as choose_windows
from doa_export.judge.parity import Parity, parity
from doa_export.report import write_report
from doa_export.windows import Clip, scene_clips, synthetic_clips
from doa_tf.checkpoint import check_checkpoint

if TYPE_CHECKING:
    from doa_tf.scenes.folder import Scene, Scenes

BUILT_IN = "built-in"  # where the windows came from, in the figures
_PACKAGES = ("doa-tf", "keras", "tensorflow")

Progress = Callable[[str], None]


def export_model(
    model_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    quantize: str,
    lstm: str = AUTO,
    calibrate: str | os.PathLike[str] | None = None,
    calibration_windows: int = WINDOWS,
    frontend: bool = False,
    decode: str | None = None,
    check: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    report: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a `.tflite` with its spec inside that points where the checkpoint does.

    Nothing is written unless all of it went well; what was at `out` before stays until then.

    Args:
        model_path: a `.keras` file made by this package.
        out: the `.tflite` to write, in a folder that exists.
        quantize: a name in `doa_export.convert.modes.MODES`.
        lstm: `rolled`, `unrolled`, `fused`, or `auto` for the best of the mode.
        calibrate: scenes folder to calibrate integers on.
        calibration_windows: as many of them at most, evenly over their conditions.
        frontend: let the file hear samples: the features are computed inside.
        decode: `peak` or `centroid`, how a grid head's file is to be decoded; by default what the
            checkpoint says. Regression heads have one decoding and ignore it.
        check: scenes folder to compare on; by default built-in synthetic windows. Scenes that
            were calibrated on are left out.
        budget: largest angles to the checkpoint's answers; by default the mode's.
        report: JSON file to write: what each layer costs in this mode.
        progress: called with what is being done.

    Returns:
        What was made, ready for JSON: `out`, `bytes`, `quantization`, `lstm`, `input`, `head`,
        `decode`, `digest` and the figures of `parity`.

    Raises:
        InputError: a file, folder or option that cannot be used.
        ConversionError: the converter failed, or the file is above the budget.
        MissingPackageError: TensorFlow or Keras is not installed.
        OSError: the disk is full, or what was there is gone.
    """
    say = progress or (lambda _: None)
    model_path, out = Path(model_path), Path(out)
    check_options(
        model_path,
        out,
        quantize=quantize,
        lstm=lstm,
        calibrate=calibrate,
        frontend=frontend,
        decode=decode,
    )
    form = check_mode(quantize, lstm, audio=frontend)
    mode = MODES[quantize]
    budget = budget or BUDGETS[quantize]
    scenes = _read_scenes(check)
    calibration_scenes = _read_scenes(calibrate) if mode.needs_calibration else None
    say("reading the checkpoint")
    digest = _sha256(model_path)
    model, spec = _load(model_path)
    spec = dataclasses.replace(
        spec,
        quantization=mode.quantization,
        input=AUDIO if frontend else spec.input,
        decode=decode if decode and spec.head in GRID_HEADS else spec.decode,
        provenance={**spec.provenance, **_provenance(model_path.name, digest)},
    )
    with write_beside(out) as part:
        _claim(part, out)
        calibration = None
        if calibration_scenes is not None:
            say("choosing windows to calibrate on")
            calibration = choose_windows(
                calibration_scenes,
                spec.features,
                highpass_hz=spec.highpass_hz,
                count=calibration_windows,
            )
        clips = _clips(spec, scenes, calibration_scenes, calibration)
        say("converting")
        flatbuffer = convert(
            model_path,
            quantize=quantize,
            lstm=form,
            windows=None if calibration is None else calibration.windows,
            audio=frontend,
        )
        _write(part, flatbuffer, spec)
        say("comparing")
        _check_runs(part)
        result = parity(model, part, clips, progress=lambda done: say(f"comparing, {done} windows"))
        if report is not None:  # also of a file that is refused: above all of that
            say("looking into the layers")
            write_report(
                report,
                model_path,
                model,
                clips=lambda: _clips(spec, scenes, calibration_scenes, calibration),
                quantize=quantize,
                lstm=form,
                windows=None if calibration is None else calibration.windows,
            )
        _check_budget(result, budget)
        if _sha256(model_path) != digest:  # a training that goes on replaces it
            raise ConversionError(f"{model_path} changed meanwhile: export it again")
        figures = {
            "windows": BUILT_IN if check is None else Path(check).resolve().name,
            **result.to_dict(),
        }
        export = {
            "mode": quantize,
            "lstm": form,
            "calibration": None if calibration is None else calibration.provenance,
        }
        spec = dataclasses.replace(
            spec, provenance={**spec.provenance, "export": export, "parity": figures}
        )
        size = _write(part, flatbuffer, spec)
    return {
        "out": str(out),
        "bytes": size,
        "quantization": quantize,
        "lstm": form,
        "input": spec.input,
        "head": spec.head,
        "decode": spec.decode,
        "digest": spec.digest,
        "parity": figures,
    }


def check_options(
    model_path: Path,
    out: Path,
    *,
    quantize: str,
    lstm: str = AUTO,
    calibrate: str | os.PathLike[str] | None = None,
    frontend: bool = False,
    decode: str | None = None,
) -> None:
    """Raise InputError for what can be seen to be wrong before TensorFlow is imported."""
    check_mode(quantize, lstm, audio=frontend)
    if MODES[quantize].needs_calibration and calibrate is None:
        raise InputError(
            f"The mode {quantize} needs scenes to calibrate on: --calibrate SCENES. Received: none"
        )
    if decode is not None and decode not in METHODS:
        raise InputError(f"`decode` must be one of {', '.join(METHODS)}. Received: {decode!r}")
    check_checkpoint(model_path)
    if out.suffix.lower() != ".tflite":
        raise InputError(f"The output must be a .tflite file. Received: {out}")
    if out.is_dir():
        raise InputError(f"The output must be a file. Received the folder {out}")
    if not out.parent.is_dir():
        raise InputError(f"The output's folder must exist. Received: {out}")


def _read_scenes(folder: str | os.PathLike[str] | None) -> Any:
    if folder is None:
        return None
    from doa_tf.scenes.folder import read_scenes

    return read_scenes(folder)


def _clips(
    spec: ModelSpec,
    scenes: Scenes | None,
    calibrated: Scenes | None,
    calibration: Calibration | None,
) -> Iterator[Clip]:
    """What both networks are to hear."""
    if scenes is None:
        return synthetic_clips(spec.features)
    held_out = _held_out(scenes, calibrated, calibration)
    return scene_clips(held_out, spec.features, highpass_hz=spec.highpass_hz)


def _held_out(
    scenes: Scenes, calibrated: Scenes | None, calibration: Calibration | None
) -> list[Scene]:
    """The scenes that the conversion has not seen."""
    if calibrated is None or calibration is None or not scenes.folder.samefile(calibrated.folder):
        return list(scenes)
    left = [scene for scene in scenes if scene.file not in calibration.files]
    if not left:
        raise InputError(
            "The scenes to compare on must not all have been calibrated on: use fewer "
            f"--calibration-windows or another folder. Received: {scenes.folder} for both"
        )
    return left


def _load(model_path: Path) -> tuple[Any, ModelSpec]:
    try:
        from doa_tf.models import load_model, model_spec
    except ImportError as error:
        raise MissingPackageError("TensorFlow with Keras 3", "export", error) from error
    try:
        model = load_model(model_path)
        return model, model_spec(model)
    except InputError as error:
        raise InputError(one_line(error)) from error


def _provenance(file: str, digest: str) -> dict[str, Any]:
    """Where the file comes from. No date and no folder: equal input gives equal bytes."""
    return {
        "checkpoint": {"file": file, "sha256": digest},
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # tensorflow-cpu, for one, has another name
        return None


def _claim(part: Path, out: Path) -> None:
    """Find out now, not after the conversion, whether the folder can be written."""
    try:
        part.touch()
    except OSError as error:
        raise InputError(f"{out} can't be written: {one_line(error)}") from error


def _write(part: Path, flatbuffer: bytes, spec: ModelSpec) -> int:
    """Size of the file that was written [bytes]."""
    try:
        data = embed_spec(flatbuffer, spec)
    except ValueError as error:
        raise ConversionError(f"The converter's file is none: {one_line(error)}") from error
    return part.write_bytes(data)


def _check_runs(part: Path) -> None:
    """What the device's code refuses here is our file, not the user's: no bad input."""
    from doa_edge.tflite.network import TfliteModel

    try:
        TfliteModel(part)
    except InputError as error:
        raise ConversionError(f"The converted file does not run: {one_line(error)}") from error


def _check_budget(result: Parity, budget: Budget) -> None:
    if not result.within(budget):
        raise ConversionError(
            f"The converted file answers {result.median_deg:.4f} degrees (median) and "
            f"{result.p99_deg:.4f} (99th percentile) away from the checkpoint over {result.n} "
            f"windows; allowed are {budget.median_deg:g} and {budget.p99_deg:g}: no file written"
        )
