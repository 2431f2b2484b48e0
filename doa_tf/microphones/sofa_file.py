"""Opening and writing SOFA files (AES69): what is in a file, whatever wrote it.

Files are read through netCDF4, which tells the dimensions of each variable and knows no versions;
they are written by sofar, which holds to the standard.

References:
    AES69-2022, "AES standard for file exchange - Spatial acoustic data file format"
"""

from __future__ import annotations

import hashlib
import logging
import math
import multiprocessing
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.errors import InputError, MissingPackageError, as_damage, one_line
from doa_core.files import as_disk_errors, write_beside
from doa_core.process.copies import NOT_ENDED, signal_in_copy

logger = logging.getLogger(__name__)

ANGLES = ("elevation", "colatitude")
# Versions of conventions whose definitions were read; others are taken with a warning.
_VERSIONS = {
    "AmbisonicsDRIR": ("0.1",),
    "FreeFieldHRIR": ("1.0",),
    "GeneralFIR": ("1.0",),
    "GeneralFIR-E": ("2.0",),
    "GeneralFIRE": ("1.0",),
    "MultiSpeakerBRIR": ("0.3",),
    "SimpleFreeFieldHRIR": ("0.4", "1.0"),
    "SingleRoomDRIR": ("0.2", "0.3"),
    "SingleRoomMIMOSRIR": ("1.0",),
    "SingleRoomSRIR": ("1.0",),
}
_USED = (
    *("Data.IR", "Data.SamplingRate", "Data.Delay", "ReceiverPosition", "EmitterPosition"),
    *("ListenerPosition", "ListenerView", "ListenerUp", "SourcePosition", "SourceView", "SourceUp"),
    *("RoomCornerA", "RoomCornerB"),
)
DIGEST = "DataSHA256"  # global attribute of files of this program, which no convention has
_DEFLATE = 100  # times smaller than its values a variable of responses can be in a file
_SMALL = 1 << 26  # bytes that need no such proof
READ_S = 3  # processor time in which any file is opened
PATIENCE = 40  # times longer by the clock, on a machine that others use
READ_RATE = 20_000_000  # bytes of a file that are read in a second, on the slowest machine


@dataclass(frozen=True, kw_only=True)
class SofaReading:
    """What the user says of a SOFA file where the file is wrong or silent.

    Attributes:
        units: `NAME=UNITS` each, such as `SourcePosition=radian, radian, metre`: the units of a
            position, whatever its Type and Units say. Angles mean spherical coordinates.
        angles: what the second angle of spherical coordinates is, `elevation` or `colatitude`;
            None for elevation, unless the values can be colatitudes alone.
    """

    units: tuple[str, ...] = ()
    angles: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))
        for entry in self.units:
            name, _, units = entry.partition("=")
            if name.strip() not in _USED or name.startswith("Data.") or not units.strip():
                raise InputError(
                    "--sofa-units must be NAME=UNITS with the name of a position, such as "
                    f"'SourcePosition=degree, degree, metre'. Received: {entry}"
                )
        if self.angles not in (None, *ANGLES):
            raise InputError(
                f"--sofa-angles must be one of {', '.join(ANGLES)}. Received: {self.angles}"
            )

    def units_of(self, name: str) -> str | None:
        """The units that the user gives to a position; None where the file's count."""
        for entry in self.units:
            key, _, units = entry.partition("=")
            if key.strip() == name:
                return units
        return None


def told(reading: SofaReading | None) -> dict[str, Any]:
    """What a reading says beyond the file, as JSON values to record."""
    reading = reading or SofaReading()
    values = {"sofa_units": list(reading.units), "sofa_angles": reading.angles}
    return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Variable:
    """Values of a SOFA file with the names of their dimensions (M, R, E, N, C, I), and attributes.

    Attributes:
        values: finite float64.
        dimensions: one name an axis.
        attributes: such as `Type` and `Units`.
    """

    values: np.ndarray
    dimensions: tuple[str, ...]
    attributes: dict[str, str]

    def attribute(self, name: str) -> str:
        """An attribute in lower case without spaces around it, its name in any case; or ""."""
        return _attribute(self.attributes, name)


@dataclass(frozen=True)
class SofaFile:
    """What this program uses of a SOFA file.

    Attributes:
        path: for messages.
        attributes: of the whole file.
        variables: by name.
        reading: what the user said of it.
    """

    path: Path
    attributes: dict[str, str]
    variables: dict[str, Variable]
    reading: SofaReading = field(default_factory=SofaReading)

    def attribute(self, name: str) -> str:
        """A global attribute in lower case without spaces around it; or ""."""
        return _attribute(self.attributes, name)

    def variable(self, name: str) -> Variable:
        """A variable.

        Raises:
            InputError: the file has none of this name.
        """
        if name not in self.variables:
            raise InputError(f"{self.path} must hold {name}. Received: none")
        return self.variables[name]


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


def _load_netcdf4() -> Any:
    """The module `netCDF4`."""
    try:
        import netCDF4
    except ImportError as error:
        raise MissingPackageError("netCDF4", "train", error) from error
    return netCDF4


def _dataset(path: Path) -> Any:
    """An open `netCDF4.Dataset`."""
    try:
        str(path).encode()
    except UnicodeEncodeError:  # a name that is not UTF-8, which netCDF4 cannot open
        return _load_netcdf4().Dataset("file.sofa", memory=path.read_bytes())
    return _load_netcdf4().Dataset(str(path), "r")


@lru_cache(maxsize=256)
def _try_to_read(path: Path, size: int, _written_ns: int) -> None:
    """Raise InputError for a file that HDF5 never ends to read, or crashes over.

    It follows the references of a damaged file in a circle, where no signal interrupts it. So a
    copy of this process reads the file first, once for each state of it.

    Args:
        path: of the file.
        size: of it [bytes].
        _written_ns: when it was last written [nanoseconds since 1970].
    """

    def read() -> None:
        with _dataset(path) as file:
            for name in file.ncattrs():
                file.getncattr(name)
            _variables(path, file)

    limit_s = READ_S + size // READ_RATE
    number = signal_in_copy(read, limit_s=limit_s, patience_s=PATIENCE * limit_s)
    if number in NOT_ENDED:
        raise InputError(
            f"{path} is damaged: HDF5 has not read it within {limit_s} s of processor time"
        )
    if number:
        raise InputError(f"{path} is damaged: HDF5 ends with {signal.Signals(number).name} over it")


def open_sofa(
    path: str | Path, *, conventions: tuple[str, ...], reading: SofaReading | None = None
) -> SofaFile:
    """Read a SOFA file of one of several conventions, which has impulse responses.

    Versions of a convention that are not known are read like those that are, with a warning.

    Args:
        path: a .sofa file.
        conventions: that are allowed.
        reading: what the user says of it.

    Raises:
        InputError: not a SOFA file, another convention, no impulse responses, or values that are
            not finite numbers.
        MissingPackageError: netCDF4 is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".sofa" or not path.is_file():
        raise InputError(f"A SOFA file must exist and be named FILE.sofa. Received: {path}")
    _load_netcdf4()
    found = path.stat()
    _try_to_read(path.absolute(), found.st_size, found.st_mtime_ns)
    with as_damage(f"{path} cannot be read as a SOFA file"), _dataset(path) as file:
        attributes = {name: str(file.getncattr(name)) for name in file.ncattrs()}
        if "SOFAConventions" not in attributes:
            raise ValueError("no global attribute SOFAConventions")
        convention = attributes["SOFAConventions"].strip()
        _check_convention(path, convention, conventions)
        _check_version(path, convention, attributes.get("SOFAConventionsVersion", ""))
        if "Data.IR" not in file.variables:
            raise InputError(f"{path} must hold impulse responses (Data.IR). Received: none")
        variables = _variables(path, file)
    _check_digest(path, attributes, variables)
    return SofaFile(path, attributes, variables, reading or SofaReading())


@lru_cache(maxsize=256)
def warn_once(message: str) -> None:
    """Log a warning; the same words are said once, however often a file is read.

    Worker processes say nothing: who started them has read the file and said it.
    """
    if multiprocessing.parent_process() is None:
        logger.warning("%s", message)


def _attribute(attributes: dict[str, str], name: str) -> str:
    for key, value in attributes.items():
        if key.casefold() == name.casefold():
            return value.strip().casefold()
    return ""


def _check_convention(path: Path, convention: str, allowed: tuple[str, ...]) -> None:
    if convention not in allowed:
        raise InputError(
            f"{path} must follow one of the SOFA conventions {', '.join(allowed)}. "
            f"Received: {convention}"
        )


def _check_version(path: Path, convention: str, version: str) -> None:
    known = _VERSIONS[convention]
    try:
        is_known = float(version) in map(float, known)
    except ValueError:
        is_known = False
    if not is_known:
        warn_once(
            f"{path} follows {convention} {version or 'of no version'}, which is read like "
            f"version {known[-1]}"
        )


def _variables(path: Path, file: Any) -> dict[str, Variable]:
    """What this program uses of an open netCDF4 file."""
    size = path.stat().st_size
    return {
        name: _variable(path, size, name, file[name]) for name in _USED if name in file.variables
    }


def _digest(variables: Mapping[str, Variable]) -> str:
    """SHA-256 of the names, shapes, values and attributes of variables."""
    digest = hashlib.sha256()
    for name, variable in sorted(variables.items()):
        values = np.ascontiguousarray(variable.values, "<f8")
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(values.data)
        digest.update(repr(sorted(variable.attributes.items())).encode())
    return digest.hexdigest()


def _check_digest(
    path: Path, attributes: Mapping[str, str], variables: Mapping[str, Variable]
) -> None:
    """Raise InputError where a file of this program does not hold what was written."""
    stated = attributes.get(DIGEST)
    if stated is None:  # any other file
        return
    found = _digest(variables)
    if stated != found:
        raise InputError(
            f"{path} is damaged, or was changed after it was written: its responses and positions "
            f"must have the SHA-256 of its attribute {DIGEST}, which goes where they were changed "
            f"on purpose. Received: {found[:12]}..., not {stated[:12]}..."
        )


def _variable(path: Path, size: int, name: str, source: Any) -> Variable:
    """A variable of a netCDF4 file of `size` bytes."""
    claimed = 8 * math.prod(source.shape)
    if claimed > max(_SMALL, _DEFLATE * size):
        raise InputError(
            f"{path} is damaged: it says that {name} has {claimed} bytes, more than a file of "
            f"{size} bytes can hold"
        )
    try:
        values = np.ma.filled(np.ma.asarray(source[:], np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} must hold numbers in {name}: {one_line(error)}") from error
    if not np.all(np.isfinite(values)):
        raise InputError(f"{path} must hold finite numbers in {name}. Received: nan or infinity")
    attributes = {key: str(source.getncattr(key)) for key in source.ncattrs()}
    return Variable(np.asarray(values), tuple(source.dimensions), attributes)


def check_sofa_name(path: str | Path) -> None:
    """Raise InputError unless a path ends in .sofa."""
    if Path(path).suffix.lower() != ".sofa":
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
    # netCDF4 makes "HDF error" or "Permission denied" of a full disk.
    kinds = (RuntimeError, OSError)
    with (
        write_beside(path, suffix=".sofa") as beside,  # sofar would add it
        as_disk_errors(beside, *kinds, shown=Path(path)),
    ):
        load_sofar().write_sofa(str(beside), sofa)
        _state_digest(beside)


def _state_digest(path: Path) -> None:
    """Add the digest of a file's values, as they are read again, to its attributes."""
    import netCDF4

    with netCDF4.Dataset(str(path), "a") as file:
        file.setncattr(DIGEST, _digest(_variables(path, file)))
