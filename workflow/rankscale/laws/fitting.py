"""A law fitted to points: ordinary least squares for the straight ones, a robust search for the others.

A straight law is fitted by ordinary least squares in its own space; any other is sought from many starts: one with a
floor minimises the summed Huber loss of log residuals, one without their squares. Pure arrays in, named results out;
docs/method.md says why each is fitted so.
"""

from dataclasses import dataclass, field

import numpy as np

from rankscale.laws.forms.base import Law, as_columns
from rankscale.laws.least_squares import HUBER, levenberg_marquardt

FLAT = 1e-6  # in logarithms: less than that is no change
CONDITION = 1e7  # of the slopes at the optimum; what is told is below 1e6, what is not above 1e10
SHARES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995)  # floors to start from, of the smallest value
# Draws are sought from the estimate, from no floor and from a high one: fewer starts, for they begin near their end.
NEAR = (0.0, 0.9)


@dataclass
class LawFit:
    """A law fitted to points `x` [n, v], `y` [n]; `theta` are its working parameters [p].

    `least_squares` are those of least squares: another theta where the law is fitted by a robust loss.
    """

    law: Law
    x: np.ndarray
    y: np.ndarray
    converged: bool = False
    note: str = ""
    theta: np.ndarray = field(default_factory=lambda: np.empty(0))
    least_squares: np.ndarray = field(default_factory=lambda: np.empty(0))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The law's values [m] at `x` [m] or [m, v]."""
        return self.law.evaluate(self.theta[None], x)[0]

    def residuals(self) -> np.ndarray:
        """Observed less fitted, in the space of the law (log, but for a law of signed metrics)."""
        return self.law.link(self.y) - self.law.link(self.predict(self.x))

    def slopes(self) -> np.ndarray:
        """How the fitted values [n], in the space of the law, move with the working parameters: [n, p].

        A floor that lies at 0 cannot move both ways and is left out.
        """
        value, slopes = self.law.curve(self.theta[None], np.log(self.x))
        linked = slopes[0] if self.law.signed else slopes[0] / value[0][:, None]
        return linked[:, self._free()]

    def _free(self) -> list[int]:
        """Which parameters can move both ways: all, but for a floor at 0."""
        return [i for i, value in enumerate(self.theta) if i != self.law.floor or value > 0]

    def not_identified(self) -> list[str]:
        """The parameters that the points leave open, by name: moved together in some way they change no fitted value.

        By the least singular value of the slopes, each scaled to length 1: what lies beyond double precision's half is
        no knowledge.
        """
        slopes = self.slopes()
        lengths = np.linalg.norm(slopes, axis=0)
        _, singular, directions = np.linalg.svd(slopes / np.maximum(lengths, 1e-300), full_matrices=False)
        names = [self.law.parameters[i] for i in self._free()]
        idle = [i != self.law.floor and lengths[at] < FLAT for at, i in enumerate(self._free())]
        if any(idle):
            return [name for name, still in zip(names, idle, strict=True) if still]
        if singular[-1] * CONDITION > singular[0]:
            return []
        share = np.abs(directions[-1])
        return [name for name, part in zip(names, share, strict=True) if part > 0.1 * share.max()]

    def quality(self) -> dict[str, float | None]:
        """R^2, RMSE and AICc in the space of the law; AICc is None where points are too few for it.

        All by least squares, whatever the law is fitted by, so that laws compare. A known ceiling is no parameter.
        """
        n, k = len(self.x), len(self.theta) + 1
        target = self.law.link(self.y)
        residuals = target - self.law.link(self.law.evaluate(self.least_squares[None], self.x)[0])
        squares = float((residuals**2).sum())
        spread = float(((target - target.mean()) ** 2).sum())
        aicc = None
        if n > k + 1:
            aicc = n * np.log(max(squares, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
        return {"r2": 1 - squares / spread if spread else None, "rmse": np.sqrt(squares / n), "aicc": aicc}

    def named(self) -> dict[str, float]:
        """The parameters by name."""
        return dict(zip(self.law.parameters, map(float, self.law.named_parameters(self.theta[None])[0]), strict=True))


def fit(law: Law, x: np.ndarray, y: np.ndarray) -> LawFit:
    """Fit one law to points `x` [n] or [n, v]. A fit that cannot be made says why and is not `converged`."""
    result = LawFit(law, as_columns(np.asarray(x, float)), np.asarray(y, float))
    result.note = why_unfittable(law, result.x, result.y)
    if result.note:
        return result
    theta, converged = solve(law, result.x, law.link(result.y)[None])
    result.theta, result.converged = theta[0], bool(converged[0])
    result.least_squares = least_squares_end(result) if law.robust and result.converged else result.theta
    if not result.converged:
        result.note = "the fit did not converge"
        return result
    values = result.named()
    exponents = [values[name] for name in law.exponents]
    open_ones = result.not_identified()
    if law.bounded and (1 - result.predict(result.x) / law.ceiling).max() < FLAT:
        result.converged, result.note = False, "all points are at chance: there is no decay to tell"
    elif open_ones:
        result.converged, result.note = False, f"{', '.join(open_ones)} cannot be told from these points"
    elif law.may_rise:
        if exponents and min(exponents) < 0:
            result.note = "the metric rises with size"
    elif min(exponents, default=1) < 0:
        result.converged, result.note = False, "the metric rises with size: there is no decay to speak of"
    elif not np.isfinite(list(values.values())).all() or min(exponents, default=1) <= 0:
        result.converged, result.note = False, "no decay to speak of: the metric is flat"
    elif law.floor is not None and result.theta[law.floor] == 0:
        result.note = "no floor above 0"
    return result


def least_squares_end(fit: LawFit) -> np.ndarray:
    """Where least squares lead from the end of a robust fit, or from the law without its floor if that is better.

    So a law with a floor never has a larger sum of squares than the same without.
    """
    assert fit.law.recentre is not None, "a law fitted by a robust loss is sought"
    target = fit.law.link(fit.y)[None]
    bare, _ = solve(fit.law, fit.x, target, held_floor=0.0, huber_scale=np.inf)
    centre = np.log(fit.x).mean(0)
    theta, squares, _ = levenberg_marquardt(
        fit.law.curve,
        fit.law.recentre(np.stack([fit.theta, bare[0]]), -centre),
        np.tile(target, (2, 1)),
        np.log(fit.x) - centre,
        floor=fit.law.floor,
        floor_is_held=False,
        weights=None,
        tolerance=1e-9,
        iterations=200,
        huber_scale=np.inf,
        highest_floor=fit.law.ceiling,
    )
    return fit.law.recentre(theta, centre)[squares.argmin()]


def why_unfittable(law: Law, x: np.ndarray, y: np.ndarray) -> str:
    """Why these points cannot carry this law, whatever the metric; empty if they may: what they tell, the fit shows."""
    needed = len(law.parameters) + (3 if law.robust else 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return "a value is not finite"
    if (x <= 0).any():
        return "a size is not positive"
    # Sizes that differ by rounding are one.
    distinct = [len(np.unique(np.log(column).round(9))) for column in x.T]
    if min(distinct) < 2:
        return "all points are at one size"
    if len(np.unique(x, axis=0)) < needed:
        return f"too few points: {len(x)} at {' x '.join(map(str, distinct))} sizes, {needed} are needed"
    if not law.signed and (y <= 0).any():
        return "a power law needs positive values"
    if np.ptp(law.link(y)) < FLAT:
        return "the metric is flat: all values are the same"
    return ""


def solve(
    law: Law,
    x: np.ndarray,
    target: np.ndarray,
    start: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    held_floor: float | np.ndarray | None = None,
    huber_scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit many data sets at once: `target` [b, n] in the law's space at `x` [n, v]; theta [b, p], converged [b].

    `weights` [b, n], 0 or 1, leave points out. With `start` [p] the search begins there and at few floors, without
    it at many. `held_floor` fixes a law's floor at a value, or at one [b] for each data set. `huber_scale` is Huber's
    for a law with a floor and infinite (least squares) for others, unless given.
    """
    log_x = np.log(x)
    if law.design is not None:
        design = law.design(log_x)
        if weights is None:
            return np.linalg.lstsq(design, target.T, rcond=None)[0].T, np.ones(len(target), bool)
        lines = [np.linalg.lstsq(design[w > 0], t[w > 0], rcond=None)[0] for t, w in zip(target, weights, strict=True)]
        return np.array(lines), np.ones(len(target), bool)
    assert law.starts is not None and law.recentre is not None, "a law without a design has both"
    if huber_scale is None:
        huber_scale = HUBER if law.robust else np.inf
    centre = log_x.mean(0)
    u = log_x - centre
    starts = law.starts(u, target, SHARES if start is None else NEAR)
    if start is not None:
        starts.append(np.tile(law.recentre(start[None], -centre), (len(target), 1)))
    theta = np.concatenate(starts)
    if held_floor is not None:
        # Centring leaves floors as they are.
        theta[:, law.floor] = np.tile(np.broadcast_to(held_floor, len(target)), len(starts))
    each = np.arange(len(target))

    def search(theta: np.ndarray, tolerance: float, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """Of all starts [s b, p] the best end for each data set."""
        times = len(theta) // len(target)
        result = levenberg_marquardt(
            law.curve,
            theta,
            np.tile(target, (times, 1)),
            u,
            floor=law.floor,
            floor_is_held=held_floor is not None,
            weights=None if weights is None else np.tile(weights, (times, 1)),
            tolerance=tolerance,
            iterations=iterations,
            huber_scale=huber_scale,
            highest_floor=law.ceiling,
        )
        theta, objective, converged = (a.reshape(times, len(target), *a.shape[1:]) for a in result)
        best = objective.argmin(0)
        return theta[best, each], converged[best, each]

    # Where residuals are far beyond Huber's scale the way down is slow: an estimate gets all the steps that it needs.
    # Draws serve for quantiles: a few digits of each are plenty, and after some steps the best start goes on alone.
    if start is not None:
        theta, converged = search(search(theta, 1e-5, 20)[0], 1e-5, 400)
    else:
        theta, converged = search(theta, 1e-11, 20_000)
    return law.recentre(theta, centre), converged
