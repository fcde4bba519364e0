"""Rank measures that are plain means over queries: of the log rank, and of every positive against every candidate.

Each is given as one value per query, whose mean is the metric and whose variance over q is its squared standard error.
"""

import numpy as np
from numpy.typing import ArrayLike

from rankscale.evaluation.calibration import score_array


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
