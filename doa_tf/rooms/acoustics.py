"""Room-acoustic measures of impulse responses: decay, clarity, direct sound, diffuseness.

References:
    ISO 3382-1:2009, "Measurement of room acoustic parameters, part 1: performance spaces".
    J. Merimaa, V. Pulkki, "Spatial impulse response rendering I: analysis and synthesis",
    J. Audio Eng. Soc. 53(12), 2005 (diffuseness).
"""

from __future__ import annotations

import numpy as np

from doa_core.spec import SAMPLE_RATE

MIDDLE_BAND = (354.0, 1414.0)  # hertz: the octaves of 500 and 1000 Hz
_DIRECT_AFTER = 0.0025  # seconds after its peak that belong to the direct sound
_DIRECT_BEFORE = 0.001  # and before it
_ONSET_DB = 20.0  # the direct sound is the first peak at most this far below the largest


def t30(
    response: np.ndarray,
    sample_rate: int = SAMPLE_RATE,
    *,
    band: tuple[float, float] | None = MIDDLE_BAND,
) -> float:
    """Reverberation time from the decay between -5 and -35 dB, times two.

    Args:
        response: (N,) impulse response at W, without a noise floor.
        sample_rate: [hertz].
        band: (low, high) [hertz] in which it is measured; None takes all frequencies.

    Returns:
        T30 [seconds]; nan for a response that is silent or ends before it has decayed by 35 dB.
    """
    if band is not None:
        response = _in_band(response, sample_rate, band)
    decay = _decay_db(response)
    if len(decay) == 0 or _fall_db(response) < 35.0:
        return float("nan")
    start, stop = np.argmax(decay <= -5.0), np.argmax(decay <= -35.0)
    if stop - start < 2:
        return 0.0
    slope = np.polyfit(np.arange(start, stop) / sample_rate, decay[start:stop], 1)[0]
    return float(-60.0 / slope)


def c50(response: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Clarity [dB]: energy of the first 50 ms after the onset over all that follows.

    Args:
        response: (N,) impulse response at W.
        sample_rate: [hertz].
    """
    energy = np.square(response, dtype=np.float64)
    boundary = direct_index(response) + round(0.05 * sample_rate)
    return _ratio_db(energy[:boundary].sum(), energy[boundary:].sum())


def drr_db(response: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Direct-to-reverberant ratio [dB]: 1 ms before to 2.5 ms after the direct sound's peak.

    Args:
        response: (N,) impulse response at W.
        sample_rate: [hertz].
    """
    energy = np.square(response, dtype=np.float64)
    peak = direct_index(response)
    start = max(0, peak - round(_DIRECT_BEFORE * sample_rate))
    stop = peak + round(_DIRECT_AFTER * sample_rate)
    direct = energy[start:stop].sum()
    return _ratio_db(direct, energy.sum() - direct)


def direct_index(response: np.ndarray) -> int:
    """Sample of the direct sound: the first local peak within 20 dB of the largest.

    Args:
        response: (N,) impulse response at W.
    """
    magnitude = np.abs(response)
    first = int(np.argmax(magnitude >= magnitude.max() * 10.0 ** (-_ONSET_DB / 20.0)))
    # Follow the rising slope of the first loud samples to their peak.
    while first + 1 < len(magnitude) and magnitude[first + 1] > magnitude[first]:
        first += 1
    return first


def direct_direction(srir: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """(3,) unit vector of the direct sound's active intensity.

    Args:
        srir: (N, 4) AmbiX.
        sample_rate: [hertz].
    """
    peak = direct_index(srir[:, 0])
    start = max(0, peak - round(_DIRECT_BEFORE * sample_rate))
    part = np.asarray(srir[start : peak + round(_DIRECT_BEFORE * sample_rate)], np.float64)
    intensity = part[:, :1].T @ part[:, [3, 1, 2]]
    return np.ravel(intensity / np.linalg.norm(intensity))


def diffuseness(srir: np.ndarray) -> float:
    """One less the length of the mean intensity over the mean energy density, in [0, 1].

    Args:
        srir: (N, 4) AmbiX; a part of a response, such as its tail.
    """
    srir = np.asarray(srir, np.float64)
    intensity = srir[:, 0] @ srir[:, [3, 1, 2]]
    energy = 0.5 * np.sum(srir**2)
    return float(1.0 - np.linalg.norm(intensity) / energy) if energy else 1.0


def _in_band(response: np.ndarray, sample_rate: int, band: tuple[float, float]) -> np.ndarray:
    """(N,) response in a band, by Butterworth filters whose ringing is short."""
    from scipy import signal

    sections = signal.butter(6, band, "bandpass", fs=sample_rate, output="sos")
    return np.asarray(signal.sosfilt(sections, np.asarray(response, np.float64)))


def _decay_db(response: np.ndarray) -> np.ndarray:
    """(N,) Schroeder's backward-integrated energy [dB]."""
    energy = np.cumsum(np.square(response, dtype=np.float64)[::-1])[::-1]
    energy = energy[energy > 0.0]
    return 10.0 * np.log10(energy / energy[0]) if len(energy) else energy


def _fall_db(response: np.ndarray) -> float:
    """Level of the loudest tenth of a response over that of its last tenth [dB]."""
    energy = np.square(response[: len(response) // 10 * 10], dtype=np.float64)
    tenths = energy.reshape(10, -1).sum(axis=1)
    return _ratio_db(tenths.max(), tenths[-1])


def _ratio_db(above: float, below: float) -> float:
    return float("inf") if below <= 0.0 else float(10.0 * np.log10(max(above, 1e-300) / below))
