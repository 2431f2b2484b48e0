"""Microphone arrays in SOFA files (AES69).

An array's directivity is one impulse response per direction and capsule, in any convention with
impulse responses measured around a listener.

References:
    AES69-2022, "AES standard for file exchange - Spatial acoustic data file format"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones import sofa_file, sofa_geometry, sofa_physics, sofa_responses

ARRAY_CONVENTIONS = (
    *("GeneralFIR", "GeneralFIR-E", "GeneralFIRE"),
    *("FreeFieldHRIR", "SimpleFreeFieldHRIR"),
)


@dataclass(frozen=True, kw_only=True)
class ArrayResponses:
    """What the capsules of an array hear from each direction.

    Attributes:
        directions: (M, 3) unit vectors towards the sources, in the axes of the array.
        responses: (M, Q, N) impulse responses of the capsules.
        sample_rate: [hertz].
        capsules: (Q, 3) [metres] positions; (1, 3) where the file does not tell them apart.
    """

    directions: np.ndarray
    responses: np.ndarray
    sample_rate: int = SAMPLE_RATE
    capsules: np.ndarray = field(default_factory=lambda: np.zeros((1, 3)))


def read_array(path: str | Path, *, reading: sofa_file.SofaReading | None = None) -> ArrayResponses:
    """The directivity of a microphone array, at 16 kHz.

    Responses keep their measured delay, with 10 ms of silence before and after.

    Args:
        path: SOFA file; its conventions are `ARRAY_CONVENTIONS`.
        reading: units and angles where the file's are wrong or missing.

    Raises:
        InputError: not a SOFA file, a damaged one, another convention, contradictory data, or what
            no microphone hears (`doa_tf.microphones.sofa_physics`).
        MissingPackageError: netCDF4 is not installed.
    """
    sofa = sofa_file.open_sofa(path, conventions=ARRAY_CONVENTIONS, reading=reading)
    responses, emitters = sofa_responses.impulse_responses(sofa, silence=True)
    if responses.shape[1] < 4:
        raise InputError(
            f"{path} must hold an array of at least 4 capsules. Received: {responses.shape[1]}"
        )
    directions, distances = sofa_geometry.source_places(sofa, len(responses), emitters)
    sofa_physics.check_measurements(sofa, responses)
    sofa_physics.check_array(sofa, responses, directions, distances)
    capsules = sofa_geometry.positions(sofa, "ReceiverPosition").places
    return ArrayResponses(directions=directions, responses=responses, capsules=capsules)


def write_array(path: str | Path, array: ArrayResponses, *, title: str = "Array") -> None:
    """Write the directivity of an array as a GeneralFIR file.

    Args:
        path: FILE.sofa, replaced when it is whole.
        array: what to write.
        title: of the file.

    Raises:
        InputError: a name that does not end in .sofa.
        OSError: the file cannot be written.
        MissingPackageError: sofar is not installed.
    """
    sofa_file.check_sofa_name(path)
    sofa = sofa_file.new_sofa("GeneralFIR", title=title)
    sofa.Data_IR = np.asarray(array.responses, np.float64)
    sofa.Data_SamplingRate = float(array.sample_rate)
    sofa.Data_Delay = np.zeros((1, array.responses.shape[1]))
    sofa.ReceiverPosition = np.asarray(array.capsules, np.float64)
    sofa.ListenerPosition = np.zeros(3)
    sofa.SourcePosition = np.asarray(array.directions, np.float64)
    sofa.SourcePosition_Type, sofa.SourcePosition_Units = "cartesian", "metre"
    sofa_file.write_sofa(path, sofa)
