"""The least and the greatest value of every number that somebody can ask for, in one table.

The options of all commands and the keys of configurations and recipes are checked against it; so
are the settings that Python passes. Limits are those of what computes (a port, a seed, the header
of a WAV file), or lie far beyond what is of use and below what would exhaust a machine.

Only the standard library is imported, and little of it: `--help` answers at once.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, NamedTuple

SHOWN = 40  # characters of what was received


class Limits(NamedTuple):
    """What a number may be.

    Attributes:
        lowest, highest: both included.
        unit: of the number, or what it counts; may be empty.
        whole: whether it is an integer.
        form: how it is written, where that is not one plain number.
    """

    lowest: float
    highest: float
    unit: str = ""
    whole: bool = False
    form: str = ""

    @property
    def allowed(self) -> str:
        """What is allowed, as a sentence goes on after a name."""
        form = self.form or ("be an integer" if self.whole else "lie")
        between = f"between {_plain(self.lowest)} and {_plain(self.highest)}"
        return f"must {form} {between} {self.unit}".rstrip()

    def holds(self, value: object) -> bool:
        """Whether it is such a number; NaN is none, and neither is a truth value."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value  # what mypy knows of `Real` has no order
        return bool(self.lowest <= number <= self.highest)

    def read(self, text: str) -> float:
        """The number that a text is.

        Raises:
            ValueError: another one, or none; the message says what is allowed and what came.
        """
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = None
        if value is None or not self.holds(value):
            raise ValueError(self.refusal(text))
        return value

    def refusal(self, received: object) -> str:
        """What is said of a value that is not allowed."""
        return f"{self.allowed}. Received: {_shown(received)}"


def _integer(lowest: int, highest: int, unit: str = "", form: str = "") -> Limits:
    return Limits(lowest, highest, unit, whole=True, form=form)


_LARGEST_SEED = 2**64 - 1
_LARGEST_FILE = 10**12  # bytes

# By the name of the option without dashes. Where commands mean different things by one name, that
# of the command comes before it.
LIMITS = {
    # doa_edge: input
    "channels": _integer(1, 1024, form="be four different channel numbers"),
    "mount": Limits(-360, 360, "degrees", form="be three angles YAW,PITCH,ROLL, each"),
    "rate": _integer(8_000, 192_000, "Hz"),
    "raw-channels": _integer(1, 1024),
    "speaker": Limits(
        *(-360, 360, "degrees"),
        form="be AZIMUTH,ELEVATION such as 90,0 for left, elevation -90 to 90 and azimuth",
    ),
    "stall": Limits(0.1, 3600, "seconds"),
    # doa_edge: directions
    "average": _integer(1, 2000, "frames", form="be frames, or seconds such as 0.5s,"),
    "confidence": Limits(0, 1),
    "every": _integer(1, 2000, "frames", form="be frames, or seconds such as 0.5s,"),
    "gate": Limits(-500, 100, "dBFS"),
    "lead": Limits(0, 1, "seconds"),
    "margin": Limits(0, 90, "dB"),
    "run talkers": _integer(1, 4),
    "smooth": Limits(0, 3600, "seconds"),
    "threads": _integer(1, 256),
    "zones": Limits(
        *(-360, 360, "degrees"),
        form="be NAME=FROM,TO such as desk=-30,30, or NAME=FROM,TO,LOW,HIGH with elevations, the "
        "azimuths",
    ),
    # doa_edge: outputs
    "dcase-class": _integer(0, 999),
    "listen-count": _integer(1, 1_000_000),
    "listen-size": _integer(100_000, 2_000_000_000, "bytes", form="be a size such as 500K or 2G,"),
    "mqtt-qos": _integer(0, 2),
    "out-count": _integer(0, 1000),
    "out-size": _integer(1, _LARGEST_FILE, "bytes", form="be a size such as 500K or 2G,"),
    "port": _integer(0, 65_535),
    # doa_edge: other verbs
    "align seconds": Limits(1, 60, "seconds"),
    "align wait": Limits(0, 600, "seconds"),
    "bench seconds": Limits(2, 3600, "seconds"),
    "convert seconds": Limits(0.001, 1_000_000, "seconds"),
    "doctor seconds": Limits(0.5, 600, "seconds"),
    "place": Limits(
        *(-360, 360, "degrees"),
        form="be AZIMUTH,ELEVATION such as 90,0 for left, elevation -90 to 90 and azimuth",
    ),
    "places": _integer(1, 12),
    # doa_tf: rooms and scenes
    "dry-share": Limits(0, 1),
    "people": _integer(2, 4),
    "rooms": _integer(1, 10_000_000),
    "rt60": Limits(0.01, 30, "seconds", form="be two numbers LOW,HIGH with LOW <= HIGH, both"),
    "render seconds": Limits(1, 14_400, "seconds"),  # a WAV of four float channels ends soon after
    "scenes": _integer(1, 1_000_000),
    "seed": _integer(0, _LARGEST_SEED),
    "sources": _integer(1, 1000),
    "walkers": _integer(1, 2),
    "workers": _integer(1, 1024),
    # doa_tf: networks
    "apart": Limits(0.1, 180, "degrees"),
    "backup-minutes": Limits(0, 100_000, "minutes"),
    "blend share": Limits(0, 1),
    "batch-size": _integer(1, 65_536),
    "dense-units": _integer(1, 65_536),
    "dropout": Limits(0, 0.99),
    "epochs": _integer(1, 1_000_000),
    "filters": _integer(1, 4096),
    "learning-rate": Limits(1e-9, 0.99),
    "lstm-units": _integer(1, 4096),
    "own-share": Limits(0.01, 0.99),
    "patience": _integer(1, 1_000_000),
    "sequences": _integer(1, 10_000_000),
    "train seed": _integer(0, 2**32 - 1),  # what numpy's global generator takes
    "train talkers": _integer(1, 3),
    "warmup-steps": _integer(0, 1_000_000_000),
    # recipes alone
    "diffuse-fields": _integer(1, 10_000),
    "samples": _integer(1, 1_000_000),
    "synthetic-noises": _integer(1, 10_000),
    # doa_export
    "calibration-windows": _integer(1, 1_000_000),
    "max-median-deg": Limits(0, 180, "degrees"),
    "max-p99-deg": Limits(0, 180, "degrees"),
}

_REST = Limits(-1_000_000, 1_000_000)


def check(name: str, value: object, *, named: str | None = None) -> None:
    """Raise ValueError for a value out of its limits.

    Args:
        name: in `LIMITS`.
        value: a number, or numbers that have the same limits.
        named: what the message calls it; the name as Python writes it by default.
    """
    limits = LIMITS[name]
    values = value if isinstance(value, (tuple, list)) else (value,)
    if not all(map(limits.holds, values)):
        called = named or name.rpartition(" ")[2].replace("-", "_")
        raise ValueError(f"`{called}` {limits.refusal(value)}")


def check_the_rest(**values: object) -> None:
    """Raise ValueError for NaN, or a number beyond a million, of settings that have no limits.

    Args:
        values: numbers, or lists and tuples of them, by their names; others pass.
    """
    others = {name: values[name] for name in values if name.replace("_", "-") not in LIMITS}
    for name, value in others.items():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            is_number = not isinstance(one, bool) and isinstance(one, Real)
            if is_number and not _REST.holds(one):
                raise ValueError(f"`{name}` {_REST.refusal(one)}")


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _shown(received: object) -> str:
    """A number as it came, other text in quotes; neither at length."""
    text = str(received)
    try:
        float(text)
        plain = text.isprintable()
    except ValueError:
        plain = not isinstance(received, str)
    text = text if plain else repr(received)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
