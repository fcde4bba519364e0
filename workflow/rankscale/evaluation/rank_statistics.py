"""Rank measures that are plain means over queries: of ranks, and of every positive against every candidate.

Each is given as one value per query, whose mean is the metric and whose variance over q is its squared standard error.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rankscale.core.errors import StudyError


def reciprocal_ranks(above: ArrayLike, tied: ArrayLike) -> np.ndarray:
    """Expected reciprocal rank float64 [q] over random breaking of ties: the mean of 1/(r+1) over the ranks."""
    above, tied = np.asarray(above, np.int64), np.asarray(tied, np.int64)
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int((above + tied).max(initial=0)) + 2))])
    return (sums[above + tied + 1] - sums[above]) / (tied + 1)


def log_ranks(above: ArrayLike, tied: ArrayLike) -> np.ndarray:
    """Expected log(1 + r) float64 [q] over random breaking of ties, r the 0-based rank; its mean is `mean_log_rank`.

    `above` and `tied` hold how many candidates score above and like each query's positive.
    """
    above, tied = np.asarray(above, np.int64), np.asarray(tied, np.int64)
    sums = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int((above + tied).max(initial=0)) + 2)))])
    # A difference of sums has fewer digits than the one logarithm of a query without ties.
    return np.where(tied == 0, np.log1p(above), (sums[above + tied + 1] - sums[above]) / (tied + 1))


def auc_global_values(scores: ArrayLike) -> np.ndarray:
    """Values float64 [q] whose mean is `auc_global`: how often a positive scores above a candidate of any query.

    `scores` float [q, 1 + n], the positive's first; a tie counts half (Mann and Whitney 1947). The value of a query is
    A + B - AUC: A the placement of its positive among all candidates, B the mean placement of its candidates among
    all positives. Their variance is that of DeLong et al. (1988) for queries as clusters (Obuchowski 1997). Takes
    O(m log q) time for the m candidates of q queries. Raises StudyError for scores that are no such array or not
    finite.
    """
    scores = score_array(scores)
    q, m = len(scores), scores[:, 1:].size
    order = np.argsort(scores[:, 0])
    positives = scores[order, 0]
    # How many positives lie below each candidate, and how many below it or level with it.
    below, level = (np.searchsorted(positives, scores[:, 1:], side) for side in ("left", "right"))
    # The positive at place k of the order beats the candidates that have k positives or fewer at their level.
    beaten, matched = (np.cumsum(np.bincount(counts.reshape(-1), minlength=q + 1))[:q] for counts in (level, below))
    values = np.empty(q)
    values[order] = (beaten + matched) / (2 * m)
    auc = values.mean()
    return values + (1 - (below + level).mean(1) / (2 * q)) - auc


def grassberger_entropy(weight: np.ndarray) -> float:
    """Entropy in nats of queries by rank (Grassberger 2003, eq. 31); a fractional count lies between its neighbours."""
    from scipy.special import digamma

    n = weight[weight > 1e-9]

    def g(count: np.ndarray) -> np.ndarray:
        safe = np.maximum(count, 1)
        sign = np.where(safe % 2 == 0, 1, -1)
        return np.where(count < 1, 0, digamma(safe) + sign / 2 * (digamma((safe + 1) / 2) - digamma(safe / 2)))

    low = np.floor(n)
    between = (1 - (n - low)) * low * g(low) + (n - low) * (low + 1) * g(low + 1)
    return float(np.log(weight.sum()) - between.sum() / weight.sum())


def score_array(scores: ArrayLike, query_ids: Sequence[object] | None = None) -> np.ndarray:
    """`scores` as a floating-point array [q, 1 + n]. Raises StudyError where they are not, naming the query."""
    try:
        scores = np.asarray(scores)
        scores = scores if scores.dtype in {np.dtype(np.float32), np.dtype(np.float64)} else scores.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise StudyError(f"scores must be an array of numbers ({error})") from error
    if scores.ndim != 2 or len(scores) < 1 or scores.shape[1] < 2:
        raise StudyError(
            f"scores must have a row per query, its positive's and then its candidates'; their shape is {scores.shape}"
        )
    if query_ids is not None and len(query_ids) != len(scores):
        raise StudyError(f"there are {len(query_ids)} query ids for the scores of {len(scores)} queries")
    finite = np.isfinite(scores).all(1)
    if not finite.all():
        row = int(finite.argmin())
        query = f"number {row}" if query_ids is None else query_ids[row]
        raise StudyError(f"a score of query {query} is not finite; the checkpoint cannot be evaluated")
    return scores
