"""How sure a fitted law is: studies simulated around it, with the noise of queries and of runs, and fitted again.

Intervals are percentiles over the simulated studies; the floor's is where its profile (the objective at its best for
a given floor) stays below what simulated studies give at their true floor, so that it can be open.
"""

from typing import NamedTuple

import numpy as np

from rankscale.laws.fitting import LawFit, solve
from rankscale.laws.forms.base import as_columns
from rankscale.laws.least_squares import huber

REPEATS = 3  # runs beyond one per size, from which run-to-run noise is judged within sizes
QUANTILES_95 = (0.025, 0.975)
FREE = 0.1  # share of studies with a floor above 0 that is enough to tell by
LOCAL_EXPONENTS = ("exponent_first", "exponent_last")  # as rows of the fits
STEP = 1e-3  # in logarithms: either side of a point, for the exponent there
GRID = 60  # floors at which the profile is taken each way

Interval = tuple[float | None, float | None]


class BootstrapDraws(NamedTuple):
    """Simulated studies: the laws fitted to them, `theta` [b, p], and the errors [b, n + m] of their points."""

    theta: np.ndarray
    errors: np.ndarray
    targets: np.ndarray  # [b, n], what was fitted, in the law's space


def simulate(
    fit: LawFit,
    noise: np.ndarray | None,
    draws: int,
    random: np.random.Generator,
    others: np.ndarray | None = None,
) -> BootstrapDraws:
    """Errors of the `n` fitted and the `others` [m, v] in `draws` studies, and the law fitted to each.

    `noise` [n + m, n + m] is the covariance that query sampling gives the points, in the law's space, None without any;
    run-to-run noise and what sizes are off the law by come on top of it.
    """
    n = len(fit.x)
    points = fit.x if others is None else np.vstack([fit.x, others])
    errors = own_errors(fit, None if noise is None else noise[:n, :n], points, draws, random)
    if noise is not None:
        values, vectors = np.linalg.eigh(noise)
        errors += random.standard_normal((draws, len(points))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    targets = fit.law.link(fit.predict(fit.x)) + errors[:, :n]
    theta, _ = solve(fit.law, fit.x, targets, fit.theta)
    return BootstrapDraws(theta, errors, targets)


def own_errors(
    fit: LawFit, noise: np.ndarray | None, points: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Errors [draws, k] at `points` [k, v] that queries do not explain: of each run, and of all runs of a size.

    With repeats a mean over a size's runs has the spread that the means show about the law, as a draw takes it: it
    holds runs and what the law is off by, but not what seeds shift as a whole, which is in the level of the law. The
    runs of a size lie about their mean as far as the repeats do.
    """
    run = run_noise(fit, noise, draws, random)
    errors = run[:, None] * random.standard_normal((draws, len(points)))
    if _repeats(fit) >= REPEATS:
        cells, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)[1:]
        cells = cells.reshape(-1)
        of_means = errors @ (cells[:, None] == np.arange(len(counts))) / counts
        # Where the means happen to lie closer to the law than their runs explain, this takes off what runs add.
        beyond = size_variance(fit, noise, run, random)
        spread = np.sqrt(np.maximum(run[:, None] ** 2 / counts + beyond[:, None], 0))
        errors += (spread * random.standard_normal(of_means.shape) - of_means)[:, cells]
    return errors


def _repeats(fit: LawFit) -> int:
    """Runs beyond one per size."""
    return len(fit.x) - len(np.unique(fit.x, axis=0))


def size_variance(fit: LawFit, noise: np.ndarray | None, run: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Variances [draws] of what the runs of a size share, what the law is off by there; below 0 where a draw shows less
    of it than of the noise of runs.

    It is what the means of sizes show about the law beyond `run`, the noise of runs, and that of queries. Repeats tell
    the noise of runs well, and without this would make the law seem as sure as if it were exact. Cut off at 0 it would
    make a law that is exact seem off in every draw that overstates it: intervals held 97.5 to 99 % so.
    """
    jacobian = fit.slopes()
    first, cells, counts = np.unique(fit.x, axis=0, return_index=True, return_inverse=True, return_counts=True)[1:]
    cells = cells.reshape(-1)
    mean = (cells == np.arange(len(first))[:, None]) / counts[:, None]
    jacobian, residuals = jacobian[first], mean @ fit.residuals()
    freedom = len(first) - np.linalg.matrix_rank(jacobian)
    if freedom < 1:
        return np.zeros(len(run))
    spread = float((residuals**2).sum()) / random.chisquare(freedom, len(run))
    if noise is not None:
        noise = mean @ noise @ mean.T
        fitted = jacobian @ np.linalg.pinv(jacobian)
        spread = np.maximum(spread - float(np.trace(noise) - np.sum(fitted * noise.T)) / freedom, 0)
    return spread - run**2 * (1 / counts).mean()


def run_noise(fit: LawFit, noise: np.ndarray | None, draws: int, random: np.random.Generator) -> np.ndarray:
    """Standard deviations [draws] of run-to-run noise, independent between points: what residuals show beyond `noise`.

    Those within a size where seeds repeat, those of the fit otherwise. As it is itself estimated from few residuals,
    each draw takes another value for it (scaled inverse chi-squared).
    """
    jacobian, residuals = fit.slopes(), fit.residuals()
    freedom = max(len(residuals) - np.linalg.matrix_rank(jacobian), 1)
    fitted = jacobian @ np.linalg.pinv(jacobian) if noise is not None else None
    cells = np.unique(fit.x, axis=0, return_inverse=True)[1].reshape(-1)
    repeats = _repeats(fit)
    within = residuals - (np.bincount(cells, residuals) / np.bincount(cells))[cells]
    if repeats >= REPEATS and within.any():
        # Several seeds at one size tell run-to-run noise from a law that does not fit.
        residuals, freedom = within, repeats
        if noise is not None:
            same = cells[:, None] == cells
            fitted = same / same.sum(1)
    explained = 0.0 if noise is None else float(np.trace(noise) - np.sum(fitted * noise.T)) / freedom
    variance = float((residuals**2).sum()) / freedom
    spread = variance * freedom / random.chisquare(freedom, draws)
    return np.sqrt(np.maximum(spread - explained, 0))


def parameters(fit: LawFit, draws: BootstrapDraws) -> dict[str, tuple[float, float | None, float | None]]:
    """Each parameter's estimate and 95 % interval; None for an end that the data leave open."""
    law, drawn = fit.law, fit.law.named_parameters(draws.theta)
    values = dict(zip(law.parameters, drawn.T, strict=True))
    out = {}
    for i, (name, estimate) in enumerate(fit.named().items()):
        if i == law.floor:
            bounds = floor_interval(fit, draws)
        elif name in law.scales and np.quantile(values[law.scales[name]], QUANTILES_95[0]) <= 0:
            # A scale is a point where a power is 1: without a sure decay there is none.
            bounds = (None, None)
        else:
            quantiles = np.quantile(values[name], QUANTILES_95, method="nearest")
            low, high = (float(q) if np.isfinite(q) else None for q in quantiles)
            bounds = (low, high)
        out[name] = (estimate, *bounds)
    return out


def local_exponents(fit: LawFit, draws: BootstrapDraws) -> dict[str, tuple[float, float, float]]:
    """How fast a law of one variable falls at the smallest and the largest point: -dlog y / dlog x and its interval."""
    out = {}
    for name, x in zip(LOCAL_EXPONENTS, (fit.x.min(), fit.x.max()), strict=True):
        around = x * np.exp([-STEP, STEP])
        theta = np.vstack([fit.theta, draws.theta])
        logs = np.log(fit.law.evaluate(theta, around))
        exponents = (logs[:, 0] - logs[:, 1]) / (2 * STEP)
        low, high = np.quantile(exponents[1:], QUANTILES_95)
        out[name] = (float(exponents[0]), float(low), float(high))
    return out


def floor_interval(fit: LawFit, draws: BootstrapDraws) -> Interval:
    """The floor's 95 % interval by its profile; an end is None where 0, or the largest value, does as well."""
    floor, log_y = fit.law.floor, fit.law.link(fit.y)
    estimate, least = fit.theta[floor], _objective(fit, fit.theta[None], log_y[None])[0]
    true, _ = solve(fit.law, fit.x, draws.targets, fit.theta, held_floor=estimate)
    rises = _objective(fit, true, draws.targets) - _objective(fit, draws.theta, draws.targets)
    # A study whose floor ends at 0 rises less than one that can go both ways: it would cut too low.
    free = draws.theta[:, floor] > 0
    cut = np.quantile(rises[free] if free.mean() > FREE else rises, 0.95)

    def inside(floors: np.ndarray) -> np.ndarray:
        targets = np.broadcast_to(log_y, (len(floors), len(log_y)))
        profile, _ = solve(fit.law, fit.x, targets, fit.theta, held_floor=floors)
        return _objective(fit, profile, targets) - least <= max(cut, 0)

    # Each way from the estimate to the outermost floor there can be; fine near it, as floors that the data tell
    # well are told within a small part of the metric.
    ways = [(estimate, 0.0), (estimate, min(float(fit.y.max()), fit.law.ceiling))]
    steps = np.geomspace(1e-6, 1, GRID)
    bounds: list[float | None] = [None, None]
    for _ in range(2):
        floors = [near + (far - near) * steps for near, far in ways]
        holding = np.split(inside(np.concatenate(floors)), 2)
        for i, (way, holds) in enumerate(zip(floors, holding, strict=True)):
            out = len(way) - 1 if holds.all() else int((~holds).argmax())
            bounds[i] = None if holds.all() else float(way[out])
            ways[i] = (ways[i][0] if out == 0 else way[out - 1], way[out])
        steps = np.linspace(0, 1, GRID // 2 + 1)[1:]
    return (bounds[0] if estimate > 0 else None), bounds[1]


def _objective(fit: LawFit, theta: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return huber(np.log(fit.law.evaluate(theta, fit.x)) - targets)


def band(fit: LawFit, draws: BootstrapDraws, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of the law itself at `x`."""
    low, high = np.quantile(fit.law.evaluate(draws.theta, x), QUANTILES_95, axis=0)
    return low, high


def forecast(
    fit: LawFit, x: np.ndarray, noise: np.ndarray | None, draws: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted values [m] at `x` [m] and their 95 % prediction interval: law, query noise and run noise.

    The error of a forecast is the new point's own noise less the error of the refitted law; the two share the
    queries, so they are drawn together. Its percentiles are taken about the prediction with the sign of the law's
    own error, as for any parameter: in simulations that covers where the mirrored one does not.
    """
    drawn = simulate(fit, noise, draws, random, as_columns(x))
    law = fit.law
    centre = law.link(fit.predict(x))
    off = law.link(law.evaluate(drawn.theta, x)) - centre
    low, high = np.quantile(centre + off - drawn.errors[:, len(fit.x) :], QUANTILES_95, axis=0)
    return fit.predict(x), law.unlink(low), law.unlink(high)
