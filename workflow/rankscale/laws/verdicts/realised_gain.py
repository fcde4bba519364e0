"""How much of the gain that a law forecast was realised, and how sure that is: the quantities of a verdict.

One axis of a study has cells (sizes, or subsets) with values of one metric that falls as rankers get better, from
the same `s` seeds in each cell. k is the largest cell that was not held out, H the cells that were. From a law fitted
to the means of the known cells alone (yhat), and from the means found (ybar), on the metric's own scale:

    predicted gain   G = yhat_k - mean of yhat over H
    realised gain    R = yhat_k - mean of ybar over H
    realised share   rho = R / G

The fitted value at k, not the observed one, stands in R: it uses all known cells and is not the value that happened to
be drawn at k.

Noise is taken to be additive in the law's space z, log y or y itself, and carried to the metric's scale by slopes. With
residuals e of the known means about the law, n known cells and p parameters, a known mean has the variance
s^2 = sum e^2 / (n - p): it holds runs, queries and the law's own misfit. A held-out mean has the larger of s^2 and
the pure error of the held-out cells: the spread between seeds within a cell, less what the cells of a seed share, over
s. What they share (all sizes of a seed see the same subset) moves levels, not gains; left in, it would make a metric
with large seed effects seem unsure of its gains. yhat_k and the forecasts are functions of the known means only: with
D the slopes of the fitted values (metric's scale) to the known means (law's space), the contrast of the cells in
R - rho G is

    known cell i    w_i = (1 - rho) D_ki + rho mean over H of D_hi
    held-out cell j w_j = -(dy/dz at ybar_j) / |H|

and the variance of R - rho G is sum w_i^2 s^2 + sum w_j^2 v_H, a quadratic in rho. Its quantiles are t's with n - p
degrees of freedom, or fewer where v_H is the pure error of few repeats (Welch and Satterthwaite's, of R). D comes from
refits with each known mean moved by s both ways, so that any law serves; for a law that is linear in its space it is
exact up to the curvature of exp.

A metric's unit changes nothing. Its zero changes nothing where the law does not feel it (a trend in y itself); a law in
log y does, so a metric must count from where the law says it would end: 1-AUC and the mean rank from 0 get one verdict.
Everything takes `b` studies at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

SMALLEST_STEP = 1e-5  # of a known mean, relative to the values


class AxisLaw(NamedTuple):
    """A law as the verdict needs it.

    `predict(x_known [k], y [b, k], x [n])` fits `b` data sets of means on the metric's scale and returns the predicted
    values [b, n]; a row of NaN where no law could be fitted. `log`: noise is additive in log y (else in y).
    """

    parameters: int
    log: bool
    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Gains:
    """Gains of `b` studies with `k` known and `h` held-out cells of `s` seeds; all f64, NaN where nothing can be told.

    `residuals` and `deviations` are in the law's space. The slopes say how the two gains, on the metric's scale, move
    with the known means and (realised alone) with the held-out means in the law's space.
    """

    note: str  # why nothing can be told in any of the studies; empty if it can
    freedom: int  # known cells less parameters: degrees of freedom of the residuals
    predicted: np.ndarray  # [b]
    realised: np.ndarray  # [b]
    residuals: np.ndarray  # [b, k]
    deviations: np.ndarray  # [b, h, s] of the seeds in a held-out cell, less what all cells of the seed share
    realised_by_known: np.ndarray  # [b, k]
    realised_by_held_out: np.ndarray  # [b, h]
    predicted_by_known: np.ndarray  # [b, k]

    @property
    def seeds(self) -> int:
        return self.deviations.shape[2]

    @property
    def known_variance(self) -> np.ndarray:
        """s^2 [b], of a known mean in the law's space."""
        return (self.residuals**2).sum(1) / self.freedom if self.freedom else np.full(len(self.predicted), np.nan)

    @property
    def pure_variance(self) -> np.ndarray:
        """Pure error [b] of a held-out mean in the law's space; 0 with one seed, which tells nothing of it."""
        squares = (self.deviations**2).sum((1, 2))
        return squares / (self.repeats * self.seeds) if self.repeats else np.zeros(len(self.predicted))

    @property
    def variances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variance of the realised gain, its covariance with the predicted one, variance of the predicted one: [b]."""
        known, held_out = self.known_variance, np.maximum(self.known_variance, self.pure_variance)
        realised, predicted = self.realised_by_known, self.predicted_by_known
        return (
            known * (realised**2).sum(1) + held_out * (self.realised_by_held_out**2).sum(1),
            known * (realised * predicted).sum(1),
            known * (predicted**2).sum(1),
        )

    @property
    def effective_freedom(self) -> np.ndarray:
        """Degrees of freedom [b] to judge by.

        Without it a large pure error of a few repeats counts as well known: false alarms come to .08 where one cell of
        two seeds was held out, or nine cells make the residuals' degrees many.
        """
        known = self.known_variance * (self.realised_by_known**2).sum(1)
        weight = (self.realised_by_held_out**2).sum(1)
        return welch_satterthwaite(
            known, weight * self.known_variance, weight * self.pure_variance, self.freedom, self.repeats
        )

    @property
    def repeats(self) -> int:
        """Degrees of freedom of the pure error."""
        return self.deviations.shape[1] * (self.seeds - 1)

    def share(self) -> "ShareSet":
        """The 95 % set of realised shares, Fieller's."""
        critical = stats.t.ppf(0.975, self.effective_freedom)
        return fieller(self.realised, self.predicted, *self.variances, critical)


def welch_satterthwaite(
    known: np.ndarray, held_out: np.ndarray, pure: np.ndarray, freedom: int, repeats: int
) -> np.ndarray:
    """Degrees of freedom [b] of `known` + max(`held_out`, `pure`): `freedom`, or fewer where `pure` is the larger.

    `known` and `held_out` are parts of a variance by the residuals, with `freedom` degrees, `pure` by repeats.
    """
    if not freedom:
        return np.full(len(known), np.nan)
    if not repeats:
        return np.full(len(known), float(freedom))
    with np.errstate(all="ignore"):
        mixed = (known + pure) ** 2 / (known**2 / freedom + pure**2 / repeats)
    return np.where(pure > held_out, np.minimum(mixed, freedom), freedom)


def realised_gain(x: np.ndarray, held_out: np.ndarray, y: np.ndarray, law: AxisLaw, like: Gains | None = None) -> Gains:
    """Gains on an axis of cells at `x` [n], of which `held_out` [n] (bool) were left out of the fit; `y` [b, n, s].

    The slopes to the known means cost 2 k refits a study; those of one study near by, `like`, serve for studies that
    were simulated around it.
    """
    x, y, held_out = np.asarray(x, float), np.asarray(y, float), np.asarray(held_out, bool)
    known, ahead = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    b, k, h = len(y), len(known), len(ahead)
    freedom, note = k - law.parameters, ""
    if not h:
        note = "nothing was held out"
    elif freedom < 1:
        note = f"{k} known cells and {law.parameters} parameters leave nothing to judge the noise by"
    if note:
        nothing, cells = np.full(b, np.nan), np.full((b, k), np.nan)
        return Gains(note, 0, nothing, nothing, cells, y[:, ahead] * np.nan, cells, np.full((b, h), np.nan), cells)
    means = y.mean(2)
    y_known, y_ahead = means[:, known], means[:, ahead]
    last_and_ahead = np.concatenate([[known[x[known].argmax()]], ahead])
    with np.errstate(all="ignore"):
        fitted = law.predict(x[known], y_known, x[np.concatenate([known, last_and_ahead])])
        fitted, forecast = fitted[:, :k], fitted[:, k:]
        residuals = np.log(y_known / fitted) if law.log else y_known - fitted
        if like is None:
            step = np.sqrt((residuals**2).sum(1) / freedom)
            slopes = slopes_to_means(x[known], y_known, x[last_and_ahead], law, step)
            realised_by_known = slopes[:, :, 0]
            predicted_by_known = realised_by_known - slopes[:, :, 1:].mean(2)
        else:
            realised_by_known, predicted_by_known = (
                np.broadcast_to(part, (b, k)) for part in (like.realised_by_known, like.predicted_by_known)
            )
        # What a seed's cells share is estimated by their mean, which takes 1 / n of their own noise with it.
        within = (y - means[:, :, None]) / (means[:, :, None] if law.log else 1)
        within = (within - within.mean(1, keepdims=True)) * np.sqrt((k + h) / (k + h - 1))
        return Gains(
            note,
            freedom,
            forecast[:, 0] - forecast[:, 1:].mean(1),
            forecast[:, 0] - y_ahead.mean(1),
            residuals,
            within[:, ahead],
            realised_by_known,
            -(y_ahead if law.log else np.ones_like(y_ahead)) / h,
            predicted_by_known,
        )


def slopes_to_means(x_known: np.ndarray, y: np.ndarray, x: np.ndarray, law: AxisLaw, step: np.ndarray) -> np.ndarray:
    """Slopes [b, k, n] of fitted values at `x` [n] to means `y` [b, k], each moved by `step` [b] in the law's space."""
    b, k = y.shape
    step = np.maximum(step, SMALLEST_STEP * (1 if law.log else np.abs(y).max(1)))
    moves = np.concatenate([np.eye(k), -np.eye(k)])[None] * step[:, None, None]
    moved = y[:, None] * np.exp(moves) if law.log else y[:, None] + moves
    up, down = law.predict(x_known, moved.reshape(-1, k), x).reshape(b, 2, k, len(x)).transpose(1, 0, 2, 3)
    return (up - down) / (2 * step[:, None, None])


class ShareSet(NamedTuple):
    """Realised shares [b] that the data do not reject.

    Where `bounded`, all from `low` to `high`. Elsewhere the forecast gain cannot be told from 0: the set is all outside
    (`low`, `high`), or everything where these are NaN.
    """

    low: np.ndarray
    high: np.ndarray
    bounded: np.ndarray


def fieller(
    realised: np.ndarray,
    predicted: np.ndarray,
    realised_variance: np.ndarray,
    covariance: np.ndarray,
    predicted_variance: np.ndarray,
    critical: np.ndarray,
) -> ShareSet:
    """All rho [b] with (R - rho G)^2 <= critical^2 var(R - rho G) (Fieller, 1954)."""
    # a rho^2 - 2 b rho + c <= 0, which rho = R / G always fulfils.
    with np.errstate(all="ignore"):
        a = predicted**2 - critical**2 * predicted_variance
        b = realised * predicted - critical**2 * covariance
        c = realised**2 - critical**2 * realised_variance
        inner = b**2 - a * c
        bounded = a > 0
        root = np.sqrt(np.where(bounded, np.maximum(inner, 0), inner))
        ends = np.sort(np.stack([(b - root) / a, (b + root) / a]), axis=0)
    return ShareSet(ends[0], ends[1], bounded)
