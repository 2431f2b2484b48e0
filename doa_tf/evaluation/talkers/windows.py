"""Judging short recordings: one set of answers to each, whose outputs are averaged over all frames.

Two questions: where are the talkers, if one knows how many there are, and who is there, if one does
not. A talker counts who talks in 30 % of the frames; where they move, they are at their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from doa_core.angles import FloatArray
from doa_core.peaks import LOBE_STEPS
from doa_core.spec import FeatureSpec
from doa_core.stft import frame_count
from doa_edge.engine import EngineSettings
from doa_tf.evaluation.predictions import Predictions
from doa_tf.evaluation.talkers.tallies import MEDIAN, Tally
from doa_tf.matching import (
    Match,
    angles_between,
    errors_of_talkers,
    match,
)
from doa_tf.scenes.folder import Scene
from doa_tf.scenes.talkers import who_talks

LIMITS_DEG = (10.0, 20.0)  # of recall, precision and F-score
_WITHIN = {"acc5": 5.0, "acc10": 10.0, "acc15": 15.0, "acc20": 20.0}
_OUTLIER_DEG = 30.0
KNOWN_FIGURES = ("mean_deg", MEDIAN, *_WITHIN, "outliers30")
UNKNOWN_FIGURES = (
    *("recall10", "precision10", "F10", "recall20", "precision20", "F20"),
    *("count_right", "count_error", "silence_answered"),
)

# (A, 3) answers, best first, and their (A,) confidences, if so many are sought.
Answer = Callable[[int], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Window:
    """A short recording, who talks in it, and what is said of it.

    Attributes:
        scene: the recording and its labels.
        names: (V,) of the talkers who count.
        truth: (V, 3) unit vectors towards them.
        known: (A, 3) answers, A up to V, where V is known.
        confidence: (A,) theirs, in [0, 1].
        unknown: (B, 3) answers where V is not known; None of a method that needs to know it.
    """

    scene: Scene
    names: tuple[str, ...]
    truth: FloatArray
    known: FloatArray
    confidence: FloatArray
    unknown: FloatArray | None

    @cached_property
    def pairs(self) -> Match:
        """Which of the answers belongs to which talker, where V is known."""
        return match(angles_between(self.truth, self.known))

    @cached_property
    def tally(self) -> Tally:
        """The figures of this window.

        With V known: `mean_deg`, `acc5` to `acc20` and `outliers30` of the errors of all talkers.
        With V not known: `recall10`, `precision10` and `F10` (pairs within 10 degrees over talkers,
        over answers, and over the mean of the two), the same within 20; `count_right`, windows with
        as many answers as talkers; `count_error`, the mean difference of the two numbers;
        `silence_answered`, windows of nobody with an answer.
        """
        errors = errors_of_talkers(self.truth, self.known)
        talkers = len(errors)
        sums: dict[str, tuple[float, float]] = {
            name: (float(np.sum(errors <= deg)), talkers) for name, deg in _WITHIN.items()
        }
        sums["mean_deg"] = (float(np.sum(errors)), talkers)
        sums["outliers30"] = (float(np.sum(errors > _OUTLIER_DEG)), talkers)
        if self.unknown is not None:
            sums |= dict(_detections(self.truth, self.unknown))
        return Tally(scene=self.scene, errors_deg=errors, sums=sums)


def _detections(
    truth: FloatArray, answers: FloatArray
) -> Iterator[tuple[str, tuple[float, float]]]:
    pairs = match(angles_between(truth, answers))
    for within_deg in LIMITS_DEG:
        hits = pairs.hits(within_deg)
        yield f"recall{within_deg:g}", (hits, len(truth))
        yield f"precision{within_deg:g}", (hits, len(answers))
        yield f"F{within_deg:g}", (2 * hits, len(truth) + len(answers))
    yield "count_right", (len(truth) == len(answers), 1)
    yield "count_error", (abs(len(truth) - len(answers)), 1)
    if not len(truth):
        yield "silence_answered", (len(answers) > 0, 1)


def window_of(scene: Scene, answer: Answer, *, most: int = 0, threshold: float = 0.0) -> Window:
    """Who talks in a scene, and what is said of it.

    Args:
        scene: a short recording.
        answer: gives as many directions as are sought, or fewer.
        most: how many are sought where the number of talkers is not known; 0 for a method that
            needs to know it.
        threshold: least confidence of an answer where the number is not known.
    """
    names, truth = talkers_of(scene)
    known, confidence = answer(len(names)) if names else (np.zeros((0, 3)), np.zeros(0))
    unknown = None
    if most:
        found, certainty = answer(most)
        unknown = found[certainty >= threshold]
    return Window(
        scene=scene,
        names=names,
        truth=truth,
        known=known,
        confidence=confidence,
        unknown=unknown,
    )


def talkers_of(
    scene: Scene, features: FeatureSpec | None = None
) -> tuple[tuple[str, ...], FloatArray]:
    """Names and (V, 3) mean directions of those who talk in 30 % of a scene's frames or more.

    Args:
        scene: a short recording.
        features: how it is cut into frames; the usual way if None.
    """
    features = features or FeatureSpec()
    times_s = np.zeros(1)
    if scene.timed:
        samples = len(scene.read(sample_rate=features.sample_rate))
        frames = frame_count(samples, window_length=features.window_length, hop=features.hop)
        middle = features.window_length / 2  # samples
        times_s = (np.arange(frames) * features.hop + middle) / features.sample_rate
    directions = scene.directions_at(times_s)  # (T, V, 3)
    counts, means = who_talks(directions)
    names = [talker.name for talker, inside in zip(scene.talkers, counts, strict=True) if inside]
    return tuple(names), means


def network_windows(predictions: Predictions) -> list[Window]:
    """What a network says of short recordings: the peaks of its averaged scores.

    A softmax or a regression head has one answer to each. Where the number of talkers is not known,
    answers are those that `doa_edge run` would take for somebody by their confidence; a network of
    one voice has one there.
    """
    spec = predictions.spec
    if spec is None:
        raise ValueError("`predictions` must be of a network. Received: of a baseline")
    settings = EngineSettings()
    most = settings.voices_of(spec)
    threshold = settings.threshold(spec, several=most > 1)
    return [
        window_of(
            scene, partial(_peaks, predictions, scene, outputs), most=most, threshold=threshold
        )
        for scene, outputs in zip(predictions.scenes, predictions.outputs, strict=True)
    ]


def _peaks(
    predictions: Predictions, scene: Scene, outputs: FloatArray, count: int
) -> tuple[FloatArray, FloatArray]:
    spec = predictions.spec
    if spec is None:
        raise ValueError("`predictions` must be of a network. Received: of a baseline")
    if spec.head in LOBE_STEPS:
        found, confidences = spec.peaks(outputs, count=count)
    else:
        direction, confidence = spec.directions(outputs)
        found, confidences = direction[np.newaxis], np.atleast_1d(confidence)
    return predictions.refined(scene, found), confidences
