"""The axes of a study: which points lie on each, where, and which are held out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd


class Points(NamedTuple):
    """The points of one fit: metrics rows, and where each lies on the axis."""

    axis: str
    fixed: str
    rows: pd.DataFrame
    x: np.ndarray


def sizes(rows: pd.DataFrame, axis: str) -> np.ndarray:
    """Where rows of the metrics table lie on an axis, float64 [n].

    `model` is encoder parameters, `model_with_head` those and the head's; `data` is training queries; `compute`
    counted training FLOPs, `compute_proxy` encoder parameters times training queries, as published.
    """
    columns = {
        "model": lambda: rows.encoder_parameters,
        "model_with_head": lambda: rows.encoder_parameters + rows.head_parameters,
        "data": lambda: rows.train_queries,
        "compute": lambda: rows.train_flops,
        "compute_proxy": lambda: rows.encoder_parameters * rows.train_queries,
    }
    return columns[axis]().to_numpy(float)


def scales(rows: pd.DataFrame) -> Iterator[Points]:
    """Every set of points that a law is fitted to but for the compute envelope, the headline of each axis last."""
    for queries, some in rows.groupby("train_queries"):
        yield Points("model", f"train_queries={queries}", some, sizes(some, "model"))
    largest = rows[rows.train_queries == rows.train_queries.max()]
    yield Points(
        "model_with_head", f"train_queries={largest.train_queries.max()}", largest, sizes(largest, "model_with_head")
    )
    for _, some in rows.groupby("encoder_parameters"):
        for model, of_model in some.groupby("model"):
            yield Points("data", f"model={model}", of_model, sizes(of_model, "data"))
    for axis in ("compute", "compute_proxy"):
        yield Points(axis, "all cells", rows, sizes(rows, axis))


def envelope(points: Points, metric: str) -> Points:
    """The cells that no cheaper cell beats on `metric`: what the best use of each budget gives."""
    order = np.argsort(points.x, kind="stable")
    values = points.rows[metric].to_numpy()[order]
    kept = order[values <= np.minimum.accumulate(values)]
    return Points(points.axis, "lower envelope", points.rows.iloc[kept], points.x[kept])


def law_names(metric: str) -> tuple[str, ...]:
    """The laws of a metric: a power law needs one that cannot be negative."""
    return ("trend",) if metric == "score_uncertainty" else ("line", "floor", "trend")


def held_out(points: Points, hold: dict[str, int]) -> np.ndarray | None:
    """Which points are the largest sizes (subsets) to forecast, bool [n]; None where too few would be left."""
    distinct = np.unique(points.x)
    if not hold[points.axis] or len(distinct) - hold[points.axis] < 2:
        return None
    return points.x > distinct[-hold[points.axis] - 1]
