"""What a seed shifts in all cells alike, as they see the same subset: the level of a law is as unsure as few seeds are.

Repeats of a cell tell how far seeds lie apart; where their mean lies among all seeds no residual of a fit shows.
It leaves slopes of straight laws as they are, but not the parameters of a law with a fixed ceiling.
"""

import numpy as np
import pandas as pd

from rankscale.core.metrics import metric_named
from rankscale.laws.query_covariance import QueryCovariance, values_of

CELL = ["model", "train_queries"]


def shared_noise(queries: QueryCovariance, rows: pd.DataFrame, metrics: list[str]) -> np.ndarray:
    """What the runs `rows` share that residuals do not show, float64 [m n, m n] in the units of `metrics`: the queries
    drawn, and where their seeds happen to lie."""
    y = np.stack([values_of(rows, metric) for metric in metrics])
    return queries.of(rows, metrics) + level_covariance(rows, metrics, y)


def level_covariance(rows: pd.DataFrame, metrics: list[str], y: np.ndarray) -> np.ndarray:
    """Covariance float64 [m n, m n] of `y` [m, n], `metrics` of runs `rows`, by the shift that the mean of their seeds
    has: relative to y for metrics that cannot be negative. Zero where runs have one seed, or a single cell.

    The two-way analysis of cells and seeds: what seeds differ by beyond the noise of runs (method of moments), over the
    number of seeds. As few seeds tell it badly, and no draw takes another value for it, it is no more than an estimate.
    """
    m, n = y.shape
    shifts = _shift_covariance(rows, np.stack([_linked(metric, v) for metric, v in zip(metrics, y, strict=True)]))
    scale = np.stack([np.ones(n) if metric_named(metric).signed else v for metric, v in zip(metrics, y, strict=True)])
    return np.einsum("ab,ai,bj->aibj", shifts, scale, scale).reshape(m * n, m * n)


def _linked(metric: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return values if metric_named(metric).signed else np.log(values)


def _shift_covariance(rows: pd.DataFrame, z: np.ndarray) -> np.ndarray:
    """Covariance [m, m] of the shifts of metrics `z` [m, n], by the seeds that all cells of `rows` have."""
    cells = rows.groupby(CELL, sort=False).ngroup().to_numpy()
    seeds, number = np.unique(rows.seed.to_numpy(), return_inverse=True)
    table = np.full((len(z), cells.max() + 1, len(seeds)), np.nan)
    table[:, cells, number] = z
    table = table[:, :, np.isfinite(table).all((0, 1))]
    m, c, s = table.shape
    if min(c, s) < 2:
        return np.zeros((m, m))
    within = table - table.mean(2, keepdims=True)
    shift = within.mean(1)
    runs = ((within - shift[:, None]) ** 2).sum((1, 2)) / ((c - 1) * (s - 1))
    between = shift @ shift.T / (s - 1)
    spread = np.diag(between)
    with np.errstate(all="ignore"):
        beyond = np.sqrt(np.where(spread > 0, np.maximum(1 - runs / c / spread, 0), 0))
    return beyond[:, None] * between * beyond / s
