"""One set of points of one metric: its laws with intervals, their curves, forecasts and influence.

A task is plain data and its result depends on nothing else, so that any number of processes gives the same tables.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from statsmodels.regression.linear_model import OLS

from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import NORMAL
from rankscale.laws import bootstrap, fitting
from rankscale.laws.forms import LAWS, NO_CHANGE, evaluate, link, named_parameters
from rankscale.laws.holdout import ForecastSplit

GRID = 60
LOOSE = 10  # from end to end of an exponent's interval: more is no knowledge of it
OUTLYING = 12  # times the middle residual; Gaussian ones reach some 6 among 200

Row = dict[str, object]


class FitTask(NamedTuple):
    """Points `x` [n, v] with `y` [n], their covariance from queries [n, n] or None, and what is asked of them."""

    where: Row
    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray | None
    runs: list[Row]
    names: tuple[str, ...]
    origins: list[ForecastSplit]
    influence: bool
    draws: int
    seed: int


class FitRows(NamedTuple):
    """Rows of the tables of the same names."""

    fits: list[Row]
    curves: list[Row]
    forecasts: list[Row]
    influence: list[Row]


def fit_with_query_noise(law: str, x: np.ndarray, y: np.ndarray, noise: np.ndarray | None) -> fitting.LawFit:
    """One law fitted to points whose covariance from queries is `noise` [n, n], None without any.

    A power law is not fitted where a value is lost in that noise: its logarithm would mean nothing.
    """
    made = fitting.fit(law, x, y)
    lost = np.zeros(1, bool) if noise is None else NORMAL * np.sqrt(np.diag(noise)) >= np.abs(y)
    if made.converged and law != "trend" and lost.any():
        made.converged = False
        made.note = "a value cannot be told from 0: a power law needs positive values"
    return made


def covariance_in_law_space(law: str, y: np.ndarray, noise: np.ndarray | None) -> np.ndarray | None:
    """A covariance in the law's space: relative for a power law."""
    return noise if law == "trend" or noise is None else noise / np.outer(y, y)


def run_fit_task(task: FitTask) -> FitRows:
    """All rows of one task."""
    result = FitRows([], [], [], [])
    for law in task.names:
        what = {**task.where, "law": law}
        made = fit_with_query_noise(law, task.x, task.y, task.noise)
        if not made.converged:
            empty = ("r2", "rmse", "aicc", "parameter", "estimate", "low", "high", "hc3_low", "hc3_high")
            said = {"n_points": len(made.x), "converged": False, "note": made.note}
            result.fits.append({**what, **said, **dict.fromkeys(empty)})
            continue
        random = generator(task.seed, *what.values())
        drawn = bootstrap.simulate(made, covariance_in_law_space(law, made.y, task.noise), task.draws, random)
        result.fits.extend(_fits(made, drawn, what))
        if task.x.shape[1] == 1:
            x = np.geomspace(made.x.min(), made.x.max(), GRID)
            lines = zip(x, made.predict(x), *bootstrap.band(made, drawn, x), strict=True)
            result.curves.extend({**what, **dict(zip(("x", "y", "low", "high"), p, strict=True))} for p in lines)
        if task.influence and law != "trend":
            result.influence.extend(_influence(made, drawn, task, what))
    for origin in task.origins:
        result.forecasts.extend(_forecasts(task, origin))
    return result


def _fits(made: fitting.LawFit, drawn: bootstrap.BootstrapDraws, what: Row) -> Iterator[Row]:
    found = bootstrap.parameters(made, drawn)
    note = "; ".join([*([made.note] if made.note else []), *fit_warnings(made, found)])
    straight = hc3(made) if not LAWS[made.law].robust else {}
    row = {**what, "n_points": len(made.x), "converged": True, "note": note, **made.quality()}
    for name, (estimate, low, high) in found.items():
        ends = straight.get(name, (None, None))
        named = {"parameter": name, "estimate": estimate, "low": low, "high": high}
        yield {**row, **named, "hc3_low": ends[0], "hc3_high": ends[1]}


def fit_warnings(made: fitting.LawFit, found: dict[str, tuple]) -> Iterator[str]:
    """What a reader must know of a fit that converged: what its data do not tell, and points that are far off."""
    if "delta" in found and found["delta"][1] is None and found["delta"][0] > 0:
        yield "the floor cannot be told from 0"
    loose = [
        name
        for name in ("alpha", "beta")
        if name in found and made.law != "line" and (found[name][1] <= 0 or found[name][2] > LOOSE * found[name][1])
    ]
    if loose:
        yield f"{' and '.join(loose)} cannot be told from these points"
    residuals = np.abs(made.residuals())
    # A robust fit passes through as many points as it has parameters.
    typical = np.median(np.sort(residuals)[min(len(made.theta), len(residuals) - 1) :])
    if residuals.max() > OUTLYING * typical > 0:
        yield f"a point lies {residuals.max() / typical:.0f} times as far off as the middle one; intervals count it"


def hc3(made: fitting.LawFit) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of a straight law from its residuals alone, whatever their spread (MacKinnon and White 1985).

    Empty where a point lies on the line by its leverage alone.
    """
    u = np.log(made.x[:, 0])
    design = np.column_stack([np.ones_like(u), u if made.law == "trend" else -u])
    leverage = np.einsum("np,np->n", design @ np.linalg.pinv(design.T @ design), design)
    if len(u) <= 2 or leverage.max() > 1 - 1e-9:
        return {}
    fitted = OLS(link(made.law, made.y), design).fit(cov_type="HC3", use_t=True)
    return dict(zip(LAWS[made.law].parameters, map(tuple, fitted.conf_int().tolist()), strict=True))


def _influence(made: fitting.LawFit, drawn: bootstrap.BootstrapDraws, task: FitTask, what: Row) -> Iterator[Row]:
    """Each point's residual, and what the law becomes without it."""
    n = len(made.x)
    target = np.tile(link(made.law, made.y), (n, 1))
    theta, _ = fitting.solve(made.law, made.x, target, made.theta, weights=1 - np.eye(n))
    names = LAWS[made.law].parameters
    at = names.index("alpha")
    alpha = named_parameters(made.law, theta)[:, at]
    spread = named_parameters(made.law, drawn.theta)[:, at].std()
    top = made.x[np.lexsort(made.x.T[::-1])[-1]][None]
    largest = evaluate(made.law, theta, top)[:, 0] / made.predict(top)[0] - 1
    fitted, residuals = made.predict(made.x), made.residuals()
    for i, run in enumerate(task.runs):
        yield {
            **what,
            **run,
            "x": made.x[i, 0],
            "observed": made.y[i],
            "fitted": fitted[i],
            "residual": residuals[i],
            "alpha_without": alpha[i],
            "shift": (alpha[i] - made.named()["alpha"]) / spread if spread > 0 else 0.0,
            "largest_without": largest[i],
        }


def no_change_forecast(x: np.ndarray, y: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What the largest known sizes show: the forecast of whoever expects no change at `ahead` [m, v].

    `y` is [n] or [draws, n], the result [m] or [draws, m]: the mean of the known points nearest to each one ahead, cut
    to what is known.
    """
    cut = np.log(np.minimum(ahead, x.max(0)))
    away = np.abs(np.log(x)[None] - cut[:, None]).sum(2)
    nearest = away <= away.min(1, keepdims=True) + 1e-9
    return y @ (nearest / nearest.sum(1, keepdims=True)).T


def _forecasts(task: FitTask, origin: ForecastSplit) -> Iterator[Row]:
    """The points ahead of one origin by each law, and by `no change`."""
    known, ahead = origin.known, origin.ahead
    x, y = task.x[known], task.y[known]
    both = np.append(known, ahead)
    names = tuple(law for law in task.names if law != "trend" or len(task.names) == 1)
    for law in (*names, NO_CHANGE):
        predicted, low, high = no_change_forecast(x, y, task.x[ahead]), None, None
        aicc = None
        if law != NO_CHANGE:
            shared = None if task.noise is None else task.noise[np.ix_(both, both)]
            made = fit_with_query_noise(law, x, y, None if shared is None else shared[: len(y), : len(y)])
            if not made.converged or (law != "trend" and (task.y[ahead] <= 0).any()):
                continue
            aicc = made.quality()["aicc"]
            noise = covariance_in_law_space(law, task.y[both], shared)
            random = generator(task.seed, "forecast", *task.where.values(), law, len(known))
            predicted, low, high = bootstrap.forecast(made, task.x[ahead], noise, task.draws, random)
        for i, place in enumerate(ahead):
            value = task.y[place]
            yield {
                **task.where,
                **task.runs[place],
                "law": law,
                "known": len(np.unique(x, axis=0)),
                "held_out": origin.held_out,
                "x": task.x[place, 0],
                "observed": value,
                "predicted": predicted[i],
                "low": None if low is None else low[i],
                "high": None if high is None else high[i],
                "relative_error": (predicted[i] - value) / abs(value) if value else None,
                "covered": None if low is None else bool(low[i] <= value <= high[i]),
                "aicc": aicc,
            }
