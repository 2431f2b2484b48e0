"""How a network is trained, whatever engine does it. Nothing here needs Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doa_core.highpass import DEFAULT_HIGHPASS_HZ
from doa_core.spec import MOST_VOICES
from doa_edge import limits
from doa_tf import heads
from doa_tf.data.augment import check_augment
from doa_tf.files import Progress

if TYPE_CHECKING:
    from doa_tf.data.cache import MakeMixer
    from doa_tf.scenes.folder import Scenes

ENGINES = ("keras", "jax")
_LIMITED = (
    *("epochs", "sequences", "batch_size", "learning_rate", "warmup_steps", "patience"),
    *("filters", "lstm_units", "dense_units", "dropout"),
)
_CONVOLUTIONS = 3  # of the network, see `doa_tf.build_crnn`

# (first epoch, its first batch) -> `tf.data.Dataset` from there to the last epoch's end
Batches = Callable[[int, int], Any]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a network is trained.

    Attributes:
        head: its name.
        epochs: at most; the learning rate falls along a cosine until the last of them.
        sequences: mixed scenes per epoch.
        batch_size: sequences per step.
        learning_rate: of Nadam, at its highest, after `warmup_steps`.
        warmup_steps: steps over which it rises from zero.
        patience: epochs without a better validation median before training stops.
        voices: the most talkers of a scene, V; more than 1, and scenes of nobody, for heads that
            take them.
        seed: of the scenes, their order and rotations, and the initial weights.
        augment: how scenes are rotated, see `doa_tf.data.augment.random_turns`.
        live: whether every epoch has new scenes, mixed while the network trains; otherwise
            `sequences` scenes are mixed once, cached, and augmented anew in every epoch.
        filters: of the three convolutions.
        lstm_units: of both recurrences, in each direction.
        dense_units: of the dense layer before the outputs.
        dropout: share of activations dropped after each pooling.
        highpass_hz: high-pass cutoff [Hz], applied before the features against offsets and rumble,
            to scenes of the training as to recordings and streams later; 0 for none.
        average: forgetting factor of a moving average of the weights, which is validated and
            kept instead of them; 0 for none.
    """

    head: str = "gibbs-harmonic"
    epochs: int = 60
    sequences: int = 16_384
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    patience: int = 20
    voices: int = 1
    seed: int = 0
    augment: str = "vertical"
    live: bool = False
    filters: tuple[int, int, int] = (64, 64, 64)
    lstm_units: int = 64
    dense_units: int = 429
    dropout: float = 0.2
    highpass_hz: float = DEFAULT_HIGHPASS_HZ
    average: float = 0.0

    def __post_init__(self) -> None:
        limits.check_the_rest(**vars(self))
        head = heads.get(self.head)
        if self.voices > 1 and not head.several:
            raise ValueError(
                f"The head '{self.head}' takes one talker. Received: voices={self.voices}"
            )
        check_augment(self.augment)
        filters = self.filters
        if not isinstance(filters, (tuple, list)) or len(filters) != _CONVOLUTIONS:
            raise ValueError(f"`filters` must be {_CONVOLUTIONS} numbers. Received: {filters}")
        for name in _LIMITED:
            limits.check(name.replace("_", "-"), getattr(self, name))
        object.__setattr__(self, "filters", tuple(map(int, filters)))
        limits.check("train seed", self.seed)
        if not 0.0 <= self.average < 1.0:
            raise ValueError(f"`average` must be in [0, 1). Received: {self.average}")
        if not 1 <= self.voices <= MOST_VOICES:
            raise ValueError(f"`voices` must be 1 to {MOST_VOICES}. Received: {self.voices}")
        if self.batch_size > self.sequences:
            raise ValueError(
                "`sequences` must be at least one batch. Received: "
                f"sequences={self.sequences}, batch_size={self.batch_size}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Complete batches per epoch."""
        return self.sequences // self.batch_size

    def lasting(self) -> dict[str, Any]:
        """The settings that a resumed run must share, as JSON values: all but its length."""
        values = {**asdict(self), "filters": list(self.filters)}
        return {name: v for name, v in values.items() if name not in ("epochs", "patience")}


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The data for training and validation.

    Attributes:
        valid: scenes that choose the best epoch, or their folder; or several of them, each of
            which counts as much as another.
        mixer: makes the `SceneMixer` or `RecordedScenes`; called once scenes must be mixed.
        batches: instead of `mixer`, any dataset, for the engine keras: called with the first epoch
            and its first batch, returns a `tf.data.Dataset` of (features, directions) batches from
            there on; directions are (B, V, 3), or (B, T, V, 3) if they change within a scene.
        sources: names of bank, speech and noise, which a cache depends on; JSON values. A digest
            `NAME_sha256` beside `NAME` stands for its contents: the path may then be another.
        cache: folder of mixed features, inside the run by default; of the engine keras.
        arrays: of `doa_tf.training.jax_engine.mixing.scene_arrays`, where several trainings by the
            engine jax share them.
    """

    valid: Scenes | str | Path | Sequence[Scenes | str | Path]
    mixer: MakeMixer | None = None
    batches: Batches | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)
    cache: str | Path | None = None
    arrays: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.mixer is None) == (self.batches is None):
            raise ValueError("Either `mixer` or `batches` is needed. Received: both, or none")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is conducted, without influence on its results apart from rounding.

    Attributes:
        strategy: of the engine keras, see `doa_tf.training.distribute.make_strategy`.
        backup_s: seconds between backups within an epoch, of the engine keras.
        workers: processes that draw scenes, of the engine jax; half of the cores by default.
        progress: called with the number done and the total: of scenes that fill a cache, or of
            batches of the engine jax.
        on_epoch: called with an epoch's number, from 1, and its figures.
    """

    strategy: str = "none"
    backup_s: float = 300.0
    workers: int | None = None
    progress: Progress | None = None
    on_epoch: Callable[[int, Mapping[str, float]], None] | None = None
