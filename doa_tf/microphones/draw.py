"""Random microphones with the tolerances of real ones, for simulated rooms.

`draw_microphone` draws one from documented distributions, `microphone_from_draw` makes the same
one again from what a bank stores of it. docs/microphones.md describes the models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from doa_core.ambisonics import DEFAULT_LAYOUT, capsule_directions, steering_vector
from doa_core.angles import random_rotation
from doa_core.errors import InputError
from doa_tf.microphones.base import Microphone
from doa_tf.microphones.measured_array import MeasuredArrayMicrophone
from doa_tf.microphones.rigid_sphere import LAYOUTS, RigidSphereMicrophone
from doa_tf.microphones.sofa_file import SofaReading, told
from doa_tf.microphones.tetrahedral import TetrahedralMicrophone

KINDS = ("ideal", "tetrahedral", "sphere", "random")


@dataclass(frozen=True)
class IdealMicrophone(Microphone):
    """One omnidirectional and three figure-of-eight capsules at the same point."""

    kind: ClassVar[str] = "ideal"

    def response(self, directions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """(F, I, 4) complex64 gains (1, y, z, x) at every frequency; a read-only view."""
        gains = steering_vector(directions).astype(np.complex64)
        return np.broadcast_to(gains, (len(frequencies), *gains.shape))

    @property
    def noise_gains(self) -> np.ndarray:
        """(4,) ones: all capsules have the same noise."""
        return np.ones(4)

    @property
    def draw(self) -> dict[str, Any]:
        """Its kind, which is all there is to it."""
        return {"kind": self.kind}

    def diffuse_response(self, taps: int = 0) -> None:
        """None: it hears an isotropic field unchanged."""


@dataclass(frozen=True, kw_only=True)
class MicrophoneSettings:
    """Distributions that microphones are drawn from: uniform over (low, high) unless stated.

    Attributes:
        ideal_share, tetrahedral_share, sphere_share: of the microphones that `random` draws; they
            sum to 1.
        radius: [metres] of the tetrahedron.
        pattern: nominal omnidirectional share of its capsules; a cardioid has 0.5.
        pattern_tolerance: standard deviation of each capsule's share from the nominal one.
        gain_tolerance_db: largest gain error of a capsule, either way (uniform).
        delay_tolerance: [seconds] standard deviation of each capsule's delay: the phase tolerance,
            1.4 degrees at 2 kHz for 2 microseconds.
        position_tolerance: [metres] standard deviation of each coordinate of a capsule.
        orientation_tolerance: [radians] standard deviation of the turn of a capsule, about each
            axis.
        gradient_corner: [hertz] below which the capsules' gradient part falls, log-uniform.
        capsule_corner: [hertz] below which a capsule hears nothing, log-uniform.
        capsule_corner_tolerance: standard deviation of each capsule's corner, as a share of it.
        driver_share: share of the tetrahedra whose driver equalises.
        driver_limit_db: highest gain of that equalisation.
        sphere_radius: [metres] of a modelled sphere with 12, 20 or 32 capsules, each as likely.
        sphere_gain_tolerance_db: largest gain error of its capsules, either way (uniform).
        sphere_position_tolerance: [radians] standard deviation of each capsule's place.
        regularisation_db: of the encoder of a modelled or measured array.
        steepness: of that regularisation, 0.5 a soft limit, 1 Tikhonov.
    """

    ideal_share: float = 0.15
    tetrahedral_share: float = 0.5
    sphere_share: float = 0.35
    radius: tuple[float, float] = (0.008, 0.020)
    pattern: tuple[float, float] = (0.4, 0.65)
    pattern_tolerance: float = 0.02
    gain_tolerance_db: float = 1.0
    delay_tolerance: float = 2e-6
    position_tolerance: float = 3e-4
    orientation_tolerance: float = 0.035
    gradient_corner: tuple[float, float] = (30.0, 500.0)
    capsule_corner: tuple[float, float] = (10.0, 60.0)
    capsule_corner_tolerance: float = 0.1
    driver_share: float = 0.5
    driver_limit_db: tuple[float, float] = (3.0, 15.0)
    sphere_radius: tuple[float, float] = (0.03, 0.05)
    sphere_gain_tolerance_db: float = 0.5
    sphere_position_tolerance: float = 0.01
    regularisation_db: tuple[float, float] = (-36.0, -18.0)
    steepness: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            given = tuple(float(value) for value in getattr(self, name))
            if len(given) != 2 or not least <= given[0] <= given[1] <= most:
                raise ValueError(
                    f"`{name}` must be (low, high) with {least} <= low <= high <= {most}. "
                    f"Received: {given}"
                )
            object.__setattr__(self, name, given)
        for name, most in _TOLERANCES.items():
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(
                    f"`{name}` must lie between 0 and {most}. Received: {getattr(self, name)}"
                )
        if abs(sum(self.shares) - 1.0) > 1e-9:
            raise ValueError(
                "`ideal_share`, `tetrahedral_share` and `sphere_share` must sum to 1. "
                f"Received: {self.shares}"
            )

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of ideal, tetrahedral and sphere in what `random` draws."""
        return self.ideal_share, self.tetrahedral_share, self.sphere_share


_RANGES = {
    "radius": (0.0, 0.1),
    "pattern": (0.05, 0.95),
    "gradient_corner": (1.0, 8000.0),
    "capsule_corner": (1.0, 8000.0),
    "driver_limit_db": (0.0, 60.0),
    "sphere_radius": (0.005, 0.3),
    "regularisation_db": (-120.0, 20.0),
    "steepness": (0.5, 1.0),
}
_TOLERANCES = {
    **dict.fromkeys(("ideal_share", "tetrahedral_share", "sphere_share", "driver_share"), 1.0),
    "pattern_tolerance": 0.1,
    "gain_tolerance_db": 20.0,
    "delay_tolerance": 1e-3,
    "position_tolerance": 0.01,
    "orientation_tolerance": 1.0,
    "capsule_corner_tolerance": 0.3,
    "sphere_gain_tolerance_db": 20.0,
    "sphere_position_tolerance": 0.3,
}


def draw_microphone(
    rng: np.random.Generator,
    *,
    kind: str = "random",
    settings: MicrophoneSettings | None = None,
    sofa: str | Path | None = None,
    reading: SofaReading | None = None,
) -> Microphone:
    """Draw a microphone, a function of `rng` and the settings alone.

    Args:
        rng: source of all draws.
        kind: `ideal`, `tetrahedral`, `sphere`, `random` (one of these three by their shares), or
            the path of a SOFA file with a measured array.
        settings: the distributions.
        sofa: file of a measured array that `sphere` and `random` use instead of modelled spheres.
        reading: units and angles where those of the SOFA file are wrong or missing.

    Raises:
        InputError: an unknown kind, or a SOFA file that is no array.
        MissingPackageError: a SOFA file without the package that reads it.
    """
    settings = settings or MicrophoneSettings()
    if kind not in KINDS:
        if not kind.lower().endswith(".sofa") and not Path(kind).is_file():
            raise InputError(
                f"A microphone must be one of {', '.join(KINDS)} or a SOFA file. Received: {kind}"
            )
        kind, sofa = "sphere", kind
    if kind == "random":
        kind = str(rng.choice(KINDS[:3], p=settings.shares))
    if kind == "ideal":
        return IdealMicrophone()
    if kind == "tetrahedral":
        return _draw_tetrahedral(rng, settings)
    names = ("regularisation_db", "steepness")
    encoder: dict[str, Any] = {name: float(rng.uniform(*getattr(settings, name))) for name in names}
    if sofa is None:
        return _draw_sphere(rng, settings, encoder)
    return MeasuredArrayMicrophone(file=str(sofa), **encoder, **told(reading))


def microphone_from_draw(draw: dict[str, Any]) -> Microphone:
    """The microphone whose `draw` this is.

    Modelled spheres and measured arrays have the same kind in a bank; the latter name a file.

    Raises:
        InputError: not a draw, or a measured array whose file is gone or has changed.
    """
    values = dict(draw)
    kind = values.pop("kind", None)
    models: dict[str, type[Microphone]] = {
        "ideal": IdealMicrophone,
        "tetrahedral": TetrahedralMicrophone,
        "sphere": MeasuredArrayMicrophone if "file" in values else RigidSphereMicrophone,
    }
    if str(kind) not in models:
        raise InputError(
            f"A microphone's draw must be of kind {', '.join(KINDS[:3])}. Received: {kind!r}"
        )
    try:
        return models[kind](**values)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"This is no draw of a {kind} microphone: {error}") from error


def _draw_tetrahedral(
    rng: np.random.Generator, settings: MicrophoneSettings
) -> TetrahedralMicrophone:
    looks = capsule_directions(DEFAULT_LAYOUT)
    looks = looks + np.cross(rng.normal(0.0, settings.orientation_tolerance, (4, 3)), looks)
    looks /= np.linalg.norm(looks, axis=-1, keepdims=True)
    pattern = rng.uniform(*settings.pattern)
    corner = _log_uniform(rng, settings.capsule_corner)
    spread = 1.0 + settings.capsule_corner_tolerance * rng.uniform(-1, 1, 4) * np.sqrt(3.0)
    limit = float(rng.uniform(*settings.driver_limit_db))
    return TetrahedralMicrophone(
        radius=float(rng.uniform(*settings.radius)),
        pattern=float(pattern),
        patterns=tuple(np.clip(pattern + rng.normal(0.0, settings.pattern_tolerance, 4), 0.0, 1.0)),
        gains_db=tuple(settings.gain_tolerance_db * rng.uniform(-1.0, 1.0, 4)),
        delays=tuple(rng.normal(0.0, settings.delay_tolerance, 4)),
        offsets=tuple(rng.normal(0.0, settings.position_tolerance, (4, 3))),
        orientations=tuple(looks),
        gradient_corner=_log_uniform(rng, settings.gradient_corner),
        capsule_corners=tuple(corner * spread),
        driver_limit_db=limit if rng.random() < settings.driver_share else None,
    )


def _draw_sphere(
    rng: np.random.Generator, settings: MicrophoneSettings, encoder: dict[str, Any]
) -> RigidSphereMicrophone:
    capsules = int(rng.choice(LAYOUTS))
    gains = settings.sphere_gain_tolerance_db * rng.uniform(-1.0, 1.0, capsules)
    return RigidSphereMicrophone(
        capsules=capsules,
        radius=float(rng.uniform(*settings.sphere_radius)),
        rotation=tuple(random_rotation(rng)),
        gains_db=tuple(gains),
        offsets=tuple(rng.normal(0.0, settings.sphere_position_tolerance, (capsules, 3))),
        **encoder,
    )


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
