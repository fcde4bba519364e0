"""Which metric is forecast best: the held-out error of each, its skill, and its difference to Rank-Entropy's.

All metrics are simulated together, noise once: that from queries is shared by metrics and checkpoints (their joint
covariance), run-to-run noise is each metric's own. Around the fitted laws, extrapolated, it says which errors, and
which differences of errors, noise alone gives where the laws are true; around no change beyond the known points, how
often a metric that has stopped would seem as well forecast. Around the observed values it would be counted twice.
"""

from typing import NamedTuple

import numpy as np

from rankscale.evaluation.decomposition import NORMAL
from rankscale.laws import bootstrap, fitting, selection
from rankscale.laws.fit_tasks import Row, covariance_in_law_space, fit_with_query_noise, no_change_forecast, stream
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import preferred_kind
from rankscale.laws.holdout import ForecastSplit

REFERENCE = "rank_entropy"
OPEN = 100  # times what was observed; a bound of an interval beyond it is open


class MetricComparison(NamedTuple):
    """The metrics of one axis: `x` [n, v], `y` [m, n], their covariance from queries [m n, m n], laws by metric.

    `key` are the columns that tell its rows from those of other comparisons.
    """

    key: Row
    metrics: list[str]
    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray
    laws: list[tuple[Law, ...]]
    split: ForecastSplit
    draws: int
    seed: int


class SimulatedErrors(NamedTuple):
    """Errors [draws] of one metric's forecasts in simulated studies: by its law, and by `no change`.

    Of studies where the law is true, and (`stopped`) of such where nothing changes beyond the known points.
    """

    by_law: np.ndarray
    no_change: np.ndarray
    by_law_stopped: np.ndarray
    no_change_stopped: np.ndarray


def mean_error(predicted: np.ndarray, observed: np.ndarray, law: Law) -> np.ndarray:
    """Mean absolute error over the last axis: relative, but for a metric that may be negative."""
    distance = np.abs(predicted - observed)
    return (distance if law.signed else distance / observed).mean(-1)


def rank_metrics(comparison: MetricComparison) -> list[Row]:
    """One row per metric, best skill first; those that no law could be fitted to last, without figures."""
    known, ahead = comparison.split.known, comparison.split.ahead
    m, n = comparison.y.shape
    random = stream(comparison.seed, "ranking", comparison.key)
    values, vectors = np.linalg.eigh(comparison.noise)
    root = vectors * np.sqrt(np.maximum(values, 0))
    shared = (random.standard_normal((comparison.draws, m * n)) @ root.T).reshape(comparison.draws, m, n)
    rows: list[Row] = []
    drawn: dict[str, SimulatedErrors] = {}
    signed: dict[str, bool] = {}
    for i, metric in enumerate(comparison.metrics):
        y = comparison.y[i]
        row: Row = {**comparison.key, "metric": metric, "held_out": len(ahead)}
        noise = comparison.noise[i * n : (i + 1) * n, i * n : (i + 1) * n]
        fit = preferred(comparison.laws[i], comparison.x[known], y[known], noise[np.ix_(known, known)])
        # Relative to a value that is lost in the noise of queries, an error means nothing.
        lost = NORMAL * np.sqrt(np.diag(noise)) >= y
        if fit is None or (not fit.law.signed and lost[ahead].any()):
            rows.append({**row, "law": "none"})
            continue
        simulated = simulate_errors(comparison, fit, y, noise, shared[:, i], random)
        error = mean_error(fit.predict(comparison.x[ahead]), y[ahead], fit.law)
        same = no_change_forecast(comparison.x[known], y[known], comparison.x[ahead])
        no_change = mean_error(same, y[ahead], fit.law)
        drawn[metric], signed[metric] = simulated, fit.law.signed
        row |= {"law": fit.law.name, "error": error, **_bounds("error", simulated.by_law), "no_change": no_change}
        row |= {
            "skill": 1 - error / no_change if no_change else None,
            "beats_no_change": float((simulated.by_law < simulated.no_change).mean()),
            "p_no_change": float((simulated.by_law_stopped * no_change <= error * simulated.no_change_stopped).mean()),
        }
        rows.append(row)
    _compare_with_reference(rows, drawn, signed)
    rows.sort(key=lambda r: -np.inf if r.get("skill") is None else r["skill"], reverse=True)
    return [{**row, "position": i + 1} for i, row in enumerate(rows)]


def simulate_errors(
    comparison: MetricComparison,
    fit: fitting.LawFit,
    y: np.ndarray,
    noise: np.ndarray,
    shared: np.ndarray,
    random: np.random.Generator,
) -> SimulatedErrors:
    """The errors of one metric [n] in simulated studies; `shared` [draws, n] is the noise of queries.

    Run noise is as the fit itself estimates it; the noise of queries comes from the draws that all metrics share.
    """
    law, x = fit.law, comparison.x
    known, ahead = comparison.split.known, comparison.split.ahead
    known_noise = covariance_in_law_space(law, y, noise)[np.ix_(known, known)]
    off = bootstrap.own_errors(fit, known_noise, x, comparison.draws, random) + (shared if law.signed else shared / y)
    true = fit.predict(x)
    theta, _ = fitting.solve(law, x[known], law.link(true[known]) + off[:, known], fit.theta)
    errors = []
    # Few residuals tell little of the noise: some simulated studies are beyond all bounds.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        forecast = law.evaluate(theta, x[ahead])
        same = no_change_forecast(x[known], law.unlink(law.link(true[known]) + off[:, known]), x[ahead])
        for centre in (true[ahead], no_change_forecast(x[known], true[known], x[ahead])):
            observed = law.unlink(law.link(centre) + off[:, ahead])
            errors += [mean_error(forecast, observed, law), mean_error(same, observed, law)]
    return SimulatedErrors(*errors)


def _compare_with_reference(rows: list[Row], drawn: dict[str, SimulatedErrors], signed: dict[str, bool]) -> None:
    """Add each metric's difference to Rank-Entropy's error; an error that is not relative has none.

    It is significant where it has one sign in all but 5 % of the studies whose laws are true.
    """
    reference = next((row for row in rows if row["metric"] == REFERENCE and "error" in row), None)
    for row in rows:
        if reference and "error" in row and row is not reference and not signed[row["metric"]]:
            bounds = _bounds("difference", drawn[row["metric"]].by_law - drawn[REFERENCE].by_law)
            row |= {"difference": row["error"] - reference["error"], **bounds}
            low, high = bounds.values()
            row["significant"] = bool((low is not None and low > 0) or (high is not None and high < 0))


def preferred(laws: tuple[Law, ...], x: np.ndarray, y: np.ndarray, noise: np.ndarray | None) -> fitting.LawFit | None:
    """The law that AICc prefers on the known points, a trend only where it is the only one; None if none fits."""
    return selection.preferred(fit_with_query_noise(law, x, y, noise) for law in preferred_kind(laws))


def _bounds(name: str, values: np.ndarray) -> Row:
    quantiles = zip(("low", "high"), np.quantile(values, bootstrap.QUANTILES_95), strict=True)
    return {f"{name}_{bound}": float(value) if abs(value) < OPEN else None for bound, value in quantiles}
