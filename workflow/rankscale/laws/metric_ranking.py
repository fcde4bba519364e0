"""Which metric is forecast best: the held-out error of each, its skill, and its difference to Rank-Entropy's.

All metrics are simulated together: noise from queries is shared by metrics and checkpoints (their joint covariance),
run-to-run noise is each metric's own. Simulating around the observed values adds the noise a second time, so
intervals are wider than they need be, and shares of studies nearer to one half.
"""

from typing import NamedTuple

import numpy as np

from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import NORMAL
from rankscale.laws import bootstrap, fitting
from rankscale.laws.fit_tasks import Row, covariance_in_law_space, fit_with_query_noise, no_change_forecast
from rankscale.laws.forms import evaluate, link
from rankscale.laws.holdout import ForecastSplit

REFERENCE = "rank_entropy"
OPEN = 100  # times what was observed; an end of an interval beyond it is open


class MetricComparison(NamedTuple):
    """The metrics of one axis: `x` [n, v], `y` [m, n], their covariance from queries [m n, m n], laws by metric."""

    where: Row
    metrics: list[str]
    x: np.ndarray
    y: np.ndarray
    noise: np.ndarray
    names: list[tuple[str, ...]]
    origin: ForecastSplit
    draws: int
    seed: int


def error(predicted: np.ndarray, observed: np.ndarray, law: str) -> np.ndarray:
    """Mean absolute error over the last axis: relative, but for a metric that may be negative."""
    away = np.abs(predicted - observed)
    return (away if law == "trend" else away / observed).mean(-1)


def rank_metrics(race: MetricComparison) -> list[Row]:
    """One row per metric, best skill first; those that no law could be fitted to last, without figures."""
    known, ahead = race.origin.known, race.origin.ahead
    m, n = race.y.shape
    random = generator(race.seed, "ranking", *race.where.values())
    values, vectors = np.linalg.eigh(race.noise)
    root = vectors * np.sqrt(np.maximum(values, 0))
    shared = (random.standard_normal((race.draws, m * n)) @ root.T).reshape(race.draws, m, n)
    rows, drawn = [], {}
    for i, metric in enumerate(race.metrics):
        y = race.y[i]
        row: Row = {**race.where, "metric": metric, "held_out": len(ahead)}
        block = race.noise[i * n : (i + 1) * n, i * n : (i + 1) * n]
        made = preferred(race.names[i], race.x[known], y[known], block[np.ix_(known, known)])
        # Relative to a value that is lost in the noise of queries, an error means nothing.
        lost = NORMAL * np.sqrt(np.diag(block)) >= y
        if made is None or (made.law != "trend" and lost[ahead].any()):
            rows.append({**row, "law": "none"})
            continue
        law, same = made.law, no_change_forecast(race.x[known], y[known], race.x[ahead])
        found = error(made.predict(race.x[ahead]), y[ahead], law)
        plain = error(same, y[ahead], law)
        # Run noise as the fit itself estimates it; noise of queries from the draws that all metrics share.
        own = bootstrap.run_noise(
            made, covariance_in_law_space(law, y, block)[np.ix_(known, known)], race.draws, random
        )
        spread = shared[:, i] if law == "trend" else shared[:, i] / y
        targets = link(law, y) + spread + own[:, None] * random.standard_normal((race.draws, n))
        theta, _ = fitting.solve(law, race.x[known], targets[:, known], made.theta)
        # Few residuals tell little of the noise: some simulated studies are beyond all bounds.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            observed = targets if law == "trend" else np.exp(targets)
            errors = error(evaluate(law, theta, race.x[ahead]), observed[:, ahead], law)
            same = no_change_forecast(race.x[known], observed[:, known], race.x[ahead])
            plains = error(same, observed[:, ahead], law)
        drawn[metric] = errors
        rows.append(
            {
                **row,
                "law": law,
                "error": found,
                **_ends("error", errors),
                "no_change": plain,
                "skill": 1 - found / plain if plain else None,
                "beats_no_change": float((errors < plains).mean()),
            }
        )
    reference = next((r for r in rows if r["metric"] == REFERENCE and "error" in r), None)
    for row in rows:
        if reference and "error" in row and row is not reference and row["law"] != "trend":
            away = drawn[row["metric"]] - drawn[REFERENCE]
            ends = _ends("difference", away)
            row |= {"difference": row["error"] - reference["error"], **ends}
            low, high = ends.values()
            row["significant"] = bool((low is not None and low > 0) or (high is not None and high < 0))
    rows.sort(key=lambda r: -np.inf if r.get("skill") is None else r["skill"], reverse=True)
    return [{**row, "position": i + 1} for i, row in enumerate(rows)]


def preferred(names: tuple[str, ...], x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> fitting.LawFit | None:
    """The law that AICc prefers on the known points, a trend only where it is the only one; None if none fits."""
    names = names if len(names) == 1 else tuple(law for law in names if law != "trend")
    made = [fit for fit in (fit_with_query_noise(law, x, y, noise) for law in names) if fit.converged]
    scores = [fit.quality()["aicc"] for fit in made]
    order = [float("inf") if score is None else score for score in scores]
    return made[int(np.argmin(order))] if made else None


def _ends(name: str, values: np.ndarray) -> Row:
    ends = np.quantile(values, bootstrap.QUANTILES_95)
    return {f"{name}_{k}": float(v) if abs(v) < OPEN else None for k, v in zip(("low", "high"), ends, strict=True)}
