"""Training a network, in a folder that can be resumed.

A run holds `model.keras` (the best epoch on validation scenes), `last.keras` (with the
optimiser's state, to go on from), `spec.json`, `settings.json` (command, versions, sources),
`history.csv` and TensorBoard logs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from doa_core.spec import FeatureSpec
from doa_edge.errors import InputError
from doa_edge.output import write_beside
from doa_tf import heads
from doa_tf.augment import check_augment
from doa_tf.bank import write_json
from doa_tf.data import mixed_dataset, scenes_arrays
from doa_tf.feature_cache import FeatureCache, cached_dataset
from doa_tf.mixing import SceneMixer
from doa_tf.models import build_crnn, load_model, model_spec

logger = logging.getLogger(__name__)

MONITOR = "val_median_angular_error"
_PACKAGES = ("doa-tf", "keras", "tensorflow", "numpy", "pyroomacoustics", "librosa")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a network is trained.

    Attributes:
        head: its name.
        epochs: the learning rate falls along a cosine to the last of them.
        sequences: mixed scenes that an epoch goes through.
        batch_size: sequences a step.
        learning_rate: Nadam's, at its highest, after `warmup_steps`.
        warmup_steps: over which it rises from zero.
        patience: epochs without a better validation median before training stops.
        seed: of the scenes, their order and rotations, and the first weights.
        augment: how scenes are turned, see `doa_tf.augment.random_turns`.
        live: whether every epoch has new scenes, mixed while the network trains; else the same
            `sequences` scenes are mixed once, cached, and turned anew in every epoch.
    """

    head: str
    epochs: int = 60
    sequences: int = 16_384
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    patience: int = 20
    seed: int = 0
    augment: str = "vertical"
    live: bool = False

    def __post_init__(self) -> None:
        heads.get(self.head)
        check_augment(self.augment)
        for name in ("epochs", "sequences", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {getattr(self, name)}")
        if self.batch_size > self.sequences:
            raise ValueError(
                "`sequences` must be at least one batch. Received: "
                f"sequences={self.sequences}, batch_size={self.batch_size}"
            )
        if not 0.0 < self.learning_rate < 1.0:
            raise ValueError(f"`learning_rate` must be in (0, 1). Received: {self.learning_rate}")

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self.sequences // self.batch_size


def train(
    folder: str | Path,
    *,
    mixer: Callable[[], SceneMixer],
    sources: dict[str, Any],
    valid: str | Path,
    settings: TrainSettings,
    features: FeatureSpec | None = None,
    cache: str | Path | None = None,
    init_from: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> keras.Model:
    """Train a network, or go on with a run that was interrupted.

    Args:
        folder: the run; may hold one with the same settings. Only `epochs` may differ: more go
            on with an ended run.
        mixer: makes the mixer, when scenes must be mixed.
        sources: names of bank, speech and noise, which a cache depends on.
        valid: scenes that choose the best epoch.
        settings: how to train.
        features: the network's input.
        cache: folder of mixed features, inside the run by default.
        init_from: checkpoint whose weights a new run starts from, in the layers that have the same
            name and shape: all but the outputs, where the head is another.
        progress: of the mixing, called with scenes done and in all.

    Returns:
        The network of the best epoch.

    Raises:
        InputError: a run or cache of other settings, or bad validation scenes.
        FloatingPointError: the loss became NaN; the last good epoch is kept.
    """
    folder = Path(folder)
    features = features or FeatureSpec()
    head = heads.get(settings.head)
    start = None if init_from is None else load_model(init_from)
    origin = {} if init_from is None else {"init_from_sha256": _sha256(init_from)}
    first_epoch = _claim_run(folder, settings, features, {**sources, **origin})
    valid_data = scenes_arrays(valid, head, features=features)
    options = {
        "features": features,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "epochs": range(first_epoch, settings.epochs),
        "augment": settings.augment,
    }
    if settings.live:
        dataset = mixed_dataset(
            mixer(), head, scenes=settings.sequences, drop_remainder=True, **options
        )
    else:
        stored = FeatureCache(
            cache or folder / "cache",
            mixer=mixer,
            made_with=sources,
            scenes=settings.sequences,
            seed=settings.seed,
            progress=progress,
        )
        dataset = cached_dataset(stored, head, **options)
    model = _start_model(folder, settings, features, head, first_epoch)
    if start is not None and not first_epoch:
        copy_weights(start, model)
    (folder / "spec.json").write_text(model_spec(model).to_json(), encoding="utf-8")
    keep = _KeepCheckpoints(folder)
    callbacks = [
        _CosineLearningRate(settings),
        keras.callbacks.TerminateOnNaN(),
        keep,
        keras.callbacks.CSVLogger(str(folder / "history.csv"), append=first_epoch > 0),
        keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False),
        keras.callbacks.EarlyStopping(MONITOR, patience=settings.patience, mode="min"),
    ]
    # Keras's progress goes to stdout; talk belongs on stderr.
    with contextlib.redirect_stdout(sys.stderr):
        history = model.fit(
            dataset,
            validation_data=valid_data,
            validation_batch_size=settings.batch_size,
            initial_epoch=first_epoch,
            epochs=settings.epochs,
            steps_per_epoch=settings.steps_per_epoch,
            shuffle=False,  # the dataset has done it
            callbacks=callbacks,
            verbose=1 if sys.stderr.isatty() else 2,
        )
    if not np.all(np.isfinite(history.history.get("loss", []))):
        raise FloatingPointError(
            f"The loss became NaN. {folder} keeps the last good epoch: try a lower learning rate"
        )
    return keras.saving.load_model(folder / "model.keras")


def _sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _claim_run(
    folder: Path, settings: TrainSettings, features: FeatureSpec, sources: dict[str, Any]
) -> int:
    """First epoch to train: 0 in a new run; checks that an old one was made the same way."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "settings": {k: v for k, v in asdict(settings).items() if k not in ("epochs", "patience")},
        "features": features.to_dict(),
        "sources": sources,
    }
    path = folder / "settings.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        others = [key for key in asked if before.get(key) != json.loads(json.dumps(asked[key]))]
        if others:
            raise InputError(
                f"The run {folder} was begun with other {', '.join(others)}: use the same, or "
                "another folder"
            )
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    command = shlex.join(["doa_tf", *sys.argv[1:]])
    write_json(path, {**asked, "epochs": settings.epochs, "command": command, "versions": versions})
    state = folder / "state.json"
    if not state.exists():
        return 0
    epochs = int(json.loads(state.read_text(encoding="utf-8"))["epochs"])
    if epochs >= settings.epochs:
        raise InputError(
            f"The run {folder} has ended after {epochs} epochs: ask for more with --epochs, or "
            "name another folder"
        )
    logger.info("going on after epoch %d", epochs)
    return epochs


def _start_model(
    folder: Path,
    settings: TrainSettings,
    features: FeatureSpec,
    head: heads.Head,
    first_epoch: int,
) -> keras.Model:
    keras.utils.set_random_seed(settings.seed + 1000 * first_epoch)
    if first_epoch:
        return keras.saving.load_model(folder / "last.keras")
    model = build_crnn(head, features=features)
    optimizer = keras.optimizers.Nadam(settings.learning_rate, clipnorm=1.0)
    model.compile(optimizer, loss=head.loss(), metrics=head.metrics())
    return model


def copy_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copy the weights of layers that have the same name and shapes; names of those layers.

    Raises:
        InputError: not one layer fits.
    """
    copied = []
    for layer in target.layers:
        if not layer.weights or layer.name not in {other.name for other in source.layers}:
            continue
        weights = source.get_layer(layer.name).get_weights()
        if [w.shape for w in weights] == [w.shape for w in layer.get_weights()]:
            layer.set_weights(weights)
            copied.append(layer.name)
    if not copied:
        raise InputError(
            f"The checkpoint to start from must share layers with the network '{target.name}'. "
            f"Received: '{source.name}', which shares none"
        )
    logger.info("starting from the weights of %s", ", ".join(copied))
    return copied


class _CosineLearningRate(keras.callbacks.Callback):
    """Linear warm-up, then half a cosine down to 1 % at the last step."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self._settings = settings
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        settings = self._settings
        step = self._epoch * settings.steps_per_epoch + batch
        warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        share = step / (settings.epochs * settings.steps_per_epoch)
        fall = 0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * share))
        self.model.optimizer.learning_rate = settings.learning_rate * warm * fall


class _KeepCheckpoints(keras.callbacks.Callback):
    """Keeps the best and the last epoch, each written beside and renamed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._state = folder / "state.json"
        self._best = float("inf")
        if self._state.exists():
            self._best = json.loads(self._state.read_text(encoding="utf-8"))["best"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        if not np.isfinite(logs.get("loss", np.nan)):
            return
        value = float(logs[MONITOR])
        if value < self._best:
            self._best = value
            self._save("model.keras")
        self._save("last.keras")
        write_json(self._state, {"epochs": epoch + 1, "best": self._best})

    def _save(self, name: str) -> None:
        with write_beside(self._folder / name) as beside:
            written = beside.with_suffix(".keras")  # Keras wants the suffix
            self.model.save(written)
            written.replace(beside)
