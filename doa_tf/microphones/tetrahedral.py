"""Four first-order capsules on a small tetrahedron, converted to AmbiX as a driver does.

Capsule i at p_i, looking along o_i, hears of a plane wave from u

    g_i H_i(f) [a_i + (1 - a_i) G(f) o_i.u] exp(2j pi f (p_i.u / c - t_i))

with gain g_i, pattern a_i (share of the omnidirectional part, 0.5 a cardioid), delay t_i, and two
first-order high-passes: H_i, the capsule's own lower limit, slightly different in each capsule;
and G, of the gradient part alone. G is why dipoles are low at low frequencies: a gradient falls by
6 dB an octave towards them, and a diaphragm compensates only down to some corner, below which the
capsule becomes omnidirectional.

The driver applies the matrix of coincident capsules and, if it has any, its equalisation: the
inverse of what four perfect capsules of the nominal pattern at the nominal radius r make of the
omnidirectional part of W and of the first-order part of the dipoles,

    w(f) = j0(kr) + j (1 - a) / a G j1(kr)
    d(f) = 3 j a / (1 - a) j1(kr) + G (j0(kr) - 2 j2(kr))

with a gain of at most `driver_limit_db`. Above kr = 1 to 2 the capsules are too far apart: with or
without equalisation there is spatial aliasing.

References:
    M. A. Gerzon, "The design of precisely coincident microphone arrays for stereo and surround
    sound", AES 50th Convention, 1975
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from doa_core.ambisonics import DEFAULT_LAYOUT, capsule_directions, tetrahedral_to_ambix_matrix
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import SPEED_OF_SOUND, Microphone, set_arrays, uniform_step

_BLOCK = 32  # powers of a phase that are multiplied with powers of its 32nd power
_NOISE_FREQUENCIES = 256
_SHAPES = {
    **dict.fromkeys(("patterns", "gains_db", "delays", "capsule_corners"), (4,)),
    **dict.fromkeys(("offsets", "orientations"), (4, 3)),
}


@dataclass(frozen=True, kw_only=True)
class TetrahedralMicrophone(Microphone):
    """Four first-order capsules with tolerances; the defaults have none.

    Attributes:
        radius: [metres] nominal distance of the capsules from the centre; 0 for coincident ones.
        pattern: nominal omnidirectional share a of the capsules, in (0, 1).
        patterns: (4,) actual shares of the capsules.
        gains_db: (4,) gains of the capsules.
        delays: (4,) [seconds] of the capsules (phase tolerance).
        offsets: (4, 3) [metres] from the nominal places.
        orientations: (4, 3) unit vectors along which the capsules look.
        gradient_corner: [hertz] of G; 0 for none.
        capsule_corners: (4,) [hertz] of H; 0 for none.
        driver_limit_db: highest gain of the driver's equalisation; None for no equalisation.
    """

    kind: ClassVar[str] = "tetrahedral"

    radius: float = 0.0
    pattern: float = 0.5
    patterns: tuple[float, ...] | None = None
    gains_db: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    delays: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    offsets: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0),) * 4
    orientations: tuple[tuple[float, ...], ...] | None = None
    gradient_corner: float = 0.0
    capsule_corners: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    driver_limit_db: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.pattern < 1.0:
            raise ValueError(f"`pattern` must lie between 0 and 1. Received: {self.pattern}")
        if self.patterns is None:
            object.__setattr__(self, "patterns", 4 * (self.pattern,))
        if self.orientations is None:
            object.__setattr__(self, "orientations", capsule_directions(DEFAULT_LAYOUT))
        set_arrays(self, _SHAPES)
        limit = self.driver_limit_db
        if limit is not None and not 0.0 <= limit < np.inf:
            raise ValueError(f"`driver_limit_db` must not be negative. Received: {limit}")
        for name in ("radius", "gradient_corner"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ValueError(f"`{name}` must not be negative. Received: {getattr(self, name)}")

    def response(self, directions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """(F, I, 4) complex64, as `Microphone.response` has it."""
        directions = np.asarray(directions, np.float64)
        frequencies = np.asarray(frequencies, np.float64)
        places = self.radius * capsule_directions(DEFAULT_LAYOUT) + np.asarray(self.offsets)
        # (4, I): by how much earlier each capsule hears each wave
        lead = places @ directions.T / SPEED_OF_SOUND - np.array(self.delays)[:, np.newaxis]
        facing = (np.array(self.orientations) @ directions.T).astype(np.float32)
        gain = 10.0 ** (np.array(self.gains_db) / 20.0)[:, np.newaxis]
        gain = gain * _high_pass(frequencies, np.array(self.capsule_corners)[:, np.newaxis])
        share = np.array(self.patterns)[:, np.newaxis]
        omni = (gain * share).astype(np.complex64)  # (4, F)
        gradient = gain * (1.0 - share) * _high_pass(frequencies, self.gradient_corner)
        gradient = gradient.astype(np.complex64)
        capsules = phases(lead, frequencies)
        scratch = np.empty_like(capsules[0])
        for capsule in range(4):
            np.multiply(gradient[capsule, :, np.newaxis], facing[capsule], out=scratch)
            scratch += omni[capsule, :, np.newaxis]
            capsules[capsule] *= scratch
        matrix = tetrahedral_to_ambix_matrix(DEFAULT_LAYOUT, pattern=self.pattern)
        shape = capsules.shape
        # A real matrix for real and imaginary parts: half the multiplications of a complex one.
        parts = capsules.reshape(4, -1).view(np.float32)
        channels = (matrix.astype(np.float32) @ parts).view(np.complex64).reshape(shape)
        driver = self._driver(frequencies)
        if driver is not None:
            channels *= driver.astype(np.complex64)[:, :, np.newaxis]
        return np.moveaxis(channels, 0, -1)

    @property
    def noise_gains(self) -> np.ndarray:
        """(4,) of white capsule noise through matrix and equalisation, over 0 to 8 kHz."""
        matrix = tetrahedral_to_ambix_matrix(DEFAULT_LAYOUT, pattern=self.pattern)
        gains = np.linalg.norm(matrix, axis=-1)
        driver = self._driver(np.linspace(0.0, SAMPLE_RATE / 2, _NOISE_FREQUENCIES))
        if driver is not None:
            gains = gains * np.sqrt(np.mean(np.abs(driver) ** 2, axis=-1))
        return gains / gains[0]

    @property
    def draw(self) -> dict[str, Any]:
        """All attributes."""
        return {"kind": self.kind, **asdict(self)}

    def _driver(self, frequencies: np.ndarray) -> np.ndarray | None:
        """(4, F) equalisation of the channels; None for none."""
        if self.driver_limit_db is None:
            return None
        nominal = self.nominal_response(frequencies)
        limit = 10.0 ** (self.driver_limit_db / 20.0)
        magnitude = np.maximum(np.abs(nominal), 1e-12)
        inverse = nominal.conj() / magnitude * np.minimum(1.0 / magnitude, limit)
        return inverse[[0, 1, 1, 1]]

    def nominal_response(self, frequencies: np.ndarray) -> np.ndarray:
        """(2, F) w(f) and d(f) of the module's docstring: what the driver equalises."""
        from scipy.special import spherical_jn

        kr = 2.0 * np.pi * np.asarray(frequencies) * self.radius / SPEED_OF_SOUND
        j0, j1, j2 = (spherical_jn(order, kr) for order in range(3))
        gradient = _high_pass(frequencies, self.gradient_corner)
        ratio = self.pattern / (1.0 - self.pattern)
        omni = j0 + 1j / ratio * gradient * j1
        return np.stack([omni, 3j * ratio * j1 + gradient * (j0 - 2.0 * j2)])


def phases(lead: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """(Q, F, I) complex64 exp(2j pi f lead), from few exponentials on a uniform grid from 0.

    Args:
        lead: (Q, I) [seconds].
        frequencies: (F,) [hertz].
    """
    step = uniform_step(frequencies)
    turns = 2j * np.pi * lead[:, np.newaxis, :]
    if step is None:
        return np.exp(turns * frequencies[:, np.newaxis]).astype(np.complex64)
    blocks = -(-len(frequencies) // _BLOCK)
    fine = np.exp(turns * (step * np.arange(_BLOCK))[:, np.newaxis]).astype(np.complex64)
    coarse = turns * (step * _BLOCK * np.arange(blocks))[:, np.newaxis]
    coarse = np.exp(coarse).astype(np.complex64)
    grid = coarse[:, :, np.newaxis] * fine[:, np.newaxis]
    return grid.reshape(len(lead), blocks * _BLOCK, -1)[:, : len(frequencies)]


def _high_pass(frequencies: np.ndarray, corner: np.ndarray | float) -> np.ndarray:
    """First-order high-pass j f / (j f + corner); one everywhere for a corner of 0."""
    corner = np.asarray(corner, np.float64)
    ratio = np.maximum(frequencies, 1e-9)  # at 0 Hz without a corner: one, not 0 / 0
    return 1j * ratio / (1j * ratio + corner)
