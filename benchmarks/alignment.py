"""How well `doa_edge align` finds the mounting of a microphone, on labelled scenes of one talker.

    python -m benchmarks.alignment SCENES [--condition NAME] [--trials 100] [--seed 0] [--json FILE]

A place is five scenes of a folder in the scenes format, each turned by its label so that the talker
stands there, one after the other. Then the whole is turned as a microphone in a random mounting
hears it, and goes through what the command does:

    yaw       one place ahead, a microphone that stands level
    two       ahead and to the left, mounted in any way
    three     ahead, to the left and above, in any way: has to be found
    mirrored  the same with an exchange of dipoles that no rotation explains: has to be told

Printed: medians and 90th percentiles of the angle of the rotation that is left, how many places or
alignments were refused, and how many exchanges were told. Refused alignments have no angle.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from doa_core.ambisonics import rotate_ambix
from doa_core.angles import FloatArray, angles_to_vector, random_rotation, rotation_matrix
from doa_core.errors import InputError
from doa_edge.alignment.mount import Mounting, level_mounting, mounting
from doa_edge.alignment.place import PlaceListener
from doa_edge.input.exchanges import EXCHANGES
from doa_edge.tflite.network import TfliteModel, default_model_path
from doa_tf.files import write_json
from doa_tf.scenes.folder import Scene, read_scenes

SCENES = 5  # of a place
PLACES = angles_to_vector(np.radians([0.0, 90.0, 0.0]), np.radians([0.0, 0.0, 90.0]))
MIRRORS = [exchange for exchange in EXCHANGES if exchange.mirrors]


class Places:
    """Places of a folder's scenes, drawn at random.

    Args:
        folder: in the scenes format, one talker a scene.
        condition: of its column `condition`; all if None.
        generator: of every draw.
    """

    def __init__(self, folder: Path, condition: str | None, generator: np.random.Generator) -> None:
        scenes = read_scenes(folder)
        self._scenes = [
            scene
            for scene in scenes
            if condition is None or scene.columns.get("condition") == condition
        ]
        if len(self._scenes) < SCENES:
            raise InputError(f"{folder} must have {SCENES} scenes of the condition at least")
        self._generator = generator

    def at(self, direction: FloatArray) -> FloatArray:
        """(N, 4) float32 AmbiX of five scenes whose talker stands in a direction, (3,)."""
        drawn = self._generator.choice(len(self._scenes), SCENES, replace=False)
        return np.concatenate([self._turned(self._scenes[index], direction) for index in drawn])

    def _turned(self, scene: Scene, direction: FloatArray) -> FloatArray:
        turn = self._axes(direction) @ self._axes(scene.direction).T
        return rotate_ambix(scene.read(), turn).astype(np.float32)

    def _axes(self, first: FloatArray) -> FloatArray:
        """(3, 3) rotation whose first axis is given, turned about it at random."""
        second = np.cross(first, self._generator.standard_normal(3))
        second /= np.linalg.norm(second)
        return np.stack([first, second, np.cross(first, second)], axis=1)


def heard(models: tuple[TfliteModel, TfliteModel], sound: FloatArray, turn: FloatArray) -> Any:
    """(3,) direction in the axes of a microphone whose directions `turn` brings to the room's."""
    listener = PlaceListener(*models)
    listener.push(rotate_ambix(sound, turn.T).astype(np.float32))
    return listener.finish().direction


def left_deg(found: Mounting, rotation: FloatArray) -> float:
    """The angle of the rotation that is left [degrees]."""
    left = rotation_matrix(*found.mount).T @ rotation
    return float(np.degrees(np.arccos(np.clip((np.trace(left) - 1.0) / 2.0, -1.0, 1.0))))


def try_once(
    models: tuple[TfliteModel, TfliteModel], places: Places, generator: np.random.Generator
) -> dict[str, float | str]:
    """One trial of each kind: what is left [degrees], or why it was refused."""
    sounds = [places.at(direction) for direction in PLACES]
    outcome: dict[str, float | str] = {}
    yaw = rotation_matrix(generator.uniform(-np.pi, np.pi))
    outcome["yaw"] = _outcome(lambda: level_mounting(heard(models, sounds[0], yaw), PLACES[0]), yaw)
    turn = random_rotation(generator)
    mirror = MIRRORS[generator.integers(len(MIRRORS))].matrix.T @ turn.T
    try:
        directions = np.stack([heard(models, sound, turn) for sound in sounds])
    except InputError as error:
        return {**outcome, **dict.fromkeys(("two", "three", "mirrored"), str(error))}
    outcome["two"] = _outcome(lambda: mounting(directions[:2], PLACES[:2]), turn)
    outcome["three"] = _outcome(lambda: mounting(directions, PLACES), turn)

    def exchanged() -> Mounting:
        mirrored = [heard(models, sound, mirror.T) for sound in sounds]
        return mounting(np.stack(mirrored), PLACES)

    outcome["mirrored"] = _outcome(exchanged, turn)
    return outcome


def _outcome(measure: Any, rotation: FloatArray) -> float | str:
    try:
        return left_deg(measure(), rotation)
    except InputError as error:
        return str(error)


def summary(outcomes: list[dict[str, float | str]]) -> dict[str, dict[str, float]]:
    """Of each kind: how many trials, found, told as mirrored, refused otherwise; angles left."""
    result = {}
    for kind in ("yaw", "two", "three", "mirrored"):
        all_of_it = [outcome[kind] for outcome in outcomes]
        angles = [one for one in all_of_it if isinstance(one, float)]
        told = sum("Channels are exchanged" in one for one in all_of_it if isinstance(one, str))
        found = {"trials": len(all_of_it), "found": len(angles), "told": told}
        found["refused"] = len(all_of_it) - len(angles) - told
        if angles:
            found["median_deg"] = round(float(np.median(angles)), 2)
            found["p90_deg"] = round(float(np.quantile(angles, 0.9)), 2)
        result[kind] = found
    return result


def main() -> int:
    """Measure, print a line of JSON for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--condition")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    models = (TfliteModel(default_model_path()),) * 2
    places = Places(options.scenes, options.condition, generator)
    outcomes: list[dict[str, float | str]] = []
    with suppress(KeyboardInterrupt):  # what there is by then is summed up
        while len(outcomes) < options.trials:
            outcomes.append(try_once(models, places, generator))
            sys.stderr.write(f"\r{len(outcomes)} of {options.trials}")
    sys.stderr.write("\n")
    result = summary(outcomes)
    for kind, found in result.items():
        print(kind, found)
    reasons = {str(one) for outcome in outcomes for one in outcome.values() if type(one) is str}
    for reason in sorted(reason for reason in reasons if "Channels are" not in reason):
        print("refused:", reason)
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
