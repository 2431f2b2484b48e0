"""What is killed: a small command of each kind that leaves files behind."""

from __future__ import annotations

from dataclasses import dataclass

from tests.places import DEMO, PROJECT

SPEECH = str(DEMO / "speech")
RECIPE = {
    "rooms.count": "2",
    "valid_rooms.count": "2",
    "valid.scenes": "17",  # of three conditions: a calibration needs 50
    "mixing.diffuse_fields": "2",
    "mixing.synthetic_noises": "2",
    "training.engine": '"keras"',
    "training.filters": "[2, 2, 2]",
    "training.lstm_units": "2",
    "training.dense_units": "4",
    "training.epochs": "1",
    "training.sequences": "16",
    "training.batch_size": "8",
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, run in a folder of its own.

    Attributes:
        line: the program and its arguments; `../NAME` is the result of another command.
        needs: names of those.
        longest_s: how long after a moment it may be killed [seconds].
    """

    line: tuple[str, ...]
    needs: tuple[str, ...] = ()
    longest_s: float = 0.1


COMMANDS = {
    "simulate": Command(
        line=(
            *("doa_tf", "simulate", "--out", "bank", "--rooms", "3", "--sources", "2"),
            *("--rt60", "0.2,0.3", "--workers", "1"),
        ),
        longest_s=1.0,
    ),
    "render": Command(
        line=(
            *("doa_tf", "render", "--bank", "../simulate/bank", "--speech", SPEECH),
            *("--scenes", "2", "--out", "scenes"),
        ),
        needs=("simulate",),
    ),
    "train": Command(
        line=(
            *("doa_tf", "train", "--bank", "../simulate/bank", "--speech", SPEECH),
            *("--valid", "../render/scenes", "--head", "cartesian", "--out", "run"),
            *("--epochs", "2", "--sequences", "16", "--batch-size", "8", "--filters", "2", "2"),
            *("2", "--lstm-units", "2", "--dense-units", "4", "--backup-minutes", "0"),
        ),
        needs=("simulate", "render"),
        longest_s=0.3,
    ),
    "recipe": Command(
        line=(
            *("doa_tf", "recipe", str(PROJECT / "configs" / "tiny.toml"), "--out", "made"),
            *("--speech", SPEECH, "--workers", "1"),
            *(word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")),
        ),
        longest_s=0.3,
    ),
    "export": Command(
        line=(
            *("doa_export", "../train/run/model.keras", "--quantize", "none"),
            *("--out", "model.tflite", "--json", "made.json"),
            *("--max-median-deg", "180", "--max-p99-deg", "180"),
        ),
        needs=("simulate", "render", "train"),
        longest_s=3.0,
    ),
}
