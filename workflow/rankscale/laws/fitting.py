"""A law fitted to points: ordinary least squares for the straight ones, a robust search for those with a floor.

`line` and `trend` are ordinary least squares; `floor`, `joint` and `additive` minimise the summed Huber loss of log
residuals from many starts. Pure arrays in, named results out; docs/method.md says why each is fitted so.
"""

from dataclasses import dataclass, field

import numpy as np

from rankscale.laws.forms import LAWS, as_columns, evaluate, link, named_parameters
from rankscale.laws.least_squares import levenberg_marquardt

FLAT = 1e-6  # in logarithms: less than that is no change
SHARES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995)  # floors to start from, of the smallest value
SPLITS = (0.15, 0.5, 0.85)  # how much of what is above the floor is the size's, to start from
# Draws are sought from the estimate, from no floor and from a high one: fewer starts, for they begin near their end.
NEAR = (0.0, 0.9)


@dataclass
class LawFit:
    """A law fitted to points `x` [n, v], `y` [n]; `theta` are its working parameters [p]."""

    law: str
    x: np.ndarray
    y: np.ndarray
    converged: bool = False
    note: str = ""
    theta: np.ndarray = field(default_factory=lambda: np.empty(0))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The law's values [m] at `x` [m] or [m, v]."""
        return evaluate(self.law, self.theta[None], x)[0]

    def residuals(self) -> np.ndarray:
        """Observed less fitted, in the space of the law (log for all but trend)."""
        return link(self.law, self.y) - link(self.law, self.predict(self.x))

    def slopes(self) -> np.ndarray:
        """How the fitted values [n], in the space of the law, move with the working parameters: [n, p].

        A floor that lies at 0 cannot move both ways and is left out.
        """
        value, slopes = LAWS[self.law].curve(self.theta[None], np.log(self.x))
        made = slopes[0] if self.law == "trend" else slopes[0] / value[0][:, None]
        return made[:, :-1] if LAWS[self.law].robust and self.theta[-1] <= 0 else made

    def quality(self) -> dict[str, float | None]:
        """R^2, RMSE and AICc in the space of the law; AICc is None where points are too few for it."""
        n, k = len(self.x), len(self.theta) + 1
        squares, target = float((self.residuals() ** 2).sum()), link(self.law, self.y)
        spread = float(((target - target.mean()) ** 2).sum())
        aicc = None
        if n > k + 1:
            aicc = n * np.log(max(squares, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
        return {"r2": 1 - squares / spread if spread else None, "rmse": np.sqrt(squares / n), "aicc": aicc}

    def named(self) -> dict[str, float]:
        """The parameters by name."""
        return dict(
            zip(LAWS[self.law].parameters, map(float, named_parameters(self.law, self.theta[None])[0]), strict=True)
        )


def fit(law: str, x: np.ndarray, y: np.ndarray) -> LawFit:
    """Fit one law to points `x` [n] or [n, v]. A fit that cannot be made says why and is not `converged`."""
    made = LawFit(law, as_columns(np.asarray(x, float)), np.asarray(y, float))
    made.note = why_unfittable(law, made.x, made.y)
    if made.note:
        return made
    theta, converged = solve(law, made.x, link(law, made.y)[None])
    made.theta, made.converged = theta[0], bool(converged[0])
    if not made.converged:
        made.note = "the fit did not converge"
    elif LAWS[law].robust:
        values = made.named()
        if not np.isfinite(list(values.values())).all() or min(values["alpha"], values.get("beta", 1)) <= 0:
            made.converged, made.note = False, "no decay to speak of: the metric is flat"
        elif values["delta"] == 0:
            made.note = "no floor above 0"
    elif law == "line" and made.theta[1] < 0:
        made.note = "the metric rises with size"
    return made


def why_unfittable(law: str, x: np.ndarray, y: np.ndarray) -> str:
    """Why these points cannot carry this law; empty if they can."""
    needed = len(LAWS[law].parameters) + (3 if LAWS[law].robust else 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return "a value is not finite"
    if (x <= 0).any():
        return "a size is not positive"
    # Sizes that differ by rounding are one.
    distinct = [len(np.unique(np.log(column).round(9))) for column in x.T]
    if min(distinct) < 2:
        return "all points are at one size"
    cells = len(np.unique(x, axis=0))
    if cells < needed or min(distinct) < min(needed, 3):
        return f"too few points: {len(x)} at {' x '.join(map(str, distinct))} sizes, {needed} are needed"
    if law != "trend" and (y <= 0).any():
        return "a power law needs positive values"
    if np.ptp(link(law, y)) < FLAT:
        return "the metric is flat: all values are the same"
    if LAWS[law].robust:
        slopes = np.linalg.lstsq(np.column_stack([np.ones(len(x)), np.log(x)]), np.log(y), rcond=None)[0][1:]
        rises = slopes * np.ptp(np.log(x), axis=0) >= FLAT
        if rises.any():
            return "the metric rises with size: there is no floor to fall to"
        if (slopes * np.ptp(np.log(x), axis=0) > -FLAT).any():
            return "the metric is flat in a size: there is no floor to fall to"
    return ""


def solve(
    law: str,
    x: np.ndarray,
    target: np.ndarray,
    start: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    held: tuple[int, float | np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit many data sets at once: `target` [b, n] in the law's space at `x` [n, v]; theta [b, p], converged [b].

    `weights` [b, n], 0 or 1, leave points out. With `start` [p] the search begins there and at few floors, without
    it at many. `held` fixes one working parameter of a law with a floor at a value, or at one [b] for each data set.
    """
    log_x = np.log(x)
    if not LAWS[law].robust:
        design = np.column_stack([np.ones(len(x)), log_x[:, 0] if law == "trend" else -log_x[:, 0]])
        if weights is None:
            return np.linalg.lstsq(design, target.T, rcond=None)[0].T, np.ones(len(target), bool)
        theta = [np.linalg.lstsq(design[w > 0], t[w > 0], rcond=None)[0] for t, w in zip(target, weights, strict=True)]
        return np.array(theta), np.ones(len(target), bool)
    centre = log_x.mean(0)
    u = log_x - centre
    begun = _starts(law, u, target, SHARES if start is None else NEAR)
    if start is not None:
        begun.append(np.tile(_shift(law, start[None], -centre), (len(target), 1)))
    theta = np.concatenate(begun)
    if held is not None:
        # Only floors and exponents are held, which centring leaves as they are.
        theta[:, held[0]] = np.tile(np.broadcast_to(held[1], len(target)), len(begun))
    each = np.arange(len(target))
    held_at = None if held is None else held[0]

    def search(theta: np.ndarray, tolerance: float, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """Of all starts [s b, p] the best end for each data set."""
        times = len(theta) // len(target)
        there = np.tile(target, (times, 1)), u
        points = None if weights is None else np.tile(weights, (times, 1))
        how = {"weights": points, "held": held_at, "tolerance": tolerance, "iterations": iterations}
        found = levenberg_marquardt(LAWS[law].curve, theta, *there, **how)
        theta, objective, converged = (a.reshape(times, len(target), *a.shape[1:]) for a in found)
        best = objective.argmin(0)
        return theta[best, each], converged[best, each]

    # Where residuals are far beyond Huber's scale the way down is slow: an estimate gets all the steps that it needs.
    # Draws serve for quantiles: a few digits of each are plenty, and after some steps the best start goes on alone.
    if start is not None:
        theta, converged = search(search(theta, 1e-5, 20)[0], 1e-5, 400)
    else:
        theta, converged = search(theta, 1e-11, 20_000)
    return _shift(law, theta, centre), converged


def _shift(law: str, theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Working parameters for log x moved by `centre`."""
    theta = theta.copy()
    if law == "joint":
        size, data = theta[:, 1] * centre[0] - np.logaddexp(0, -theta[:, 2]), centre[1] - np.logaddexp(0, theta[:, 2])
        theta[:, 0] += theta[:, 3] * np.logaddexp(size, data)
        theta[:, 2] = size - data
        return theta
    theta[:, 0] += theta[:, 1] * centre[0]
    if law == "additive":
        theta[:, 2] += theta[:, 3] * centre[1]
    return theta


def _starts(law: str, u: np.ndarray, target: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    """Working parameters [b, p] to begin with: for a given floor, a law is nearly linear in the logarithms."""
    begun, lowest = [], np.exp(target.min(1))
    design = np.column_stack([np.ones(len(u)), -u])
    for share in shares:
        floor = share * lowest
        above = np.log(np.exp(target) - (floor * (1 - 1e-9))[:, None]) if share else target
        line = np.linalg.lstsq(design, above.T, rcond=None)[0].T
        if law == "floor":
            begun.append(np.column_stack([line, floor]))
            continue
        level, alpha, beta = line[:, 0], np.maximum(line[:, 1], 0.01), np.maximum(line[:, 2], 0.01)
        for split in SPLITS:
            if law == "additive":
                parts = (level + np.log(split), alpha / split, level + np.log1p(-split), beta / (1 - split))
            else:
                power = beta / (1 - split)
                parts = (level, alpha / (power * split), np.full_like(level, np.log(split / (1 - split))), power)
            begun.append(np.column_stack([*parts, floor]))
    return begun
