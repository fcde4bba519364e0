"""The laws of a study's variants side by side: one form for all, their exponents, and the multipliers over the first.

One form serves all variants, the one of the lowest AICc over all of them: two forms would differ where none of the
variants does. Fits are to the means over seeds of all cells, in parameters and queries.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from rankscale.core.metrics import CALIBRATED
from rankscale.laws import fitting
from rankscale.laws.axes import coordinates
from rankscale.laws.fit_tasks import Row, covariance_in_law_space, fit_with_query_noise, stream
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import laws_for
from rankscale.laws.options import Resampling
from rankscale.laws.query_covariance import QueryCovariance, ceiling_of, values_of
from rankscale.laws.variants.joint_draws import joint_draws
from rankscale.laws.variants.multipliers import QUANTILES_95, WAYS, Multiplier, Side, multipliers

COMPARED = ("rank_entropy", CALIBRATED, "1-mrr")
SAME_TEST = ("collection", "split", "candidates")
CELL = ["model", "train_queries"]
CLOSE = 1e-6  # a relative difference that is none


class VariantPoints(NamedTuple):
    """The cells of one variant, means over seeds: `x` [n, 2] (parameters, queries), `y` [n], FLOPs [n] of training and
    of the teacher, and each one's model and subset."""

    name: str
    x: np.ndarray
    y: np.ndarray
    flops: np.ndarray
    teacher: np.ndarray
    cells: list[tuple]


class VariantTask(NamedTuple):
    """The variants of one metric and test set, the first of the study first; `noise` [k, k] is the covariance of all
    their points from queries, in their order."""

    key: Row
    variants: list[VariantPoints]
    noise: np.ndarray
    laws: tuple[Law, ...]
    draws: int
    seed: int


class VariantRows(NamedTuple):
    """Rows of the tables of the same names."""

    multipliers: list[Row]
    exponents: list[Row]


def variant_tasks(finals: pd.DataFrame, study: Path, resampling: Resampling) -> Iterator[VariantTask]:
    """One task a test set and compared metric that all runs have; none for a study of one variant."""
    if finals.variant.nunique() < 2:
        return
    for group, rows in finals.groupby(list(SAME_TEST)):
        metrics = [metric for metric in COMPARED if np.isfinite(values_of(rows, metric)).all()]
        if not metrics:
            continue
        # Of all variants at once: they answer the same queries.
        covariance = QueryCovariance.read(rows, metrics, study, resampling.ties)
        for metric in metrics:
            yield variant_task(rows, metric, covariance, dict(zip(SAME_TEST, group, strict=True)), resampling)


def variant_task(
    rows: pd.DataFrame, metric: str, covariance: QueryCovariance, key: Row, resampling: Resampling
) -> VariantTask:
    """The task of one metric of one test set, the variants in the order of `rows`."""
    points, means = [], []
    for name in rows.variant.unique():
        own = rows[rows.variant == name]
        cell = own.groupby(CELL, sort=False).ngroup().to_numpy()
        mean = (cell == np.arange(cell.max() + 1)[:, None]) / np.bincount(cell)[:, None]
        first = own.iloc[[int((cell == number).argmax()) for number in range(cell.max() + 1)]]
        names = list(first[CELL].itertuples(index=False, name=None))
        flops, teacher = (mean @ own[column].to_numpy(float) for column in ("train_flops", "teacher_flops"))
        x, y = coordinates(first, "grid"), mean @ values_of(own, metric)
        points.append(VariantPoints(name, x, y, flops, teacher, names))
        means.append(mean)
    mean = block_diag(*means)
    noise = mean @ covariance.of(pd.concat([rows[rows.variant == one.name] for one in points]), [metric]) @ mean.T
    laws = laws_for(metric, 2, ceiling_of(rows, metric, resampling.ties))
    return VariantTask({**key, "metric": metric}, points, noise, laws, resampling.bootstrap, resampling.seed)


def common_law(task: VariantTask) -> list[fitting.LawFit]:
    """The fits of all variants to the form that serves most of them, of those the one of the lowest AICc over all."""
    ends = np.cumsum([0, *(len(points.y) for points in task.variants)])
    candidates = []
    for law in task.laws:
        fits = [
            fit_with_query_noise(law, points.x, points.y, task.noise[start:end, start:end])
            for points, (start, end) in zip(task.variants, pairwise(ends), strict=True)
        ]
        scores = [
            np.inf if score is None else score for fit in fits if fit.converged for score in [fit.quality()["aicc"]]
        ]
        # A law of the first that cannot be told leaves nothing to compare with.
        candidates.append(((not fits[0].converged, -len(scores), sum(scores), len(law.parameters)), fits))
    return min(candidates, key=lambda pair: pair[0])[1]


def compare_variants(task: VariantTask) -> VariantRows:
    """Each variant's exponents and, but for the first's, their differences to the first's and its multipliers."""
    fits = common_law(task)
    law, first = fits[0].law, task.variants[0]
    sides = simulated_sides(task, fits) if fits[0].converged else {}
    rows = VariantRows([], [])
    for i, (points, fit) in enumerate(zip(task.variants, fits, strict=True)):
        named = {**task.key, "law": law.name, "variant": points.name, "first": first.name}
        if i in sides:
            rows.exponents.extend({**named, **row} for row in exponent_rows(law, sides[i], sides[0] if i else None))
        if not i:
            continue
        best = int(points.y.argmin())
        cell = points.x[best]
        named |= {"model": points.cells[best][0], "encoder_parameters": cell[0], "train_queries": int(cell[1])}
        if i not in sides:
            why = fit.note if fits[0].converged else f"{fits[0].note} ({first.name})"
            rows.multipliers.extend({**named, "kind": kind, "note": why} for kind in WAYS)
            continue
        named |= {"quality": float(fit.predict(cell[None])[0]), "teacher_flops": float(points.teacher[best])}
        several = ((first.name, fits[0].note), (points.name, fit.note))
        warning = "; ".join(f"{name}: {note}" for name, note in several if note)
        rows.multipliers.extend(
            {**named, **_finite(one, warning)} for one in multipliers(law, sides[0], sides[i], cell)
        )
    return rows


def simulated_sides(task: VariantTask, fits: list[fitting.LawFit]) -> dict[int, Side]:
    """By position, the variants whose laws could be fitted, with laws of simulated studies."""
    law, fitted = fits[0].law, [i for i, fit in enumerate(fits) if fit.converged]
    random = stream(task.seed, "variants", {**task.key, "law": law.name})
    cells = [task.variants[i].cells for i in fitted]
    drawn = joint_draws([fits[i] for i in fitted], cells, _noise_of(task, law, fitted), task.draws, random)
    return {
        i: Side(fits[i].x, task.variants[i].flops, task.variants[i].teacher, fits[i].theta, thetas)
        for i, thetas in zip(fitted, drawn, strict=True)
    }


def _finite(one: Multiplier, warning: str) -> Row:
    """The columns of a multiplier: what is infinite has no value, and says so; `warning` is of the two laws."""
    row: Row = {name: value if name == "kind" or np.isfinite(value) else None for name, value in one._asdict().items()}
    never = "the law of the first never gets there" if np.isinf(one.multiplier) else ""
    return {**row, "extrapolated": one.reach > 1 + CLOSE, "note": "; ".join(filter(None, (never, warning)))}


def _noise_of(task: VariantTask, law: Law, fitted: list[int]) -> np.ndarray:
    """The covariance from queries of the points of some variants, in the law's space."""
    owner = np.repeat(np.arange(len(task.variants)), [len(points.y) for points in task.variants])
    kept = np.flatnonzero(np.isin(owner, fitted))
    y = np.concatenate([points.y for points in task.variants])
    return covariance_in_law_space(law, y[kept], task.noise[np.ix_(kept, kept)])


def exponent_rows(law: Law, own: Side, first: Side | None) -> Iterator[Row]:
    """Each exponent (and floor) with its interval, and its difference to the first's, paired by simulated study."""
    named = [law.named_parameters(theta) for theta in (own.theta[None], own.drawn)]
    others = None if first is None else [law.named_parameters(theta) for theta in (first.theta[None], first.drawn)]
    for position, name in enumerate(law.parameters):
        if name not in law.exponents and position != law.floor:
            continue
        estimate, draws = (values[:, position] for values in named)
        low, high = np.quantile(draws, QUANTILES_95)
        row: Row = {"parameter": name, "estimate": float(estimate[0]), "low": float(low), "high": float(high)}
        if others is not None:
            less, less_drawn = (values[:, position] for values in others)
            low, high = np.quantile(draws - less_drawn, QUANTILES_95)
            row |= {"difference": float(estimate[0] - less[0])}
            row |= {"difference_low": float(low), "difference_high": float(high)}
        yield row
