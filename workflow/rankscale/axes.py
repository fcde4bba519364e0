"""The axes of a study: which points lie on each, where, and which are held out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

ONE, TWO = ("line", "floor", "trend"), ("joint", "additive")  # laws of one variable and of two


class Points(NamedTuple):
    """The points of one fit: metrics rows, where each lies on the axis [n, v], and whether it is a headline."""

    axis: str
    fixed: str
    rows: pd.DataFrame
    x: np.ndarray
    headline: bool = False


def sizes(rows: pd.DataFrame, axis: str) -> np.ndarray:
    """Where rows of the metrics table lie on an axis, float64 [n, v].

    `model` is encoder parameters, `model_with_head` those and the head's; `data` is training queries, `tokens` those
    read in training, unpadded; `compute` counted training FLOPs, `compute_proxy` encoder parameters times training
    queries, as published; `grid` encoder parameters and training queries, both.
    """
    columns = {
        "model": lambda: rows.encoder_parameters,
        "model_with_head": lambda: rows.encoder_parameters + rows.head_parameters,
        "data": lambda: rows.train_queries,
        "tokens": lambda: rows.train_tokens,
        "compute": lambda: rows.train_flops,
        "compute_proxy": lambda: rows.encoder_parameters * rows.train_queries,
        "grid": lambda: rows[["encoder_parameters", "train_queries"]],
    }
    return columns[axis]().to_numpy(float).reshape(len(rows), -1)


def fixed_of(axis: str, finals: pd.DataFrame) -> str:
    """What the headline fit of an axis holds fixed."""
    if axis in ("model", "model_with_head"):
        return f"train_queries={finals.train_queries.max()}"
    if axis in ("data", "tokens"):
        return f"model={finals.loc[finals.encoder_parameters.idxmax(), 'model']}"
    return "all cells" if axis == "grid" else "lower envelope"


def scales(rows: pd.DataFrame) -> Iterator[Points]:
    """Every set of points that a law is fitted to but for the compute envelope."""
    top = {axis: fixed_of(axis, rows) for axis in ("model", "data")}
    for queries, some in rows.groupby("train_queries"):
        fixed = f"train_queries={queries}"
        yield Points("model", fixed, some, sizes(some, "model"), fixed == top["model"])
    largest = rows[rows.train_queries == rows.train_queries.max()]
    yield Points("model_with_head", top["model"], largest, sizes(largest, "model_with_head"))
    for _, some in rows.groupby("encoder_parameters"):
        for model, of_model in some.groupby("model"):
            fixed = f"model={model}"
            yield Points("data", fixed, of_model, sizes(of_model, "data"), fixed == top["data"])
    largest = rows["model=" + rows.model == top["data"]]
    yield Points("tokens", top["data"], largest, sizes(largest, "tokens"))
    for axis in ("compute", "compute_proxy"):
        yield Points(axis, "all cells", rows, sizes(rows, axis))
    yield Points("grid", "all cells", rows, sizes(rows, "grid"), True)


def envelope(points: Points, values: np.ndarray) -> Points:
    """The cells that no cheaper cell beats on a metric, `values` [n]: what the best use of each budget gives."""
    order = np.argsort(points.x[:, 0], kind="stable")
    kept = order[values[order] <= np.minimum.accumulate(values[order])]
    return Points(points.axis, "lower envelope", points.rows.iloc[kept], points.x[kept])


def law_names(metric: str, axis: str) -> tuple[str, ...]:
    """The laws of a metric on an axis: a power law needs a metric that cannot be negative."""
    signed = metric == "score_uncertainty" or metric.startswith("margin_")
    if axis == "grid":
        return () if signed else TWO
    return ("trend",) if signed else ONE


class Origin(NamedTuple):
    """Where a forecast starts from: the points that are known, those to be forecast, and whether it is the study's
    own hold-out (the others roll forward to it and beyond)."""

    known: np.ndarray
    ahead: np.ndarray
    held_out: bool


def origins(points: Points, hold: dict[str, int]) -> list[Origin]:
    """The forecasts to be made on an axis, from few known sizes to all but one; only the study's own hold-out where
    the points are no headline.

    On the grid the largest sizes and the largest subsets are left out together, and the cells that are large in both
    are forecast; where only one of the two is held out, in that one.
    """
    asked = [hold["model"], hold["data"]] if points.axis == "grid" else [hold.get(points.axis, 0)]
    if not any(asked):
        return []
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in points.x.T])
    counts = ranks.max(0) + 1
    rolling = [(out,) * len(counts) for out in range(1, int(counts.max()))] if points.headline else []
    made = []
    for left in dict.fromkeys([*rolling, tuple(asked)]):
        if (counts - left < 2).any():
            continue
        held = np.array(left) > 0
        known, ahead = (ranks < counts - left).all(1), (ranks >= counts - left)[:, held].all(1)
        if known.sum() > 1 and ahead.any():
            made.append(Origin(np.flatnonzero(known), np.flatnonzero(ahead), left == tuple(asked)))
    return made
