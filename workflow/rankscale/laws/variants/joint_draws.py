"""Studies of several variants simulated together: what they share moves all of their laws at once.

All answer the same queries, and a run of one has the subset, the order and the first weights of the run of another with
the same seed. So the noise of queries is drawn from its joint covariance, and that of runs, and what a size is off the
law by, are drawn as alike in each variant and the first as their residuals are.
"""

from itertools import pairwise

import numpy as np

from rankscale.laws import bootstrap
from rankscale.laws.fitting import LawFit, solve

ALIKE = 0.95  # no correlation of residuals is trusted beyond


def joint_draws(
    fits: list[LawFit], runs: list[list[tuple]], noise: np.ndarray, draws: int, random: np.random.Generator
) -> list[np.ndarray]:
    """The laws fitted to `draws` simulated studies of all variants, working parameters [b, p] of each.

    `runs` names the run of each point: equal names of two variants are a pair. `noise` [k, k] is the covariance of all
    their points from queries, the first variant's first, in the laws' space.
    """
    ends = np.cumsum([0, *(len(fit.x) for fit in fits)])
    blocks = [slice(*pair) for pair in pairwise(ends)]
    values, vectors = np.linalg.eigh(noise)
    errors = random.standard_normal((draws, len(noise))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    first, sizes = fits[0], np.unique(fits[0].x, axis=0)
    of_runs = random.standard_normal((draws, len(first.x)))
    of_sizes = random.standard_normal((draws, len(sizes)))
    thetas = []
    for fit, block, names in zip(fits, blocks, runs, strict=True):
        run = bootstrap.run_noise(fit, noise[block, block], draws, random)
        cells, of_cell = np.unique(fit.x, axis=0, return_inverse=True)
        own, shared = of_runs, of_sizes
        if fit is not first:
            pairs = _pairs(runs[0], names)
            both = np.r_[blocks[0], block]
            alike = correlation(first, fit, pairs, noise[np.ix_(both, both)])
            own = _alike(of_runs, pairs, alike, random.standard_normal((draws, len(fit.x))))
            same = _pairs(list(map(tuple, sizes)), list(map(tuple, cells)))
            shared = _alike(
                of_sizes, same, cell_correlation(first, fit, same), random.standard_normal((draws, len(cells)))
            )
        errors[:, block] += run[:, None] * own
        if len(fit.x) - len(cells) >= bootstrap.REPEATS:
            misfit = bootstrap.size_noise(fit, noise[block, block], run, random)
            errors[:, block] += misfit[:, None] * shared[:, of_cell.reshape(-1)]
        targets = fit.law.link(fit.predict(fit.x)) + errors[:, block]
        thetas.append(solve(fit.law, fit.x, targets, fit.theta)[0])
    return thetas


def _pairs(first: list[tuple], second: list[tuple]) -> np.ndarray:
    """The positions [m, 2] of what is in both."""
    at = {name: position for position, name in enumerate(first)}
    return np.array([(at[name], i) for i, name in enumerate(second) if name in at], int).reshape(-1, 2)


def _alike(first: np.ndarray, pairs: np.ndarray, alike: float, own: np.ndarray) -> np.ndarray:
    """Standard normals `own` [b, k], made to correlate with those of the first [b, n] where they are `pairs` [m, 2]."""
    own[:, pairs[:, 1]] = alike * first[:, pairs[:, 0]] + np.sqrt(1 - alike**2) * own[:, pairs[:, 1]]
    return own


def correlation(first: LawFit, second: LawFit, pairs: np.ndarray, noise: np.ndarray) -> float:
    """How alike the noise of paired runs is beyond what queries explain; 0 where nothing is left of it.

    `noise` [n + m, n + m] is the covariance from queries of both. Residuals are those within a size where seeds repeat,
    those of the fits otherwise.
    """
    if len(pairs) < 2:
        return 0.0
    n = len(first.x)
    makers = [_residual_maker(fit)[rows] for fit, rows in zip((first, second), pairs.T, strict=True)]
    of_first, of_second = (maker @ fit.residuals() for maker, fit in zip(makers, (first, second), strict=True))
    own = of_first @ of_first - np.trace(makers[0] @ noise[:n, :n] @ makers[0].T)
    other = of_second @ of_second - np.trace(makers[1] @ noise[n:, n:] @ makers[1].T)
    if min(own, other) <= 0:
        return 0.0
    both = of_first @ of_second - np.trace(makers[0] @ noise[:n, n:] @ makers[1].T)
    return float(np.clip(both / np.sqrt(own * other), -ALIKE, ALIKE))


def _residual_maker(fit: LawFit) -> np.ndarray:
    """What takes points [n] to their residuals: about the mean of their size where seeds repeat, else about the law."""
    cells = np.unique(fit.x, axis=0, return_inverse=True)[1].reshape(-1)
    same = cells[:, None] == cells
    if len(cells) - (cells.max() + 1) >= bootstrap.REPEATS:
        return np.eye(len(cells)) - same / same.sum(1)
    jacobian = fit.slopes()
    return np.eye(len(cells)) - jacobian @ np.linalg.pinv(jacobian)


def cell_correlation(first: LawFit, second: LawFit, pairs: np.ndarray) -> float:
    """How alike two variants' cells are off their laws, by the means of their residuals."""
    if len(pairs) < 2:
        return 0.0
    means = []
    for fit, rows in zip((first, second), pairs.T, strict=True):
        cells = np.unique(fit.x, axis=0, return_inverse=True)[1].reshape(-1)
        means.append((np.bincount(cells, fit.residuals()) / np.bincount(cells))[rows])
    squares = float(np.sqrt((means[0] ** 2).sum() * (means[1] ** 2).sum()))
    return float(np.clip(means[0] @ means[1] / squares, -ALIKE, ALIKE)) if squares else 0.0
