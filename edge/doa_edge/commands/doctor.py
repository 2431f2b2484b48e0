"""`doa_edge doctor`: is everything installed, and is the microphone's signal what it should be?"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from doa_core.errors import visible, visible_lines
from doa_edge.options.command import Kind, Limited, add_options
from doa_edge.options.input import add_input_arguments, direction_angles, source_settings
from doa_edge.tflite.shipped import MODEL_HELP, model_path

if TYPE_CHECKING:
    from doa_edge.input.inspection import Finding
    from doa_edge.tflite.network import TfliteModel

OLDEST_PYTHON = (3, 10)
PACKAGES = ("numpy", "soundfile")
NEEDED_MEGABYTES = 110
BUSY_SHARE, FULL_SHARE = 0.4, 0.8  # of one core
DEFAULT_SECONDS = 3.0
MEASURED_SECONDS = 2.0


def add_parser(commands: Any) -> None:
    """Add the command to those of `doa_edge`."""
    parser = commands.add_parser(
        "doctor",
        help="check the installation, the model and the microphone, and say what to do",
        description="Check Python, packages, the model, processor, memory and the microphone, "
        "which is recorded for some seconds: talk to it meanwhile. Exit status 1 if something "
        "does not work.",
        allow_abbrev=False,
    )
    add_input_arguments(parser)
    texts = {
        "--model FILE": MODEL_HELP,
        "--seconds SECONDS": "how long to listen (default: %(default)g)",
        "--speaker AZIMUTH,ELEVATION": "where, in degrees, somebody speaks meanwhile: finds "
        "channels that are swapped or inverted, which nothing else shows",
    }
    kinds: dict[str, Kind] = {"FILE": model_path, "SECONDS": Limited("doctor seconds")}
    kinds["AZIMUTH,ELEVATION"] = Limited("speaker", direction_angles)
    add_options(parser, texts, kinds)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run, seconds=DEFAULT_SECONDS)


def run(options: argparse.Namespace) -> int:
    """Print what was found; exit status 1 if something does not work."""
    from doa_edge.input.inspection import FAULT

    findings = []
    for finding in examine(options):
        findings.append(finding)
        if not options.json:
            advice = f"\n{'':9}-> {finding.advice}" if finding.advice else ""
            line = f"{finding.state:8} {finding.name:10} {visible(finding.found)}{advice}"
            sys.stdout.write(f"{visible_lines(line)}\n")
            sys.stdout.flush()
    if options.json:
        found = [asdict(finding) for finding in findings]
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if any(finding.state == FAULT for finding in findings) else 0


def examine(options: argparse.Namespace) -> Iterator[Finding]:
    """All checks, in the order in which things are needed."""
    yield _python()
    packages = _packages()
    yield packages
    if packages.state == "fault":
        return
    model, finding = _model(options)
    yield finding
    if model:
        yield _processor(model)
    yield _memory()
    yield from _sound(options)


def _finding(name: str, state: str, found: str, advice: str = "") -> Finding:
    from doa_edge.input.inspection import Finding

    return Finding(name, state, found, advice)


def _python() -> Finding:
    found = f"{platform.python_version()}, {platform.machine()}, {platform.system()}"
    fits = sys.version_info >= OLDEST_PYTHON
    advice = "" if fits else f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed"
    return _finding("python", "ok" if fits else "fault", found, advice)


def _packages() -> Finding:
    import importlib.util
    from importlib.metadata import PackageNotFoundError, version

    versions, missing = [], []
    for package in PACKAGES:
        try:
            importlib.import_module(package)
            versions.append(f"{package} {version(package)}")
        except (ImportError, OSError, PackageNotFoundError) as error:
            missing.append(f"{package} ({error})")
    if missing:
        advice = 'pip install "doa-tf[edge]"'
        return _finding("packages", "fault", f"missing: {', '.join(missing)}", advice)
    if importlib.util.find_spec("soxr") is None:
        advice = 'only sound at 16 kHz can be used without it: pip install "doa-tf[edge]"'
        return _finding("packages", "warning", f"{', '.join(versions)}, no soxr", advice)
    return _finding("packages", "ok", f"{', '.join(versions)}, soxr {version('soxr')}")


def _model(options: argparse.Namespace) -> tuple[TfliteModel | None, Finding]:
    from doa_core.errors import InputError, one_line
    from doa_edge.input.live.portaudio import quiet_descriptor
    from doa_edge.tflite.network import TfliteModel, default_model_path

    path = options.model or default_model_path()
    try:
        with quiet_descriptor():
            model = TfliteModel(path)
    except (ImportError, InputError, OSError) as error:
        advice = "--model with a file of doa_export"
        if isinstance(error, ImportError):
            advice = "see the installation guide for this board's runtime"
        return None, _finding("model", "fault", one_line(error), advice)
    found = f"{path.name}: {model.spec.head}, {model.spec.quantization}, run by {model.runtime}"
    return model, _finding("model", "ok", found)


def _processor(model: TfliteModel) -> Finding:
    """Processor time of the engine, measured on noise [share of one core]."""
    import numpy as np

    from doa_edge.engine import DirectionEngine

    rate = model.spec.features.sample_rate
    noise = np.random.default_rng(0).standard_normal((round(MEASURED_SECONDS * rate), 4))
    sound = (0.1 * noise).astype(np.float32)
    engine = DirectionEngine(model)
    engine.push(sound[: len(sound) // 2])
    started = time.process_time()
    engine.push(sound)
    share = (time.process_time() - started) / MEASURED_SECONDS
    found = f"{100 * share:.1f} % of one core"
    if share > FULL_SHARE:
        advice = "too slow to keep up: a larger --every, or a smaller model"
        return _finding("processor", "fault", found, advice)
    if share > BUSY_SHARE:
        advice = "little is left for other programs: a larger --every, or a smaller model"
        return _finding("processor", "warning", found, advice)
    return _finding("processor", "ok", found)


def _memory() -> Finding:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            facts = {line.split(":")[0]: line.split()[1] for line in file if ":" in line}
        free = int(facts["MemAvailable"]) // 1024
    except (OSError, KeyError, ValueError):
        return _finding("memory", "ok", "unknown on this system")
    found = f"{free} MB available, {NEEDED_MEGABYTES} are needed"
    fits = free > NEEDED_MEGABYTES
    state, advice = ("ok", "") if fits else ("warning", "end other programs")
    return _finding("memory", state, found, advice)


def _sound(options: argparse.Namespace) -> Iterator[Finding]:
    """The input: found, opened, recorded and inspected."""
    import numpy as np

    from doa_core.angles import angles_to_vector
    from doa_core.errors import OWN_LENGTH, InputError, one_line
    from doa_core.spec import SAMPLE_RATE
    from doa_edge.input.inspection import inspect_channels, inspect_field
    from doa_edge.input.sources import open_source

    try:
        settings = source_settings(options)
        input_format = settings["input_format"]
        # As the device gives them: faults of a channel are reported by its number.
        settings["input_format"] = replace(input_format, as_given=True)
        with open_source(**settings, model_rate=SAMPLE_RATE) as source:
            rate = f" at {source.sample_rate} Hz" if source.sample_rate else ""
            yield _finding("input", "ok", f"{source.name}{rate}")
            samples, gaps = _listen(source, round(options.seconds * SAMPLE_RATE))
            input_format = input_format.declared_as(source.declared)
    except (ValueError, OSError, ImportError) as error:
        advice = "`doa_edge devices` lists what there is" if options.input is None else ""
        told = error.with_advice(options) if isinstance(error, InputError) else error
        yield _finding("input", "fault", one_line(told, length=OWN_LENGTH), advice)
        return
    if gaps:
        advice = "another USB port or cable, a hub with its own supply; end what keeps the CPU busy"
        yield _finding("stream", "warning", f"{len(gaps)} gaps: {gaps[0]}", advice)
    if len(samples) < SAMPLE_RATE // 4:
        found = f"{len(samples) / SAMPLE_RATE:.2f} s of sound in {options.seconds:g} s"
        yield _finding("stream", "fault", found, "the device is open but gives nothing")
        return
    yield from inspect_channels(samples)
    expected = None
    if options.speaker:
        expected = angles_to_vector(*(math.radians(angle) for angle in options.speaker))
    sound = np.nan_to_num(samples)
    yield from inspect_field(
        sound, sample_rate=SAMPLE_RATE, input_format=input_format, expected=expected
    )


def _listen(source: Any, wanted: int) -> tuple[Any, list[str]]:
    """(N, 4) samples, as many as are wanted if they come in time, and the gaps between them."""
    import numpy as np

    from doa_edge.input.stream import Gap, no_sound

    blocks, gaps, heard = [no_sound()], [], 0
    deadline = time.monotonic() + 2.0 * wanted / 16_000 + 5.0
    for item in source:
        if isinstance(item, Gap):
            gaps.append(f"{item.reason}, {item.detail}")
        else:
            blocks.append(item)
            heard += len(item)
        if heard >= wanted or (source.live and time.monotonic() > deadline):
            break
    return np.concatenate(blocks)[:wanted], gaps
