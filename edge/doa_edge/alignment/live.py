"""Places of a live microphone, one after the other: what to do is said, how far it is shown."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

from doa_core.errors import InputError, say
from doa_edge.alignment.place import Place, PlaceListener
from doa_edge.direction_model import DirectionModel
from doa_edge.input.stream import Gap, StreamItem

ATTEMPTS = 3  # for each place
_PATIENCE = 6.0  # times the seconds of speech that are asked for
_LEAST_PATIENCE_S = 20.0
_SIDES = {0.0: "ahead of", 90.0: "to the left of", 180.0: "behind", -90.0: "to the right of"}
_STEEP_DEG = 75.0  # nobody stands there


def hear_place(
    items: Iterator[StreamItem],
    models: tuple[DirectionModel, DirectionModel | None],
    place: tuple[float, float],
    *,
    title: str,
    wait_s: float,
    speech_s: float,
) -> Place:
    """What is heard at one place; what is refused is asked for again, twice at most.

    Args:
        items: (N, 4) AmbiX blocks and gaps of a source, in the microphone's own axes.
        models: whose directions are taken, and the witness; see `PlaceListener`.
        place: azimuth and elevation [degrees] of the talker.
        title: of the place, for people.
        wait_s: for the talker to get there [seconds].
        speech_s: that is asked for [seconds].

    Raises:
        InputError: nobody spoke, several did, or one who moved.
    """
    attempts = 0
    while True:
        attempts += 1
        say(
            f"doa_edge: {title}: {instruction(*place)}. In {wait_s:g} s speak for {speech_s:g} "
            "seconds, alone, and stand still"
        )
        _pass(items, round(wait_s * models[0].spec.features.sample_rate))
        say(f"doa_edge: {title}: speak now")
        listener = PlaceListener(*models)
        ended = _listen(items, listener, speech_s)
        try:
            found = listener.finish()
        except InputError as error:
            if ended or attempts == ATTEMPTS:
                raise InputError(f"{title.capitalize()}: {error}") from error
            say(f"doa_edge: {title}: {error}; once more")
            continue
        say(f"doa_edge: {title}: heard, thank you")
        return found


def instruction(azimuth_deg: float, elevation_deg: float) -> str:
    """What a talker is asked to do to be at a place."""
    if abs(elevation_deg) >= _STEEP_DEG:
        side = "above" if elevation_deg > 0.0 else "below"
        return f"bring your mouth right {side} the microphone, half a metre away"
    azimuth = abs(math.remainder(azimuth_deg, 360.0))
    azimuth = azimuth if azimuth == 180.0 else math.remainder(azimuth_deg, 360.0)
    side = _SIDES.get(azimuth, "")
    stand = f"stand {side} the microphone" if side else f"stand at azimuth {azimuth:g} degrees"
    height = "at its height" if side else "at the microphone's height"
    if elevation_deg:
        above = "above" if elevation_deg > 0.0 else "below"
        height = f"{abs(elevation_deg):g} degrees {above} its horizon"
    return f"{stand}, one or two metres away, your mouth {height}"


def _pass(items: Iterator[StreamItem], samples: int) -> None:
    """Let sound pass unheard."""
    while samples > 0 and (item := next(items, None)) is not None:
        samples -= item.samples if isinstance(item, Gap) else len(item)


def _listen(items: Iterator[StreamItem], listener: PlaceListener, speech_s: float) -> bool:
    """Listen until there is enough speech, or none for long, and show how far it is.

    Returns:
        Whether the source has ended.
    """
    longest_s = max(_LEAST_PATIENCE_S, _PATIENCE * speech_s)
    shown = sys.stderr.isatty()
    ended = True
    for item in items:
        listener.push(item)
        if shown:
            sys.stderr.write(f"\r  {min(listener.speech_s, speech_s):4.1f} s of {speech_s:g} s ")
            sys.stderr.flush()
        if listener.speech_s >= speech_s or listener.heard_s >= longest_s:
            ended = False
            break
    if shown:
        sys.stderr.write("\n")
    return ended
