"""How a network is trained, whatever engine does it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from doa_tf import heads
from doa_tf.data.augment import check_augment
from doa_tf.models import POOLS


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
        augment: how scenes are turned, see `doa_tf.data.augment.random_turns`.
        live: whether every epoch has new scenes, mixed while the network trains; else the same
            `sequences` scenes are mixed once, cached, and turned anew in every epoch.
        filters: of the three convolutions.
        lstm_units: of both recurrences, in each direction.
        dense_units: of the dense layer before the outputs.
        dropout: share of activations dropped after each pooling.
        highpass_hz: what recordings and streams are freed of before their features: offsets and
            rumble, which no mixed scene has; 0 for nothing.
        average: forgetting factor of a running mean of the weights, which is what is judged and
            kept; 0 keeps the weights themselves.
    """

    head: str = "gibbs-harmonic"
    epochs: int = 60
    sequences: int = 16_384
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    patience: int = 20
    seed: int = 0
    augment: str = "vertical"
    live: bool = False
    filters: tuple[int, int, int] = (64, 64, 64)
    lstm_units: int = 64
    dense_units: int = 429
    dropout: float = 0.2
    highpass_hz: float = 30.0
    average: float = 0.0

    def __post_init__(self) -> None:
        heads.get(self.head)
        check_augment(self.augment)
        object.__setattr__(self, "filters", tuple(int(number) for number in self.filters))
        if len(self.filters) != len(POOLS) or min(self.filters) < 1:
            raise ValueError(
                f"`filters` must be {len(POOLS)} numbers of at least 1. Received: {self.filters}"
            )
        for name in ("dropout", "average"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"`{name}` must be in [0, 1). Received: {getattr(self, name)}")
        sizes = ("lstm_units", "dense_units")
        for name in ("epochs", "sequences", "batch_size", "patience", *sizes):
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

    def lasting(self) -> dict[str, Any]:
        """What a run must have been begun with: all but how long it goes on, as JSON values."""
        values = {**asdict(self), "filters": list(self.filters)}
        return {name: v for name, v in values.items() if name not in ("epochs", "patience")}
