"""The axes of a study: which points lie on each, where, and which are held out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

ENVELOPE = "lower envelope"  # what a fit holds whose points were chosen by their values


class PointSet(NamedTuple):
    """The points of one fit: metrics rows, where each lies on the axis [n, v], and whether it is a headline."""

    axis: str
    fixed: str
    rows: pd.DataFrame
    x: np.ndarray
    headline: bool = False


def coordinates(rows: pd.DataFrame, axis: str) -> np.ndarray:
    """Where rows of the metrics table lie on an axis, float64 [n, v].

    `model` is encoder parameters, `model_with_head` those and the head's, `inference` FLOPs of an answer to a query;
    `data` is training queries, `tokens` those
    read in training, unpadded; `compute` counted training FLOPs, `compute_proxy` encoder parameters times training
    queries, as published; `grid` encoder parameters and training queries, both.
    """
    columns = {
        "model": lambda: rows.encoder_parameters,
        "model_with_head": lambda: rows.encoder_parameters + rows.head_parameters,
        "inference": lambda: rows.inference_flops,
        "data": lambda: rows.train_queries,
        "tokens": lambda: rows.train_tokens,
        "compute": lambda: rows.train_flops,
        "compute_proxy": lambda: rows.encoder_parameters * rows.train_queries,
        "grid": lambda: rows[["encoder_parameters", "train_queries"]],
    }
    return columns[axis]().to_numpy(float).reshape(len(rows), -1)


def headline_slice(axis: str, finals: pd.DataFrame) -> str:
    """What the headline fit of an axis holds fixed: that of which most was trained, of equals the largest.

    Over model size the subset with the most sizes, over data the model with the most subsets.
    """
    if axis in ("model", "model_with_head", "inference"):
        return f"train_queries={headline_subset(finals)}"
    if axis in ("data", "tokens"):
        models = finals.groupby("model", sort=False)
        order = pd.DataFrame({"subsets": models.train_queries.nunique(), "size": models.encoder_parameters.max()})
        return f"model={order.sort_values(['subsets', 'size'], ascending=False, kind='stable').index[0]}"
    return "all cells" if axis == "grid" else ENVELOPE


def headline_subset(finals: pd.DataFrame) -> int:
    """The training queries of the subset on which the most sizes were trained; of equals the largest."""
    sizes = finals.groupby("train_queries").encoder_parameters.nunique()
    return int(sizes[sizes == sizes.max()].index.max())


def is_product(finals: pd.DataFrame) -> bool:
    """Whether every model was trained on every subset."""
    cells = finals[["model", "train_queries"]].drop_duplicates()
    return len(cells) == finals.model.nunique() * finals.train_queries.nunique()


def point_sets(rows: pd.DataFrame) -> Iterator[PointSet]:
    """Every set of points that a law is fitted to but for the compute envelope.

    A subset with a single size (a model with a single subset) has no set of its own where another has more; an axis
    whose coordinates are not known of all its points (what training took, of models trained elsewhere) has none.
    """
    for points in _point_sets(rows):
        if np.isfinite(points.x).all() and (points.x > 0).all():
            yield points


def _point_sets(rows: pd.DataFrame) -> Iterator[PointSet]:
    top = {axis: headline_slice(axis, rows) for axis in ("model", "data")}
    least = {
        "model": min(2, rows.groupby("train_queries").encoder_parameters.nunique().max()),
        "data": min(2, rows.groupby("model").train_queries.nunique().max()),
    }
    for queries, of_subset in rows.groupby("train_queries"):
        fixed = f"train_queries={queries}"
        if of_subset.encoder_parameters.nunique() >= least["model"]:
            yield PointSet("model", fixed, of_subset, coordinates(of_subset, "model"), fixed == top["model"])
    largest = rows[rows.train_queries == headline_subset(rows)]
    for axis in ("model_with_head", "inference"):
        yield PointSet(axis, top["model"], largest, coordinates(largest, axis))
    for _, of_size in rows.groupby("encoder_parameters"):
        for model, of_model in of_size.groupby("model"):
            fixed = f"model={model}"
            if of_model.train_queries.nunique() >= least["data"]:
                yield PointSet("data", fixed, of_model, coordinates(of_model, "data"), fixed == top["data"])
    largest = rows["model=" + rows.model == top["data"]]
    yield PointSet("tokens", top["data"], largest, coordinates(largest, "tokens"))
    for axis in ("compute", "compute_proxy"):
        yield PointSet(axis, "all cells", rows, coordinates(rows, axis))
    yield PointSet("grid", "all cells", rows, coordinates(rows, "grid"), True)


def envelope(points: PointSet, values: np.ndarray) -> PointSet:
    """The cells that no cheaper cell beats on a metric, `values` [n]: what the best use of each budget gives."""
    order = np.argsort(points.x[:, 0], kind="stable")
    kept = order[values[order] <= np.minimum.accumulate(values[order])]
    return PointSet(points.axis, ENVELOPE, points.rows.iloc[kept], points.x[kept])
