"""Two metrics on the same cells: does one realise more of its forecast than the other?

The two share queries, seeds and sizes, so their noise is correlated and their realised shares are compared in pairs:
covariances of a cell's two values come from the cross-products of the two metrics' residuals about their laws (known
cells) and, for held-out cells, from those or from the cross-products of the pure errors, whichever makes the difference
less sure. The gains of both are then drawn together (multivariate t), as if the data were fixed and the truth unsure:
for one metric and a share that is well bounded this gives Fieller's interval. Undecided where a share is unbounded.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from rankscale.laws.verdicts.realised_gain import Gains
from rankscale.laws.verdicts.rule import LEVEL, smallest_effect

DRAWS = 10_000


class Differences(NamedTuple):
    """rho of the first metric less rho of the second in `b` studies; NaN where it is undecided for want of a bound."""

    difference: np.ndarray  # [b]
    low: np.ndarray  # [b] 95 % interval
    high: np.ndarray
    p: np.ndarray  # [b] two-sided; its step is 2 / (draws + 1)
    smallest: np.ndarray  # [b] difference that would have been seen in 80 % of such studies, by the linearised error


def share_differences(first: Gains, second: Gains, random: np.random.Generator, draws: int = DRAWS) -> Differences:
    """Difference of the realised shares of two metrics measured on the same cells and seeds."""
    if first.residuals.shape != second.residuals.shape or first.deviations.shape != second.deviations.shape:
        raise ValueError("the two metrics were not measured on the same cells and seeds")
    b, freedom = len(first.predicted), min(first.freedom, second.freedom)
    if not freedom:
        return Differences(*(np.full(b, np.nan) for _ in Differences._fields))
    estimate = np.stack([first.realised, first.predicted, second.realised, second.predicted], 1)
    critical = float(stats.t.ppf(1 - LEVEL / 2, first.freedom)), float(stats.t.ppf(1 - LEVEL / 2, second.freedom))
    usable = np.isfinite(estimate).all(1) & (first.predicted > 0) & (second.predicted > 0)
    usable &= first.share(critical[0]).bounded & second.share(critical[1]).bounded
    with np.errstate(all="ignore"):
        covariance = np.where(usable[:, None, None], _covariance(first, second), 0)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        noise = random.standard_normal((4, draws)) * np.sqrt(freedom / random.chisquare(freedom, draws))
        drawn = estimate[:, :, None] + root @ noise
        differences = np.where(usable[:, None], drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3], np.nan)
        low, high = np.quantile(differences, (LEVEL / 2, 1 - LEVEL / 2), axis=1)
        below, above = (differences <= 0).sum(1), (differences >= 0).sum(1)
        p = np.minimum(2 * (np.minimum(below, above) + 1) / (draws + 1), 1)
        gradient = _gradient(first, second)
        error = np.sqrt(np.einsum("bi,bij,bj->b", gradient, covariance, gradient))
        share = first.realised / first.predicted - second.realised / second.predicted
    nothing = np.where(usable, 0, np.nan)
    smallest = smallest_effect(freedom, one_sided=False) * error
    return Differences(share + nothing, low, high, p + nothing, smallest + nothing)


def _gradient(first: Gains, second: Gains) -> np.ndarray:
    """Of the difference to the four gains: [b, 4]."""
    parts = [
        (sign / gains.predicted, -sign * gains.realised / gains.predicted**2)
        for sign, gains in ((1, first), (-1, second))
    ]
    return np.stack([part for pair in parts for part in pair], 1)


def _covariance(first: Gains, second: Gains) -> np.ndarray:
    """Of realised and predicted gain of the first, then of the second metric: [b, 4, 4]."""
    pair = (first, second)
    residuals = np.stack([gains.residuals / np.sqrt(gains.freedom) for gains in pair], 1)
    known = np.einsum("bmi,bni->bmn", residuals, residuals)
    held_out = known
    _, h, s = first.deviations.shape
    # How a held-out mean moves the difference: [b, 2, h].
    slopes = np.stack([gains.realised_by_held_out for gains in pair], 1)
    if s > 1:
        deviations = np.stack([gains.deviations for gains in pair], 1).reshape(len(known), 2, -1)
        pure = np.einsum("bmi,bni->bmn", deviations, deviations) / (h * (s - 1) * s)
        weights = slopes * _gradient(first, second)[:, [0, 2], None]
        wider = np.einsum("bmj,bmn,bnj->b", weights, pure - known, weights) > 0
        held_out = np.where(wider[:, None, None], pure, known)
    # Rows: realised and predicted of the first, of the second; the metric each belongs to.
    by_known = np.stack([part for gains in pair for part in (gains.realised_by_known, gains.predicted_by_known)], 1)
    metric = [0, 0, 1, 1]
    total = np.einsum("bri,bqi->brq", by_known, by_known) * known[:, metric][:, :, metric]
    total[:, ::2, ::2] += np.einsum("bmj,bnj->bmn", slopes, slopes) * held_out
    return total


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p of a family of tests. NaN, an undecided test, stays NaN and counts as one of the family."""
    p = np.asarray(p, float)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
