"""The command `doa_edge`. Only the standard library is imported at the top: help answers at once.

Standard output carries data, standard error carries talk. Exit status: 0 done, 1 failed,
2 misuse or bad input, 130 interrupted, 141 the reader of standard output went away.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from doa_edge.command import (
    EXIT_BROKEN_PIPE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MISUSE,
    exit_status,
    peak_memory_kib,
)
from doa_edge.errors import InputError, one_line
from doa_edge.options import build_parser, join_negative_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from doa_edge.engine import DirectionEngine
    from doa_edge.estimate import Estimate
    from doa_edge.model import TfliteModel
    from doa_edge.output_average import OutputAverage


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = build_parser(run=_run, info=_info).parse_args(join_negative_values(arguments))
    except SystemExit as stop:
        return exit_status(stop)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except InputError as error:
        return _complain(error, EXIT_MISUSE)
    except BrokenPipeError:
        _let_go_of_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPTED)
    except (OSError, ImportError, MemoryError) as error:
        _let_go_of_stdout()
        return _complain(error, EXIT_FAILED)
    return status


def _run(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    from doa_edge.audio import open_recording, read_blocks
    from doa_edge.engine import DEFAULT_EVERY, DEFAULT_GATE_DBFS, DirectionEngine
    from doa_edge.model import TfliteModel, default_model_path
    from doa_edge.output import INTERRUPTIONS, write_beside
    from doa_edge.output_average import summary_dict
    from doa_edge.view import json_line

    model_path = options.model or default_model_path()
    _check_outputs(options, model_path)
    open_recording(options.input).close()  # a bad file is refused before a model is loaded
    with _quiet_runtime():
        model = TfliteModel(model_path, threads=options.threads)
    with _user_values():
        engine = DirectionEngine(
            model,
            every=options.every or DEFAULT_EVERY,
            method=options.decode,
            gate_dbfs=DEFAULT_GATE_DBFS if options.gate is None else options.gate,
            keep_outputs=bool(options.summary or options.plot),
        )
    ready = time.perf_counter()
    blocks = _Timed(
        read_blocks(
            options.input,
            audio_format=options.format,
            mount=options.mount,
            sample_rate=model.spec.features.sample_rate,
        )
    )
    with ExitStack() as stack:
        file: TextIO | None = None
        if options.out:
            part = stack.enter_context(write_beside(options.out, keep_on=INTERRUPTIONS))
            file = stack.enter_context(part.open("w", encoding="utf-8"))
        average, track = _follow(engine, blocks, options, file)
    if options.summary:
        duration_s = engine.samples / model.spec.features.sample_rate
        summary = summary_dict(average, method=engine.method, duration_s=duration_s)
        sys.stdout.write(json_line(summary))
    ended = time.perf_counter()
    if options.verbose:
        _report(engine, model, blocks.seconds, ready - started, ended - ready)
    if options.plot:
        from doa_edge.plot import plot_track

        plot_track(
            options.plot,
            track,
            average.outputs,
            spec=model.spec,
            method=engine.method,
            title=options.input.name,
        )
    return 0


def _follow(
    engine: DirectionEngine,
    blocks: Iterator[npt.NDArray[np.float32]],
    options: argparse.Namespace,
    file: TextIO | None,
) -> tuple[OutputAverage, list[Estimate]]:
    """Run the stream and hand every estimate to whoever wants it."""
    from dataclasses import replace

    from doa_edge.output_average import OutputAverage
    from doa_edge.view import TerminalView, json_line

    average = OutputAverage(engine.spec)
    track: list[Estimate] = []
    print_lines = not options.summary and (options.json or not sys.stdout.isatty())
    with ExitStack() as stack:
        view = None
        if not options.summary and not print_lines:
            view = stack.enter_context(TerminalView(str(options.input)))
        for estimate in engine.run(blocks):
            line = json_line(estimate.to_dict())
            if file:
                file.write(line)
            if print_lines:
                sys.stdout.write(line)
                sys.stdout.flush()
            if view:
                view.update(estimate)
            if engine.keep_outputs:
                average.add(estimate)
            if options.plot:
                track.append(replace(estimate, outputs=None))
    return average, track


def _info(options: argparse.Namespace) -> int:
    import hashlib
    import json

    from doa_edge.model import default_model_path
    from doa_edge.model_file import read_model

    path = options.model or default_model_path()
    flatbuffer, spec = read_model(path)
    features = spec.features
    facts = {
        **spec.to_dict(),
        "input_shape": [1, *features.input_shape],
        "output_shape": [1, features.frames, spec.outputs],
        "window_s": features.samples / features.sample_rate,
        "file": {
            "path": str(path),
            "bytes": path.stat().st_size,
            "flatbuffer_bytes": len(flatbuffer),
            "flatbuffer_sha256": hashlib.sha256(flatbuffer).hexdigest(),
        },
    }
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    return 0


def _check_outputs(options: argparse.Namespace, model_path: Path) -> None:
    """Refuse before the work what would fail after it, and what would overwrite an input."""
    from doa_edge.conversion import ambix_matrix

    with _user_values():
        ambix_matrix(options.format, options.mount)
    outputs = [path for path in (options.out, options.plot) if path]
    for path in outputs:
        taken = [options.input, model_path, *(other for other in outputs if other is not path)]
        if any(os.path.realpath(path) == os.path.realpath(other) for other in taken):
            raise InputError(f"An output must not replace another file in use. Received: {path}")
        if path.is_dir() or not path.resolve().parent.is_dir():
            raise OSError(f"An output must be a file in a folder that exists. Received: {path}")
    if options.plot:
        from doa_edge.plot import check_plot

        check_plot(options.plot)


def _report(
    engine: DirectionEngine,
    model: TfliteModel,
    read_seconds: float,
    load_seconds: float,
    run_seconds: float,
) -> None:
    """Time per stage, real-time factor and memory, on standard error."""
    duration = engine.samples / engine.spec.features.sample_rate
    stages = {"read and resample": read_seconds, **engine.seconds}
    peak_megabytes = peak_memory_kib() / 1024
    lines = [
        f"model              {model.spec.head}, {model.spec.quantization}, run by {model.runtime}",
        f"loading            {load_seconds:.3f} s",
        *(
            f"{name:18} {seconds:.3f} s, {1e3 * seconds / duration:.2f} ms per second of sound"
            for name, seconds in stages.items()
        ),
        f"all                {run_seconds:.3f} s for {duration:.3f} s of sound",
        f"real-time factor   {run_seconds / duration:.4f} "
        f"({duration / run_seconds:.0f} times faster than real time)",
        f"peak memory        {peak_megabytes:.0f} MB",
    ]
    sys.stderr.write("\n".join(lines) + "\n")


class _Timed:
    """Blocks, and the time it took to make them [seconds]."""

    def __init__(self, blocks: Iterator[npt.NDArray[np.float32]]) -> None:
        self.blocks = blocks
        self.seconds = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> npt.NDArray[np.float32]:
        started = time.perf_counter()
        try:
            return next(self.blocks)
        finally:
            self.seconds += time.perf_counter() - started


@contextmanager
def _user_values() -> Iterator[None]:
    """A ValueError of a check inside is the user's."""
    try:
        yield
    except ValueError as error:
        raise InputError(one_line(error)) from error


@contextmanager
def _quiet_runtime() -> Iterator[None]:
    """Drop the INFO lines that a runtime writes to descriptor 2, past Python.

    What else it writes is passed on, unless it raises: the exception carries the reason.
    """
    import tempfile

    with ExitStack() as stack:
        try:
            said = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        except OSError:  # nowhere to keep it, or no standard error
            yield
            return
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        said.seek(0)
        for line in said:
            if not line.startswith(b"INFO:"):
                os.write(2, line)


def _complain(message: object, status: int) -> int:
    sys.stderr.write(f"doa_edge: {one_line(message)}\n")
    return status


def _let_go_of_stdout() -> None:
    """Drop what cannot be written, or the interpreter complains about it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
