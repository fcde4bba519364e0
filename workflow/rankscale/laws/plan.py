"""What to train next: the choice, its alternatives, and how sure they are."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.metrics import metric_named
from rankscale.laws import bootstrap, fitting
from rankscale.laws.allocation import CostModel, best_data, optimal_allocation
from rankscale.laws.fit_tasks import Row, fit_warnings, fit_with_query_noise, stream
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import LAWS, laws_for
from rankscale.laws.options import Resampling
from rankscale.laws.query_covariance import values_of
from rankscale.laws.selection import by_aicc

COARSE = 41
LEAST_COVERAGE = 0.5  # of held-out cells; 95 % intervals that hold fewer are wrong


class Question(NamedTuple):
    """What is asked: a `budget` to spend or a `target` to reach, of sizes `n` and data `d`, at these costs."""

    budget: float | None
    target: float | None
    n: np.ndarray
    d: np.ndarray
    costs: CostModel


def chosen_rows(metrics: pd.DataFrame, metric: str, candidates: str | None, variant: str | None = None) -> pd.DataFrame:
    """The finished runs to plan by, of a variant (the first if none is named) on its own first test set.

    Raises StudyError where the metric cannot be planned by.
    """
    finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if finals.empty:
        raise StudyError("no finished run, nothing to plan by")
    finals = finals[finals.variant == (variant or finals.variant.iloc[0])]
    if finals.empty:
        raise StudyError(f"plan.variant: no run of {variant} is finished")
    finals = finals[(finals.collection == finals.collection.iloc[0]) & (finals.split == finals.split.iloc[0])]
    kinds = list(finals.candidates.unique())
    kind = candidates or ("hard" if "hard" in kinds else kinds[0])
    if kind not in kinds:
        raise StudyError(f"plan.candidates: {kind} was not evaluated")
    finals = finals[finals.candidates == kind]
    metric_named(metric, "plan.metric")
    if not np.isfinite(values_of(finals, metric)).all():
        raise StudyError(f"plan.metric: {metric} was not measured of every run")
    return finals


def candidate_laws(name: str, metric: str, ceiling: float | None) -> list[Law]:
    """The laws of two variables to choose from: the one named, or for `best` all that the metric can have.

    Raises StudyError where the name is of no law of two variables, or of one for metrics that have a ceiling.
    """
    law = LAWS.get(name)
    if name != "best" and (law is None or law.variables != 2):
        raise StudyError(f"plan.law: {name!r} is no law of two variables, nor best")
    if law is not None and law.bounded and ceiling is None:
        raise StudyError(f"plan.law: {name} is for metrics with a known value at chance; {metric} has none here")
    return [law for law in laws_for(metric, 2, ceiling) if name in ("best", law.name)]


def law_of(
    laws: list[Law], x: np.ndarray, y: np.ndarray, noise: np.ndarray, coverage: Mapping[str, float]
) -> tuple[fitting.LawFit, str]:
    """The law to plan by: of `laws` the one that AICc prefers whose forecasts were not refuted; which were, in words.

    `coverage` tells of laws which share of the held-out cells their intervals held: under half of them, a law is not
    built on. Without a law the fit is not `converged`, and its note says why.
    """
    fits = [fit_with_query_noise(law, x, y, noise) for law in laws]
    scored = [(score, fit) for fit in fits if fit.converged and (score := fit.quality()["aicc"]) is not None]
    good = [scored[i][1] for i in by_aicc([score for score, _ in scored], [fit.law for _, fit in scored])]
    if not good:
        return fits[0], ""
    refuted: list[str] = []
    for fit in good:
        share = coverage.get(fit.law.name, 1.0)
        if share >= LEAST_COVERAGE:
            return fit, f"not by {', '.join(refuted)} of the held-out cells" if refuted else ""
        refuted.append(f"{fit.law.name}, whose intervals held {share:.0%}")
    note = f"none but {', '.join(refuted)} of the held-out cells"
    return replace(good[0], converged=False, note=note), ""


def held_out_coverage(forecasts: pd.DataFrame, finals: pd.DataFrame, metric: str) -> dict[str, float]:
    """By law of two variables, the share of the held-out cells that its prediction intervals held.

    `forecasts` are the study's, `finals` the rows to plan by. Laws without a forecast are not there.
    """
    first = finals.iloc[0]
    rows = forecasts[(forecasts.axis == "grid") & forecasts.held_out & (forecasts.metric == metric)]
    for name in ("collection", "variant", "split", "candidates"):
        rows = rows[rows[name] == first[name]]
    cells = rows.dropna(subset="covered").astype({"covered": float})
    by_cell = cells.groupby(["law", "model", "train_queries"]).covered.mean()
    return by_cell.groupby("law").mean().to_dict()


def already_measured(fit: fitting.LawFit, costs: CostModel, n: float, d: float) -> list[str]:
    """A warning if a run no dearer than size `n` on `d` queries was measured to be as good as the law expects it."""
    spent, paid = (costs.total(*cells.T) for cells in (np.array([[n, d]]), fit.x))
    best = fit.y[paid <= spent[0]].min(initial=np.inf)
    expected = fit.predict(np.array([[n, d]]))[0]
    if best > expected:
        return []
    return [f"the law expects {expected:.3f}, but {best:.3f} was measured at no more cost: do not buy by it"]


def answers(
    fit: fitting.LawFit,
    noise: np.ndarray,
    question: Question,
    models: dict[str, float],
    metric: str,
    resampling: Resampling,
) -> list[Row]:
    """The choice first, then the best of each size of the ladder, with costs, predictions and intervals."""
    goal = {"budget": question.budget, "target": question.target}
    costs = question.costs
    choice = optimal_allocation(fit.law, fit.theta, costs, question.n, question.d, **goal)
    if not np.isfinite(choice.n):
        return [{"chosen": True, "note": choice.note}]
    rows: list[Row] = [{"chosen": True, "note": choice.note}]
    chosen = [(choice.n, choice.d)]
    for model, size in models.items():
        data = best_data(fit.law, fit.theta, costs, size, question.d, **goal)
        if data is not None:
            chosen.append((size, data))
            rows.append({"chosen": False, "model": model, "note": ""})
    random = stream(resampling.seed, "plan", {"metric": metric})
    drawn = bootstrap.simulate(fit, noise, resampling.bootstrap, random)
    # What the law itself leaves open, and whether it is worth following at all.
    warnings = list(fit_warnings(fit, bootstrap.parameters(fit, drawn)))
    warnings += already_measured(fit, costs, choice.n, choice.d)
    rows[0]["note"] = "; ".join([*([choice.note] if choice.note else []), *warnings])
    # Coarser steps do for the spread of the choice; the first and the last stay.
    n, d = (values[np.linspace(0, len(values) - 1, COARSE).round().astype(int)] for values in (question.n, question.d))
    others = [optimal_allocation(fit.law, theta, costs, n, d, **goal) for theta in drawn.theta]
    for name, values in (("parameters", [o.n for o in others]), ("queries", [o.d for o in others])):
        if np.isfinite(values).mean() > 0.975:
            rows[0][f"{name}_low"], rows[0][f"{name}_high"] = np.nanquantile(values, bootstrap.QUANTILES_95)
    cells = np.array(chosen)
    # What a run of its own would show: the law is not sure, and runs differ.
    padded = np.pad(noise, (0, len(cells)))
    predicted, low, high = bootstrap.forecast(fit, cells, padded, resampling.bootstrap, random)
    parts, hours = costs.parts(*cells.T), costs.hours(*cells.T)
    beyond = np.maximum(cells / fit.x.max(0), 1).max(1)
    for i, row in enumerate(rows):
        row |= {"encoder_parameters": cells[i, 0], "train_queries": cells[i, 1], "device_hours": hours[i]}
        row |= {name: values[i] for name, values in parts.items()}
        row |= {"cost": sum(values[i] for values in parts.values()), "extrapolation": beyond[i]}
        row |= {"predicted": predicted[i], "low": low[i], "high": high[i]}
    return rows
