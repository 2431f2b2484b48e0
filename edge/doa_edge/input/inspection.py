"""Is the signal of a microphone first-order Ambisonics, as far as the sound alone can tell?

Levels, offsets, clipping and dead channels show in each channel by itself. The order and the format
show in the relations between channels. With AmbiX (SN3D), independent plane waves give, whatever
their directions,

    energy of X + energy of Y + energy of Z = energy of W,

because x^2 + y^2 + z^2 = 1 for each. That holds in a diffuse field as for a single voice, and in
every part of time and frequency; so the median deviation over such parts (in dB) tells formats
apart. Recordings of real microphones and rooms deviate by 0.3 to 0.8 dB when read in their own
format, and mostly by more than 1.8 dB in any other.

What sound alone can *not* tell: dipoles that are swapped or have a wrong sign, and capsules in a
wrong order. They give a field that is turned or mirrored and as plausible as the right one. It
takes a voice from a known direction (`expected`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from doa_core.ambisonics import FORMATS, format_to_ambix_matrix
from doa_core.angles import FloatArray, great_circle_distance
from doa_core.features import intensity_features
from doa_core.highpass import DEFAULT_HIGHPASS_HZ, highpass
from doa_core.spec import SAMPLE_RATE
from doa_core.stft import stft
from doa_edge.input.exchanges import swaps_that_explain
from doa_edge.input.format import AMBIX, InputFormat
from doa_edge.input.stream import Samples

OK, WARNING, FAULT = "ok", "warning", "fault"
QUIET_DBFS = -75.0
DEAD_DB = 30.0  # below the loudest channel
CLIPPED_SHARE = 1e-4
FULL_SCALE = 0.999
OFFSET_SHARE = 0.01  # of full scale
ALIKE = 0.98  # coherence of two channels that are one and the same
FORMAT_ERROR_DB = 1.3
LOST_DEG = 45.0
_BAND_HZ = (300.0, 4000.0)  # where real microphones are close to ideal
PART = (16, 24)  # frames and bins in which energies are compared

FieldParts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the check.
        state: `ok`, `warning` or `fault`.
        found: what was found.
        advice: what to do about it; empty if nothing.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def inspect_channels(samples: Samples) -> list[Finding]:
    """Check each channel by itself: (N, 4) samples as the device gives them, full scale 1.

    They have 16 kHz; levels are those above 30 Hz, which is what networks hear.
    """
    finite = np.isfinite(samples)
    found, advice = "all are finite", ""
    if not finite.all():
        found = f"{int((~finite).sum())} samples are not finite"
        advice = "the driver gives no sound: try another rate or cable"
    findings = [Finding("numbers", FAULT if advice else OK, found, advice)]

    samples = np.where(finite, samples, 0.0).astype(np.float32)
    heard = highpass(samples, cutoff_hz=DEFAULT_HIGHPASS_HZ, sample_rate=SAMPLE_RATE)
    levels = 20.0 * np.log10(np.maximum(np.std(heard, axis=0, dtype=np.float64), 1e-7))
    found = ", ".join(f"{level:.0f}" for level in levels) + " dBFS"
    dead = [str(index + 1) for index in range(4) if levels[index] < levels.max() - DEAD_DB]
    state, advice = OK, ""
    if levels.max() < QUIET_DBFS:
        state = FAULT if levels.max() < -120.0 else WARNING
        advice = "(almost) silent: make some noise, raise the gain, look for a mute switch"
    elif dead:
        state = FAULT
        advice = f"channel {', '.join(dead)} is dead: check cable, phantom power, gain and "
        advice += "--channels"
    findings.append(Finding("level", state, found, advice))

    share = float(np.mean(np.abs(samples) >= FULL_SCALE))
    found = f"{100 * share:.2g} % of the samples at full scale"
    advice = "lower the gain" if share > CLIPPED_SHARE else ""
    findings.append(Finding("clipping", FAULT if advice else OK, found, advice))

    worst = float(np.abs(samples.mean(axis=0, dtype=np.float64)).max())
    found, state, advice = f"{100 * worst:.2g} % of full scale at most", OK, ""
    if worst > OFFSET_SHARE:
        state = WARNING
        advice = "a constant in a channel: switch on the device's high-pass filter, if it has one"
    findings.append(Finding("offset", state, found, advice))
    return findings


def inspect_field(
    samples: Samples,
    *,
    sample_rate: int,
    input_format: InputFormat = AMBIX,
    expected: FloatArray | None = None,
) -> list[Finding]:
    """Check the relations between channels: (N, 4) samples as the device gives them.

    Args:
        samples: seconds of any sound; the more directions it comes from, the more it tells.
        sample_rate: [hertz].
        input_format: the format to check them against, and how the microphone is mounted.
        expected: (3,) unit vector to a talker, if the direction is known.
    """
    spectra = band_spectra(samples, sample_rate)
    energies = np.mean(np.abs(spectra) ** 2, axis=(0, 1))
    if energies.min() <= 10.0 ** (-DEAD_DB / 10.0) * energies.max():
        found = "cannot be judged: a channel is (almost) silent between 300 and 4000 Hz"
        return [Finding("format", WARNING, found, "see `level`; make noise from several sides")]
    findings = [_copies(spectra, energies), _format(spectra, input_format.format_name)]
    if expected is not None and findings[-1].state == OK:  # else it is no direction
        ambix = spectra @ input_format.to_ambix.T.astype(np.float32)
        findings.append(_direction(ambix, expected))
    return findings


def format_error_db(spectra: npt.NDArray[np.complexfloating], to_ambix: FloatArray) -> float:
    """Deviation of (T, F, 4) spectra from AmbiX, after a (4, 4) matrix.

    Returns:
        Median of the absolute ratio of the dipoles' energy to W's, over parts of half a second by
        some 370 Hz, the quietest left out [dB].
    """
    return float(np.median(np.abs(dipoles_over_pressure_db(covariances(spectra), to_ambix))))


def covariances(spectra: npt.NDArray[np.complexfloating]) -> FieldParts:
    """(P, 4, 4) real parts of the mean covariances of (T, F, 4) spectra, part by part.

    A part is half a second by some 370 Hz.
    """
    frames, bins = min(PART[0], spectra.shape[0]), min(PART[1], spectra.shape[1])
    rows, columns = spectra.shape[0] // frames, spectra.shape[1] // bins
    parts = spectra[: rows * frames, : columns * bins]
    parts = parts.reshape(rows, frames, columns, bins, 4).swapaxes(1, 2)
    parts = parts.reshape(rows * columns, frames * bins, 4)
    mean: FieldParts = np.real(parts.conj().swapaxes(1, 2) @ parts) / (frames * bins)
    return mean.astype(np.float64)


def dipoles_over_pressure_db(parts: FieldParts, to_ambix: FloatArray) -> FloatArray:
    """Energy of the dipoles over that of W [dB] in the parts where W is not quiet: 0 in AmbiX.

    Args:
        parts: (P, 4, 4) of `covariances`.
        to_ambix: (4, 4) from their channels.
    """
    energies = np.einsum("ij,pjk,ik->pi", to_ambix, parts, to_ambix)
    loud = energies[:, 0] > 0.1 * np.median(energies[:, 0])
    pressure, dipoles = energies[loud, 0], energies[loud, 1:].sum(axis=1)
    ratio_db: FloatArray = np.maximum(dipoles, 1e-20) / np.maximum(pressure, 1e-20)
    return 10.0 * np.log10(ratio_db)


def formats_by_name() -> dict[str, FloatArray]:
    """(4, 4) matrix to AmbiX of each format that energies can tell, by what to ask for it."""
    found = {
        f"--format {name}{'[:LAYOUT]' if name == 'tetrahedral' else ''}": (
            format_to_ambix_matrix(name)
        )
        for name in FORMATS
    }
    for channel in range(1, 4):
        order = np.eye(4)
        order[[0, channel]] = order[[channel, 0]]
        found[f"W on channel {channel + 1} (see --channels)"] = order
    return found


def coherence_matrix(spectra: npt.NDArray[np.complexfloating]) -> FloatArray:
    """(4, 4) real parts of the coherence of (T, F, 4) spectra, over all bins: -1 to 1."""
    flat = spectra.reshape(-1, 4)
    cross = np.real(flat.conj().T @ flat)
    scale = np.sqrt(np.diag(cross))
    coherence: FloatArray = cross / np.maximum(np.outer(scale, scale), 1e-30)
    return coherence


def band_spectra(samples: Samples, sample_rate: int) -> npt.NDArray[np.complexfloating]:
    """(T, F, 4) spectra in the band where microphones are close to ideal."""
    spectra = stft(samples)
    hertz = np.arange(spectra.shape[1]) * sample_rate / (2 * (spectra.shape[1] - 1))
    inside = (hertz >= _BAND_HZ[0]) & (hertz <= _BAND_HZ[1])
    return spectra[:, inside]


def _copies(spectra: npt.NDArray[np.complexfloating], energies: FloatArray) -> Finding:
    coherence = coherence_matrix(spectra)
    pairs = [
        f"{first + 1} and {second + 1}"
        for first, second in combinations(range(4), 2)
        if abs(coherence[first, second]) > ALIKE
        and abs(10 * np.log10(energies[first] / energies[second])) < 0.5
    ]
    if not pairs:
        return Finding("copies", OK, "four different channels")
    advice = (
        "one signal on two channels? A virtual device that mixes, or --channels; "
        "a single noise straight ahead does it, too"
    )
    return Finding("copies", WARNING, f"channels {', '.join(pairs)} are (almost) the same", advice)


def _format(spectra: npt.NDArray[np.complexfloating], audio_format: str) -> Finding:
    """Whether the channels can be in this format, and in which others they can be."""
    error_db = format_error_db(spectra, format_to_ambix_matrix(audio_format))
    found = f"{error_db:.1f} dB from what {audio_format} has to be"
    if error_db <= FORMAT_ERROR_DB:
        return Finding("format", OK, found)
    fits = [
        name
        for name, to_ambix in formats_by_name().items()
        if format_error_db(spectra, to_ambix) <= FORMAT_ERROR_DB
    ]
    advice = f"it can be: {'; '.join(fits)}" if fits else "check --format, --channels and the gains"
    return Finding("format", WARNING, found, advice)


def _direction(spectra: npt.NDArray[np.complexfloating], expected: FloatArray) -> Finding:
    """The direction of the sound by its intensity, against the known direction."""
    weights = np.abs(spectra[..., 0]) ** 2
    active = intensity_features(spectra)[..., :3]
    vector = np.sum(weights[..., np.newaxis] * active, axis=(0, 1)) / weights.sum()
    length = float(np.linalg.norm(vector))
    if length < 0.1:
        found = "sound from everywhere: nothing can be said"
        return Finding("direction", WARNING, found, "speak up, closer to the microphone")
    measured: FloatArray = vector / length
    error_deg = float(np.degrees(great_circle_distance(measured, expected)))
    found = f"{error_deg:.0f}° from where it should come from"
    if error_deg <= LOST_DEG:
        return Finding("direction", OK, found)
    advice = "check --mount, --format and --channels"
    if swaps := swaps_that_explain(measured, expected):
        advice += f"; it would fit if {', or '.join(swaps)}"
    return Finding("direction", FAULT, found, advice)
