"""Opening and writing SOFA files (AES69): geometry, delays and sample rate of any convention.

SOFA's azimuth is counter-clockwise from x (forward), y is left, z is up, elevation is up from the
horizon, as in this package. Sources are placed in the axes of the room; the listener's position,
view (x) and up (z) turn them into the microphone's axes.

References:
    AES69-2022, "AES standard for file exchange - Spatial acoustic data file format"
"""

from __future__ import annotations

import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.angles import angles_to_vector
from doa_core.errors import InputError, MissingPackageError, one_line
from doa_core.files import write_beside
from doa_core.spec import SAMPLE_RATE

_PAD = 0.01  # seconds of silence on both sides of a response that is shifted or resampled
_SAMPLE_RATES = (8_000, 400_000)  # hertz


def load_sofar() -> Any:
    """The module sofar.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import sofar
    except ImportError as error:
        raise MissingPackageError("sofar", "train", error) from error
    return sofar


def open_sofa(path: str | Path, *, conventions: tuple[str, ...]) -> Any:
    """Open a SOFA file of one of several conventions, which has impulse responses.

    Args:
        path: a .sofa file.
        conventions: that are allowed.

    Raises:
        InputError: not a SOFA file, another convention, or no impulse responses.
        MissingPackageError: sofar is not installed.
    """
    sofar = load_sofar()
    path = Path(path)
    if path.suffix != ".sofa" or not path.is_file():
        raise InputError(f"A SOFA file must exist and be named FILE.sofa. Received: {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated versions: read as they are
            sofa = sofar.read_sofa(str(path), verify=False, verbose=False)
    # What sofar and netCDF4 raise for a foreign file, a broken one, and an unknown convention.
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as a SOFA file: {one_line(error)}") from error
    convention = getattr(sofa, "GLOBAL_SOFAConventions", None)
    if convention not in conventions:
        raise InputError(
            f"{path} must follow one of the SOFA conventions {', '.join(conventions)}. "
            f"Received: {convention}"
        )
    if not hasattr(sofa, "Data_IR"):
        raise InputError(f"{path} must hold impulse responses (Data.IR). Received: none")
    return sofa


def impulse_responses(sofa: Any, path: str | Path, *, silence: bool) -> tuple[np.ndarray, int]:
    """(M, R, N) responses at 16 kHz with their delays applied, and the number of emitters E.

    A measurement of E emitters becomes E measurements, one after the other. Resampled responses
    are scaled so that they keep their gain as filters.

    Args:
        sofa: of `open_sofa`.
        path: for messages.
        silence: pad each response with 10 ms before and after it, where filters may ring.

    Raises:
        InputError: values that are missing or not finite, an impossible shape or sample rate.
    """
    import soxr

    responses = _values(sofa, "Data_IR", path)
    if responses.ndim not in (3, 4) or 0 in responses.shape:
        raise InputError(
            f"{path} must hold Data.IR of shape (measurements, receivers, samples), or with "
            f"emitters last. Received: {responses.shape}"
        )
    emitters = responses.shape[3] if responses.ndim == 4 else 1
    if responses.ndim == 4:
        responses = np.moveaxis(responses, 3, 1).reshape(-1, *responses.shape[1:3])
    rates = np.unique(_values(sofa, "Data_SamplingRate", path))
    low, high = _SAMPLE_RATES
    if len(rates) != 1 or not low <= rates[0] <= high:
        raise InputError(
            f"{path} must have one sample rate between {low} and {high} Hz. Received: {rates}"
        )
    rate = float(rates[0])
    delays = _delays(sofa, path, responses.shape, emitters)
    pad = round(_PAD * rate) if silence else 0
    if np.any(delays):
        responses = _delayed(responses, delays)
    if pad:
        responses = np.pad(responses, ((0, 0), (0, 0), (pad, pad)))
    if rate != SAMPLE_RATE:
        resampled = [soxr.resample(r.T, rate, SAMPLE_RATE, quality="VHQ").T for r in responses]
        responses = rate / SAMPLE_RATE * np.stack(resampled)
    return responses, emitters


def source_offsets(sofa: Any, path: str | Path, measurements: int, emitters: int) -> np.ndarray:
    """(M, 3) [metres] from the listener to the sources, in the listener's axes.

    Args:
        sofa: of `open_sofa`.
        path: for messages.
        measurements: M, emitters counted one by one.
        emitters: E.

    Raises:
        InputError: positions that are missing or contradict each other, a source in the listener.
    """
    rows = measurements // emitters
    sources = np.repeat(_placed(sofa, "Source", path, rows), emitters, axis=0)
    if emitters > 1:
        parts = positions(sofa, "EmitterPosition", path)
        if parts.shape != (emitters, 3):
            raise InputError(
                f"{path} must give one EmitterPosition for each of its {emitters} emitters. "
                f"Received: {parts.shape}"
            )
        turns = np.repeat(_axes(sofa, "Source", path, rows), emitters, axis=0)
        # Emitters are placed in the axes of their source.
        sources = sources + np.einsum("mab,ma->mb", turns, np.tile(parts, (rows, 1)))
    listeners = listener_positions(sofa, path, measurements, emitters)
    axes = np.repeat(_axes(sofa, "Listener", path, rows), emitters, axis=0)
    offsets = np.einsum("mab,mb->ma", axes, sources - listeners)
    if np.any(np.linalg.norm(offsets, axis=-1) < 1e-6):
        raise InputError(f"{path} has a source in the same place as the listener")
    return offsets


def listener_positions(sofa: Any, path: str | Path, measurements: int, emitters: int) -> np.ndarray:
    """(M, 3) [metres] where the microphone is, in the axes of the room."""
    listeners = _placed(sofa, "Listener", path, measurements // emitters)
    return np.repeat(listeners, emitters, axis=0)


def positions(sofa: Any, name: str, path: str | Path) -> np.ndarray:
    """(..., 3) [metres] cartesian coordinates of a position of the file, spherical or not.

    Raises:
        InputError: missing, not finite, or in units that SOFA does not have.
    """
    kind = getattr(sofa, f"{name}_Type", "cartesian")
    units = getattr(sofa, f"{name}_Units", "")
    return _cartesian(_values(sofa, name, path), str(kind), str(units), f"{path}: {name}")


def _cartesian(values: np.ndarray, kind: str, units: str, name: str) -> np.ndarray:
    """(..., 3) [metres] cartesian coordinates of rows in SOFA's type and units."""
    if values.ndim == 3 and values.shape[-1] == 1:  # one value for all measurements
        values = values[..., 0]
    values = np.atleast_2d(values)
    if values.ndim != 2 or values.shape[-1] != 3:
        raise InputError(
            f"{name} must be rows of three coordinates, one for all measurements or one each. "
            f"Received: {values.shape}"
        )
    if kind == "cartesian":
        return values
    if kind not in ("spherical", "spherical harmonics") or not units.lower().startswith("degree"):
        raise InputError(
            f"{name} must be cartesian, or spherical in degrees. Received: {kind!r} in {units!r}"
        )
    azimuth, elevation, distance = values.T
    if np.any(np.abs(elevation) > 90.0 + 1e-6):
        raise InputError(
            f"{name} must have elevations between -90 and 90 degrees. "
            f"Received: {elevation.min():g} to {elevation.max():g}"
        )
    direction = angles_to_vector(np.radians(azimuth), np.radians(np.clip(elevation, -90.0, 90.0)))
    return np.asarray(direction * distance[:, np.newaxis])


def _axes(sofa: Any, who: str, path: str | Path, rows: int) -> np.ndarray:
    """(M, 3, 3) rows x, y, z of the axes of the listener or source, in those of the room."""
    view = np.array([[1.0, 0.0, 0.0]])
    up = np.array([[0.0, 0.0, 1.0]])
    if hasattr(sofa, f"{who}View"):
        view = positions(sofa, f"{who}View", path)
    if hasattr(sofa, f"{who}Up"):
        # The up vector has the type and the units of the view (AES69).
        kind = getattr(sofa, f"{who}View_Type", "cartesian")
        units = getattr(sofa, f"{who}View_Units", "")
        values = _values(sofa, f"{who}Up", path)
        up = _cartesian(values, str(kind), str(units), f"{path}: {who}Up")
    x = _rows(view, rows, f"{who}View", path)
    z = _rows(up, rows, f"{who}Up", path)
    y = np.cross(z, x)
    lengths = [np.linalg.norm(axis, axis=-1, keepdims=True) for axis in (x, y)]
    if min(length.min() for length in lengths) < 1e-6:
        raise InputError(f"{path} must hold a {who}View and a {who}Up that span a plane")
    x, y = x / lengths[0], y / lengths[1]
    # An up vector that is not perpendicular to the view is made so.
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _placed(sofa: Any, who: str, path: str | Path, rows: int) -> np.ndarray:
    return _rows(positions(sofa, f"{who}Position", path), rows, f"{who}Position", path)


def _rows(values: np.ndarray, rows: int, name: str, path: str | Path) -> np.ndarray:
    if len(values) not in (1, rows):
        raise InputError(
            f"{path} must hold one {name}, or one for each of its {rows} measurements. "
            f"Received: {len(values)}"
        )
    return np.broadcast_to(values, (rows, 3))


def _values(sofa: Any, name: str, path: str | Path) -> np.ndarray:
    """A variable of the file as finite floats."""
    label = name.replace("Data_", "Data.")
    if not hasattr(sofa, name):
        raise InputError(f"{path} must hold {label}. Received: none")
    try:
        values = np.ma.filled(np.ma.asarray(getattr(sofa, name), np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} must hold numbers in {label}: {one_line(error)}") from error
    if not np.all(np.isfinite(values)):
        raise InputError(f"{path} must hold finite numbers in {label}. Received: nan or infinity")
    return np.asarray(values)


def _delays(sofa: Any, path: str | Path, shape: tuple[int, ...], emitters: int) -> np.ndarray:
    """(M, R) [samples of the file]."""
    measurements, receivers, samples = shape
    if not hasattr(sofa, "Data_Delay"):
        return np.zeros((measurements, receivers))
    delays = _values(sofa, "Data_Delay", path)
    if delays.ndim == 3:
        delays = np.moveaxis(delays, 2, 1)
        delays = np.broadcast_to(delays, (delays.shape[0], emitters, delays.shape[2]))
        delays = delays.reshape(-1, delays.shape[2])
    elif delays.ndim == 2 and len(delays) > 1:
        delays = np.repeat(delays, emitters, axis=0)
    try:
        delays = np.broadcast_to(delays, (measurements, receivers))
    except ValueError as error:
        raise InputError(
            f"{path} must hold Data.Delay for one or all of {measurements} measurements and "
            f"{receivers} receivers. Received: {delays.shape}"
        ) from error
    if delays.min() < 0.0 or delays.max() > max(1e5, 10.0 * samples):
        raise InputError(
            f"{path} must hold a Data.Delay of at least 0 and not far beyond the responses. "
            f"Received: {delays.min():g} to {delays.max():g} samples"
        )
    return delays


def _delayed(responses: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """(M, R, N + longest delay) responses delayed by whole samples or fractions of them."""
    samples = responses.shape[-1] + int(np.ceil(delays.max()))
    if np.all(delays == np.round(delays)):
        delayed = np.zeros((*responses.shape[:-1], samples))
        for index in np.ndindex(delays.shape):
            start = int(delays[index])
            delayed[index][start : start + responses.shape[-1]] = responses[index]
        return delayed
    size = 2 * samples  # ringing before time zero wraps into the second half, which is cut off
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(size) * delays[..., np.newaxis])
    spectrum = np.fft.rfft(responses, size) * turns
    return np.asarray(np.fft.irfft(spectrum, size)[..., :samples])


def check_sofa_name(path: str | Path) -> None:
    """Raise InputError unless a path ends in .sofa."""
    if Path(path).suffix != ".sofa":
        raise InputError(f"A SOFA file must be named FILE.sofa. Received: {path}")


def new_sofa(convention: str, *, title: str) -> Any:
    """An empty `sofar.Sofa` of a convention, made by this program now."""
    sofa = load_sofar().Sofa(convention)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    sofa.GLOBAL_Title = title
    sofa.GLOBAL_DateCreated = sofa.GLOBAL_DateModified = now
    sofa.GLOBAL_ApplicationName = "doa-tf"
    return sofa


def write_sofa(path: str | Path, sofa: Any) -> None:
    """Write a `sofar.Sofa`; the file appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    with write_beside(path) as beside:
        part = beside.with_suffix(".sofa")  # sofar would add it
        try:
            load_sofar().write_sofa(str(part), sofa)
            part.replace(beside)
        except RuntimeError as error:  # what netCDF4 makes of a full disk
            raise OSError(f"{path} cannot be written: {one_line(error)}") from error
        finally:
            part.unlink(missing_ok=True)
