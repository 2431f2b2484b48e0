"""How much of the others a beam at each talker takes out of a meeting, beside the channel W.

    python -m experiments.quality.listening MODEL --scenes DIR... [--json FILE]

DIR: meetings with their images, as `doa_tf render --condition meeting --images` makes them. A beam
is linear: what it leaves of each talker is what the same weights leave of their image. While others
talk too, the ratio of a talker's energy to that of all the other talkers is compared with the same
ratio in W; a row a talker of a meeting. Beams are steered by the tracks of `doa_edge`, and by the
labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from doa_core.angles import angles_to_vector, great_circle_distance
from doa_core.beam import MAX_NOISE_GAIN_DB
from doa_core.errors import InputError
from doa_core.spec import SAMPLE_RATE
from doa_edge.engine import DirectionEngine, EngineSettings
from doa_edge.estimate import Estimate, Talker, direction_deg
from doa_edge.input.audio import read_recording
from doa_edge.listening import TalkerListener
from doa_edge.tflite.network import TfliteModel
from doa_edge.tflite.shipped import model_path
from doa_tf.cli.program import program, run_program
from doa_tf.files import write_json
from doa_tf.scenes.folder import IMAGES_FOLDER, Scene, read_scenes
from experiments.quality.options import JSON, MODEL, add_scenes, one_thread
from experiments.scenes.tables import markdown

STEP = 1600  # samples, 0.1 s, of which the labels say who talks
NEAR_DEG = 20.0  # a track this near to a talker is theirs
LEAST_S = 0.5  # of other talkers' speech, or a talker is not judged
NO_NULLS_DB = -100.0  # no null is worth its noise
STEERED = ("labels", "labels, no nulls", "tracks", "tracks, no nulls")


@dataclass(frozen=True)
class Meeting:
    """A recording and what each talker is in it.

    Attributes:
        name: of the recording.
        sound: (N, 4) AmbiX.
        images: (V, N, 4) of each talker.
        directions: (T, V, 3) in the middle of each `STEP` samples; zero rows where one is silent.
    """

    name: str
    sound: np.ndarray
    images: np.ndarray
    directions: np.ndarray

    @property
    def talks(self) -> np.ndarray:
        """(V, N) bool: who talks in each sample."""
        steps = np.any(self.directions != 0.0, axis=-1).T
        talks: np.ndarray = np.repeat(steps, STEP, axis=1)
        return np.pad(talks, ((0, 0), (0, self.sound.shape[0] - talks.shape[1])))


@one_thread
def main(argv: Sequence[str] | None = None) -> None:
    """Listen to each talker and print the table."""
    parser = program("experiments.quality.listening", __doc__)
    several = {"type": model_path, "help": ".tflite of several voices"}
    parser.add_argument("model", **{**MODEL, **several})
    add_scenes(parser, required=True)
    parser.add_argument("--json", **JSON)
    args = parser.parse_args(argv)
    model = TfliteModel(args.model)
    rows: dict[str, list[dict[str, Any]]] = {}
    for folder in args.scenes:
        meetings = map(read_meeting, read_scenes(folder))
        rows[folder.name] = [row for meeting in meetings for row in judge(meeting, model)]
    print(table(rows))
    if args.json:
        write_json(args.json, rows)


def read_meeting(scene: Scene) -> Meeting:
    """A scene with the image of each of its talkers.

    Raises:
        InputError: an image is missing, or has another length.
    """
    folder = scene.path.parent / IMAGES_FOLDER
    sound = scene.read()
    images = []
    for talker in scene.talkers:
        path = folder / f"{scene.path.stem}_{talker.name}.wav"
        images.append(read_recording(path, sample_rate=SAMPLE_RATE))
        if len(images[-1]) != len(sound):
            raise InputError(
                f"An image must be as long as its scene. Received: {path} with {len(images[-1])} "
                f"samples, {scene.path} with {len(sound)}"
            )
    middles_s = (np.arange(len(sound) // STEP) + 0.5) * STEP / SAMPLE_RATE
    return Meeting(scene.file, sound, np.array(images), scene.directions_at(middles_s))


def judge(meeting: Meeting, model: Any) -> list[dict[str, Any]]:
    """A row for each talker beside whom others talk: what each way to steer gains."""
    engine = DirectionEngine(model, EngineSettings(keep_audio=True))
    ways = {"labels": labelled(meeting), "tracks": list(engine.run([meeting.sound]))}
    rows = [{"meeting": meeting.name, "talker": number} for number in range(len(meeting.images))]
    for way, estimates in ways.items():
        owner = owners(estimates, meeting)
        for name, limit_db in ((way, MAX_NOISE_GAIN_DB), (f"{way}, no nulls", NO_NULLS_DB)):
            left = heard(estimates, meeting.images, owner, limit_db=limit_db)
            for row, result in zip(rows, gains(meeting, left), strict=True):
                row[name] = result
    return [row for row in rows if row["labels"]]


def labelled(meeting: Meeting) -> list[Estimate]:
    """Estimates that report who talks, and where, as the labels have it; ids count from 1."""
    estimates = []
    for number, directions in enumerate(meeting.directions):
        talkers = tuple(
            _talker(place + 1, direction)
            for place, direction in enumerate(directions)
            if np.any(direction)
        )
        start = number * STEP
        estimates.append(
            Estimate(
                time_s=(start + STEP) / SAMPLE_RATE,
                azimuth_deg=0.0,
                elevation_deg=0.0,
                confidence=float(bool(talkers)),
                active=bool(talkers),
                level_dbfs=0.0,
                of_s=(start + STEP / 2) / SAMPLE_RATE,
                talkers=talkers,
                audio=meeting.sound[start : start + STEP],
            )
        )
    return estimates


def owners(estimates: Iterable[Estimate], meeting: Meeting) -> dict[int, int]:
    """The talker, an index, whom each id is near most often; ids that never are, are left out."""
    votes: dict[int, np.ndarray] = {}
    for estimate in estimates:
        of_s = estimate.time_s if estimate.of_s is None else estimate.of_s
        step = min(int(of_s * SAMPLE_RATE / STEP), len(meeting.directions) - 1)
        directions = meeting.directions[step]
        silent = ~np.any(directions, axis=-1)
        for talker in estimate.talkers or ():
            off_deg = np.degrees(great_circle_distance(directions, _direction(talker)))
            off_deg[silent] = np.inf
            vote = votes.setdefault(talker.id, np.zeros(len(directions), int))
            vote[np.argmin(off_deg)] += np.min(off_deg) <= NEAR_DEG
    return {id: int(np.argmax(vote)) for id, vote in votes.items() if np.any(vote)}


def heard(
    estimates: Sequence[Estimate],
    images: np.ndarray,
    owner: Mapping[int, int],
    *,
    limit_db: float,
) -> np.ndarray:
    """(V, V, N): what the beams at each talker leave of each talker's image.

    Args:
        estimates: of the whole recording, with their sound.
        images: (V, N, 4).
        owner: the talker of each id.
        limit_db: on the noise of a beam; see `doa_core.beam.beam_weights`.
    """
    left = np.zeros((len(images), *images.shape[:2]), np.float32)
    for number, image in enumerate(images):
        listener = TalkerListener(sample_rate=SAMPLE_RATE, max_noise_gain_db=limit_db)
        voices = []
        for estimate in estimates:
            end = round(estimate.time_s * SAMPLE_RATE)
            start = end if estimate.audio is None else end - len(estimate.audio)
            voices += listener.push(replace(estimate, audio=image[start:end]))
        for voice in (*voices, *listener.finish()):
            if voice.id in owner:
                place = slice(voice.start, voice.start + len(voice.samples))
                left[owner[voice.id], number, place] += voice.samples
    return left


def gains(meeting: Meeting, left: np.ndarray) -> list[dict[str, Any] | None]:
    """What the beams at each talker gain over W while others talk; None without enough of that.

    `heard` is the share of that time in which there is a beam at the talker, and `gain_db` is of
    that share; None where it is none. `kept` is the share of the talker's speech that is in their
    file.
    """
    talks, w = meeting.talks, meeting.images[:, :, 0]
    results: list[dict[str, Any] | None] = []
    for number in range(len(w)):
        others = np.arange(len(w)) != number
        both = talks[number] & np.any(talks[others], axis=0)
        if np.count_nonzero(both) < LEAST_S * SAMPLE_RATE:
            results.append(None)
            continue
        in_file = np.any(left[number] != 0.0, axis=0)
        steered = both & in_file
        gain_db = None
        if np.any(steered):
            gain_db = _ratio_db(left[number], number, steered) - _ratio_db(w, number, steered)
        shares = {"heard": in_file[both], "kept": in_file[talks[number]]}
        results.append(
            {"gain_db": gain_db, **{name: float(np.mean(own)) for name, own in shares.items()}}
        )
    return results


def table(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Markdown: a row for each way to steer, a column for each folder."""
    cells = [[way, *(_cell([row[way] for row in own]) for own in rows.values())] for way in STEERED]
    kept = [np.mean([row["tracks"]["kept"] for row in own]) for own in rows.values()]
    cells.append(
        ["speech that is in its talker's file", *(f"{100 * share:.0f} %" for share in kept)]
    )
    cells.append(["talkers of meetings", *(str(len(own)) for own in rows.values())])
    return markdown(["steered by", *rows], cells)


def _cell(results: Sequence[Mapping[str, Any]]) -> str:
    """Median and the middle four fifths of the gain, and how much of the time there is a beam."""
    gain_db = [result["gain_db"] for result in results if result["heard"]]
    if not gain_db:
        return "nobody heard"
    low, median, high = np.percentile(gain_db, [10, 50, 90])
    share = 100.0 * np.mean([result["heard"] for result in results])
    return f"{median:.1f} dB [{low:.1f}, {high:.1f}], {share:.0f} % of the time"


def _ratio_db(sounds: np.ndarray, number: int, where: np.ndarray) -> float:
    """Energy of one of (V, N) sounds over that of the sum of the others, where it counts [dB]."""
    own = sounds[number, where].astype(np.float64)
    rest = np.delete(sounds, number, axis=0)[:, where].sum(axis=0, dtype=np.float64)
    return float(10.0 * np.log10(np.sum(own**2) / np.sum(rest**2)))


def _talker(id: int, direction: np.ndarray) -> Talker:
    azimuth_deg, elevation_deg = direction_deg(direction)
    return Talker(
        id=id, slot=id, azimuth_deg=azimuth_deg, elevation_deg=elevation_deg, confidence=1.0
    )


def _direction(talker: Talker) -> np.ndarray:
    return angles_to_vector(np.radians(talker.azimuth_deg), np.radians(talker.elevation_deg))


if __name__ == "__main__":
    run_program(main)
