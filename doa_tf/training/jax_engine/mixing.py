"""Scenes mixed on an accelerator: everything that is heard lies in its memory.

`doa_tf.scenes.mixer.SceneMixer` draws a scene in 0.1 ms and takes 3 ms to render it. Here the
draws are the same and a batch of them is rendered at once by JAX, so that a network never hears a
scene twice and never waits for one. Waveforms are those of `SceneMixer.render` to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from doa_core.ambisonics import rotation_to_ambix_matrix
from doa_core.highpass import highpass
from doa_tf.files import Progress
from doa_tf.scenes.convolution import audible_length
from doa_tf.scenes.draw import SceneDraw, TalkerDraw
from doa_tf.scenes.mixer import SceneMixer
from doa_tf.scenes.talkers import LOUDEST, RAMP, turn_limits, wanted_gain

LONGEST = 19_457  # taps: with a scene of 13,312 samples a transform of 32,768
_FULL_SCALE = 32_767.0
_INAUDIBLE = 1e-9  # of a high-pass: where its response is cut
_NUMBERS = ("source", "speech", "speech_end", "begin", "end", "leveled")  # of each talker
_LEVELS = ("present", "drift_db", "voice_gain")

Arrays = dict[str, Any]


def scene_arrays(mixer: SceneMixer, *, progress: Progress | None = None) -> Arrays:
    """Everything that the mixer's scenes are made of, as numpy arrays.

    Responses are 16-bit floats, as in a bank, and cut after `LONGEST` taps.

    Args:
        mixer: whose rooms, recordings and noises these are.
        progress: called with rooms read and rooms in all.
    """
    numbers = range(len(mixer.rooms))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = []
        for number, room in enumerate(pool.map(partial(_read_room, mixer), numbers), start=1):
            read.append(room)
            if progress:
                progress(number, len(numbers))
        settings = mixer.settings
        noises = list(pool.map(mixer.synthetic_noise, range(settings.synthetic_noises)))
        fields = list(pool.map(mixer.field, range(settings.diffuse_fields)))
    recorded = [] if mixer.noise is None else list(mixer.noise)
    responses = [one for room in read for one in room.responses]
    taps = max(response.shape[1] for response in responses)
    srirs = np.zeros((len(responses), 4, taps), np.float16)
    for row, response in zip(srirs, responses, strict=True):
        row[:, : response.shape[1]] = response
    diffuse_taps = max([1, *(len(r.diffuse) for r in read if r.diffuse is not None)])
    diffuse = np.zeros((len(read), 4, 4, diffuse_taps), np.float32)
    diffuse[:, range(4), range(4), 0] = 1.0  # an ideal microphone
    for kept, room in zip(diffuse, read, strict=True):
        if room.diffuse is not None:
            kept[...] = 0.0
            kept[..., : len(room.diffuse)] = room.diffuse.transpose(1, 2, 0)
    return {
        "srirs": srirs,
        "scales": np.array([scale for room in read for scale in room.scales], np.float32),
        "first_source": _starts([room.responses for room in read])[:-1],
        "directions": np.concatenate([room.directions for room in read]).astype(np.float32),
        "noise_gains": np.array([room.noise_gains for room in read], np.float32),
        "diffuse_responses": diffuse,
        "speech": np.asarray(mixer.speech.samples),
        "speech_starts": np.asarray(mixer.speech.starts, np.int32),
        "noises": np.concatenate([*noises, *recorded]).astype(np.float32),
        "noise_starts": _starts([*noises, *recorded]),
        "fields": np.stack(fields),
        "hiss": mixer.hiss,
    }


class _ReadRoom(NamedTuple):
    """What is heard of a room."""

    responses: list[np.ndarray]  # (4, L) 16-bit floats, relative to their peaks
    scales: list[float]  # the peaks
    directions: np.ndarray
    noise_gains: np.ndarray
    diffuse: np.ndarray | None


def _read_room(mixer: SceneMixer, number: int) -> _ReadRoom:
    room = mixer.rooms[number]
    mixer.sources(number)  # which it keeps, and draws need
    responses, scales = [], []
    for srir in room.srirs:
        heard = srir[: min(audible_length(srir), LONGEST)].T
        scales.append(float(np.abs(heard).max(initial=0.0)) or 1.0)
        responses.append((heard / scales[-1]).astype(np.float16))
    return _ReadRoom(responses, scales, room.directions, room.noise_gains, room.diffuse_response)


def draw_arrays(draws: Sequence[SceneDraw], *, voices: int, synthetic_noises: int) -> Arrays:
    """A batch of draws as numpy arrays.

    Args:
        draws: B of them.
        voices: V, the most talkers of a scene.
        synthetic_noises: of the mixer's settings; recorded ones follow them in `noises`.
    """

    def of_all(name: str, dtype: Any = np.int32) -> np.ndarray:
        return np.array([getattr(draw, name) for draw in draws], dtype)

    interferers = [0 if draw.interferer is None else draw.interferer for draw in draws]
    noises = [draw.noise + synthetic_noises * draw.noise_recorded for draw in draws]
    turns = [rotation_to_ambix_matrix(draw.diffuse_turn) for draw in draws]
    same = ("room", "noise_start", "hiss_starts")
    return {
        **{name: of_all(name) for name in same},
        **_talker_arrays([draw.talkers for draw in draws], voices),
        "field": of_all("diffuse_field"),
        "field_start": of_all("diffuse_start"),
        "field_turn": np.array(turns, np.float32),
        "field_gain": _gains([draw.snr_db for draw in draws]),
        "interferer": np.array(interferers, np.int32),
        "noise": np.array(noises, np.int32),
        "interferer_gain": _gains([draw.sir_db for draw in draws]),
        "hiss_gain": _gains([draw.self_noise_db for draw in draws]),
        "level": _gains([-draw.level_dbfs for draw in draws]),
    }


def _talker_arrays(scenes: Sequence[Sequence[TalkerDraw]], voices: int) -> Arrays:
    """(B, V) numbers of the talkers; where there are fewer, `present` is 0."""
    shape = (len(scenes), voices)
    arrays: Arrays = {name: np.zeros(shape, np.int32) for name in _NUMBERS}
    arrays |= {name: np.zeros(shape, np.float32) for name in _LEVELS}
    for row, talkers in enumerate(scenes):
        for place, talker in enumerate(talkers):
            for name in ("source", "speech", "speech_end", "drift_db"):
                arrays[name][row, place] = getattr(talker, name)
            begin, end = turn_limits(talker)
            arrays["begin"][row, place], arrays["end"][row, place] = begin, end
            arrays["present"][row, place] = 1.0
            arrays["leveled"][row, place] = talker.below_db is not None
            arrays["voice_gain"][row, place] = wanted_gain(talker, 1.0)
    return arrays


def mix_scenes(arrays: Arrays, draws: Arrays, *, samples: int) -> Any:
    """(B, N, 4) float32 AmbiX waveforms.

    Args:
        arrays: of `scene_arrays`, on the device.
        draws: of `draw_arrays`.
        samples: N, as in the mixer's settings.
    """
    import jax.numpy as jnp

    taps = arrays["srirs"].shape[-1]
    past = jnp.arange(1 - taps, samples)  # from the first sample that still rings
    size = 1 << (samples + taps - 2).bit_length()
    voices = draws["source"].shape[1]
    scene = sum(_voice(arrays, draws, place, past, samples) for place in range(voices))
    # Beside nobody, noise is as loud as beside a voice of power 1 that is not there.
    absent = 1.0 - jnp.max(draws["present"], axis=1)
    power = _power(scene) + absent

    field = _diffuse(arrays, draws, samples=samples)
    scene += field * _gain(draws["field_gain"], power, field)

    first = arrays["noise_starts"][draws["noise"]][:, None]
    length = arrays["noise_starts"][draws["noise"] + 1][:, None] - first
    places = first + (draws["noise_start"][:, None] + past) % length
    interferer = arrays["first_source"][draws["room"]] + draws["interferer"]
    heard = _convolve(arrays, interferer, arrays["noises"][places], samples=samples, size=size)
    scene += heard * _gain(draws["interferer_gain"], power, heard)

    places = draws["hiss_starts"][:, :, None] + jnp.arange(samples)
    gains = arrays["noise_gains"][draws["room"]] * draws["hiss_gain"][:, None]
    level = jnp.sqrt(_power(scene) + absent)
    scene += (gains * level[:, None])[:, :, None] * arrays["hiss"][places]
    scene *= (draws["level"] / jnp.sqrt(_power(scene)))[:, None, None]
    return jnp.swapaxes(scene, 1, 2)


def highpassed(waveforms: Any, *, cutoff_hz: float, sample_rate: int) -> Any:
    """(B, N, C) waveforms, each from its beginning through `doa_core.highpass`.

    Equal to it to rounding. The filter begins in the steady state of the first sample, whose answer
    is zero: so it is the convolution of what is left without that sample.

    Args:
        waveforms: (B, N, C).
        cutoff_hz: 0 for no high-pass [hertz].
        sample_rate: [hertz].
    """
    import jax.numpy as jnp

    if not cutoff_hz:
        return waveforms
    samples = waveforms.shape[1]
    impulse = np.zeros(samples + 1)
    impulse[1] = 1.0  # behind a zero, whose steady state is zero
    through = highpass(impulse[:, np.newaxis], cutoff_hz=cutoff_hz, sample_rate=sample_rate)
    response = through[1:, 0]
    heard = np.flatnonzero(np.abs(response) > _INAUDIBLE)
    response = response[: heard[-1] + 1]
    size = 1 << (samples + len(response) - 2).bit_length()
    spectrum = jnp.asarray(np.fft.rfft(response, size).astype(np.complex64))[:, None]
    spectrum = spectrum * jnp.fft.rfft(waveforms - waveforms[:, :1], size, axis=1)
    return jnp.fft.irfft(spectrum, size, axis=1)[:, :samples]


def _voice(arrays: Arrays, draws: Arrays, place: int, past: Any, samples: int) -> Any:
    """(B, 4, N) of the talkers in one place, as `SceneMixer.render` mixes them."""
    import jax.numpy as jnp

    draw = {name: draws[name][:, place] for name in (*_NUMBERS, *_LEVELS)}
    begins = arrays["speech_starts"][draw["speech"]][:, None]
    ends = arrays["speech_starts"][draw["speech"] + 1][:, None]
    places = begins + draw["speech_end"][:, None] - samples + past
    inside = (places >= begins) & (places < ends)
    speech = jnp.where(inside, jnp.take(arrays["speech"], places, mode="clip"), 0)
    drift = draw["drift_db"][:, None] * (jnp.maximum(past, 0) / samples - 0.5)
    speech = speech.astype(jnp.float32) / _FULL_SCALE * 10.0 ** (drift / 20.0)
    speech *= jnp.clip((past - draw["begin"][:, None]) / RAMP, 0.0, 1.0)
    speech *= jnp.clip((draw["end"][:, None] - past) / RAMP, 0.0, 1.0)
    talker = arrays["first_source"][draws["room"]] + draw["source"]
    size = 1 << (len(past) - 1).bit_length()
    voice = _convolve(arrays, talker, speech, samples=samples, size=size)
    wanted = jnp.minimum(draw["voice_gain"] / jnp.sqrt(_power(voice)), LOUDEST)
    gain = draw["present"] * jnp.where(draw["leveled"] > 0, wanted, 1.0)
    return gain[:, None, None] * voice


def _convolve(arrays: Arrays, rows: Any, dry: Any, *, samples: int, size: int) -> Any:
    """(B, 4, N) of (B, N + L - 1) dry signals, where all of a response overlaps."""
    import jax.numpy as jnp

    srirs = arrays["srirs"][rows].astype(jnp.float32) * arrays["scales"][rows][:, None, None]
    taps = srirs.shape[-1]
    spectrum = jnp.fft.rfft(srirs, size) * jnp.fft.rfft(dry, size)[:, None]
    return jnp.fft.irfft(spectrum, size)[..., taps - 1 : taps - 1 + samples]


def _diffuse(arrays: Arrays, draws: Arrays, *, samples: int) -> Any:
    """(B, 4, N) of the drawn fields, turned, as the rooms' microphones hear them."""
    import jax
    import jax.numpy as jnp

    responses = arrays["diffuse_responses"][draws["room"]]
    taps, length = responses.shape[-1], arrays["fields"].shape[-1]
    places = (draws["field_start"][:, None] + jnp.arange(1 - taps, samples)) % length
    field = arrays["fields"][draws["field"][:, None, None], jnp.arange(4)[:, None], places[:, None]]
    exact = jax.lax.Precision.HIGHEST  # an accelerator's own is ten bits
    field = jnp.einsum("bij,bjn->bin", draws["field_turn"], field, precision=exact)
    size = 1 << (samples + taps - 2).bit_length()
    spectrum = jnp.einsum("bijf,bjf->bif", jnp.fft.rfft(responses, size), jnp.fft.rfft(field, size))
    return jnp.fft.irfft(spectrum, size)[..., taps - 1 : taps - 1 + samples]


def _power(scene: Any) -> Any:
    """(B,) mean power of W."""
    import jax.numpy as jnp

    return jnp.mean(jnp.square(scene[:, 0]), axis=-1) + 1e-20


def _gain(gain: Any, power: Any, scene: Any) -> Any:
    """(B, 1, 1) that gives a scene its level under the talker's power."""
    import jax.numpy as jnp

    return (gain * jnp.sqrt(power / _power(scene)))[:, None, None]


def _gains(ratios_db: Sequence[float]) -> np.ndarray:
    """(B,) float32 gains of what lies so far below; 0 for what is not there."""
    return np.nan_to_num(10.0 ** (-np.array(ratios_db) / 20.0), nan=0.0).astype(np.float32)


def _starts(parts: Sequence[Sized]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int32)
