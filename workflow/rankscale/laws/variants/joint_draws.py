"""Studies of several variants simulated together: what they share moves all of their laws at once.

All answer the same queries, and a cell of one has the models, subsets and seeds of that of another. So the noise of
queries is drawn from its joint covariance, and what cells are off their law by beyond it (runs, and the law's own
misfit) as alike in each variant and the first as their residuals are.
"""

from itertools import pairwise

import numpy as np

from rankscale.laws import bootstrap
from rankscale.laws.fitting import LawFit, solve

ALIKE = 0.95  # no correlation of residuals is trusted beyond


def joint_draws(
    fits: list[LawFit], cells: list[list[tuple]], noise: np.ndarray, draws: int, random: np.random.Generator
) -> list[np.ndarray]:
    """The laws fitted to `draws` simulated studies of all variants, working parameters [b, p] of each.

    Points are means over seeds, one a cell; `cells` names them, and equal names of two variants are a pair. `noise`
    [k, k] is the covariance of all points from queries, the first variant's first, in the laws' space.
    """
    ends = np.cumsum([0, *(len(fit.x) for fit in fits)])
    blocks = [slice(*pair) for pair in pairwise(ends)]
    values, vectors = np.linalg.eigh(noise)
    errors = random.standard_normal((draws, len(noise))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    of_first = random.standard_normal((draws, len(fits[0].x)))
    thetas = []
    for position, (fit, block) in enumerate(zip(fits, blocks, strict=True)):
        own = of_first
        if position:
            pairs, both = _pairs(cells[0], cells[position]), np.r_[blocks[0], block]
            alike = correlation(fits[0], fit, pairs, noise[np.ix_(both, both)])
            own = random.standard_normal((draws, len(fit.x)))
            own[:, pairs[:, 1]] = alike * of_first[:, pairs[:, 0]] + np.sqrt(1 - alike**2) * own[:, pairs[:, 1]]
        spread = bootstrap.run_noise(fit, noise[block, block], draws, random)
        targets = fit.law.link(fit.predict(fit.x)) + errors[:, block] + spread[:, None] * own
        thetas.append(solve(fit.law, fit.x, targets, fit.theta)[0])
    return thetas


def _pairs(first: list[tuple], second: list[tuple]) -> np.ndarray:
    """The positions [m, 2] of what is in both."""
    at = {name: position for position, name in enumerate(first)}
    return np.array([(at[name], i) for i, name in enumerate(second) if name in at], int).reshape(-1, 2)


def correlation(first: LawFit, second: LawFit, pairs: np.ndarray, noise: np.ndarray) -> float:
    """How alike the residuals of paired cells are beyond what queries explain, or as they are where nothing is left.

    `noise` [n + m, n + m] is the covariance from queries of both.
    """
    if len(pairs) < 2:
        return 0.0
    n = len(first.x)
    makers = [_residual_maker(fit)[rows] for fit, rows in zip((first, second), pairs.T, strict=True)]
    of_first, of_second = (maker @ fit.residuals() for maker, fit in zip(makers, (first, second), strict=True))
    own, other, both = of_first @ of_first, of_second @ of_second, of_first @ of_second
    own_left = own - np.trace(makers[0] @ noise[:n, :n] @ makers[0].T)
    other_left = other - np.trace(makers[1] @ noise[n:, n:] @ makers[1].T)
    if min(own_left, other_left) > 0:
        own, other = own_left, other_left
        both -= np.trace(makers[0] @ noise[:n, n:] @ makers[1].T)
    return float(np.clip(both / np.sqrt(own * other), -ALIKE, ALIKE)) if min(own, other) > 0 else 0.0


def _residual_maker(fit: LawFit) -> np.ndarray:
    """What takes the errors of points [n] to their residuals about the law."""
    jacobian = fit.slopes()
    return np.eye(len(fit.x)) - jacobian @ np.linalg.pinv(jacobian)
