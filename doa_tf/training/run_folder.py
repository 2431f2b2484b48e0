"""The folder of a training run: what it was begun with, its checkpoints, where it stands.

    settings.json   command, versions, settings, sources
    model.keras     the best epoch on validation scenes
    last.keras      to go on from: weights, optimiser, random states, and `training_state.json`
    history.csv     one row an epoch
    logs            TensorBoard's

The state travels inside `last.keras`, so that a kill between two files can't part them.
"""

from __future__ import annotations

import csv
import json
import logging
import shlex
import sys
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.errors import InputError
from doa_core.files import write_beside
from doa_tf.checkpoint import check_checkpoint
from doa_tf.files import HISTORY, differences, package_versions, write_json

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

BEST, LAST, SETTINGS = "model.keras", "last.keras", "settings.json"
_STATE = "training_state.json"


@dataclass(kw_only=True)
class TrainingState:
    """Where a run stands.

    Attributes:
        epoch: the one it is in, from 0.
        step: batches of it that are done.
        best: the monitored value of the best epoch so far.
        waited: epochs since then.
        seeds: states of the random generators of the layers, which Keras does not save.
        metrics: sums behind the running training metrics of a begun epoch, by variable.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    waited: int = 0
    seeds: list[list[int]] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    def entries(self) -> dict[str, bytes]:
        """The archive entry of `last.keras` that `read_state` reads."""
        return {_STATE: json.dumps(asdict(self)).encode()}


def claim_run(folder: Path, asked: dict[str, Any], *, write: bool = True) -> TrainingState:
    """Where to go on: the state of the run in the folder, or of a new one.

    Args:
        folder: made if it is not there.
        asked: what the run must have been begun with, JSON values by concern.
        write: whether this process writes the folder; only the first of several does.

    Raises:
        InputError: the folder holds a run that was begun with something else, or a damaged one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged: name another folder for the run") from error
        found = {concern: before.get(concern) for concern in asked}
        others = [
            f"{name.rpartition('.')[2]} was {old!r}, not {new!r}"
            for name, (new, old) in differences(json.loads(json.dumps(asked)), found).items()
        ]
        if others:
            raise InputError(
                f"The run {folder} was begun with other settings or sources: "
                f"{'; '.join(others)}. Use the same, or another folder"
            )
    if write:
        versions = package_versions()
        command = shlex.join(["doa_tf", *sys.argv[1:]])
        write_json(path, {**asked, "command": command, "versions": versions})
    state = read_state(folder / LAST)
    if write:
        _trim_history(folder / HISTORY, state.epoch)
    if state.epoch or state.step:
        logger.info("going on in epoch %d, after %d batches of it", state.epoch + 1, state.step)
    return state


def read_state(checkpoint: Path) -> TrainingState:
    """The state inside of `last.keras`; a new one if there is no such file.

    Raises:
        InputError: a damaged checkpoint, or one that holds no state.
    """
    if not checkpoint.exists():
        return TrainingState()
    check_checkpoint(checkpoint)
    with zipfile.ZipFile(checkpoint) as archive:
        if _STATE not in archive.namelist():
            raise InputError(
                f"{checkpoint} does not say where its training stands: it was made by an older "
                "version. Name another folder, and start from it with --init-from"
            )
        return TrainingState(**json.loads(archive.read(_STATE)))


def seed_states(model: keras.Model) -> list[Any]:
    """The variables that hold the states of a model's random generators: dropout's."""
    weights = {id(weight) for weight in model.weights}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and "seed_generator" in variable.path
    ]


def _trim_history(path: Path, epochs: int) -> None:
    """Leave the rows of whole epochs: a kill may have come between a row and its checkpoint."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if (row["epoch"] or "").isdigit()]
        names = reader.fieldnames or []
    kept = [row for row in rows if int(row["epoch"]) < epochs]
    if not kept:
        path.unlink()
        return
    with write_beside(path) as beside, Path(beside).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(kept)
