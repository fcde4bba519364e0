"""How a study's laws differ between the test set that its findings are of and another one: exponents, and the drop.

One form of law serves both, over the same cells, and intervals are of both laws in the same simulated studies: what a
run is off its law by on one test set it is, as far as residuals show, on the other too. Queries are drawn apart, but
where both test sets have the same ones.

The drop is 1 - q'/q of a quality q (MRR, nDCG@10) on the one and q' on the other (the drop rate of Wu, Zhang, Guo,
Fan and Cheng, Are Neural Ranking Models Robust?, TOIS 2022, with its sign turned). Its law is that of the two laws.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from rankscale.core.metric import COMPLEMENT
from rankscale.laws.fit_tasks import Row
from rankscale.laws.forms.base import Law
from rankscale.laws.options import Resampling
from rankscale.laws.query_covariance import QueryCovariance, covariance_of_means, query_values, values_of
from rankscale.laws.variants.multipliers import QUANTILES_95, Side
from rankscale.laws.variants.variant_laws import (
    COMPARED,
    VariantTask,
    common_law,
    exponent_rows,
    simulated_sides,
    variant_task,
)

METRICS = (*COMPARED, "1-ndcg_10")
HERE, THERE = "here", "there"
DROPS = ("drop_smallest", "drop_largest", "drop_change")
NO_LAW = "none"  # in the place of a parameter's name


class TransferTask(NamedTuple):
    """One metric on the headline's test set and on another; `laws` has the two as if they were variants."""

    key: Row
    laws: VariantTask


class TransferRows(NamedTuple):
    """Rows of the table of the same name."""

    transfers: list[Row]


def transfer_tasks(finals: pd.DataFrame, study: Path, resampling: Resampling) -> Iterator[TransferTask]:
    """One task a variant, kind of candidates, further test set and metric that all runs have on both."""
    home = {name: finals[name].iloc[0] for name in ("collection", "split")}
    for (variant, kind), rows in finals.groupby(["variant", "candidates"], sort=False):
        sets = {key: part for key, part in rows.groupby(["collection", "split"], sort=False)}
        here = sets.pop((home["collection"], home["split"]), None)
        if here is None or not sets:
            continue
        metrics = [name for name in METRICS if np.isfinite(values_of(here, name)).all()]
        ids, own = query_values(here, metrics, study, resampling.ties)
        for (collection, split), there in sets.items():
            common = [name for name in metrics if np.isfinite(values_of(there, name)).all()]
            others, values = query_values(there, common, study, resampling.ties)
            both = pd.concat([here.assign(variant=HERE), there.assign(variant=THERE)])
            for number, metric in enumerate(common):
                pair = own[metrics.index(metric)], values[number]
                covariance = QueryCovariance(
                    [metric], _positions(both), _covariance(*pair, np.array_equal(ids, others))
                )
                named = {"collection": collection, "split": split, "candidates": kind, "variant": variant}
                named |= {f"home_{name}": value for name, value in home.items()}
                yield TransferTask(named, variant_task(both, metric, covariance, named, resampling))


def _positions(rows: pd.DataFrame) -> dict[object, int]:
    return {label: number for number, label in enumerate(rows.index)}


def _covariance(own: np.ndarray, other: np.ndarray, is_same: bool) -> np.ndarray:
    """Of the checkpoints' means [n, q] on both test sets, from centred values: joint where the queries are the same."""
    if is_same:
        return covariance_of_means(np.concatenate([own, other]))
    return block_diag(covariance_of_means(own), covariance_of_means(other))


def compare_test_sets(task: TransferTask) -> TransferRows:
    """Each exponent on both test sets with the difference and, of a quality, the drop at the ends of the grid."""
    fits = common_law(task.laws)
    law, metric = fits[0].law, str(task.laws.key["metric"])
    key: Row = {**task.key, "metric": metric, "law": law.name}
    lost = [f"{name}: {fit.note}" for name, fit in zip(("home", "there"), fits, strict=True) if not fit.converged]
    if lost:
        return TransferRows([{**key, "parameter": NO_LAW, "note": "; ".join(lost)}])
    sides = simulated_sides(task.laws, fits)
    notes = "; ".join(fit.note for fit in fits if fit.note)
    own = {row["parameter"]: row for row in exponent_rows(law, sides[0], None)}
    rows: list[Row] = []
    for row in exponent_rows(law, sides[1], sides[0]):
        home = {f"home_{name}": own[row["parameter"]][name] for name in ("estimate", "low", "high")}
        rows.append({**key, **row, **home, "note": notes})
    if metric.startswith(COMPLEMENT):
        rows += [{**key, **row, "note": notes} for row in drop_rows(law, sides[0], sides[1])]
    return TransferRows(rows)


def drop_rows(law: Law, here: Side, there: Side) -> Iterator[Row]:
    """The drop of a quality that `law` tells what it lacks to 1, at the smallest and largest cell, and its change."""
    order = np.argsort(here.x.prod(axis=1), kind="stable")
    ends = here.x[order[[0, -1]]]
    estimates, draws = (
        1 - (1 - law.evaluate(other, ends)) / (1 - law.evaluate(own, ends))
        for own, other in ((here.theta[None], there.theta[None]), (here.drawn, there.drawn))
    )
    for name, of_ends in zip(DROPS, ([1, 0], [0, 1], [-1, 1]), strict=True):
        low, high = np.quantile(draws @ of_ends, QUANTILES_95)
        row: Row = {"parameter": name, "estimate": float((estimates @ of_ends)[0])}
        yield row | {"low": float(low), "high": float(high)}
