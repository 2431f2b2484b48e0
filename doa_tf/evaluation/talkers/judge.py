"""Judging a model, or a classical baseline, on scenes of several talkers, of nobody, or with times.

    evaluation = evaluate_talkers("model.tflite", read_scenes("meetings"), group_by="condition")
    evaluation.to_dict()["all"]["recordings"]["recall"]

Short recordings are windows: one set of answers to each (`doa_tf.evaluation.talkers.windows`). What
is longer and has times, or nobody who talks, goes through the device's runner from its begin to its
end and is judged frame by frame (`doa_tf.evaluation.talkers.frames`).
"""

from __future__ import annotations

import csv
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from doa_core.angles import vector_to_angles
from doa_core.errors import InputError
from doa_core.files import printable, write_beside
from doa_core.spec import SAMPLE_RATE
from doa_edge.direction_model import DirectionModel
from doa_edge.engine import EngineSettings
from doa_tf.evaluation.groups import check_group, group_names, grouped
from doa_tf.evaluation.judge import interval_method
from doa_tf.evaluation.predictions import BASELINE_PREFIX, check_model_name, predict
from doa_tf.evaluation.talkers import frames, windows
from doa_tf.evaluation.talkers.baselines import baseline_windows
from doa_tf.evaluation.talkers.runner import Recording, direction_model, hear
from doa_tf.evaluation.talkers.tallies import figures
from doa_tf.evaluation.talkers.windows import Window, network_windows
from doa_tf.files import Progress, write_json
from doa_tf.scenes.folder import REQUIRED_COLUMNS, Scene, Scenes, read_scenes

if TYPE_CHECKING:
    import keras

LONGEST_WINDOW_S = 2.0  # what is longer, and has times or nobody who talks, is a recording
KEPT_ANSWERS = 6  # recordings whose answers are kept, for a picture of them
DECODING = "peaks"
_ANSWER_COLUMNS = (
    *("talker", "estimated_azimuth_deg", "estimated_elevation_deg", "error_deg", "confidence"),
    *frames.FIGURES,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class TalkerEvaluation:
    """Results of a model on scenes of any number of talkers.

    Attributes:
        model: path or name.
        group_by: the column that makes the groups; None for no groups.
        results: a window or a recording for each scene, in the order of labels.csv. Baselines have
            none for recordings.
        decode: how directions are read from outputs.
    """

    model: str
    group_by: str | None
    results: tuple[Window | Recording, ...]
    decode: str = DECODING

    @property
    def windows(self) -> tuple[Window, ...]:
        """The results of short recordings."""
        return tuple(result for result in self.results if isinstance(result, Window))

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The results of whole recordings."""
        return tuple(result for result in self.results if isinstance(result, Recording))

    def groups(self) -> dict[str, tuple[Window | Recording, ...]]:
        """Results by value of the column, in the order of their first scenes; ranges ascending."""
        if self.group_by is None:
            return {}
        names = group_names([result.scene for result in self.results], self.group_by)
        return {
            name: tuple(self.results[index] for index in indices)
            for name, indices in grouped(names).items()
        }

    def to_dict(self) -> dict[str, Any]:
        """`model`, the figures of `groups` and of `all` scenes, ready for JSON."""
        return {
            "model": self.model,
            "decode": self.decode,
            "interval": interval_method(self.results),
            "groups": {name: summarise(results) for name, results in self.groups().items()},
            "all": summarise(self.results),
        }

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` beside `path`, then rename."""
        write_json(Path(path), self.to_dict())

    def write_per_scene(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file with a row for each talker of a window and for each recording.

        The file appears whole or not at all. Its columns: `model`, `decode`, those of labels.csv;
        of a talker their mean direction and the answer that belongs to them, where the count is
        known, empty where there is none; of a recording its figures.
        """
        further = list(dict.fromkeys(name for r in self.results for name in r.scene.columns))
        taken = {"model", "decode", *_ANSWER_COLUMNS}
        header = ["model", "decode", *REQUIRED_COLUMNS]
        header += [*(name for name in further if name not in taken), *_ANSWER_COLUMNS]
        with write_beside(path) as part, Path(part).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            for result in self.results:
                about = {"model": self.model, "decode": self.decode, "file": result.scene.file}
                rows = _talker_rows(result) if isinstance(result, Window) else _figures_row(result)
                table.writerows({**result.scene.columns, **about, **row} for row in rows)


def summarise(results: Sequence[Window | Recording]) -> dict[str, Any]:
    """Figures of some results, with their bootstrap intervals; None where there is nothing to see.

    `n` scenes. Of windows: `talkers`, their number, and the figures where the count is known;
    `count_unknown`: those where it is not. `recordings`: those of whole recordings.
    """
    short = [result.tally for result in results if isinstance(result, Window)]
    long = [result for result in results if isinstance(result, Recording)]
    values: dict[str, Any] = {"n": len(results)}
    if short:
        talkers = sum(len(tally.errors_deg) for tally in short)
        values |= {"talkers": talkers, **figures(short, windows.KNOWN_FIGURES)}
        if any("count_right" in tally.sums for tally in short):
            values["count_unknown"] = figures(short, windows.UNKNOWN_FIGURES)
    if long:
        minutes = round(sum(result.duration_s for result in long) / 60.0, 2)
        tallies = [result.tally for result in long]
        own = figures(tallies, frames.FIGURES)
        values["recordings"] = {"n": len(long), "minutes": minutes, **own}
    return values


def evaluate_talkers(
    model: str | os.PathLike[str] | keras.Model,
    scenes: Scenes | str | os.PathLike[str],
    *,
    group_by: str | None = None,
    settings: EngineSettings | None = None,
    progress: Progress | None = None,
) -> TalkerEvaluation:
    """Run a model on every scene and compare its answers with the labels, as sets.

    Args:
        model: a .keras or .tflite file, `baseline:intensity`, `baseline:music`, or a Keras model
            that was built by this package.
        scenes: from `read_scenes`, or the folder; one talker, several or nobody in each.
        group_by: a column of labels.csv. By default `condition` where it exists.
        settings: of the runner, on whole recordings; `EngineSettings()` if None.
        progress: called with (scenes done, all scenes).

    Raises:
        InputError: a model that is none of these, an unknown column, a recording that cannot be
            read or is shorter than one window; a baseline, and whole recordings alone.
    """
    if not isinstance(scenes, Scenes):
        scenes = read_scenes(scenes)
    group_by = check_group(scenes, group_by)
    named = isinstance(model, (str, os.PathLike))
    name = os.fspath(model) if named else str(getattr(model, "name", type(model).__name__))
    if named:
        check_model_name(name)
    total = len(scenes)
    kinds = [is_recording(scene) for scene in scenes]
    long = [scene for scene, whole in zip(scenes, kinds, strict=True) if whole]
    short = tuple(scene for scene, whole in zip(scenes, kinds, strict=True) if not whole)
    results: dict[str, Window | Recording] = {}
    if name.startswith(BASELINE_PREFIX):
        _check_short(name, scenes, short)
        follow = _counting(progress, total=len(short))
        results |= _by_file(baseline_windows(name, short, progress=follow))
        long = []
    elif short:
        some = replace(scenes, scenes=short)
        follow = _counting(progress, total=total)
        results |= _by_file(network_windows(predict(model, some, progress=follow)))
    if long:
        follow = _counting(progress, total=total, before=len(short))
        results |= _by_file(_heard(model, long, settings, follow))
    ordered = tuple(results[scene.file] for scene in scenes if scene.file in results)
    return TalkerEvaluation(model=printable(name), group_by=group_by, results=ordered)


def is_recording(scene: Scene) -> bool:
    """Whether a scene is judged as a recording by the runner: longer than a window, with times.

    A long scene in which nobody talks is one as well.
    """
    if not scene.timed and scene.talkers:
        return False
    return scene.samples(sample_rate=SAMPLE_RATE) > LONGEST_WINDOW_S * SAMPLE_RATE


def _check_short(name: str, scenes: Scenes, short: Sequence[Scene]) -> None:
    if not short:
        raise InputError(
            f"Baselines answer to recordings of up to {LONGEST_WINDOW_S:g} s, not to whole ones. "
            f"Received: {name} for {scenes.folder}, which holds none of them"
        )


def _heard(
    model: str | os.PathLike[str] | keras.Model | DirectionModel,
    long: Sequence[Scene],
    settings: EngineSettings | None,
    progress: Progress | None,
) -> Iterator[Recording]:
    """What the runner says of recordings, in their order, several at once.

    A .tflite has an interpreter in each thread, which lets others compute; anything else is one
    model, and hears one recording after the other.
    """
    several = isinstance(model, (str, os.PathLike)) and os.fspath(model).lower().endswith(".tflite")
    workers = min(os.cpu_count() or 1, len(long)) if several else 1
    own, stopped = threading.local(), threading.Event()

    def heard(scene: Scene) -> Recording:
        if not hasattr(own, "model"):
            own.model = direction_model(model)
        return hear(own.model, scene, settings, stopped=stopped)

    with ThreadPoolExecutor(workers) as executor:
        try:
            found = map(heard, long) if workers == 1 else executor.map(heard, long)
            for number, recording in enumerate(found, start=1):
                yield recording if number <= KEPT_ANSWERS else replace(recording, answers=())
                if progress is not None:
                    progress(number, len(long))
        finally:  # those that are still being heard would be heard to their end
            stopped.set()
            executor.shutdown(cancel_futures=True)


def _counting(progress: Progress | None, *, total: int, before: int = 0) -> Progress | None:
    """Progress of a part of the scenes as that of all."""
    return None if progress is None else lambda done, _: progress(before + done, total)


def _by_file(results: Any) -> dict[str, Window | Recording]:
    return {result.scene.file: result for result in results}


def _talker_rows(window: Window) -> Iterator[dict[str, str]]:
    """A row of the CSV file for each talker of a window."""
    answer_of = dict(zip(window.pairs.talkers.tolist(), window.pairs.answers.tolist(), strict=True))
    truth_deg = np.degrees(vector_to_angles(window.truth))
    known_deg = np.degrees(vector_to_angles(window.known))
    for number, name in enumerate(window.names):
        azimuth_deg, elevation_deg = truth_deg[:, number]
        row = {"talker": name, "azimuth_deg": f"{azimuth_deg:.6f}"}
        row |= {"elevation_deg": f"{elevation_deg:.6f}"}
        row |= {"error_deg": f"{window.tally.errors_deg[number]:.6f}"}
        if number in answer_of:
            answer = answer_of[number]
            row["estimated_azimuth_deg"] = f"{known_deg[0, answer]:.6f}"
            row["estimated_elevation_deg"] = f"{known_deg[1, answer]:.6f}"
            row["confidence"] = f"{window.confidence[answer]:.6f}"
        yield row


def _figures_row(recording: Recording) -> Iterator[dict[str, str]]:
    """The row of the CSV file for a recording."""
    values = {name: recording.tally.figure(name) for name in frames.FIGURES}
    yield {name: f"{value:.6f}" for name, value in values.items() if value is not None}
