"""Impulse responses of SOFA files: the order of their axes, delays and sample rate.

The conventions differ in the order of emitters E and samples N. The names of the dimensions say
it, and where a file has other names, its data type does: `FIRE`, of the older conventions, is
(M, R, E, N), and `FIR-E` is (M, R, N, E).
"""

from __future__ import annotations

import numpy as np

from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_tf.microphones import sofa_physics
from doa_tf.microphones.sofa_file import SofaFile, Variable

_PAD = 0.01  # seconds of silence on both sides of a response that is shifted or resampled
_SAMPLE_RATES = (8_000, 400_000)  # hertz
_HERTZ = {"khz": 1000.0, "kilohertz": 1000.0}  # units of sample rates other than hertz


def impulse_responses(sofa: SofaFile, *, silence: bool) -> tuple[np.ndarray, int]:
    """(M, R, N) responses at 16 kHz with their delays applied, and the number of emitters E.

    A measurement of E emitters becomes E measurements, one after the other. Resampled responses
    are scaled so that they keep their gain as filters.

    Args:
        sofa: of `open_sofa`.
        silence: pad each response with 10 ms before and after it, where filters may ring.

    Raises:
        InputError: an impossible shape, level, sample rate or delay.
    """
    import soxr

    responses = _measurements_emitters_receivers_samples(sofa)
    emitters = responses.shape[1]
    responses = responses.reshape(-1, *responses.shape[2:])
    sofa_physics.check_levels(sofa, responses)
    rate = _sample_rate(sofa)
    delays = _delays(sofa, responses.shape, emitters)
    pad = round(_PAD * rate) if silence else 0
    if np.any(delays):
        responses = _delayed(responses, delays)
    if pad:
        responses = np.pad(responses, ((0, 0), (0, 0), (pad, pad)))
    if rate != SAMPLE_RATE:
        resampled = [soxr.resample(r.T, rate, SAMPLE_RATE, quality="VHQ").T for r in responses]
        responses = rate / SAMPLE_RATE * np.stack(resampled)
    return responses, emitters


def emitter_count(sofa: SofaFile) -> int:
    """E, the emitters of each measurement."""
    return int(_measurements_emitters_receivers_samples(sofa).shape[1])


def _measurements_emitters_receivers_samples(sofa: SofaFile) -> np.ndarray:
    """(M, E, R, N) of Data.IR."""
    variable = sofa.variable("Data.IR")
    shape = variable.values.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise InputError(
            f"{sofa.path} must hold Data.IR of shape (measurements, receivers, samples), or with "
            f"emitters before or after the samples. Received: {shape}"
        )
    names = tuple(name.upper() for name in variable.dimensions)
    if sorted(names) not in (sorted("MRN"), sorted("MREN")):
        # Not the standard's names: the data type tells the order.
        emitters_first = sofa.attribute("DataType") == "fire"
        names = tuple("MREN" if emitters_first else "MRNE")[: len(shape)]
        if len(shape) == 3:
            names = ("M", "R", "N")
    responses = variable.values
    if len(shape) == 3:
        responses, names = responses[..., np.newaxis], (*names, "E")
    return responses.transpose([names.index(name) for name in "MERN"])


def _sample_rate(sofa: SofaFile) -> float:
    """[hertz] of the whole file."""
    variable = sofa.variable("Data.SamplingRate")
    rates = np.unique(variable.values) * _HERTZ.get(variable.attribute("Units"), 1.0)
    low, high = _SAMPLE_RATES
    if len(rates) != 1 or not low <= rates[0] <= high:
        raise InputError(
            f"{sofa.path} must have one sample rate between {low} and {high} Hz. Received: {rates}"
        )
    return float(rates[0])


def _delays(sofa: SofaFile, shape: tuple[int, ...], emitters: int) -> np.ndarray:
    """(M, R) [samples of the file], emitters counted one by one as in `impulse_responses`."""
    measurements, receivers, samples = shape
    if "Data.Delay" not in sofa.variables:
        return np.zeros((measurements, receivers))
    delays = _by_emitter(sofa.variables["Data.Delay"])
    wanted = (measurements // emitters, emitters, receivers)
    try:
        delays = np.broadcast_to(delays, wanted).reshape(measurements, receivers)
    except ValueError as error:
        raise InputError(
            f"{sofa.path} must hold Data.Delay for one or all of {wanted[0]} measurements, "
            f"{receivers} receivers and {emitters} emitters. Received: "
            f"{sofa.variables['Data.Delay'].values.shape}"
        ) from error
    if delays.min() < 0.0 or delays.max() > max(1e5, 10.0 * samples):
        raise InputError(
            f"{sofa.path} must hold a Data.Delay of at least 0 and not far beyond the responses. "
            f"Received: {delays.min():g} to {delays.max():g} samples"
        )
    return delays


def _by_emitter(variable: Variable) -> np.ndarray:
    """(M or 1, E or 1, R or 1) of Data.Delay, whose axes are measurements, receivers, emitters."""
    values = variable.values
    while values.ndim < 2:
        values = values[np.newaxis]
    if values.ndim == 2:
        values = values[..., np.newaxis]
    return values.swapaxes(1, 2)


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
