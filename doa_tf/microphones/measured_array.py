"""A measured array from a SOFA file, encoded to AmbiX by regularised least squares.

The measured responses of each capsule are fitted by spherical harmonics Y (least squares with a
penalty that grows with the degree), which both gives the response to directions between the
measured ones and evens out an uneven grid. With S the (harmonics x capsules) coefficients at one
frequency, the encoder E minimises the mean over all directions of |E d(u) - y(u)|^2:

    E = B G^-1,    G = S^T conj(S),    B the first four rows of conj(S), scaled to SN3D.

G^-1 is regularised on its eigenvalues as the radial filters of `doa_tf.microphones.rigid_sphere`
are, relative to the largest at that frequency. `_FLOOR_DB` keeps the encoder from amplifying what
is below the noise of the measurement.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.files import sha256
from doa_tf.microphones import rigid_sphere
from doa_tf.microphones.array_checks import check_directions, check_fit, check_hearing
from doa_tf.microphones.base import Microphone, uniform_step
from doa_tf.microphones.sofa_file import SofaReading, told
from doa_tf.spherical_harmonics import spherical_harmonics

_MAX_ORDER = 10  # of the fit: ka is 6 at 8 kHz for a sphere of 42 mm
_PENALTY = 1e-4  # of the fit, times n (n + 1): below what measurements repeat to
_FLOOR_DB = -50.0  # of the largest eigenvalue over all frequencies


@dataclass(frozen=True, kw_only=True)
class MeasuredArrayMicrophone(Microphone):
    """A microphone array whose responses were measured.

    Attributes:
        file: SOFA file with the responses of its capsules per direction.
        digest: SHA-256 that the file must have; None for any.
        regularisation_db: of the encoder, relative to the largest eigenvalue.
        steepness: of the regularisation, in [0.5, 1].
        sofa_units, sofa_angles: `units` and `angles` of a `SofaReading` of the file.

    Raises:
        InputError: a file that cannot be read, or another than `digest` says; an array that was not
            measured all around, or from which first-order Ambisonics cannot be made.
    """

    kind: ClassVar[str] = "sphere"

    file: str
    digest: str | None = None
    regularisation_db: float = rigid_sphere.REGULARISATION_DB
    steepness: float = rigid_sphere.STEEPNESS
    sofa_units: tuple[str, ...] = ()
    sofa_angles: str | None = None

    def __post_init__(self) -> None:
        rigid_sphere.check_regularisation(self.regularisation_db, self.steepness)
        found = _digest(self.file)
        if self.digest not in (None, found):
            raise InputError(
                f"{self.file} is not the file that this microphone was drawn from: its SHA-256 is "
                f"{found}, not {self.digest}"
            )
        object.__setattr__(self, "digest", found)
        object.__setattr__(self, "sofa_units", tuple(self.sofa_units))
        _check(self._source)

    def response(self, directions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """(F, I, 4) complex64, as `Microphone.response` has it."""
        frequencies = np.asarray(frequencies, np.float64)
        field = _field(self, frequencies.tobytes())
        order = int(np.sqrt(field.shape[-1])) - 1
        harmonics = spherical_harmonics(directions, order).T.astype(np.complex64)
        return np.moveaxis(field @ harmonics, 0, -1)

    @property
    def noise_gains(self) -> np.ndarray:
        """(4,) of white capsule noise through the encoder, over 0 to 8 kHz."""
        gains = np.sqrt(np.mean(np.sum(np.abs(self.encoder()) ** 2, -1), axis=0))
        return gains / gains[0]

    @property
    def draw(self) -> dict[str, Any]:
        """The file, its digest, the regularisation and, where it is told, how the file is read."""
        values = {"kind": self.kind, **asdict(self)}
        del values["sofa_units"], values["sofa_angles"]
        return {**values, **told(self._source.reading)}

    def harmonics(self, frequencies: np.ndarray) -> np.ndarray:
        """(4, F, H) complex64 spherical harmonics of each channel's directivity.

        Args:
            frequencies: (F,) [hertz].
        """
        coefficients, _ = self._array()
        field = coefficients @ self.encoder().swapaxes(-1, -2)  # (bins, H, 4)
        size = 2 * (len(coefficients) - 1)
        taps = np.roll(np.fft.irfft(field.T, size), size // 2, axis=-1)  # centred
        return np.ascontiguousarray(_spectrum(taps, frequencies).swapaxes(1, 2), np.complex64)

    def encoder(self) -> np.ndarray:
        """(bins, 4, Q) complex encoder from capsules to AmbiX, at the bins of an even transform."""
        return _encoder(self._source, self.regularisation_db, self.steepness)

    @property
    def _source(self) -> _Source:
        reading = SofaReading(units=self.sofa_units, angles=self.sofa_angles)
        return _Source(self.file, str(self.digest), reading)

    def _array(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        return _array(self._source)


SphereMicrophone = MeasuredArrayMicrophone  # its name in doa_tf 0.1


@dataclass(frozen=True)
class _Source:
    """What the responses of an array depend on."""

    file: str
    digest: str
    reading: SofaReading


@lru_cache(maxsize=4)
def _check(source: _Source) -> None:
    """Raise InputError where an array cannot become first-order Ambisonics; once for a file."""
    encoder = _encoder(source, rigid_sphere.REGULARISATION_DB, rigid_sphere.STEEPNESS)
    check_hearing(source.file, _array(source)[0], encoder)


@lru_cache(maxsize=4)
def _encoder(source: _Source, regularisation_db: float, steepness: float) -> np.ndarray:
    """(bins, 4, Q) encoder by the formula of the module's docstring."""
    coefficients, (values, vectors) = _array(source)
    floor = values[:, -1] * 10.0 ** (regularisation_db / 10.0)
    floor = np.maximum(floor, values.max() * 10.0 ** (_FLOOR_DB / 10.0))[:, np.newaxis]
    inverse = rigid_sphere.regularised_inverse(values, floor, steepness)[:, np.newaxis]
    target = rigid_sphere.SN3D[:, np.newaxis] * coefficients[:, :4].conj()
    return (target @ vectors) * inverse @ vectors.conj().swapaxes(-1, -2)


def _spectrum(taps: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """(..., F) of centred (..., N) taps, their middle being time zero."""
    size = taps.shape[-1]
    step = uniform_step(frequencies)
    length = 0 if step is None else round(SAMPLE_RATE / step)
    exact = step is not None and abs(length * step - SAMPLE_RATE) < 1e-6 * SAMPLE_RATE
    if not exact or len(frequencies) > length // 2 + 1:
        times = (np.arange(size) - size // 2) / SAMPLE_RATE
        return taps @ np.exp(-2j * np.pi * times[:, np.newaxis] * frequencies)
    finer = -(-size // length)  # a grid too coarse for the taps is every so many bins of a finer
    padded = np.zeros((*taps.shape[:-1], length * finer))
    padded[..., :size] = taps
    padded = np.roll(padded, -(size // 2), axis=-1)
    return np.fft.rfft(padded)[..., ::finer][..., : len(frequencies)]


def _digest(file: str) -> str:
    try:
        status = os.stat(file)
        return _digest_of(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"{file} must be a SOFA file of a microphone array. Received: {error.strerror}"
        ) from error


@lru_cache(maxsize=2)
def _field(microphone: MeasuredArrayMicrophone, frequencies: bytes) -> np.ndarray:
    """`harmonics`, kept: directions come in many parts, always with the same frequencies."""
    return microphone.harmonics(np.frombuffer(frequencies))


@lru_cache(maxsize=16)
def _digest_of(file: str, _size: int, _modified: int) -> str:
    """SHA-256, read anew when the file's size or time changes."""
    return sha256(file)


@lru_cache(maxsize=4)
def _array(source: _Source) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(bins, H, Q) harmonics of a file's capsules; (bins, Q) eigenvalues and their vectors of G."""
    from doa_tf.microphones.sofa_array import read_array

    array = read_array(source.file, reading=source.reading)
    check_directions(source.file, array.directions)
    check_fit(source.file, array)
    count = len(array.directions)
    order = min(_MAX_ORDER, int(np.sqrt(count / 1.5)) - 1)
    basis = spherical_harmonics(array.directions, order)
    degrees = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    normal = basis.T @ basis / count + _PENALTY * np.diag(degrees * (degrees + 1.0))
    responses = array.responses.reshape(count, -1)
    fitted = np.linalg.solve(normal, basis.T @ responses / count)
    fitted = fitted.reshape(len(degrees), *array.responses.shape[1:])
    taps = fitted.shape[-1]
    size = 1 << (taps + 255).bit_length()  # room for the encoder's own response
    # The bulk delay of the measurement: the loudspeaker's distance is no part of the array.
    arrival = int(np.argmax(np.sum(fitted[0] ** 2, axis=0)))
    padded = np.zeros((*fitted.shape[:-1], size))
    padded[..., :taps] = fitted
    spectrum = np.fft.rfft(np.roll(padded, -arrival, axis=-1))
    coefficients = np.ascontiguousarray(np.moveaxis(spectrum, -1, 0))
    values, vectors = np.linalg.eigh(coefficients.swapaxes(-1, -2) @ coefficients.conj())
    return coefficients, (np.maximum(values, 0.0), vectors)
