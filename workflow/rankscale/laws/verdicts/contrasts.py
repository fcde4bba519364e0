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

from rankscale.laws.verdicts.realised_gain import Gains, welch_satterthwaite
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
    b = len(first.predicted)
    if not min(first.freedom, second.freedom):
        return Differences(*(np.full(b, np.nan) for _ in Differences._fields))
    with np.errstate(all="ignore"):
        share = np.stack([first.realised / first.predicted, second.realised / second.predicted], 1)
    usable = np.isfinite(share).all(1) & (first.predicted > 0) & (second.predicted > 0)
    usable &= first.share().bounded & second.share().bounded
    with np.errstate(all="ignore"):
        covariance, freedom = _covariance(first, second)
        covariance, freedom = np.where(usable[:, None, None], covariance, 0), np.where(usable, freedom, 1)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        scale = np.sqrt(freedom[:, None] / random.chisquare(freedom[:, None], (b, draws)))
        drawn = root @ random.standard_normal((4, draws)) * scale[:, None]
        differences = np.where(usable[:, None], _share_of(drawn, share, 0) - _share_of(drawn, share, 1), np.nan)
        low, high = np.quantile(differences, (LEVEL / 2, 1 - LEVEL / 2), axis=1)
        below, above = (differences <= 0).sum(1), (differences >= 0).sum(1)
        p = np.minimum(2 * (np.minimum(below, above) + 1) / (draws + 1), 1)
        gradient = _gradient(first, second)
        error = np.sqrt(np.einsum("bi,bij,bj->b", gradient, covariance, gradient))
    nothing = np.where(usable, 0, np.nan)
    smallest = smallest_effect(freedom, one_sided=False) * error
    return Differences(share[:, 0] - share[:, 1] + nothing, low, high, p + nothing, smallest + nothing)


def _share_of(drawn: np.ndarray, share: np.ndarray, metric: int) -> np.ndarray:
    """Drawn shares [b, draws] from the errors of both gains, which are in units of the predicted gain."""
    return (share[:, [metric]] + drawn[:, 2 * metric]) / (1 + drawn[:, 2 * metric + 1])


def _gradient(first: Gains, second: Gains) -> np.ndarray:
    """Of the difference to realised and predicted gain of the first, then of the second, in units of the predicted:
    [b, 4]."""
    one = np.ones(len(first.predicted))
    return np.stack([one, -first.realised / first.predicted, -one, second.realised / second.predicted], 1)


def _covariance(first: Gains, second: Gains) -> tuple[np.ndarray, np.ndarray]:
    """Of the four gains, in units of the predicted: [b, 4, 4]; its degrees of freedom [b]."""
    pair, freedom = (first, second), min(first.freedom, second.freedom)
    residuals = np.stack([gains.residuals / np.sqrt(gains.freedom) for gains in pair], 1)
    of_known = np.einsum("bmi,bni->bmn", residuals, residuals)
    by_known = np.stack(
        [
            part / gains.predicted[:, None]
            for gains in pair
            for part in (gains.realised_by_known, gains.predicted_by_known)
        ],
        1,
    )
    metric = [0, 0, 1, 1]  # of the four
    total = np.einsum("bri,bqi->brq", by_known, by_known) * of_known[:, metric][:, :, metric]
    by_held_out = np.stack([gains.realised_by_held_out / gains.predicted[:, None] for gains in pair], 1)
    of_held_out, degrees = of_known, np.full(len(total), float(freedom))
    if first.seeds > 1:
        deviations = np.stack([gains.deviations for gains in pair], 1).reshape(len(total), 2, -1)
        pure = np.einsum("bmi,bni->bmn", deviations, deviations) / (first.repeats * first.seeds)
        gradient = _gradient(first, second)
        slopes = by_held_out * gradient[:, ::2, None]
        known = np.einsum("bi,bij,bj->b", gradient, total, gradient)
        by_residuals, by_repeats = (np.einsum("bmj,bmn,bnj->b", slopes, c, slopes) for c in (of_known, pure))
        of_held_out = np.where((by_repeats > by_residuals)[:, None, None], pure, of_known)
        degrees = welch_satterthwaite(known, by_residuals, by_repeats, freedom, first.repeats)
    total[:, ::2, ::2] += np.einsum("bmj,bnj->bmn", by_held_out, by_held_out) * of_held_out
    return total, degrees


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p of a family of tests. NaN, an undecided test, stays NaN and counts as one of the family."""
    p = np.asarray(p, float)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
