"""What to train next: the choice, its alternatives, and how sure they are."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.laws import bootstrap, fitting
from rankscale.laws.allocation import CostModel, best_data, optimal_allocation
from rankscale.laws.axes import TWO
from rankscale.laws.fit_tasks import Row, fit_warnings, fit_with_query_noise
from rankscale.laws.query_covariance import numeric, values_of

COARSE = 41


class Question(NamedTuple):
    """What is asked: a `budget` to spend or a `target` to reach, of sizes `n` and data `d`, at these costs."""

    budget: float | None
    target: float | None
    n: np.ndarray
    d: np.ndarray
    costs: CostModel


def chosen_rows(metrics: pd.DataFrame, metric: str, candidates: str | None) -> pd.DataFrame:
    """The finished runs to plan by, on the first test set. Raises StudyError where the metric cannot be planned by."""
    finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if finals.empty:
        raise StudyError("no finished run, nothing to plan by")
    finals = finals[finals.split == finals.split.iloc[0]]
    kinds = list(finals.candidates.unique())
    kind = candidates or ("hard" if "hard" in kinds else kinds[0])
    if kind not in kinds:
        raise StudyError(f"plan.candidates: {kind} was not evaluated")
    finals = finals[finals.candidates == kind]
    if not numeric(metric):
        raise StudyError(f"plan.metric: {metric!r} is no metric of metrics.parquet, nor 1- and one")
    if not np.isfinite(values_of(finals, metric)).all():
        raise StudyError(f"plan.metric: {metric} was not measured of every run")
    return finals


def law_of(name: str, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> fitting.LawFit:
    """The law to plan by: the one named, or of the two the one that AICc prefers; its note says why there is none."""
    fits = [fit_with_query_noise(law, x, y, noise) for law in (TWO if name == "best" else (name,))]
    good = [made for made in fits if made.converged and made.quality()["aicc"] is not None]
    return min(good, key=lambda made: made.quality()["aicc"]) if good else fits[0]


def already(made: fitting.LawFit, costs: CostModel, n: float, d: float) -> list[str]:
    """A warning if a run no dearer than size `n` on `d` queries was measured to be as good as the law expects it."""
    spent, paid = (costs.total(*cells.T) for cells in (np.array([[n, d]]), made.x))
    best = made.y[paid <= spent[0]].min(initial=np.inf)
    expected = made.predict(np.array([[n, d]]))[0]
    if best > expected:
        return []
    return [f"the law expects {expected:.3f}, but {best:.3f} was measured at no more cost: do not buy by it"]


def answers(made: fitting.LawFit, noise: np.ndarray, asked: Question, models: dict[str, float], args) -> list[Row]:  # noqa: ANN001
    """The choice first, then the best of each size of the ladder, with costs, predictions and intervals."""
    how = {"budget": asked.budget, "target": asked.target}
    choice = optimal_allocation(made.law, made.theta, asked.costs, asked.n, asked.d, **how)
    if not np.isfinite(choice.n):
        return [{"chosen": True, "note": choice.note}]
    rows: list[Row] = [{"chosen": True, "note": choice.note}]
    cells = [(choice.n, choice.d)]
    for model, size in models.items():
        data = best_data(made.law, made.theta, asked.costs, size, asked.d, **how)
        if data is not None:
            cells.append((size, data))
            rows.append({"chosen": False, "model": model, "note": ""})
    random = generator(args.seed, "plan", args.metric)
    drawn = bootstrap.simulate(made, noise, args.bootstrap, random)
    # What the law itself leaves open, and whether it is worth following at all.
    told = list(fit_warnings(made, bootstrap.parameters(made, drawn)))
    told += already(made, asked.costs, choice.n, choice.d)
    rows[0]["note"] = "; ".join([*([choice.note] if choice.note else []), *told])
    # Coarser steps do for the spread of the choice; the ends stay.
    n, d = (values[np.linspace(0, len(values) - 1, COARSE).round().astype(int)] for values in (asked.n, asked.d))
    others = [optimal_allocation(made.law, theta, asked.costs, n, d, **how) for theta in drawn.theta]
    for name, values in (("parameters", [o.n for o in others]), ("queries", [o.d for o in others])):
        if np.isfinite(values).mean() > 0.975:
            rows[0][f"{name}_low"], rows[0][f"{name}_high"] = np.nanquantile(values, bootstrap.QUANTILES_95)
    at = np.array(cells)
    # What a run of its own would show: the law is not sure, and runs differ.
    padded = np.pad(noise, (0, len(at)))
    predicted, low, high = bootstrap.forecast(made, at, padded, args.bootstrap, random)
    parts, hours = asked.costs.parts(*at.T), asked.costs.hours(*at.T)
    beyond = np.maximum(at / made.x.max(0), 1).max(1)
    for i, row in enumerate(rows):
        row |= {"encoder_parameters": at[i, 0], "train_queries": at[i, 1], "device_hours": hours[i]}
        row |= {name: values[i] for name, values in parts.items()}
        row |= {"cost": sum(values[i] for values in parts.values()), "extrapolation": beyond[i]}
        row |= {"predicted": predicted[i], "low": low[i], "high": high[i]}
    return rows
