"""One set of points of one metric: its laws with intervals, their curves, forecasts and influence.

A task is plain data and its result depends on nothing else, so that any number of processes gives the same tables.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, overload

import numpy as np
from statsmodels.regression.linear_model import OLS

from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import NORMAL
from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import NO_CHANGE, preferred_kind
from rankscale.laws.holdout import ForecastSplit

GRID = 60
LOOSE = 10  # from end to end of an exponent's interval: more is no knowledge of it
TOGETHER = 1e-3  # of the variance of a size: less that is not the other's is no size of its own
OUTLYING = 12  # times the middle residual; Gaussian ones reach some 6 among 200
# What random draws are keyed by, in this order and no other: it is part of every published interval.
STREAM = ("metric", "split", "candidates", "axis", "fixed", "law")

Row = dict[str, Any]


class FitTask(NamedTuple):
    """Points `x` [n, v] with `y` [n], their covariance from queries [n, n] or None, and what is asked of them.

    `key` are the columns that tell its rows from those of other tasks; `runs` names the run of each point. Points that
    were chosen by their values, as those of the lower envelope, get no `intervals`: on flat truth 63 % of the slopes of
    envelopes lie beyond 0.
    """

    key: Row
    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray | None
    runs: list[Row]
    laws: tuple[Law, ...]
    splits: list[ForecastSplit]
    influence: bool
    draws: int
    seed: int
    intervals: bool = True


class FitRows(NamedTuple):
    """Rows of the tables of the same names."""

    fits: list[Row]
    curves: list[Row]
    forecasts: list[Row]
    influence: list[Row]


def stream(seed: int, purpose: str, key: Row, *more: str | int) -> np.random.Generator:
    """The random draws for one purpose (the intervals of a fit have none) and rows of one key, whatever its order."""
    names = [key[name] for name in STREAM if name in key]
    return generator(seed, *([purpose] if purpose else []), *names, *more)


def fit_with_query_noise(law: Law, x: np.ndarray, y: np.ndarray, noise: np.ndarray | None) -> fitting.LawFit:
    """One law fitted to points whose covariance from queries is `noise` [n, n], None without any.

    A power law is not fitted where a value is lost in that noise: its logarithm would mean nothing.
    """
    fit = fitting.fit(law, x, y)
    lost = np.zeros(1, bool) if noise is None else NORMAL * np.sqrt(np.diag(noise)) >= np.abs(y)
    if fit.converged and not law.signed and lost.any():
        fit.converged = False
        fit.note = "a value cannot be told from 0: a power law needs positive values"
    return fit


@overload
def covariance_in_law_space(law: Law, y: np.ndarray, noise: np.ndarray) -> np.ndarray: ...
@overload
def covariance_in_law_space(law: Law, y: np.ndarray, noise: None) -> None: ...
def covariance_in_law_space(law: Law, y: np.ndarray, noise: np.ndarray | None) -> np.ndarray | None:
    """A covariance in the law's space: relative for a power law."""
    return noise if law.signed or noise is None else noise / np.outer(y, y)


def run_fit_task(task: FitTask) -> FitRows:
    """All rows of one task."""
    result = FitRows([], [], [], [])
    for law in task.laws:
        key = {**task.key, "law": law.name}
        fit = fit_with_query_noise(law, task.x, task.y, task.noise)
        if not fit.converged:
            empty = ("r2", "rmse", "aicc", "parameter", "estimate", "low", "high", "hc3_low", "hc3_high")
            failure = {"n_points": len(fit.x), "converged": False, "note": fit.note}
            result.fits.append({**key, **failure, **dict.fromkeys(empty)})
            continue
        random = stream(task.seed, "", key)
        drawn = bootstrap.simulate(fit, covariance_in_law_space(law, fit.y, task.noise), task.draws, random)
        result.fits.extend(_fits(fit, drawn, key))
        if task.x.shape[1] == 1:
            x = np.geomspace(fit.x.min(), fit.x.max(), GRID)
            points = zip(x, fit.predict(x), *bootstrap.band(fit, drawn, x), strict=True)
            result.curves.extend({**key, **dict(zip(("x", "y", "low", "high"), p, strict=True))} for p in points)
        if task.influence and not law.signed:
            result.influence.extend(_influence(fit, drawn, task, key))
    for split in task.splits:
        result.forecasts.extend(_forecasts(task, split))
    if not task.intervals:
        for row in (*result.fits, *result.curves):
            row |= {name: None for name in ("low", "high", "hc3_low", "hc3_high") if name in row}
    return result


def _fits(fit: fitting.LawFit, drawn: bootstrap.BootstrapDraws, key: Row) -> Iterator[Row]:
    parameters = bootstrap.parameters(fit, drawn)
    note = "; ".join([*([fit.note] if fit.note else []), *fit_warnings(fit, parameters)])
    straight = hc3(fit) if fit.law.straight else {}
    row = {**key, "n_points": len(fit.x), "converged": True, "note": note, **fit.quality()}
    if fit.law.bounded and fit.law.variables == 1:
        # No one exponent says how fast a bounded law falls.
        parameters |= bootstrap.local_exponents(fit, drawn)
    for name, (estimate, low, high) in parameters.items():
        hc3_low, hc3_high = straight.get(name, (None, None))
        named = {"parameter": name, "estimate": estimate, "low": low, "high": high}
        yield {**row, **named, "hc3_low": hc3_low, "hc3_high": hc3_high}


def fit_warnings(fit: fitting.LawFit, parameters: dict[str, tuple]) -> Iterator[str]:
    """What a reader must know of a fit that converged: what its data do not tell, and points that are far off."""
    law = fit.law
    if law.floor is not None:
        estimate, low, _ = parameters[law.parameters[law.floor]]
        if low is None and estimate > 0:
            yield "the floor cannot be told from 0"
    if len(law.exponents) == 2 and rise_together(fit.x):
        yield f"size and data rise together: which is {law.exponents[0]} and which {law.exponents[1]} cannot be told"
    bounds = {name: parameters[name][1:] for name in law.exponents} if not law.straight else {}
    loose = [name for name, (low, high) in bounds.items() if low <= 0 or high > LOOSE * low]
    if loose:
        yield f"{' and '.join(loose)} cannot be told from these points"
    residuals = np.abs(fit.residuals())
    # A robust fit passes through as many points as it has parameters.
    typical = np.median(np.sort(residuals)[min(len(fit.theta), len(residuals) - 1) :])
    if residuals.max() > OUTLYING * typical > 0:
        yield f"a point lies {residuals.max() / typical:.0f} times as far off as the middle one; intervals count it"


def rise_together(x: np.ndarray) -> bool:
    """Whether two sizes [n, 2] vary with each other alone: the one, given the other, by under 3 % of its spread."""
    return bool(np.corrcoef(np.log(x).T)[0, 1] ** 2 > 1 - TOGETHER)


def hc3(fit: fitting.LawFit) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of a straight law from its residuals alone, whatever their spread (MacKinnon and White 1985).

    Empty where a point lies on the line by its leverage alone.
    """
    assert fit.law.design is not None, "the law is straight"
    design = fit.law.design(np.log(fit.x))
    leverage = np.einsum("np,np->n", design @ np.linalg.pinv(design.T @ design), design)
    if len(design) <= design.shape[1] or leverage.max() > 1 - 1e-9:
        return {}
    ordinary = OLS(fit.law.link(fit.y), design).fit(cov_type="HC3", use_t=True)
    return dict(zip(fit.law.parameters, map(tuple, ordinary.conf_int().tolist()), strict=True))


def _influence(fit: fitting.LawFit, drawn: bootstrap.BootstrapDraws, task: FitTask, key: Row) -> Iterator[Row]:
    """Each point's residual, and what the law becomes without it."""
    n, law = len(fit.x), fit.law
    target = np.tile(law.link(fit.y), (n, 1))
    theta, _ = fitting.solve(law, fit.x, target, fit.theta, weights=1 - np.eye(n))
    position = law.parameters.index(law.slope)
    alpha = law.named_parameters(theta)[:, position]
    spread = law.named_parameters(drawn.theta)[:, position].std()
    top = fit.x[np.lexsort(fit.x.T[::-1])[-1]][None]
    largest = law.evaluate(theta, top)[:, 0] / fit.predict(top)[0] - 1
    fitted, residuals = fit.predict(fit.x), fit.residuals()
    for i, run in enumerate(task.runs):
        yield {
            **key,
            **run,
            "x": fit.x[i, 0],
            "observed": fit.y[i],
            "fitted": fitted[i],
            "residual": residuals[i],
            "alpha_without": alpha[i],
            "shift": (alpha[i] - fit.named()[law.slope]) / spread if spread > 0 else 0.0,
            "largest_without": largest[i],
        }


def no_change_forecast(x: np.ndarray, y: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What the largest known sizes show: the forecast of whoever expects no change at `ahead` [m, v].

    `y` is [n] or [draws, n], the result [m] or [draws, m]: the mean of the known points nearest to each one ahead, cut
    to what is known.
    """
    cut = np.log(np.minimum(ahead, x.max(0)))
    distance = np.abs(np.log(x)[None] - cut[:, None]).sum(2)
    nearest = distance <= distance.min(1, keepdims=True) + 1e-9
    return y @ (nearest / nearest.sum(1, keepdims=True)).T


def _forecasts(task: FitTask, split: ForecastSplit) -> Iterator[Row]:
    """The points ahead of one split by each law, and by `no change`."""
    known, ahead = split.known, split.ahead
    x, y = task.x[known], task.y[known]
    both = np.append(known, ahead)
    for law in preferred_kind(task.laws):
        shared = None if task.noise is None else task.noise[np.ix_(both, both)]
        fit = fit_with_query_noise(law, x, y, None if shared is None else shared[: len(y), : len(y)])
        if not fit.converged or (not law.signed and (task.y[ahead] <= 0).any()):
            continue
        noise = covariance_in_law_space(law, task.y[both], shared)
        random = stream(task.seed, "forecast", {**task.key, "law": law.name}, len(known))
        predicted = bootstrap.forecast(fit, task.x[ahead], noise, task.draws, random)
        yield from _rows_ahead(task, split, law.name, predicted, fit.quality())
    yield from _rows_ahead(task, split, NO_CHANGE, (no_change_forecast(x, y, task.x[ahead]), None, None), {})


def _rows_ahead(
    task: FitTask,
    split: ForecastSplit,
    law: str,
    predicted: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    quality: Row,
) -> Iterator[Row]:
    """One row per point ahead: what was predicted, with the ends of its interval (or None), and what was observed."""
    sizes = len(np.unique(task.x[split.known], axis=0))
    values, lows, highs = predicted
    for i, point in enumerate(split.ahead):
        observed = task.y[point]
        low, high = (None, None) if lows is None or highs is None else (lows[i], highs[i])
        yield {
            **task.key,
            **task.runs[point],
            "law": law,
            "known": sizes,
            "held_out": split.held_out,
            "x": task.x[point, 0],
            "observed": observed,
            "predicted": values[i],
            "low": low,
            "high": high,
            "relative_error": (values[i] - observed) / abs(observed) if observed else None,
            "covered": None if low is None else bool(low <= observed <= high),
            "aicc": quality.get("aicc"),
            "rmse": quality.get("rmse"),
        }
