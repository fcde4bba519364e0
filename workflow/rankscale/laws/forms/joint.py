"""The joint law of two variables above a floor (Scaling Laws for Dense Retrieval, 2024).

Worked in the level at u = 0 above the floor (log), the size's exponent alpha / beta, how much of the sum the size is
there (logit), beta, and delta: in these the fit does not depend on units.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from rankscale.laws.forms.additive import LEAST, SPLITS
from rankscale.laws.forms.base import STEEPEST, Law, planes_above


def _curve(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    level, slope, share, beta = (theta[:, i : i + 1] for i in range(4))
    first, second = -np.logaddexp(0, -share) - slope * u[:, 0], -np.logaddexp(0, share) - u[:, 1]
    both = np.logaddexp(first, second)
    above = np.exp(np.clip(level + beta * both, -STEEPEST, STEEPEST))
    a, b = (above * beta * np.exp(np.minimum(part - both, 0)) for part in (first, second))
    odds = a * expit(-share) - b * expit(share)
    return above + theta[:, 4:], np.stack([above, -u[:, 0] * a, odds, above * both, np.ones_like(above)], -1)


def _named(theta: np.ndarray) -> np.ndarray:
    level, slope, share, beta, delta = theta.T
    a, b = level / beta - np.logaddexp(0, -share), level / beta - np.logaddexp(0, share)
    return np.column_stack([np.exp(a / slope), slope * beta, np.exp(b), beta, delta])


def _starts(u: np.ndarray, target: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    starts = []
    for share in shares:
        floor, plane = planes_above(u, target, share)
        level, alpha, beta = plane[:, 0], np.maximum(plane[:, 1], LEAST), np.maximum(plane[:, 2], LEAST)
        for split in SPLITS:
            exponent = beta / (1 - split)
            odds = np.full_like(level, np.log(split / (1 - split)))
            starts.append(np.column_stack([level, alpha / (exponent * split), odds, exponent, floor]))
    return starts


def _recentre(theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
    theta = theta.copy()
    size, data = theta[:, 1] * centre[0] - np.logaddexp(0, -theta[:, 2]), centre[1] - np.logaddexp(0, theta[:, 2])
    theta[:, 0] += theta[:, 3] * np.logaddexp(size, data)
    theta[:, 2] = size - data
    return theta


JOINT = Law(
    name="joint",
    formula="y = delta + ((A/N)^(alpha/beta) + B/D)^beta",
    variables=2,
    parameters=("A", "alpha", "B", "beta", "delta"),
    curve=_curve,
    slope="alpha",
    named=_named,
    starts=_starts,
    recentre=_recentre,
    exponents=("alpha", "beta"),
    scales={"A": "alpha", "B": "beta"},
    floor=4,
    colour="#CC79A7",
    marker="X",
)
