"""Is it a law? The misfit of cell means about a law against the spread between seeds, and the size of the curvature."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from rankscale.laws.verdicts.realised_gain import AxisLaw, slopes_to_means
from rankscale.laws.verdicts.rule import LEVEL


class LackOfFit(NamedTuple):
    """Figures are in the law's space: of log y, so relative, or in the metric's unit; NaN where they cannot be told."""

    f: float
    p: float  # of an F as large where the law is true; NaN without repeats
    freedom: tuple[int, int]
    misfit: float  # standard deviation of a cell about the law beyond its noise; 0 where there is none to be seen
    bend: float  # how far the ends of the range lie above the middle, in the parabola through the residuals
    bend_low: float
    bend_high: float  # 95 %: by pure error where there are repeats, by the residuals left otherwise


def lack_of_fit(x: np.ndarray, y: np.ndarray, law: AxisLaw) -> LackOfFit:
    """Test a law against pure error on cells at `x` [n], `y` [n, s]; a positive bend levels off.

    Pure error is what is left of the seeds' values after cell and seed: what all cells of a seed share (they see the
    same subset) moves the level only, which no law can miss, and would hide a misfit. Cells are balanced, so F is exact
    for a law that is linear in its space.
    """
    n, s = y.shape
    freedom = (n - law.parameters, (n - 1) * (s - 1))
    nothing = LackOfFit(np.nan, np.nan, freedom, np.nan, np.nan, np.nan, np.nan)
    if freedom[0] < 1:
        return nothing

    def space(values: np.ndarray) -> np.ndarray:
        return np.log(values) if law.log else values

    with np.errstate(all="ignore"):
        means = y.mean(1)
        fitted = law.predict(x, means[None], x)[0]
        residuals = space(means) - space(fitted)
        squares = float(residuals @ residuals)
        if not np.isfinite(squares):
            return nothing
        # Of the fitted values to the means, in the law's space.
        slopes = slopes_to_means(x, means[None], x, law, np.sqrt([squares / freedom[0]]))[0].T
        if law.log:
            slopes = slopes / fitted[:, None]
    u = np.log(x) - np.log(x).mean()
    square = u**2 - slopes @ u**2
    norm, half = float(square @ square), float(np.ptp(u) / 2)
    if norm > 1e-9 * float((u**2) @ (u**2)):
        curvature = float(square @ residuals) / norm
    else:
        curvature, norm = np.nan, np.nan
    if s > 1:
        values = space(y)
        within = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        variance, noise_freedom = float((within**2).sum()) / freedom[1] / s, freedom[1]
        f = squares / freedom[0] / variance if variance else np.inf
        p, misfit = float(stats.f.sf(f, *freedom)), np.sqrt(max(squares / freedom[0] - variance, 0))
    else:
        noise_freedom = freedom[0] - 1
        variance = max(squares - curvature**2 * norm, 0) / noise_freedom if noise_freedom else np.nan
        f = p = misfit = np.nan
    width = float(stats.t.ppf(1 - LEVEL / 2, noise_freedom)) * np.sqrt(variance / norm) if noise_freedom else np.nan
    bend, width = curvature * half**2, width * half**2
    return LackOfFit(float(f), p, freedom, float(misfit), bend, bend - width, bend + width)
