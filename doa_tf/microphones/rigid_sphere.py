"""Capsules on a rigid sphere, encoded to AmbiX with regularised radial filters.

The pressure of a plane wave from u on a sphere of radius a, at the unit vector d, is

    p(f) = sum over n of (2n + 1) b_n(ka) P_n(d.u),    b_n(x) = j^n (-j) / (x^2 h_n'(x))

with the spherical Hankel functions h_n of the second kind (spectra as in numpy.fft). For small ka
this is 1 + 1.5 j ka d.u. The encoder solves the spherical harmonics of the order that the capsules
allow, in the least-squares sense, and divides those of order n by b_n, regularised:

    1 / b_n * (1 + s)^-q,    s = max over n of |b_n|^2 * 10^(regularisation_db / 10) / |b_n|^2.

q = 1 is Tikhonov's regularisation, q = 1/2 limits gains softly. Low dipoles (|b_1| = ka / 2) are
what it costs. A measured sphere of 42 mm with 32 capsules has them 7.7 dB low at 125 Hz, 3.2 dB at
250 Hz and 1.1 dB at 500 Hz; the defaults here give 7.6, 3.1 and 0.8 dB.

References:
    E. G. Williams, "Fourier Acoustics", Academic Press, 1999, chapter 6 (with the other sign of
    time). S. Moreau, J. Daniel, S. Bertet, "3D sound field recording with higher order Ambisonics",
    AES 120th Convention, 2006 (regularised radial filters).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones.base import SPEED_OF_SOUND, Microphone, set_arrays
from doa_tf.spherical_harmonics import legendre, spherical_harmonics

REGULARISATION_DB = -21.0  # with `STEEPNESS`, the measured sphere's
STEEPNESS = 0.6
SN3D = np.array([1.0, *3 * [1.0 / np.sqrt(3.0)]])  # gains of the first order, from N3D
_ORDERS = {12: 2, 20: 3, 32: 4}  # capsules of a layout: order of its encoder
LAYOUTS = tuple(_ORDERS)
_EXTRA_ORDERS = 8  # beyond ka, below -100 dB
_NOISE_FREQUENCIES = 256


def sphere_layout(capsules: int) -> np.ndarray:
    """(Q, 3) unit vectors of evenly spread capsules.

    Args:
        capsules: 12 (corners of an icosahedron), 20 (of a dodecahedron) or 32 (both).

    Raises:
        ValueError: another number.
    """
    if capsules not in _ORDERS:
        allowed = ", ".join(map(str, _ORDERS))
        raise ValueError(f"`capsules` must be one of {allowed}. Received: {capsules}")
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    signs = np.array([-1.0, 1.0])
    cyclic = [np.roll(np.eye(3), shift, axis=1) for shift in range(3)]

    def corners(first: float, second: float) -> np.ndarray:
        rows = [[0.0, a * first, b * second] for a in signs for b in signs]
        return np.concatenate([np.array(rows) @ turn for turn in cyclic])

    icosahedron = corners(1.0, golden)
    cube = np.stack(np.meshgrid(signs, signs, signs), axis=-1).reshape(-1, 3)
    dodecahedron = np.concatenate([cube, corners(golden, 1.0 / golden)])
    layout = {12: [icosahedron], 20: [dodecahedron], 32: [icosahedron, dodecahedron]}[capsules]
    return np.concatenate([p / np.linalg.norm(p, axis=-1, keepdims=True) for p in layout])


def radial_response(ka: np.ndarray, order: int) -> np.ndarray:
    """(N + 1, F) complex b_0 to b_N of a rigid sphere.

    Args:
        ka: (F,) wave number times radius, at least 0.
        order: N.
    """
    x = np.maximum(np.asarray(ka, np.float64), 1e-6)  # b_n is regular at 0, its factors are not
    # The recurrence upwards is stable for h_n, as it would not be for j_n alone.
    below: np.ndarray = np.exp(-1j * x) / x  # h_-1
    hankel: np.ndarray = 1j * np.exp(-1j * x) / x  # h_0
    radial = np.empty((order + 1, len(x)), np.complex128)
    with np.errstate(over="ignore", invalid="ignore"):
        for n in range(order + 1):
            slope = below - (n + 1) / x * hankel
            radial[n] = 1j**n * -1j / (x**2 * slope)
            below, hankel = hankel, (2 * n + 1) / x * hankel - below
    # Orders far beyond ka may overflow in h_n: they contribute nothing to the field.
    return np.where(np.isfinite(radial), radial, 0.0)


def sphere_pressure(
    directions: np.ndarray, frequencies: np.ndarray, *, capsules: np.ndarray, radius: float
) -> np.ndarray:
    """(F, I, Q) complex pressure of plane waves at the capsules of a rigid sphere.

    The phase is relative to the centre of the sphere.

    Args:
        directions: (I, 3) unit vectors towards the sources.
        frequencies: (F,) [hertz].
        capsules: (Q, 3) unit vectors.
        radius: [metres].
    """
    ka = 2.0 * np.pi * np.asarray(frequencies) * radius / SPEED_OF_SOUND
    order = int(np.ceil(ka.max())) + _EXTRA_ORDERS
    degrees = 2.0 * np.arange(order + 1)[:, np.newaxis] + 1.0
    radial = degrees * radial_response(ka, order)
    polynomials = legendre(np.asarray(directions) @ np.asarray(capsules).T, order)
    return np.tensordot(radial.T, polynomials, axes=1)


def rigid_sphere_responses(
    directions: np.ndarray, *, capsules: np.ndarray, radius: float, taps: int = 256
) -> np.ndarray:
    """(I, Q, N) impulse responses at 16 kHz of the capsules of a rigid sphere.

    They arrive at the centre of the N samples, as if measured at some distance.

    Args:
        directions: (I, 3) unit vectors towards the sources.
        capsules: (Q, 3) unit vectors.
        radius: [metres].
        taps: N.
    """
    frequencies = np.fft.rfftfreq(taps, 1.0 / SAMPLE_RATE)
    spectrum = sphere_pressure(directions, frequencies, capsules=capsules, radius=radius)
    responses = np.fft.irfft(np.moveaxis(spectrum, 0, -1), taps)
    return np.asarray(np.roll(responses, taps // 2, axis=-1))


@dataclass(frozen=True, kw_only=True)
class RigidSphereMicrophone(Microphone):
    """A rigid sphere with capsules, modelled analytically.

    Attributes:
        capsules: 12, 20 or 32; the encoder solves orders up to 2, 3 and 4.
        radius: [metres].
        regularisation_db: of the radial filters, see the module's docstring.
        steepness: q of the module's docstring, in [0.5, 1].
        rotation: (3, 3) turns the layout.
        gains_db: (Q,) gains of the capsules, which the encoder does not know; None for 0.
        offsets: (Q, 3) [radians] small turns of the capsules on the sphere, which the encoder does
            not know; None for none.
    """

    kind: ClassVar[str] = "sphere"

    capsules: int = 32
    radius: float = 0.042
    regularisation_db: float = REGULARISATION_DB
    steepness: float = STEEPNESS
    rotation: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    gains_db: tuple[float, ...] | None = None
    offsets: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        sphere_layout(self.capsules)  # checks the number
        if not 0.0 < self.radius < np.inf:
            raise ValueError(f"`radius` must be positive. Received: {self.radius}")
        check_regularisation(self.regularisation_db, self.steepness)
        count = self.capsules
        set_arrays(self, {"rotation": (3, 3), "gains_db": (count,), "offsets": (count, 3)})

    def response(self, directions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """(F, I, 4) complex64, as `Microphone.response` has it."""
        ka = 2.0 * np.pi * np.asarray(frequencies, np.float64) * self.radius / SPEED_OF_SOUND
        order = int(np.ceil(ka.max())) + _EXTRA_ORDERS
        radial = radial_response(ka, order)
        capsules, encoder = self._capsules(), self._encoder()
        if self.offsets is not None:
            capsules = capsules + np.cross(np.array(self.offsets), capsules)
            capsules /= np.linalg.norm(capsules, axis=-1, keepdims=True)
        if self.gains_db is not None:
            encoder = encoder * 10.0 ** (np.array(self.gains_db) / 20.0)
        # Each order of the field, as the encoder without radial filters gives it.
        heard = legendre(np.asarray(directions) @ capsules.T, order) @ encoder.T  # (N + 1, I, 4)
        degrees = 2.0 * np.arange(order + 1)[:, np.newaxis] + 1.0
        field = (degrees * radial)[:, np.newaxis] * self._radial_filters(radial)
        channels = np.empty((4, len(ka), heard.shape[1]), np.complex64)
        for channel in range(4):
            orders = field[:, channel].T.astype(np.complex64)
            np.matmul(orders, heard[:, :, channel].astype(np.complex64), out=channels[channel])
        return np.moveaxis(channels, 0, -1)

    @property
    def noise_gains(self) -> np.ndarray:
        """(4,) of white capsule noise through encoder and radial filters, over 0 to 8 kHz."""
        frequencies = np.linspace(0.0, SAMPLE_RATE / 2, _NOISE_FREQUENCIES)
        ka = 2.0 * np.pi * frequencies * self.radius / SPEED_OF_SOUND
        filters = self._radial_filters(radial_response(ka, _ORDERS[self.capsules]))
        power = np.mean(np.abs(filters) ** 2, axis=-1)
        gains = np.linalg.norm(self._encoder(), axis=-1) * np.sqrt(power)
        return gains / gains[0]

    @property
    def draw(self) -> dict[str, Any]:
        """All attributes."""
        return {"kind": self.kind, **asdict(self)}

    def _capsules(self) -> np.ndarray:
        return sphere_layout(self.capsules) @ np.array(self.rotation).T

    def _encoder(self) -> np.ndarray:
        """(4, Q) capsules to AmbiX, without radial filters."""
        return capsules_to_ambix(self._capsules(), _ORDERS[self.capsules])

    def _radial_filters(self, radial: np.ndarray) -> np.ndarray:
        """(4, F) filters of the channels from (N + 1, F) b_n."""
        filters = radial_filters(radial, self.regularisation_db, self.steepness)
        return filters[[0, 1, 1, 1]]


def capsules_to_ambix(capsules: np.ndarray, order: int) -> np.ndarray:
    """(4, Q) capsules of a sphere to AmbiX, before radial filters.

    Args:
        capsules: (Q, 3) unit vectors.
        order: that is solved, whose harmonics are no more than the capsules.
    """
    harmonics = spherical_harmonics(capsules, order)
    return np.asarray(SN3D[:, np.newaxis] * np.linalg.pinv(harmonics)[:4])


def radial_filters(
    radial: np.ndarray,
    regularisation_db: float = REGULARISATION_DB,
    steepness: float = STEEPNESS,
) -> np.ndarray:
    """(2, F) complex filters of W, and of Y, Z and X, from (N + 1, F) b_n."""
    power = np.abs(radial) ** 2
    floor = power.max(axis=0) * 10.0 ** (regularisation_db / 10.0)
    return regularised_inverse(power[:2], floor, steepness) * radial[:2].conj()


def check_regularisation(regularisation_db: float, steepness: float) -> None:
    """Check the parameters of `regularised_inverse`.

    Raises:
        ValueError: a level that is not finite, or a steepness out of range.
    """
    if not np.isfinite(regularisation_db) or not 0.5 <= steepness <= 1.0:
        raise ValueError(
            "`regularisation_db` must be finite and `steepness` between 0.5 and 1. Received: "
            f"regularisation_db={regularisation_db}, steepness={steepness}"
        )


def regularised_inverse(power: np.ndarray, floor: np.ndarray, steepness: float) -> np.ndarray:
    """1 / power * (1 + floor / power)^-steepness, 0 where there is no power.

    Args:
        power: (..., F) squared magnitude of what is inverted.
        floor: (..., F) power below which the inverse is limited.
        steepness: 1 for Tikhonov's regularisation, 1/2 for a soft limit of the gain.
    """
    safe = np.where(power > 0.0, power, 1.0)
    return np.where(power > 0.0, (1.0 + floor / safe) ** -steepness / safe, 0.0)
