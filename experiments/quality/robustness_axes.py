"""What a model's error is measured against in `robustness`: sets of scenes, axis by axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doa_tf.scenes.draw import MixSettings
from experiments.scenes.changes import DEAD
from experiments.scenes.sets import OWN_MIX, OWN_ROOMS, WINDOW, SceneSet
from experiments.scenes.sounds import LANGUAGES, NOISES

LONGER = 14_336  # samples, of which a window is left when they are played 5 % too fast
ELEVATIONS = ((-90.0, -30.0), (-30.0, -10.0), (-10.0, 10.0), (10.0, 30.0), (30.0, 90.0))
RECORDED = replace(OWN_MIX, recorded_share=1.0, field_shares=(1.0, 0.0, 0.0))


@dataclass(frozen=True)
class Axis:
    """Levels of one thing.

    Attributes:
        name: for the command line.
        title: for the table.
        levels: scenes by the level's name.
        reference: the level that the others are compared with, scene by scene; None where levels
            have other rooms or other talkers.
        note: what a reader has to know.
        ordered: whether levels are numbers, in order.
    """

    name: str
    title: str
    levels: dict[str, SceneSet]
    reference: str | None = None
    note: str = ""
    ordered: bool = True


def all_axes(sofa: Path) -> list[Axis]:
    """Every axis, with the array of a SOFA file among the microphones."""
    return [*_sound_axes(), *_room_axes(sofa), *_fault_axes(), _voices(), *_noise_axes()]


def quick_axes(axes: Sequence[Axis]) -> list[Axis]:
    """First and last level of each, and what it is compared with."""
    shorter = []
    for axis in axes:
        first, *_, last = axis.levels
        kept = dict.fromkeys([first, axis.reference or first, last])
        shorter.append(replace(axis, levels={name: axis.levels[name] for name in kept}))
    return shorter


def _levels(
    name: str, values: Iterable[float], unit: str, scenes: Callable[[float], SceneSet]
) -> dict[str, SceneSet]:
    """A set for each number, by the number with its unit; `name` begins the names of the sets."""
    sets = {value: replace(scenes(float(value)), name=f"{name}{value:g}") for value in values}
    return {f"{value:g} {unit}": scene_set for value, scene_set in sets.items()}


def _mix(base: MixSettings = OWN_MIX, **values: float) -> MixSettings:
    """Settings with one value each instead of ranges."""
    return replace(base, **{name: (value, value) for name, value in values.items()})


def _sound_axes() -> list[Axis]:
    def interferer(sir_db: float) -> SceneSet:
        return SceneSet(condition="interferer", mix=_mix(sir_db=sir_db))

    snr = _levels("snr", (-5, 0, 5, 10, 20, 30), "dB", lambda db: SceneSet(mix=_mix(snr_db=db)))
    sir = _levels("sir", (-5, 0, 5, 10, 20), "dB", interferer)
    note = "and diffuse noise at 5 to 30 dB"
    return [
        Axis("snr", "SNR of diffuse noise", snr, "30 dB"),
        Axis("sir", "SIR of a localised interferer", sir, "20 dB", note),
    ]


def _room_axes(sofa: Path) -> list[Axis]:
    def reverberant(rt60: float) -> SceneSet:
        return SceneSet(rooms=replace(OWN_ROOMS, rt60=(rt60, rt60)))

    def far(metres: float) -> SceneSet:
        size_min = (5.0, 5.0, 2.6)
        return SceneSet(rooms=replace(OWN_ROOMS, size_min=size_min, distance=(metres, metres)))

    rooms = replace(OWN_ROOMS, any_height_share=1.0, distance=(0.5, 1.8), sources=4)
    higher = SceneSet(rooms=rooms, more_rooms=2)
    elevation = {
        f"{low:g} to {top:g}°": replace(higher, name=f"elevation{low:g}", elevation_deg=(low, top))
        for low, top in ELEVATIONS
    }
    kinds = {name: name for name in ("ideal", "tetrahedral", "sphere")}
    microphone = {
        name: SceneSet(name=f"microphone-{name}", rooms=replace(OWN_ROOMS, microphone=kind))
        for name, kind in {**kinds, "array of a SOFA file": str(sofa)}.items()
    }
    rt60 = _levels("rt60-", (0.2, 0.4, 0.6, 0.8, 1.0), "s", reverberant)
    distance = _levels("distance-", (0.5, 1.0, 2.0, 3.0, 4.0), "m", far)
    same = "the same talkers in the same rooms"
    return [
        Axis("rt60", "Reverberation time RT60", rt60),
        Axis("distance", "Distance", distance, note="rooms of at least 5 x 5 m"),
        Axis("elevation", "Elevation", elevation, note="0.5 to 1.8 m away"),
        Axis("microphone", "Microphone", microphone, "tetrahedral", same, ordered=False),
    ]


def _fault_axes() -> list[Axis]:
    def faults(
        kind: str, reference: str, values: dict[str, float], *, samples: int = WINDOW
    ) -> dict[str, SceneSet]:
        unchanged = SceneSet(name=f"{kind}-none", mix=replace(OWN_MIX, samples=samples))
        levels = {reference: unchanged}
        for name, value in values.items():
            levels[name] = replace(unchanged, name=f"{kind}{value:g}", change=(kind, value))
        return levels

    tilts = faults("tilt", "level", {"5°": 5.0, "10°": 10.0, "20°": 20.0})
    turned = "turned about a horizontal axis, which moves directions by up to that angle"
    speeds = {"-5 %": -5.0, "-1 %": -1.0, "+1 %": 1.0, "+5 %": 5.0}
    rates = faults("rate", "right", speeds, samples=LONGER)
    clips = faults("clip", "none", {"1 %": 1.0, "5 %": 5.0, "20 %": 20.0})
    gains = {"-3 dB": -3.0, "-6 dB": -6.0, "-20 dB": -20.0, "dead": DEAD}
    weak = faults("capsule", "all alike", gains)
    matrices = "between two matrices of the tetrahedral microphone"
    capsules = "capsule signals of the tetrahedral microphone"
    return [
        Axis("tilt", "Microphone mounted askew, untold", tilts, "level", turned),
        Axis("rate", "Played at a wrong rate", rates, "right"),
        Axis("clip", "Samples that clip", clips, "none", capsules),
        Axis("capsule", "One weak capsule of four", weak, "all alike", matrices),
    ]


def _voices() -> Axis:
    voices = {
        "read English, people": SceneSet(name="voices-people"),
        "English, flite": SceneSet(name="voices-demo", speech="demo"),
    }
    for code, (language, _) in LANGUAGES.items():
        espeak = SceneSet(name=f"voices-{code}", speech=f"espeak-{code}")
        voices[f"{language}, espeak-ng"] = espeak
    note = "synthesisers apart from the first; training heard read English"
    return Axis("voices", "Voices and languages", voices, note=note, ordered=False)


def _noise_axes() -> list[Axis]:
    def diffuse(noise: str) -> SceneSet:
        recorded = "recorded" if noise in NOISES else noise
        shares = tuple(float(recorded == kind) for kind in ("babble", "recorded", "coloured"))
        mix = replace(_mix(snr_db=5.0), field_shares=shares)
        return SceneSet(name=f"field-{noise}", noise=_sound(noise), mix=mix)

    def localised(noise: str) -> SceneSet:
        named = SceneSet(name=f"interferer-{noise}", noise=_sound(noise))
        return replace(named, condition="interferer", mix=_mix(RECORDED, sir_db=5.0))

    def two_talkers(sir_db: float) -> SceneSet:
        """`interferer_*_deg` of a scene is where the other one is."""
        mix = _mix(RECORDED, sir_db=sir_db, snr_db=20.0)
        return SceneSet(condition="interferer", speech="two-a", noise="two-b", mix=mix)

    fields = {name: diffuse(name) for name in ("babble", "recorded", "coloured", "music", "drill")}
    sounds = ("recorded", "music", "siren", "drill", "beeps")
    interferers = {name: localised(name) for name in sounds}
    talkers = _levels("two-talkers", (10, 5, 0), "dB", two_talkers)
    coloured, synthetic = (f"recorded: --noise, else {kind}" for kind in ("coloured", "synthetic"))
    noise = "Kinds of localised noise, at 5 dB"
    title = "Two talkers at once: the labelled one is louder by"
    none_right = "babble at 20 dB; at 0 dB none is the right one"
    return [
        Axis("field", "Kinds of diffuse noise, at 5 dB", fields, "babble", coloured, ordered=False),
        Axis("interferer", noise, interferers, "recorded", synthetic, ordered=False),
        Axis("talkers", title, talkers, note=none_right),
    ]


def _sound(noise: str) -> str:
    """Name of the recordings of a kind of noise."""
    return noise if noise in NOISES else "noise"
