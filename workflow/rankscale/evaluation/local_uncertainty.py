"""Score-Uncertainty where few queries share a rank, by a smooth course of the loss over ranks.

Z = sum_r exp(-c(r)) of few losses a rank is too large, as the exponential is convex (Jensen): a bias of second order
that the delete-one jackknife takes off only where each rank holds several queries. Here c(r) is local-linear in
log(1 + r), so that thinly held ranks borrow from their neighbours, and each term's convexity is corrected for.
"""

import numpy as np

NOTHING = 1e-9  # of a sum of weights is rounding
WINDOW = 15  # queries in the window of a rank, and degrees of freedom behind its variance
GROUPS = 25  # of queries, deleted one by one for the error
BISECTIONS = 50


def local_with_errors(
    query: np.ndarray, rank: np.ndarray, share: np.ndarray, loss: np.ndarray, n_ranks: int
) -> tuple[float, np.ndarray]:
    """Score-Uncertainty, and float64 [2] the standard errors of Rank-Score-Alignment and of it, in nats.

    One entry of `query` (its number), `rank` (0-based) and `share` (of its weight) for each rank that a query could
    hold; `loss` float64 [q]. The errors come from deleting 25 groups of queries in turn.
    """
    # Where queries are few, a group is a query.
    groups = min(GROUPS, len(loss))
    group = np.arange(len(loss)) % groups
    cells = group[query] * n_ranks + rank
    by_group = np.stack([
        np.bincount(cells, share * loss[query] ** power, groups * n_ranks).reshape(groups, n_ranks)
        for power in (0, 1, 2)
    ])  # fmt: skip
    total = by_group.sum(1)
    parts = np.empty((groups, 2))
    for g in range(groups):
        rest = total - by_group[:, g]
        uncertainty = local_uncertainty(*rest)
        parts[g] = loss[group != g].mean() - entropy(rest[0]) - uncertainty, uncertainty
    return local_uncertainty(*total), np.sqrt((groups - 1) * parts.var(0))


def entropy(weight: np.ndarray) -> float:
    """Of weights by rank, in nats, as they are."""
    p = weight[weight > NOTHING] / weight.sum()
    return float(-(p * np.log(p)).sum())


def local_uncertainty(weight: np.ndarray, weighted_loss: np.ndarray, weighted_square: np.ndarray) -> float:
    """-log of the sum over all ranks of exp(-c(r)), in nats.

    `weight`, `weighted_loss`, `weighted_square`, float64 [n_candidates + 1]: by rank the weight of the queries that
    could hold it, and their losses and squared losses so weighted.
    """
    x = np.log1p(np.arange(len(weight)))
    low, high = _windows(x, weight)
    total, moment, square, loss, product = (
        _sums(values, low, high) for values in (weight, weight * x, weight * x**2, weighted_loss, weighted_loss * x)
    )
    mean = moment / total
    spread = square - moment * mean
    # A window of one rank, or of nearly one, has no slope.
    sloped = spread > 1e-9 * total
    slope = np.where(sloped, (product - loss * mean) / np.where(sloped, spread, 1), 0)
    course = loss / total + slope * (x - mean)
    leverage = 1 / total + np.where(sloped, (x - mean) ** 2 / np.where(sloped, spread, 1), 0)
    exponent = -course - _variance(x, weight, weighted_loss, weighted_square) * leverage / 2
    top = exponent.max()
    return -float(top + np.log(np.exp(exponent - top).sum()))


def _variance(x: np.ndarray, weight: np.ndarray, weighted_loss: np.ndarray, weighted_square: np.ndarray) -> np.ndarray:
    """Of losses within ranks, pooled over the ranks near each: float64, by rank."""
    held = np.maximum(weight, 1e-300)
    squares = np.where(weight > 0, np.maximum(weighted_square - weighted_loss**2 / held, 0), 0)
    freedom = np.maximum(weight - 1, 0)
    low, high = _windows(x, freedom)
    return _sums(squares * (weight > 1), low, high) / np.maximum(_sums(freedom, low, high), 1)


def _windows(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last-but-one place of the narrowest window around each x that weighs WINDOW, or of all."""
    sums = np.concatenate([[0.0], np.cumsum(weight)])
    near, far = np.zeros(len(x)), np.full(len(x), x[-1] - x[0])
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        low, high = np.searchsorted(x, x - middle), np.searchsorted(x, x + middle, "right")
        enough = sums[high] - sums[low] >= min(WINDOW, sums[-1]) - 1e-9
        near, far = np.where(enough, near, middle), np.where(enough, middle, far)
    # A window of one rank has width 0, which rounding must not lose.
    return np.searchsorted(x, x - far - 1e-12), np.searchsorted(x, x + far + 1e-12, "right")


def _sums(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return sums[high] - sums[low]
