"""Figures of angular errors, with bootstrap intervals, and paired tests between two models.

Intervals are percentile intervals of the bootstrap (B. Efron, 1979): the figure is computed on
`resamples` sets of N scenes drawn with replacement, and 2.5 % of the values lie below the interval
and 2.5 % above. Where scenes share rooms, the errors in one room are correlated, so whole rooms are
drawn. A share of 0 or 100 percent has no spread to resample; its interval is Wilson's (E. B.
Wilson, 1927).

SciPy has no bootstrap of groups, nor one set of resamples for all figures and models, and no
adjustment by Holm; the tests and Wilson's interval are its own.

References:
    B. Efron, "Bootstrap methods: another look at the jackknife", 1979, doi:10.1214/aos/1176344552.
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927,
        doi:10.1080/01621459.1927.10502953.
    F. Wilcoxon, "Individual comparisons by ranking methods", 1945, doi:10.2307/3001968.
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
        percentages", 1947, doi:10.1007/BF02295996.
    S. Holm, "A simple sequentially rejective multiple test procedure", 1979.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from doa_core.angles import FloatArray

WITHIN_DEG = {"acc5": 5.0, "acc10": 10.0, "acc15": 15.0}
OUTLIER_DEG = 30.0
FIGURES = ("mean_deg", "median_deg", *WITHIN_DEG, "outliers30")
SHARES = (*WITHIN_DEG, "outliers30")  # in percent
LEVEL = 0.95  # of every interval
RESAMPLES = 2000
_CHUNK = 2**22  # resampled scenes held at once: 34 MB of counts

Interval = tuple[float, float]


def figures(errors_deg: npt.ArrayLike) -> dict[str, float]:
    """The figures of (N,) errors [degrees].

    `mean_deg`, `median_deg`; `acc5`, `acc10`, `acc15`: percent of errors of at most that many
    degrees; `outliers30`: percent above 30 degrees.
    """
    errors = _as_errors(errors_deg)
    shares = {name: float(np.mean(_hits(errors, name))) for name in SHARES}
    return {
        "mean_deg": float(np.mean(errors)),
        "median_deg": float(np.median(errors)),
        **{name: 100.0 * share for name, share in shares.items()},
    }


class Bootstrap:
    """Resamples of N scenes, the same ones for every model, so that differences are paired.

    Args:
        scenes: N.
        clusters: (N,) what scenes share, such as their room; None for independent scenes. With
            fewer than two different values scenes are drawn one by one.
        resamples: how many.
        seed: of the draws. The same seed, scenes and clusters give the same intervals.
    """

    def __init__(
        self,
        scenes: int,
        *,
        clusters: Sequence[Hashable] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        if scenes < 1 or resamples < 1:
            raise ValueError(
                "`scenes` and `resamples` must be at least 1. "
                f"Received: scenes={scenes}, resamples={resamples}"
            )
        if clusters is not None and len(clusters) != scenes:
            raise ValueError(
                f"`clusters` must name one for each of {scenes} scenes. Received: {len(clusters)}"
            )
        self.scenes, self.resamples, self.seed = scenes, resamples, seed
        self._known: dict[bytes, dict[str, FloatArray]] = {}
        numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters or ()))}
        self._members: npt.NDArray[np.intp] = np.arange(scenes)
        if clusters is not None and len(numbers) > 1:
            self._members = np.array([numbers[name] for name in clusters])

    @property
    def clusters(self) -> int:
        """How many scenes, or groups of them, are drawn from."""
        return int(self._members.max()) + 1

    def figures(self, errors_deg: npt.ArrayLike) -> dict[str, FloatArray]:
        """(R,) values of every figure of (N,) errors, one for each resample."""
        errors = _as_errors(errors_deg)
        if len(errors) != self.scenes:
            raise ValueError(
                f"`errors_deg` must have {self.scenes} values. Received: {len(errors)}"
            )
        key = errors.tobytes()
        if key not in self._known:  # a model meets every other one
            self._known[key] = self._resample(errors)
        return self._known[key]

    def _resample(self, errors: FloatArray) -> dict[str, FloatArray]:
        order = np.argsort(errors)
        ordered = errors[order]
        hits = np.stack([_hits(ordered, name) for name in SHARES], axis=1).astype(np.float64)
        parts: dict[str, list[FloatArray]] = {name: [] for name in FIGURES}
        for counts in self._counts():
            weights = counts[:, order]
            total = weights.sum(axis=1)
            shares = weights @ hits / total[:, np.newaxis]
            parts["mean_deg"].append(weights @ ordered / total)
            parts["median_deg"].append(_weighted_median(ordered, weights, total))
            for column, name in enumerate(SHARES):
                parts[name].append(100.0 * shares[:, column])
        return {name: np.concatenate(values) for name, values in parts.items()}

    def mean(self, values: npt.ArrayLike) -> FloatArray:
        """(R,) means of (N,) values, one for each resample."""
        values = np.asarray(values, dtype=np.float64)
        means = [counts @ values / counts.sum(axis=1) for counts in self._counts()]
        return np.concatenate(means)

    def ratio(self, parts: npt.ArrayLike, wholes: npt.ArrayLike) -> FloatArray:
        """(R,) sums of (N,) parts over sums of (N,) wholes; NaN where a resample has no whole."""
        both = np.stack([np.asarray(parts, np.float64), np.asarray(wholes, np.float64)], axis=1)
        sums = np.concatenate([counts @ both for counts in self._counts()])
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: FloatArray = sums[:, 0] / sums[:, 1]
        return ratios

    def ratio_interval(self, parts: npt.ArrayLike, wholes: npt.ArrayLike) -> Interval:
        """The interval of `ratio`; resamples without a whole are left out."""
        ratios = self.ratio(parts, wholes)
        return percentile_interval(ratios[np.isfinite(ratios)])

    def share_interval(self, parts: npt.ArrayLike, wholes: npt.ArrayLike) -> Interval:
        """The interval of a share [percent], Wilson's where the share is 0 or 100 percent."""
        share = float(np.sum(parts) / np.sum(wholes))
        if share in (0.0, 1.0):
            return _wilson_interval(share, len(set(self._members[np.asarray(wholes) > 0])))
        low, high = self.ratio_interval(parts, wholes)
        return 100.0 * low, 100.0 * high

    def intervals(self, errors_deg: npt.ArrayLike) -> dict[str, Interval]:
        """The interval of every figure of (N,) errors."""
        errors = _as_errors(errors_deg)
        resampled = self.figures(errors)
        intervals = {name: percentile_interval(values) for name, values in resampled.items()}
        for name in SHARES:
            share = float(np.mean(_hits(errors, name)))
            if share in (0.0, 1.0):
                intervals[name] = _wilson_interval(share, self.clusters)
        return intervals

    def _counts(self) -> Iterator[FloatArray]:
        """Parts of the (R, N) matrix of how often each resample holds each scene."""
        rng = np.random.default_rng(self.seed)
        clusters = self.clusters
        rows = max(1, _CHUNK // max(clusters, self.scenes))
        for start in range(0, self.resamples, rows):
            count = min(rows, self.resamples - start)
            drawn = rng.integers(clusters, size=(count, clusters))
            drawn += clusters * np.arange(count)[:, np.newaxis]
            counts = np.bincount(drawn.ravel(), minlength=count * clusters)
            yield counts.reshape(count, clusters)[:, self._members].astype(np.float64)


def percentile_interval(values: npt.ArrayLike, *, level: float = LEVEL) -> Interval:
    """The middle `level` of (R,) resampled values."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [tail, 1.0 - tail])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Model A against model B on the same scenes.

    Attributes:
        n: scenes.
        differences: figure of A less that of B; negative errors and outliers favour A.
        intervals: of the differences, from paired resamples.
        nearer: share of scenes [percent] in which A is nearer to the talker than B, ties counting
            half: the effect size, 50 where neither is better.
        nearer_interval: of it.
        wilcoxon_p: two-sided signed-rank test of the errors, scene by scene.
        mcnemar_p: exact two-sided test of each share, by name.
    """

    n: int
    differences: dict[str, float]
    intervals: dict[str, Interval]
    nearer: float
    nearer_interval: Interval
    wilcoxon_p: float
    mcnemar_p: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """All of it, rounded for JSON."""
        return {
            "n": self.n,
            "differences": {name: round(x, 4) for name, x in self.differences.items()},
            "intervals": {
                name: [round(x, 4) for x in pair] for name, pair in self.intervals.items()
            },
            "nearer": round(self.nearer, 4),
            "nearer_interval": [round(x, 4) for x in self.nearer_interval],
            "wilcoxon_p": self.wilcoxon_p,
            "mcnemar_p": self.mcnemar_p,
        }


def compare_errors(
    a_deg: npt.ArrayLike, b_deg: npt.ArrayLike, *, bootstrap: Bootstrap | None = None
) -> PairedComparison:
    """Compare the (N,) errors of two models on the same scenes in the same order.

    The two tests take scenes as independent; where scenes share rooms, trust the intervals of a
    bootstrap with clusters.

    Raises:
        ValueError: not the same number of errors.
    """
    from scipy import stats

    a, b = _as_errors(a_deg), _as_errors(b_deg)
    if len(a) != len(b):
        raise ValueError(
            f"Both models must have errors on the same scenes. Received: {len(a)} and {len(b)}"
        )
    bootstrap = bootstrap or Bootstrap(len(a))
    own, other = figures(a), figures(b)
    all_own, all_other = bootstrap.figures(a), bootstrap.figures(b)
    nearer = np.where(a == b, 50.0, np.where(a < b, 100.0, 0.0))
    return PairedComparison(
        n=len(a),
        differences={name: own[name] - other[name] for name in FIGURES},
        intervals={name: percentile_interval(all_own[name] - all_other[name]) for name in FIGURES},
        nearer=float(np.mean(nearer)),
        nearer_interval=percentile_interval(bootstrap.mean(nearer)),
        wilcoxon_p=1.0 if np.array_equal(a, b) else float(stats.wilcoxon(a, b).pvalue),
        mcnemar_p={name: _mcnemar(_hits(a, name), _hits(b, name)) for name in SHARES},
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for the number of tests (Holm's step-down)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[number])))
        adjusted[int(number)] = largest
    return adjusted


def _wilson_interval(share: float, trials: int) -> Interval:
    """[percent] of a share of 0 or 1 that was found in so many trials."""
    from scipy.stats import binomtest

    interval = binomtest(round(share * trials), trials).proportion_ci(LEVEL, method="wilson")
    return 100.0 * float(interval.low), 100.0 * float(interval.high)


def _mcnemar(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Exact two-sided test of the scenes in which only one of the two is a hit."""
    from scipy.stats import binomtest

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


def _hits(errors: FloatArray, name: str) -> npt.NDArray[np.bool_]:
    """(N,) An error of exactly 10 degrees is within 10, one of exactly 30 is not an outlier."""
    return errors > OUTLIER_DEG if name == "outliers30" else errors <= WITHIN_DEG[name]


def _weighted_median(ordered: FloatArray, weights: FloatArray, total: FloatArray) -> FloatArray:
    """(R,) medians of ascending (N,) values with (R, N) integer weights."""
    reached = np.cumsum(weights, axis=1)
    low = np.argmax(reached > ((total - 1) // 2)[:, np.newaxis], axis=1)
    high = np.argmax(reached > (total // 2)[:, np.newaxis], axis=1)
    return 0.5 * (ordered[low] + ordered[high])


def _as_errors(errors_deg: npt.ArrayLike) -> FloatArray:
    errors = np.asarray(errors_deg, dtype=np.float64)
    if errors.ndim != 1 or not len(errors) or not np.all(np.isfinite(errors)):
        raise ValueError(
            "`errors_deg` must be (scenes,) finite numbers, at least one. "
            f"Received: errors_deg.shape={errors.shape}"
        )
    return errors
