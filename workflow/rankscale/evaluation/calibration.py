"""The contrastive cross-entropy under the inverse temperature that suits a checkpoint's scores best, cross-fitted.

A ranker's scores have no natural scale, and the raw cross-entropy punishes a wrong one. So each half of the queries is
measured under the inverse temperature that is best for the other half: no query chooses its own. The halves depend on
the query ids alone and are the same for every checkpoint.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rankscale.core.errors import StudyError
from rankscale.evaluation.decomposition import NORMAL
from rankscale.evaluation.rank_statistics import score_array

# Nats that a mean absolute score difference is worth at most. Beyond it the loss changes only for queries whose
# differences are below a hundredth of the usual: rankings without a mistake, which have no best inverse temperature.
CAP = 100.0
# Of an inverse temperature in those units. Newton's error after a step of this size is its square.
TOLERANCE = 1e-10
# Standard errors of the best inverse temperature; below it the interval of the calibrated loss loses its coverage.
SURE = 8
ITERATIONS = 100  # a bracket halved this often has no floating-point number left inside
BLOCK = 2**15  # scores exponentiated at once, few enough to stay in the processor's cache


@dataclass(frozen=True)
class Calibration:
    """Calibrated losses of a checkpoint's queries, and the inverse temperatures behind them (per unit of score).

    `loss` float64 [q] in nats, `fold` int8 [q] of 0 and 1; `inverse_temperature[f]` is the one applied to fold f,
    the best of the other fold. `best_inverse_temperature` is that of all queries, `low` to `high` its 95 % interval;
    both None at the cap and for constant scores, where no interval can be given. `at_cap`: a fold or the whole has
    no best inverse temperature below the cap, as its positives score above all their candidates.
    """

    loss: np.ndarray
    fold: np.ndarray
    inverse_temperature: tuple[float, float]
    best_inverse_temperature: float
    low: float | None
    high: float | None
    at_cap: bool

    @property
    def uncertain(self) -> bool:
        """Whether the scores of so few queries tell so little that the mean loss's interval is too narrow."""
        return uncertain(self.best_inverse_temperature, self.low, self.high)


def uncertain(best: float, low: float | None, high: float | None) -> bool:
    """Whether a best inverse temperature is less than 8 of its standard errors away from 0.

    The standard error is that of its 95 % interval; without one, only that of constant scores is uncertain.
    """
    if low is None or high is None:
        return best == 0
    # An interval that is cut off at 0 is narrower than the error says, but then the best lies within 2 of them.
    return best <= SURE * (high - low) / (2 * NORMAL)


def calibrate(
    scores: ArrayLike, query_ids: Sequence[object] | None = None, *, cap: float = CAP, seed: int = 0
) -> Calibration:
    """Calibrate the scores of one checkpoint, split and kind of candidates.

    `scores` float [q, 1 + n]: the positive's first, then its candidates', before any inverse temperature. `query_ids`
    (row numbers where there are none) decide the folds, with `seed`. Each fold's inverse temperature minimises its
    mean cross-entropy over [0, `cap` / mean absolute difference of a candidate's score from its positive's], so that
    scores in another unit give the same losses. It is 0 where the scores are constant or rank worse than at random;
    the loss is then log(n + 1). The interval is Huber's sandwich for the root of the mean slope (White 1982), cut off
    at 0. With the folds' inverse temperatures held fixed the losses are values of independent queries:
    `decompose(calibration.loss, above, tied)` gives the calibrated parts. Choosing costs the mean loss
    1 / q to 2 / q nats, which its standard error leaves out: a small part of it, but near chance, where losses hardly
    vary, up to a third. In simulations 95 % intervals then held the smallest mean loss there is in some 80 % of
    studies (best inverse temperature 3 of its standard errors from 0), in 92 % at 8 of them.

    Raises StudyError for scores that are no such array or not finite, and where all queries fall into one fold.
    """
    scores = score_array(scores, query_ids)
    if not (np.isfinite(cap) and cap > 0):
        raise StudyError(f"the cap of the inverse temperature is {cap}; it must be a number above 0")
    q = len(scores)
    fold = cross_fitting_folds(range(q) if query_ids is None else query_ids, seed)
    first = int((fold == 0).sum())
    if first in {0, q}:
        raise StudyError(
            f"all of the {q} queries fall into one of the two halves that calibrate each other; evaluate more queries"
        )
    order = np.argsort(fold, kind="stable")
    with np.errstate(over="ignore"):
        differences = np.subtract(scores[order, 1:], scores[order, :1], dtype=np.float64)
        unit = float(np.abs(differences).mean()) or 1.0
    if not np.isfinite(unit):
        raise StudyError("the scores are too far apart for their differences to be numbers")
    differences /= unit
    halves = differences[:first], differences[first:]
    best = [_minimiser(half, cap) for half in halves]
    applied = best[::-1]
    loss = np.empty(q)
    loss[order] = np.concatenate([_moments(half, t)[0] for half, t in zip(halves, applied, strict=True)])
    whole = _minimiser(differences, cap)
    interval = _interval(differences, whole) if whole < cap else None
    return Calibration(
        loss,
        fold,
        inverse_temperature=(applied[0] / unit, applied[1] / unit),
        best_inverse_temperature=whole / unit,
        low=None if interval is None else interval[0] / unit,
        high=None if interval is None else interval[1] / unit,
        at_cap=max(*best, whole) >= cap,
    )


def cross_fitting_folds(query_ids: Iterable[object], seed: int = 0) -> np.ndarray:
    """The fold, 0 or 1, of each query, int8 [q]: the parity of a digest of the seed and its id, nothing else."""
    return np.fromiter((hashlib.sha256(f"{seed}\x1f{query}".encode()).digest()[0] & 1 for query in query_ids), np.int8)


def _moments(differences: np.ndarray, t: float) -> np.ndarray:
    """[3, q]: each query's loss at inverse temperature `t`, and its first and second derivative by it.

    `differences` float64 [q, n]: candidates' scores less their positive's. The derivatives are the mean and the
    variance of a difference (the positive's own is 0) under the softmax.
    """
    moments = np.empty((3, len(differences)))
    rows = max(1, BLOCK // differences.shape[1])
    for begin in range(0, len(differences), rows):
        x = differences[begin : begin + rows]
        weight = x * t
        top = np.maximum(weight.max(1), 0)
        weight -= top[:, None]
        np.exp(weight, out=weight)
        others = weight.sum(1)
        total = np.exp(-top) + others
        # Where the positive is on top its loss can be far below the rounding of 1.
        loss = np.where(top > 0, np.log(total) + top, np.log1p(others))
        slope = np.einsum("ij,ij->i", weight, x) / total
        np.multiply(weight, x, out=weight)
        curvature = np.einsum("ij,ij->i", weight, x) / total - slope**2
        moments[:, begin : begin + rows] = loss, slope, np.maximum(curvature, 0)
    return moments


def _minimiser(differences: np.ndarray, cap: float) -> float:
    """The inverse temperature in [0, cap] with the smallest mean loss: Newton's method within a bracket.

    The mean loss is convex, so its slope is below 0 at the bracket's lower end and above 0 at its upper one.
    """
    slope, curvature = _moments(differences, 0.0)[1:].mean(1)
    if slope >= 0:
        return 0.0
    if _moments(differences, cap)[1].mean() <= 0:
        return cap
    low, high, t = 0.0, cap, float(min(-slope / curvature, cap))
    for _ in range(ITERATIONS):
        slope, curvature = _moments(differences, t)[1:].mean(1)
        low, high = (t, high) if slope < 0 else (low, t)
        following = float(t - slope / curvature) if curvature > 0 else cap
        if not low <= following <= high:
            following = (low + high) / 2
        change, t = abs(following - t), following
        if change <= TOLERANCE * (1 + t):
            break
    return t


def _interval(differences: np.ndarray, t: float) -> tuple[float, float] | None:
    """The 95 % interval around the root of the mean slope, told from its linearisation at `t`; None if it has none.

    Where `t` is 0 because the slope is above 0 there, the root lies below: what of its interval is left is told.
    """
    _, slope, curvature = _moments(differences, t)
    if not curvature.any():
        return None
    root = t - slope.mean() / curvature.mean()
    error = slope.std(ddof=1) / np.sqrt(len(slope)) / curvature.mean()
    return max(0.0, float(root - NORMAL * error)), max(0.0, float(root + NORMAL * error))
