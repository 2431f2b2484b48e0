"""The folder of a training run: what it was begun with, its checkpoints, where it stands.

    settings.json   command, versions, settings, sources, kind of targets
    spec.json       the network's spec
    model.keras     the best epoch on validation scenes
    last.keras      for resuming: weights, optimiser, random states, and `training_state.json`
    history.csv     one row an epoch
    logs            TensorBoard's

The state lies inside `last.keras`, so that a kill between two files can't separate them.
"""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from doa_core.errors import InputError, as_damage
from doa_core.files import printable, remove_leftovers, write_beside
from doa_core.reading.csv_table import read_table
from doa_core.reading.json_text import parse_json, read_json
from doa_core.reading.zip_archive import open_zip, read_entry
from doa_core.spec import ModelSpec
from doa_tf.checkpoint import check_checkpoint, save_model
from doa_tf.files import (
    HISTORY,
    MONITOR,
    difference_words,
    differences,
    known_by_digest,
    package_versions,
    write_json,
)
from doa_tf.heads.registry import TARGETS

if TYPE_CHECKING:
    import keras

BEST, LAST, SETTINGS, SPEC = "model.keras", "last.keras", "settings.json", "spec.json"
SOURCES = "sources"  # the section of the settings that says what a run is trained on
_STATE = "training_state.json"


@dataclass(kw_only=True)
class TrainingState:
    """Where a run stands.

    Attributes:
        epoch: the current one, from 0.
        step: batches of it that are done.
        best: the monitored value of the best epoch so far.
        waited: epochs since the best one.
        seeds: states of the layers' random generators, which Keras does not save.
        metrics: variables of the training metrics of a begun epoch.
        targets: kind of training targets; empty in a state of doa_tf 0.1.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    waited: int = 0
    seeds: list[list[int]] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    targets: str = TARGETS


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The folder of a run, and where its training stands.

    Attributes:
        path: of the folder.
        state: kept up to date.
        writes: whether this process writes the folder; only the first of several does.
    """

    path: Path
    state: TrainingState
    writes: bool = True

    def write_spec(self, spec: ModelSpec) -> None:
        """Write the network's spec."""
        if self.writes:
            with write_beside(self.path / SPEC) as beside:
                beside.write_text(spec.to_json(), encoding="utf-8")

    def keep_epoch(
        self,
        model: keras.Model,
        figures: Mapping[str, float],
        entries: Mapping[str, bytes] | None = None,
    ) -> None:
        """End an epoch: write its row of the history, `last.keras`, and `model.keras` if best.

        Args:
            model: as it is at the end of the epoch.
            figures: of the epoch, `MONITOR` among them.
            entries: further contents of `last.keras`.
        """
        state, value = self.state, float(figures[MONITOR])
        if self.writes:
            row = {"epoch": state.epoch, **dict(sorted(figures.items()))}
            _append_row(self.path / HISTORY, row)
        better = state.best is None or value < state.best
        if better:
            state.best = value
        state.waited = 0 if better else state.waited + 1
        state.epoch, state.step, state.metrics = state.epoch + 1, 0, []
        if better and self.writes:
            save_model(self.path / BEST, model)
        self.save_last(model, entries)

    def save_last(self, model: keras.Model, entries: Mapping[str, bytes] | None = None) -> None:
        """Write `last.keras`, from which the run is resumed."""
        self.state.seeds = [np.asarray(seed).tolist() for seed in seed_states(model)]
        if self.writes:
            state = json.dumps(asdict(self.state)).encode()
            save_model(self.path / LAST, model, {_STATE: state, **(entries or {})})


def claim_run(folder: Path, asked: dict[str, Any], *, writes: bool = True) -> RunFolder:
    """Start a run in a folder, or resume the one that it holds.

    Args:
        folder: created if it does not exist.
        asked: JSON values by section, which must equal those of an existing run.
        writes: whether this process writes the folder; only the first of several does.

    Raises:
        InputError: the folder holds a run of other values or of doa_tf 0.1, or a damaged one; or
            its name is not UTF-8.
    """
    if printable(folder) != str(folder):
        raise InputError(
            "A run needs a folder whose name is UTF-8, as TensorFlow writes no logs to others. "
            f"Received: {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if writes:
        remove_leftovers(folder)
    path = folder / SETTINGS
    state = read_state(folder / LAST)
    before: dict[str, Any] = {"targets": state.targets}
    if path.exists():
        try:
            before = read_json(path, what="the settings of a run", finite=False)
        except InputError as error:
            raise InputError(f"{error}: name another folder for the run") from error
    if not before.get("targets") == state.targets == TARGETS:
        raise InputError(
            f"The run {folder} was begun by doa_tf 0.1, whose targets were not directions: name "
            f"another folder, and start from its weights with --init-from {folder / BEST}"
        )
    found = {concern: before.get(concern) for concern in asked} if path.exists() else asked
    others = _differences(json.loads(json.dumps(asked)), found)
    if others:
        raise InputError(
            f"The run {folder} was begun with other settings or sources: "
            f"{difference_words(others)}. Use the same, or another folder"
        )
    if writes:
        made = {"command": shlex.join(["doa_tf", *sys.argv[1:]]), "versions": package_versions()}
        write_json(path, {**asked, "targets": TARGETS, **made})
        _trim_history(folder / HISTORY, state.epoch)
    return RunFolder(path=folder, state=state, writes=writes)


def _differences(asked: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not the same, by names; a source that has a digest is not known by its path."""
    if isinstance(found.get(SOURCES), dict) and SOURCES in asked:
        new, old = known_by_digest(asked[SOURCES], found[SOURCES])
        asked, found = {**asked, SOURCES: new}, {**found, SOURCES: old}
    return differences(asked, found)


def read_state(checkpoint: Path) -> TrainingState:
    """The state inside of `last.keras`; a new one if there is no such file.

    Raises:
        InputError: a damaged checkpoint, or one that holds no state.
    """
    if not checkpoint.exists():
        return TrainingState()
    check_checkpoint(checkpoint)
    with (
        as_damage(f"{checkpoint} is damaged"),
        checkpoint.open("rb") as file,
        open_zip(file) as archive,
    ):
        if _STATE not in archive.namelist():
            raise InputError(
                f"{checkpoint} does not say where its training stands: it was made by an older "
                "version. Name another folder, and start from it with --init-from"
            )
        values = parse_json(read_entry(archive, _STATE), finite=False)
        state = TrainingState(**{"targets": "", **values})
        _check_state(state)
    return state


def _check_state(state: TrainingState) -> None:
    """Raise ValueError for numbers that are none, of epochs that cannot be."""
    counts = (state.epoch, state.step, state.waited)
    lists = (state.seeds, state.metrics)
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError(f"epochs and steps must be counts. Received: {counts}")
    if not isinstance(state.best, (int, float, type(None))):
        raise ValueError(f"`best` must be a number. Received: {state.best!r}")
    if not all(isinstance(values, list) for values in lists) or not isinstance(state.targets, str):
        raise ValueError("its random states and metrics must be lists, its targets a text")


def seed_states(model: keras.Model) -> list[Any]:
    """The variables with the states of a model's random generators, such as dropout's."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and "seed_generator" in variable.path
    ]


def _is_before(epoch: str, epochs: int) -> bool:
    return epoch.isdecimal() and len(epoch) < 19 and int(epoch) < epochs


def _append_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row, whole or not at all."""
    before = path.read_bytes() if path.exists() else b""
    with write_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        file.write(before.decode("utf-8-sig"))
        writer = csv.DictWriter(file, list(row))
        if not before:
            writer.writeheader()
        writer.writerow(row)


def _trim_history(path: Path, epochs: int) -> None:
    """Keep the rows of complete epochs: a kill may have come between a row and its checkpoint."""
    if not path.exists():
        return
    names, rows = read_table(path, whole=False)
    kept = [row for row in rows if _is_before(row.get("epoch", ""), epochs)]
    if not kept:
        path.unlink()
        return
    with write_beside(path) as beside, Path(beside).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(kept)
