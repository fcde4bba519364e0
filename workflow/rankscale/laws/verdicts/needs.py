"""What would show the gain that a law forecasts in 80 % of studies like this one: more seeds, cells or test queries.

Each alone, all else as it is, from what the study itself measured: the noise of runs (pure error) shrinks with seeds,
that of queries with queries; what cells are off the law by shrinks with neither, only with more cells.
"""

from typing import NamedTuple

import numpy as np

from rankscale.laws.verdicts.lack_of_fit import LackOfFit
from rankscale.laws.verdicts.realised_gain import Gains
from rankscale.laws.verdicts.rule import smallest_effect

MOST_CELLS = 100  # beyond it a number of sizes or subsets is no plan


class Needs(NamedTuple):
    """Numbers in all; None where nothing tells it, or where that alone would never do."""

    seeds_needed: int | None
    cells_needed: int | None
    queries_needed: int | None


def needs(gains: Gains, y: np.ndarray, log: bool, lack: LackOfFit, noise: np.ndarray, queries: int) -> Needs:
    """Of one study with values `y` [n, s], whose cell means owe the covariance `noise` [n, n], known cells first and in
    the law's space, to sampling `queries` test queries."""
    if not gains.freedom or not gains.predicted[0] > 0:
        return Needs(None, None, None)
    return Needs(seeds_needed(gains, y, log, lack.misfit), cells_needed(gains), queries_needed(gains, noise, queries))


def seeds_needed(gains: Gains, y: np.ndarray, log: bool, misfit: float) -> int | None:
    """Seeds with which 80 % of such studies would show the forecast gain, from values [n, s] of all cells.

    Pure error shrinks with seeds; `misfit`, the standard deviation of cells about the law beyond it, does not. None
    where that alone is too much (only more cells would do), and where one seed tells neither. Both are taken to be
    equal in all cells.
    """
    n, s = y.shape
    if s < 2 or not gains.freedom or not gains.predicted[0] > 0 or not np.isfinite(misfit):
        return None
    z = np.log(y) if log else y
    within = z - z.mean(1, keepdims=True) - z.mean(0) + z.mean()
    run = float((within**2).sum()) / ((n - 1) * (s - 1))
    weight = float((gains.realised_by_known[0] ** 2).sum() + (gains.realised_by_held_out[0] ** 2).sum())
    variance = _enough(gains, gains.freedom) / weight
    return None if misfit**2 >= variance else max(int(np.ceil(run / (variance - misfit**2))), 2)


def cells_needed(gains: Gains) -> int | None:
    """Cells if new ones come beside these, the same share of them held out: the variance of the realised gain falls as
    their number grows, and the degrees of freedom grow with it."""
    known, held_out = gains.residuals.shape[1], gains.deviations.shape[1]
    n, variance = known + held_out, float(gains.variances[0][0])
    for cells in range(n, MOST_CELLS + 1):
        freedom = round(known * cells / n) - (known - gains.freedom)
        if variance * n / cells <= _enough(gains, freedom):
            return cells
    return None


def queries_needed(gains: Gains, noise: np.ndarray, queries: int) -> int | None:
    """Test queries, of which only the noise of queries shrinks: all else that the realised gain varies by stays."""
    slopes = np.concatenate([gains.realised_by_known[0], gains.realised_by_held_out[0]])
    by_queries, variance = float(slopes @ noise @ slopes), float(gains.variances[0][0])
    left = _enough(gains, float(gains.effective_freedom[0])) - max(variance - by_queries, 0)
    return int(np.ceil(by_queries / left * queries)) if by_queries > 0 and left > 0 else None


def _enough(gains: Gains, freedom: float) -> float:
    """The variance of the realised gain with which 80 % of studies show the forecast gain, by so many degrees."""
    return float((gains.predicted[0] / smallest_effect(np.array(freedom), one_sided=True)) ** 2)
