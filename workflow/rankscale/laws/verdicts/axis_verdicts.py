"""All metrics of one axis judged.

An axis has cells, sizes or subsets, with the seeds that all of them have. The law of a metric is the one that AICc
prefers on the means of the known cells; the held-out cells have no say in it. A metric without a law, or an axis
without held-out cells, is undecided and says why.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rankscale.core.metrics import metric_named
from rankscale.laws import fitting
from rankscale.laws.axes import PointSet
from rankscale.laws.fit_tasks import Row, covariance_in_law_space, stream
from rankscale.laws.forms.base import Law
from rankscale.laws.metric_ranking import preferred
from rankscale.laws.query_covariance import QueryCovariance, values_of
from rankscale.laws.verdicts.lack_of_fit import lack_of_fit
from rankscale.laws.verdicts.needs import needs
from rankscale.laws.verdicts.realised_gain import AxisLaw, Gains, realised_gain
from rankscale.laws.verdicts.rule import Verdicts, judge
from rankscale.laws.verdicts.stability import Stability, stability

CELL = {"model": "model", "data": "train_queries"}  # what tells the cells of an axis apart
NO_SEED = "no seed was run in all cells of the axis"
STABILITY = ("same", "improving_if_law_holds", "improving_if_it_stopped")


class AxisCells(NamedTuple):
    """Cells of one axis by size: their names and positions [n], which are held out, values [n, s] by metric, and what
    the means owe to the test queries drawn: how many these are, and the covariance [n, n] by metric, in its unit."""

    names: list[str]
    x: np.ndarray
    held_out: np.ndarray
    values: dict[str, np.ndarray]
    queries: int
    noise: dict[str, np.ndarray]


class JudgementTask(NamedTuple):
    """What is judged on one axis: `key` are the columns that all its rows share, `laws` those of each metric."""

    key: Row
    cells: AxisCells
    laws: dict[str, tuple[Law, ...]]
    studies: int
    seed: int


class AxisVerdicts(NamedTuple):
    """Rows of the table of verdicts, and the gains [1] by metric that contrasts are made of."""

    task: JudgementTask
    rows: list[Row]
    gains: dict[str, Gains]


def judged(metrics: list[str]) -> list[str]:
    """Of the fitted metrics those that can be judged: what falls as rankers get better."""
    return [metric for metric in metrics if metric_named(metric).falls]


def cells_of(points: PointSet, metrics: list[str], hold_out: int, covariance: QueryCovariance) -> AxisCells:
    """The cells of a headline's points, the `hold_out` largest sizes held out; only seeds that all cells have.

    `covariance` is that of the metrics of all checkpoints.
    """
    by = CELL[points.axis]
    rows = points.rows.assign(_x=points.x[:, 0])
    seeds = set.intersection(*(set(part.seed) for _, part in rows.groupby(by)))
    cells = rows.groupby(by)._x.first().reset_index().sort_values(["_x", by])
    x = cells._x.to_numpy()
    sizes = np.unique(x)
    held_out = x >= sizes[max(len(sizes) - hold_out, 0)] if hold_out else np.zeros(len(x), bool)
    kept = rows[rows.seed.isin(seeds)]
    mean = (kept[by].to_numpy() == cells[by].to_numpy()[:, None]) / max(len(seeds), 1)
    values, noise = {}, {}
    for metric in metrics:
        table = rows.assign(_y=values_of(rows, metric)).pivot(index=by, columns="seed", values="_y")
        values[metric] = table.loc[cells[by], sorted(seeds)].to_numpy()
        noise[metric] = mean @ covariance.of(kept, [metric]) @ mean.T
    names = cells[by].astype(str).tolist()
    return AxisCells(names, x, held_out, values, int(rows.n_queries.iloc[0]), noise)


def axis_law(law: Law, theta: np.ndarray) -> AxisLaw:
    """A law as verdicts need it; refits begin at `theta` [p], the fit to the study's own means."""

    def predict(x_known: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        predicted = np.full((len(y), len(x)), np.nan)
        with np.errstate(all="ignore"):
            target = law.link(y)
            usable = np.isfinite(target).all(1)
            if usable.any():
                fitted, _ = fitting.solve(law, x_known[:, None], target[usable], theta)
                predicted[usable] = law.evaluate(fitted, x)
        return predicted

    return AxisLaw(len(law.parameters), not law.signed, predict)


def judge_axis(task: JudgementTask) -> AxisVerdicts:
    """The verdict on each metric."""
    rows, gains = [], {}
    for metric, laws in task.laws.items():
        row, gains[metric] = _judge_metric(task, metric, laws)
        rows.append(row)
    return AxisVerdicts(task, rows, gains)


def _judge_metric(task: JudgementTask, metric: str, laws: tuple[Law, ...]) -> tuple[Row, Gains]:
    cells = task.cells
    x, held_out, y = cells.x, cells.held_out, cells.values[metric]
    seeds = y.shape[1]
    key = {**task.key, "metric": metric}
    means = y[~held_out].mean(1) if seeds else np.empty(0)
    fit = preferred(laws, x[~held_out][:, None], means, None) if seeds else None
    row: Row = {**key, "law": fit.law.name if fit else None, "seeds": seeds}
    row |= {"cells_known": int((~held_out).sum()), "cells_held_out": int(held_out.sum())}
    if fit is None:
        gains = realised_gain(x, held_out, y[None] if seeds else np.full((1, len(x), 1), np.nan), _no_law(held_out))
        if held_out.any():
            gains = replace(gains, note=_why_no_law(laws, x[~held_out], means) if seeds else NO_SEED)
        return {**row, **_verdict_columns(judge(gains))}, gains
    law = axis_law(fit.law, fit.theta)
    gains = realised_gain(x, held_out, y[None], law)
    lack = lack_of_fit(x, y, law)
    noise = covariance_in_law_space(fit.law, y.mean(1), cells.noise[metric])
    row |= _verdict_columns(judge(gains)) | needs(gains, y, law.log, lack, noise, cells.queries)._asdict()
    row |= {"lack_of_fit_f": number(lack.f), "lack_of_fit_p": number(lack.p), "misfit": number(lack.misfit)}
    row |= {name: number(getattr(lack, name)) for name in ("bend", "bend_low", "bend_high")}
    if held_out.any():
        random = stream(task.seed, "stability", {**key, "law": fit.law.name})
        row |= _stability_columns(stability(x, held_out, y, law, random, task.studies), cells.names)
    return row, gains


def _no_law(held_out: np.ndarray) -> AxisLaw:
    """More parameters than known cells, so that nothing can be told."""
    return AxisLaw(int((~held_out).sum()), True, lambda x_known, y, x: np.full((len(y), len(x)), np.nan))


def _why_no_law(laws: tuple[Law, ...], x: np.ndarray, means: np.ndarray) -> str:
    return f"no law for the known cells: {fitting.fit(laws[0], x[:, None], means).note}" if laws else "no law is for it"


def _verdict_columns(verdicts: Verdicts) -> Row:
    gains = verdicts.gains
    bounded = bool(np.isfinite(verdicts.low[0]) and np.isfinite(verdicts.high[0]))
    numbers = {
        "freedom": gains.effective_freedom,
        "predicted_gain": gains.predicted,
        "realised_gain": gains.realised,
        "gain_low": verdicts.gain_low,
        "gain_high": verdicts.gain_high,
        "share": verdicts.share,
        "share_low": verdicts.low,
        "share_high": verdicts.high,
        "p_improving": verdicts.p_improving,
        "p_forecast": verdicts.p_forecast,
        "smallest_gain": verdicts.smallest_gain,
        "smallest_share": verdicts.smallest_share,
    }
    return {
        **{name: number(values[0]) for name, values in numbers.items()},
        "bounded": bounded,
        "verdict": str(verdicts.verdict[0]),
        "forecast": str(verdicts.forecast[0]),
        "as_forecast": bool(verdicts.as_forecast[0]),
        "provisional": verdicts.provisional,
        "reason": verdicts.reason(),
    }


def _stability_columns(result: Stability, names: list[str]) -> Row:
    without = {name: verdict for name, verdict in zip(names, result.without_cell, strict=True) if verdict}
    return {
        **{name: number(getattr(result, name)) for name in STABILITY},
        "seeds_agreeing": result.by_seed.count(result.verdict) if result.by_seed else None,
        "cells_left_out": len(without),
        "cells_left_out_agreeing": list(without.values()).count(result.verdict),
        "turned_by": ", ".join(name for name, verdict in without.items() if verdict != result.verdict),
    }


def number(value: float) -> float | None:
    """A number for a table: null where it is none, or infinite."""
    return float(value) if np.isfinite(value) else None
