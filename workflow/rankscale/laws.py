"""Scaling laws of one variable: fitted robustly, many data sets at once, with intervals that know the noise.

    line    log y = a - alpha log x                  ordinary least squares
    floor   y = delta + (A / x)^alpha, delta >= 0    Huber loss on log residuals, many starts
    trend   y = a + b log x                          ordinary least squares; for metrics that may be negative

Pure arrays in, named results out; docs/method.md says why each is fitted so.
"""

from dataclasses import dataclass, field

import numpy as np

PARAMETERS = {"line": ("a", "alpha"), "floor": ("A", "alpha", "delta"), "trend": ("a", "b")}
HUBER = 1e-3
NO_CHANGE = "no change"  # the forecast that a law must beat: the largest size that was fitted, again
STARTS = np.array([0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995])
ITERATIONS = 400
REPEATS = 3  # runs beyond one per size, from which run-to-run noise is judged within sizes


@dataclass
class Fit:
    """A law fitted to points; `theta` are its working parameters, `draws` [b, p] those of simulated data sets."""

    law: str
    x: np.ndarray
    y: np.ndarray
    converged: bool = False
    note: str = ""
    theta: np.ndarray = field(default_factory=lambda: np.empty(0))
    draws: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The law's values [m] at `x` [m]."""
        return evaluate(self.law, self.theta[None], x)[0]

    def residuals(self) -> np.ndarray:
        """Observed less fitted, in the space of the law (log for line and floor)."""
        return link(self.law, self.y) - link(self.law, self.predict(self.x))

    def quality(self) -> dict[str, float | None]:
        """R^2, RMSE and AICc in the space of the law; AICc is None where points are too few for it."""
        n, k = len(self.x), len(self.theta) + 1
        squares, target = float((self.residuals() ** 2).sum()), link(self.law, self.y)
        spread = float(((target - target.mean()) ** 2).sum())
        aicc = None
        if n > k + 1:
            aicc = n * np.log(max(squares, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
        return {"r2": 1 - squares / spread if spread else None, "rmse": np.sqrt(squares / n), "aicc": aicc}

    def parameters(self) -> dict[str, tuple[float, float | None, float | None]]:
        """Each parameter's estimate and 95 % interval; None for an end that the data leave open."""
        named, drawn = named_parameters(self.law, self.theta[None])[0], named_parameters(self.law, self.draws)
        out = {}
        for i, name in enumerate(PARAMETERS[self.law]):
            ends = [None, None]
            if len(drawn):
                ends = [
                    float(q) if np.isfinite(q) else None
                    for q in np.quantile(drawn[:, i], (0.025, 0.975), method="nearest")
                ]
            out[name] = (float(named[i]), *ends)
        return out

    def band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 95 % interval of the law itself at `x`."""
        low, high = np.quantile(evaluate(self.law, self.draws, x), (0.025, 0.975), axis=0)
        return low, high


def link(law: str, y: np.ndarray) -> np.ndarray:
    """The space in which a law's noise is taken to be additive."""
    return y if law == "trend" else np.log(y)


def evaluate(law: str, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values [b, m] of a law with parameters `theta` [b, p] at `x` [m]."""
    log_x = np.log(x)
    if law == "trend":
        return theta[:, :1] + theta[:, 1:] * log_x
    powers = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * log_x, -700, 700))
    return powers + theta[:, 2:3] if law == "floor" else powers


def named_parameters(law: str, theta: np.ndarray) -> np.ndarray:
    """Working parameters [b, p] as those of PARAMETERS; the floor law's first one is alpha log A inside."""
    if law != "floor" or not len(theta):
        return theta
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.exp(theta[:, 0] / theta[:, 1])
    return np.column_stack([scale, theta[:, 1], theta[:, 2]])


def fit(law: str, x: np.ndarray, y: np.ndarray) -> Fit:
    """Fit one law to points. A fit that cannot be made says why in `note` and is not `converged`."""
    made = Fit(law, np.asarray(x, float), np.asarray(y, float))
    made.note = refuse(law, made.x, made.y)
    if made.note:
        return made
    theta, converged = solve(law, made.x, link(law, made.y)[None])
    made.theta, made.converged = theta[0], bool(converged[0])
    if not made.converged:
        made.note = "the fit did not converge"
    elif law == "floor" and not (made.theta[1] > 0 and np.isfinite(named_parameters(law, made.theta[None])).all()):
        made.converged, made.note = False, "no decay to speak of: the metric is flat"
    elif law == "floor" and made.theta[2] == 0:
        made.note = "no floor above 0: the line is enough"
    return made


def refuse(law: str, x: np.ndarray, y: np.ndarray) -> str:
    """Why these points cannot carry this law; empty if they can."""
    needed = len(PARAMETERS[law]) + (3 if law == "floor" else 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return "a value is not finite"
    if (x <= 0).any():
        return "a size is not positive"
    distinct = len(np.unique(x))
    if distinct < 2:
        return "all points are at one size"
    if min(len(x), distinct) < needed:
        return f"too few points: {len(x)} at {distinct} sizes, {needed} are needed"
    if law != "trend" and (y <= 0).any():
        return "a power law needs positive values"
    if law == "floor" and np.polyfit(np.log(x), np.log(y), 1)[0] >= 0:
        return "the metric rises with size: there is no floor to fall to"
    return ""


def solve(
    law: str, x: np.ndarray, target: np.ndarray, start: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit many data sets at once: `target` [b, n] in the law's space at `x` [n]; theta [b, p], converged [b].

    With `start` [p] a floor law is sought from there and from no floor only, without it from many floors.
    """
    log_x = np.log(x)
    ones = np.ones_like(log_x)
    if law != "floor":
        design = np.column_stack([ones, log_x if law == "trend" else -log_x])
        theta = np.linalg.lstsq(design, target.T, rcond=None)[0].T
        return theta, np.ones(len(target), bool)
    centre = log_x.mean()
    u = log_x - centre
    design = np.column_stack([ones, -u])
    lowest = np.exp(target.min(1))
    shares = STARTS if start is None else np.array([0.0, 0.5, 0.9])
    begun = []
    for share in shares:
        # For a given floor the law is a line: that is where each search begins.
        above = np.log(np.exp(target) - share * lowest[:, None] * (1 - 1e-9) if share else np.exp(target))
        line = np.linalg.lstsq(design, above.T, rcond=None)[0].T
        begun.append(np.column_stack([line, share * lowest]))
    if start is not None:
        begun.append(np.tile([start[0] - start[1] * centre, start[1], start[2]], (len(target), 1)))
    # Draws serve for quantiles: three digits of each are plenty.
    tolerance = 1e-11 if start is None else 1e-5
    theta, objective, converged = _descend(np.concatenate(begun), np.tile(target, (len(begun), 1)), u, tolerance)
    theta, objective, converged = (
        a.reshape(len(begun), len(target), *a.shape[1:]) for a in (theta, objective, converged)
    )
    best = objective.argmin(0)
    each = np.arange(len(target))
    theta, converged = theta[best, each], converged[best, each]
    theta[:, 0] += theta[:, 1] * centre
    return theta, converged


def _descend(
    theta: np.ndarray, target: np.ndarray, u: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levenberg-Marquardt on reweighted residuals: minimises the summed Huber loss, floors kept at 0 or above."""
    theta, damping = theta.copy(), np.full(len(theta), 1e-3)
    residual, slopes = _residual(theta, target, u)
    objective = _huber(residual)
    converged = np.zeros(len(theta), bool)
    active = np.arange(len(theta))
    for _ in range(ITERATIONS):
        r, j, t = residual[active], slopes[active], theta[active]
        weight = np.minimum(1, HUBER / np.maximum(np.abs(r), 1e-300))
        gradient = (j.transpose(0, 2, 1) @ (weight * r)[:, :, None])[:, :, 0]
        # A floor that is at 0 and would fall further stays there.
        held = (t[:, 2] <= 0) & (gradient[:, 2] > 0)
        j = j * np.where(held[:, None, None], [1.0, 1.0, 0.0], 1.0)
        gradient[held, 2] = 0
        normal = j.transpose(0, 2, 1) @ (weight[:, :, None] * j)
        # Scaled to a unit diagonal, so that one damping suits all three and no direction is singular.
        scale = np.sqrt(np.einsum("bpp->bp", normal) + 1e-30)
        normal /= scale[:, :, None] * scale[:, None, :]
        normal[:, range(3), range(3)] = 1 + damping[active, None]
        step = -np.linalg.solve(normal, (gradient / scale)[:, :, None])[:, :, 0] / scale
        tried = t + step
        tried[:, 2] = np.maximum(tried[:, 2], 0)
        new_residual, new_slopes = _residual(tried, target[active], u)
        new_objective = _huber(new_residual)
        better = new_objective <= objective[active]
        gain = objective[active] - new_objective
        small = np.abs(step * scale).max(1) < 1e-9
        done = small | (better & (gain < tolerance * (objective[active] + 1e-12)) & (damping[active] < 1e-2))
        done |= damping[active] > 1e8
        changed = active[better]
        theta[changed], objective[changed] = tried[better], new_objective[better]
        residual[changed], slopes[changed] = new_residual[better], new_slopes[better]
        damping[active] = np.maximum(damping[active] * np.where(better, 0.2, 5), 1e-9)
        converged[active[done]] = True
        active = active[~done]
        if not len(active):
            break
    return theta, objective, converged & np.isfinite(objective)


def _residual(theta: np.ndarray, target: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    power = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * u, -700, 700))
    value = power + theta[:, 2:]
    share = power / value
    return np.log(value) - target, np.stack([share, -u * share, 1 / value], -1)


def _huber(residual: np.ndarray) -> np.ndarray:
    size = np.abs(residual)
    return np.where(size <= HUBER, size**2 / 2, HUBER * (size - HUBER / 2)).sum(1)


def simulate(
    made: Fit, noise: np.ndarray, draws: int, random: np.random.Generator, other: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Errors [b, n + m] of `n` fitted and `m` other points, and the law refitted to each: sets `made.draws`.

    `noise` [n + m, n + m] is the covariance that query sampling gives the points, in the law's space. What the
    residuals show beyond it is run-to-run noise, independent between points: those within a size where seeds repeat,
    those of the fit otherwise. As it is itself estimated from few residuals, each draw takes another value for it
    (scaled inverse chi-squared).
    """
    n, m = len(made.x), 0 if other is None else len(other)
    jacobian = _jacobian(made)
    leave = np.eye(n) - jacobian @ np.linalg.pinv(jacobian)
    freedom = max(n - np.linalg.matrix_rank(jacobian), 1)
    residuals = made.residuals()
    same = made.x[:, None] == made.x
    repeats = n - len(np.unique(made.x))
    if repeats >= REPEATS:
        # Several seeds at one size tell run-to-run noise from a law that does not fit.
        leave, freedom = np.eye(n) - same / same.sum(1), repeats
        residuals = leave @ residuals
    explained = float(np.trace(leave @ noise[:n, :n])) / freedom
    variance = float((residuals**2).sum()) / freedom
    spread = variance * freedom / random.chisquare(freedom, draws)
    run = np.sqrt(np.maximum(spread - explained, 0))
    values, vectors = np.linalg.eigh(noise)
    root = vectors * np.sqrt(np.maximum(values, 0))
    errors = random.standard_normal((draws, n + m)) @ root.T
    errors += run[:, None] * random.standard_normal((draws, n + m))
    centre = link(made.law, made.predict(made.x))
    made.draws, _ = solve(made.law, made.x, centre + errors[:, :n], made.theta)
    return errors, made.draws


def forecast(
    made: Fit, x: np.ndarray, noise: np.ndarray, draws: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted values [m] at `x` [m] and their 95 % prediction interval: law, query noise and run noise.

    The error of a forecast is the new point's own noise less the error of the refitted law; the two share the
    queries, so they are drawn together.
    """
    errors, theta = simulate(made, noise, draws, random, x)
    predicted = made.predict(x)
    off = link(made.law, evaluate(made.law, theta, x)) - link(made.law, predicted)
    low, high = np.quantile(link(made.law, predicted) + errors[:, len(made.x) :] - off, (0.025, 0.975), axis=0)
    return predicted, *((low, high) if made.law == "trend" else (np.exp(low), np.exp(high)))


def _jacobian(made: Fit) -> np.ndarray:
    log_x = np.log(made.x)
    if made.law != "floor":
        return np.column_stack([np.ones_like(log_x), log_x])
    centred = np.array([made.theta[0] - made.theta[1] * log_x.mean(), *made.theta[1:]])
    slopes = _residual(centred[None], link(made.law, made.y)[None], log_x - log_x.mean())[1][0]
    return slopes if made.theta[2] > 0 else slopes[:, :2]
