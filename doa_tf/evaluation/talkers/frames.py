"""Judging the answers to a recording, frame by frame: who talks when, and who is said to.

A frame is a moment, every 0.1 s from 1 s after the recording's begin. The answers to it are those
of the estimate that is of that moment (`of_s`), so that what comes late is not late here, if it
says so. Voices do not begin and end as sharply as their labels: nobody is said to talk only from
0.6 s after their last word to 0.3 s before their first, and an answer is wrong only where it points
at none who talks or did so in that time.

References:
    A. Politis, A. Mesaros, S. Adavanne, T. Heittola, T. Virtanen, "Overview and evaluation of sound
        event localization and detection in DCASE 2019", IEEE/ACM TASLP 29, 2021,
        doi:10.1109/TASLP.2020.3047233: LE, LR and the F-score with a limit of 20 degrees.
    K. Bernardin, R. Stiefelhagen, "Evaluating multiple object tracking performance", EURASIP
        Journal on Image and Video Processing, 2008, doi:10.1155/2008/246309: identity switches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray, great_circle_distance
from doa_tf.evaluation.talkers.tallies import MEDIAN, Tally
from doa_tf.matching import Match, angles_between, match
from doa_tf.scenes.folder import Scene

FRAME_S = 0.1  # between frames [seconds]
FIRST_S = 1.0  # the first frame: a whole window has been heard [seconds]
BEFORE_S = 0.3  # seconds before their label in which somebody may be heard
AFTER_S = 0.6  # seconds after their label in which somebody may still be heard
WITHIN_DEG = 20.0  # an answer that is farther from a talker [degrees] is not theirs
MOVING_S = 1.0  # the time around a frame [seconds] in which a talker moves, or does not
MOVING_DEG = 5.0  # whoever turns by more in that time [degrees] moves
NEAREST_S = 0.081  # largest distance of a frame and its estimate: half of the estimates' 0.16 s
FIGURES = (
    *("recall", "recall_lone", "recall_overlap", "recall_moving", MEDIAN),
    *("silence_answered", "wrong"),
    *("LE_deg", "LR", "recall20", "precision20", "F20", "count_right", "switches_per_minute"),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What a runner says of one moment.

    Attributes:
        of_s: the moment that the directions are of [seconds].
        directions: (A, 3) unit vectors; A is 0 where nobody is said to talk.
        ids: (A,) who each of them is; empty where the runner knows one voice and no identities.
    """

    of_s: float
    directions: FloatArray
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame:
    """A moment of a recording.

    Attributes:
        time_s: the moment [seconds].
        talkers: numbers of those who talk, in the order of the labels.
        truth: (V, 3) unit vectors towards them.
        lately: (L, 3) directions of everybody who talks, did so lately or is about to.
        answers: of the estimate that is of this moment; none where there is no such estimate.
        moving: whether each of the talkers moves, see `moving_at`.
    """

    time_s: float
    talkers: tuple[int, ...]
    truth: FloatArray
    lately: FloatArray
    answers: Answers
    moving: tuple[bool, ...]


def frames_of(
    scene: Scene,
    answers: Sequence[Answers],
    *,
    duration_s: float,
    nearest_s: float = NEAREST_S,
) -> Iterator[Frame]:
    """The frames of a recording, each with the answers to it.

    Args:
        scene: who talks when.
        answers: of all estimates, `of_s` ascending.
        duration_s: of the recording [seconds].
        nearest_s: largest distance in time of a frame and its estimate [seconds].
    """
    moments = np.array([answer.of_s for answer in answers])
    owners, starts, ends, directions = _spans(scene)
    nobody = np.zeros((0, 3))
    times_s = np.arange(FIRST_S, duration_s, FRAME_S)
    for time_s, moving in zip(times_s, moving_at(scene, times_s), strict=True):
        now = (starts <= time_s) & (time_s < ends)
        lately = (starts - BEFORE_S <= time_s) & (time_s < ends + AFTER_S)
        place = int(np.searchsorted(moments, time_s - nearest_s))
        there = place < len(moments) and moments[place] <= time_s + nearest_s
        yield Frame(
            time_s=float(time_s),
            talkers=tuple(owners[now].tolist()),
            truth=directions[now],
            lately=directions[lately],
            answers=answers[place] if there else Answers(of_s=float(time_s), directions=nobody),
            moving=tuple(moving[owners[now]].tolist()),
        )


def moving_at(scene: Scene, times_s: FloatArray) -> npt.NDArray[np.bool_]:
    """(T, V) whether each talker moves at (T,) times [seconds]; False where one is silent.

    One moves who turns by more than 5 degrees from half a second before that moment to half a
    second after it. Where they are silent at one of the two, the moment itself stands for it.
    """
    now = scene.directions_at(times_s)
    sides = []
    for aside_s in (-MOVING_S / 2.0, MOVING_S / 2.0):
        there = scene.directions_at(times_s + aside_s)
        sides.append(np.where(there.any(axis=-1, keepdims=True), there, now))
    turned_deg = np.degrees(great_circle_distance(*sides))
    moving: npt.NDArray[np.bool_] = now.any(axis=-1) & (turned_deg > MOVING_DEG)
    return moving


def _spans(scene: Scene) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
    """Talker's number, start and end [seconds] and (3,) direction of every stretch of speech."""
    spans = [
        (number, stretch.start_s, stretch.end_s, *stretch.direction)
        for number, talker in enumerate(scene.talkers)
        for stretch in talker.stretches
    ]
    table = np.array(spans, dtype=np.float64).reshape(-1, 6)
    return table[:, 0].astype(np.intp), table[:, 1], table[:, 2], table[:, 3:]


def judge_recording(
    scene: Scene, answers: Sequence[Answers], *, duration_s: float, nearest_s: float = NEAREST_S
) -> Tally:
    """The figures of one recording; arguments as in `frames_of`.

    `recall`: frames of talkers (one for each who talks in a frame) with an answer within 20
    degrees; `recall_lone`, `recall_overlap`, `recall_moving`: the same where one talks, where
    several do, and of those who move (`moving_at`), alone or not; `median_deg`: of the angles to
    these answers; `silence_answered`: frames of silence with an
    answer; `wrong`: answers, while somebody talks, beyond 20 degrees of everybody who talks or did
    so lately. By optimal assignment: `LE_deg`, the mean angle of the pairs; `LR`, the share of the
    frames of talkers that have a partner; `recall20`, `precision20`, `F20`: pairs within 20 degrees
    over the frames of talkers, over all answers, and over the mean of the two; `count_right`:
    frames in which somebody talks with as many answers as talkers; `switches_per_minute`: how often
    an identity changes, see `count_switches`.
    """
    parts: dict[str, float] = defaultdict(float)
    wholes: dict[str, float] = defaultdict(float)
    errors: list[float] = []
    matches: list[tuple[Frame, Match]] = []
    frames = list(frames_of(scene, answers, duration_s=duration_s, nearest_s=nearest_s))
    for frame in frames:
        angles_deg = angles_between(frame.truth, frame.answers.directions)
        pairs = match(angles_deg)
        matches.append((frame, pairs))
        for name, part, whole in (*_heard(frame, angles_deg), *_paired(frame, pairs)):
            parts[name] += part
            wholes[name] += whole
        if frame.answers.directions.size:
            nearest = angles_deg.min(axis=1)
            errors += nearest[nearest <= WITHIN_DEG].tolist()
    sums = {name: (parts[name], wholes[name]) for name in wholes}
    if any(answer.ids for answer in answers) or not any(len(a.directions) for a in answers):
        minutes = len(frames) * FRAME_S / 60.0
        sums["switches_per_minute"] = (count_switches(matches), minutes)
    return Tally(scene=scene, errors_deg=np.array(errors), sums=sums)


def count_switches(matches: Sequence[tuple[Frame, Match]]) -> int:
    """How often the id within 20 degrees of a talker is not the one that was there last.

    Whoever is not found, or is silent, keeps the last id; two talkers who exchange their ids make
    two switches.
    """
    last: dict[int, int] = {}
    switches = 0
    for frame, pairs in matches:
        near = pairs.angles_deg <= WITHIN_DEG
        for talker, answer in zip(pairs.talkers[near], pairs.answers[near], strict=True):
            name, found = frame.talkers[talker], frame.answers.ids[answer]
            switches += last.get(name, found) != found
            last[name] = found
    return switches


def _heard(frame: Frame, angles_deg: FloatArray) -> Iterator[tuple[str, float, float]]:
    """Name, part and whole of what is counted by the nearest answer."""
    talkers, answers = angles_deg.shape
    near = np.min(angles_deg, axis=1, initial=180.0) <= WITHIN_DEG
    found, moving = int(np.sum(near)), np.array(frame.moving, dtype=bool)
    yield "recall", found, talkers
    yield ("recall_lone" if talkers == 1 else "recall_overlap"), found, talkers
    yield "recall_moving", int(np.sum(near[moving])), int(np.sum(moving))
    if not len(frame.lately):
        yield "silence_answered", answers > 0, 1
    if talkers and answers:
        to_lately = angles_between(frame.lately, frame.answers.directions)
        yield "wrong", int(np.sum(to_lately.min(axis=0) > WITHIN_DEG)), answers


def _paired(frame: Frame, pairs: Match) -> Iterator[tuple[str, float, float]]:
    """Name, part and whole of what is counted by the optimal assignment."""
    talkers, answers = len(frame.talkers), len(frame.answers.directions)
    hits = pairs.hits(WITHIN_DEG)
    yield "LE_deg", float(np.sum(pairs.angles_deg)), len(pairs.angles_deg)
    yield "LR", len(pairs.angles_deg), talkers
    yield "recall20", hits, talkers
    yield "precision20", hits, answers
    yield "F20", 2 * hits, talkers + answers
    if talkers:
        yield "count_right", talkers == answers, 1
