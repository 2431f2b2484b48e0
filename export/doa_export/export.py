"""Checkpoint in, verified model file out: convert, embed the spec, compare, then rename."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.decode import GRID_HEADS
from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.files import write_beside
from doa_core.spec import AUDIO, ModelSpec
from doa_edge.tflite.file import embed_spec
from doa_edge.tflite.network import TfliteModel
from doa_export.convert.launch import ConversionError, convert
from doa_export.convert.split import add_halves
from doa_export.judge.calibration import Calibration, calibrate
from doa_export.judge.parity import FEWEST, parity
from doa_export.report import write_report
from doa_export.settings import ExportSettings
from doa_export.windows import Clip, scene_clips, synthetic_clips
from doa_tf.checkpoint import check_checkpoint
from doa_tf.files import package_versions, sha256
from doa_tf.registration import import_modules
from doa_tf.scenes.folder import Scene, Scenes, read_scenes

if TYPE_CHECKING:
    from doa_export.budget import Budget
    from doa_export.judge.parity import Parity

BUILT_IN = "built-in"  # source of the windows, in the figures
_PACKAGES = ("doa-tf", "keras", "tensorflow")


def export_model(
    model_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: ExportSettings,
    *,
    report: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a `.tflite` with its spec inside that points where the checkpoint does.

    Nothing is written unless all of it went well; what was at `out` before stays until then.

    Args:
        model_path: a `.keras` file made by this package.
        out: the `.tflite` to write, in a folder that exists.
        settings: mode, input and decoding of the file, and how it is judged.
        report: JSON file to write: what each layer costs in this mode.
        progress: called with what is being done.

    Returns:
        What was made, ready for JSON: `out`, `bytes`, `quantization`, `lstm`, `input`, `head`,
        `decode`, `digest`, the figures of `parity`, of a file that was split those of `split`, and
        `voices` of one that knows several.

    Raises:
        InputError: a file, folder or module that cannot be used.
        ConversionError: the converter failed, or the file is above the budget.
        MissingPackageError: TensorFlow or Keras is not installed.
        OSError: the disk is full, or what was there is gone.
    """
    say = progress or (lambda _: None)
    model_path, out = Path(model_path), Path(out)
    check_paths(model_path, out, report)
    import_modules(settings.imports)
    scenes = _read_scenes(settings.check)
    to_calibrate = settings.calibrate if settings.mode.needs_calibration else None
    calibration_scenes = _read_scenes(to_calibrate)
    say("reading the checkpoint")
    digest = sha256(model_path)
    model, spec = _load(model_path)
    features_spec = spec
    spec = _file_spec(spec, settings, checkpoint={"file": model_path.name, "sha256": digest})
    inside_hz = features_spec.highpass_hz - spec.highpass_hz  # of the file's own high-pass
    with write_beside(out) as part:
        try:  # now, not after the conversion
            part.touch()
        except OSError as error:
            raise InputError(f"{out} can't be written: {one_line(error)}") from error
        calibration = None
        if calibration_scenes is not None:
            say("choosing windows to calibrate on")
            count = settings.calibration_windows
            calibration = calibrate(calibration_scenes, features_spec, count=count)
        windows = None if calibration is None else calibration.windows
        clips = partial(_clips, scenes, calibration_scenes, calibration)
        recordings = clips(spec)  # an error of theirs comes before the conversion
        say("converting")
        flatbuffer = convert(
            model_path, **_conversion(settings), windows=windows, highpass_hz=inside_hz
        )
        _write(part, flatbuffer, spec)
        say("comparing")
        _check_runs(part)
        result = parity(model, part, recordings, progress=lambda n: say(f"comparing, {n} windows"))
        if report is not None:  # of a file that is refused as well: above all of that
            say("looking into the layers")
            heard = partial(clips, features_spec)
            write_report(report, model_path, model, settings, clips=heard, windows=windows)
        _check_budget(result, settings)
        if sha256(model_path) != digest:  # a training that goes on replaces it
            raise ConversionError(f"{model_path} changed meanwhile: export it again")
        spec = _with_figures(spec, settings, calibration, result, inside_hz=inside_hz)
        _write(part, flatbuffer, spec)
        halves = {}
        if settings.split:
            say("splitting")
            halves = {"split": add_halves(part, model_path, lstm=settings.form)}
        size = part.stat().st_size
    several = {"voices": spec.voices} if spec.voices > 1 else {}
    return _made(out, size, spec, settings) | halves | several


def check_paths(model_path: Path, out: Path, report: str | os.PathLike[str] | None = None) -> None:
    """Raise InputError for files that cannot be read or written, before TensorFlow is imported."""
    check_checkpoint(model_path)
    if report is not None:
        check_output(Path(report), "--report")
    if out.suffix.lower() != ".tflite":
        raise InputError(f"The output must be a .tflite file. Received: {out}")
    if out.is_dir():
        raise InputError(f"The output must be a file. Received the folder {out}")
    if not out.parent.is_dir():
        raise InputError(f"The output's folder must exist. Received: {out}")


def check_output(path: Path, name: str) -> None:
    """Raise InputError for a file, named by an option, that cannot be written."""
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{name} must name a file in a folder that exists. Received: {path}")


def _read_scenes(folder: str | os.PathLike[str] | None) -> Scenes | None:
    return None if folder is None else read_scenes(folder)


def _clips(
    scenes: Scenes | None,
    calibrated: Scenes | None,
    calibration: Calibration | None,
    spec: ModelSpec,
) -> Iterator[Clip]:
    """The recordings that both networks are compared on, as a file of that spec hears them."""
    if scenes is None:
        return synthetic_clips(spec.features, several=spec.voices > 1)
    return scene_clips(_held_out(scenes, calibrated, calibration), spec)


def _held_out(
    scenes: Scenes, calibrated: Scenes | None, calibration: Calibration | None
) -> list[Scene]:
    """The scenes that were not calibrated on."""
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


def _file_spec(spec: ModelSpec, settings: ExportSettings, *, checkpoint: Any) -> ModelSpec:
    """The spec of the file, with where it comes from.

    No date and no folder in its provenance: equal input gives equal bytes. A file with a high-pass
    inside states none, so that nobody applies it twice.
    """
    inside = settings.frontend and not settings.stream_highpass
    # tensorflow-cpu, for one, has another name.
    packages = {**dict.fromkeys(_PACKAGES), **package_versions(_PACKAGES)}
    return dataclasses.replace(
        spec,
        quantization=settings.mode.quantization,
        input=AUDIO if settings.frontend else spec.input,
        highpass_hz=0.0 if inside else spec.highpass_hz,
        decode=settings.decode if settings.decode and spec.head in GRID_HEADS else spec.decode,
        provenance={**spec.provenance, "checkpoint": checkpoint, "packages": packages},
    )


def _with_figures(
    spec: ModelSpec,
    settings: ExportSettings,
    calibration: Calibration | None,
    result: Parity,
    *,
    inside_hz: float,
) -> ModelSpec:
    """The spec with how the file was made and judged in its provenance."""
    judged_on = BUILT_IN if settings.check is None else Path(settings.check).resolve().name
    export: dict[str, Any] = {
        "mode": settings.quantize,
        "lstm": settings.form,
        "calibration": None if calibration is None else calibration.provenance,
    }
    if inside_hz:  # left out where there is none, as in older files
        export["highpass_hz"] = inside_hz
    figures = {"windows": judged_on, **result.to_dict()}
    provenance = {**spec.provenance, "export": export, "parity": figures}
    return dataclasses.replace(spec, provenance=provenance)


def _conversion(settings: ExportSettings) -> dict[str, Any]:
    return {"quantize": settings.quantize, "lstm": settings.form, "audio": settings.frontend}


def _made(out: Path, size: int, spec: ModelSpec, settings: ExportSettings) -> dict[str, Any]:
    """What was made, for its JSON object."""
    made: dict[str, Any] = {"out": str(out), "bytes": size, "quantization": settings.quantize}
    made["lstm"] = settings.form
    made |= {name: getattr(spec, name) for name in ("input", "head", "decode", "digest")}
    return {**made, "parity": spec.provenance["parity"]}


def _write(part: Path, flatbuffer: bytes, spec: ModelSpec) -> None:
    try:
        part.write_bytes(embed_spec(flatbuffer, spec))
    except ValueError as error:
        raise ConversionError(f"The converter's file is none: {one_line(error)}") from error


def _check_runs(part: Path) -> None:
    """What the device's code refuses here is our file, not the user's: no bad input."""
    try:
        TfliteModel(part)
    except InputError as error:
        raise ConversionError(f"The converted file does not run: {one_line(error)}") from error


def _check_budget(result: Parity, settings: ExportSettings) -> None:
    budget = settings.allowed
    if result.within(budget):
        return
    judged, several = result.judged, result.different_counts is not None
    what = "peaks" if several else "windows"
    over = f"{judged.n} {what} that a runner would report, of {result.n} windows"
    if result.reported.n < FEWEST:
        over = f"{result.n} windows, of which a runner would report {result.reported.n} {what}"
    raise ConversionError(
        f"The converted file answers {judged.median_deg:.4f} degrees (median) and "
        f"{judged.p99_deg:.4f} (99th percentile) away from the checkpoint over {over}"
        f"{_count_words(result, budget)}; allowed are {budget.median_deg:g} and "
        f"{budget.p99_deg:g}: no file written. {_advice(result, settings)}"
    )


def _advice(result: Parity, settings: ExportSettings) -> str:
    """What to do about a file above its budget."""
    advice = []
    if settings.check is None:
        advice.append(
            "compare on scenes like those that it will hear, a hundred or more, instead of the "
            "built-in windows: --check SCENES"
        )
    elif result.reported.n < FEWEST:
        advice.append(
            f"give --check more scenes: a 99th percentile needs {FEWEST} windows that are reported"
        )
    if settings.mode.needs_calibration:
        advice.append("calibrate on more of such scenes")
    if settings.quantize != "none":
        advice.append("take a milder mode, or see by --report which layers lose most")
    advice.append("allow more by --max-median-deg and --max-p99-deg")
    text = "; ".join(advice)
    return text[0].upper() + text[1:]


def _count_words(result: Parity, budget: Budget) -> str:
    if result.different_counts is None:
        return ""
    return (
        f", and names another number of voices in {100.0 * result.different_counts:.1f} % of them "
        f"(allowed: {100.0 * budget.different_counts:g} %)"
    )
