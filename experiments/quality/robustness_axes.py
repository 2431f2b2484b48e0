"""What a model's error is measured against in `robustness.py`: sets of scenes, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.scenes.changes import DEAD
from experiments.scenes.sets import OWN_MIX, OWN_ROOMS, WINDOW, SceneSet
from experiments.scenes.sounds import LANGUAGES

LONGER = 14_336  # samples, of which a window is left when they are played 5 % too fast
ELEVATIONS = ((-90.0, -30.0), (-30.0, -10.0), (-10.0, 10.0), (10.0, 30.0), (30.0, 90.0))
RECORDED = replace(OWN_MIX, recorded_share=1.0, field_shares=(1.0, 0.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Levels of one thing.

    Attributes:
        name: for the command line.
        title: for the table.
        levels: scenes by the level's name.
        reference: the level that the others are compared with, scene by scene; None where levels
            have other rooms or other talkers.
        ordered: whether levels are numbers, in order.
        note: what a reader has to know.
    """

    name: str
    title: str
    levels: dict[str, SceneSet]
    reference: str | None = None
    ordered: bool = True
    note: str = ""


def all_axes(sofa: Path) -> list[Axis]:
    """Every axis.

    Args:
        sofa: file of the array.
    """
    return [
        *_sound_axes(),
        *_room_axes(sofa),
        *_fault_axes(),
        _voices(),
        *_noises(),
        two_talkers(),
    ]


def quick_axes(axes: Sequence[Axis]) -> list[Axis]:
    """First and last level of each, and what it is compared with."""
    shorter = []
    for axis in axes:
        names = list(axis.levels)
        kept = dict.fromkeys([names[0], *([axis.reference] if axis.reference else []), names[-1]])
        shorter.append(replace(axis, levels={name: axis.levels[name] for name in kept}))
    return shorter


def _sound_axes() -> list[Axis]:
    snr = {
        f"{level} dB": SceneSet(
            name=f"snr{level}", mix=replace(OWN_MIX, snr_db=(float(level), float(level)))
        )
        for level in (-5, 0, 5, 10, 20, 30)
    }
    sir = {
        f"{level} dB": SceneSet(
            name=f"sir{level}",
            condition="interferer",
            mix=replace(OWN_MIX, sir_db=(float(level), float(level))),
        )
        for level in (-5, 0, 5, 10, 20)
    }
    return [
        Axis(name="snr", title="SNR of diffuse noise", levels=snr, reference="30 dB"),
        Axis(
            name="sir",
            title="SIR of a localised interferer",
            levels=sir,
            reference="20 dB",
            note="and diffuse noise at 5 to 30 dB",
        ),
    ]


def _room_axes(sofa: Path) -> list[Axis]:
    rt60 = {
        f"{level:g} s": SceneSet(
            name=f"rt60-{level:g}", rooms=replace(OWN_ROOMS, rt60=(level, level))
        )
        for level in (0.2, 0.4, 0.6, 0.8, 1.0)
    }
    wide = replace(OWN_ROOMS, size_min=(5.0, 5.0, 2.6))
    distance = {
        f"{level:g} m": SceneSet(
            name=f"distance-{level:g}", rooms=replace(wide, distance=(level, level))
        )
        for level in (0.5, 1.0, 2.0, 3.0, 4.0)
    }
    high = replace(OWN_ROOMS, any_height_share=1.0, distance=(0.5, 1.8), sources=4)
    elevation = {
        f"{low:g} to {top:g}°": SceneSet(
            name=f"elevation{low:g}", rooms=high, elevation_deg=(low, top), more_rooms=2
        )
        for low, top in ELEVATIONS
    }
    kinds = {"ideal": "ideal", "tetrahedral": "tetrahedral", "sphere": "sphere"}
    microphone = {
        name: SceneSet(name=f"microphone-{name}", rooms=replace(OWN_ROOMS, microphone=kind))
        for name, kind in {**kinds, "array of a SOFA file": str(sofa)}.items()
    }
    return [
        Axis(name="rt60", title="Reverberation time RT60", levels=rt60),
        Axis(name="distance", title="Distance", levels=distance, note="rooms of at least 5 x 5 m"),
        Axis(name="elevation", title="Elevation", levels=elevation, note="0.5 to 1.8 m away"),
        Axis(
            name="microphone",
            title="Microphone",
            levels=microphone,
            reference="tetrahedral",
            ordered=False,
            note="the same talkers in the same rooms",
        ),
    ]


def _fault_axes() -> list[Axis]:
    def levels(
        kind: str, values: dict[str, float], none: str, samples: int = WINDOW
    ) -> dict[str, SceneSet]:
        mix = replace(OWN_MIX, samples=samples)
        unchanged = SceneSet(name=f"{kind}-none", mix=mix)
        return {
            none: unchanged,
            **{
                name: replace(unchanged, name=f"{kind}{value:g}", change=(kind, value))
                for name, value in values.items()
            },
        }

    tilt = levels("tilt", {"5°": 5.0, "10°": 10.0, "20°": 20.0}, "level")
    rate = levels("rate", {"-5 %": -5.0, "-1 %": -1.0, "+1 %": 1.0, "+5 %": 5.0}, "right", LONGER)
    clip = levels("clip", {"1 %": 1.0, "5 %": 5.0, "20 %": 20.0}, "none")
    gains = {"-3 dB": -3.0, "-6 dB": -6.0, "-20 dB": -20.0, "dead": DEAD}
    capsule = levels("capsule", gains, "all alike")
    return [
        Axis(
            name="tilt",
            title="Microphone mounted askew, untold",
            levels=tilt,
            reference="level",
            note="turned about a horizontal axis, which moves directions by up to that angle",
        ),
        Axis(name="rate", title="Played at a wrong rate", levels=rate, reference="right"),
        Axis(
            name="clip",
            title="Samples that clip",
            levels=clip,
            reference="none",
            note="capsule signals of the tetrahedral microphone",
        ),
        Axis(
            name="capsule",
            title="One weak capsule of four",
            levels=capsule,
            reference="all alike",
            note="between two matrices of the tetrahedral microphone",
        ),
    ]


def _voices() -> Axis:
    clear = {"read English, people": SceneSet(name="voices-people")}
    demo = {"English, flite": SceneSet(name="voices-demo", speech="demo")}
    espeak = {
        f"{language}, espeak-ng": SceneSet(name=f"voices-{code}", speech=f"espeak-{code}")
        for code, (language, _) in LANGUAGES.items()
    }
    return Axis(
        name="voices",
        title="Voices and languages",
        levels={**clear, **demo, **espeak},
        ordered=False,
        note="synthesisers apart from the first; training heard read English",
    )


def _noises() -> list[Axis]:
    loud = replace(OWN_MIX, snr_db=(5.0, 5.0))
    fields = {"babble": (1.0, 0.0, 0.0), "recorded": (0.0, 1.0, 0.0), "coloured": (0.0, 0.0, 1.0)}
    diffuse = {
        name: SceneSet(name=f"field-{name}", mix=replace(loud, field_shares=shares))
        for name, shares in fields.items()
    }
    for name in ("music", "drill"):
        diffuse[name] = SceneSet(
            name=f"field-{name}", noise=name, mix=replace(loud, field_shares=(0.0, 1.0, 0.0))
        )
    localised = {
        name: SceneSet(
            name=f"interferer-{name}",
            condition="interferer",
            noise="noise" if name == "recorded" else name,
            mix=replace(RECORDED, sir_db=(5.0, 5.0)),
        )
        for name in ("recorded", "music", "siren", "drill", "beeps")
    }
    return [
        Axis(
            name="field",
            title="Kinds of diffuse noise, at 5 dB",
            levels=diffuse,
            reference="babble",
            ordered=False,
            note="recorded: --noise, else coloured",
        ),
        Axis(
            name="interferer",
            title="Kinds of localised noise, at 5 dB",
            levels=localised,
            reference="recorded",
            ordered=False,
            note="recorded: --noise, else synthetic",
        ),
    ]


def two_talkers() -> Axis:
    """Two talkers at once: `interferer_*_deg` is where the other one is."""
    levels = {
        f"{level} dB": SceneSet(
            name=f"two-talkers{level}",
            condition="interferer",
            speech="two-a",
            noise="two-b",
            mix=replace(RECORDED, sir_db=(float(level), float(level)), snr_db=(20.0, 20.0)),
        )
        for level in (10, 5, 0)
    }
    return Axis(
        name="talkers",
        title="Two talkers at once: the labelled one is louder by",
        levels=levels,
        note="babble at 20 dB; at 0 dB none is the right one",
    )
