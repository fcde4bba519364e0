"""What each metric of each checkpoint owes to the queries that were drawn: one covariance for a whole study."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.layout import run_of, table_path
from rankscale.core.metrics import metric_named
from rankscale.core.progress import progress
from rankscale.evaluation.query_values import CheckpointQueries
from rankscale.storage import tables
from rankscale.storage.schemas import EVALUATED_KEY, RETRIEVAL

CHUNK = 4096  # queries whose products are summed at a time, in double precision


def values_of(rows: pd.DataFrame, metric: str) -> np.ndarray:
    """The metric of each row [n] as laws count it, float64; NaN where it was not measured.

    Raises StudyError for an unknown one.
    """
    known = metric_named(metric)
    return known.of(rows[known.column].to_numpy(float))


def ceiling_of(rows: pd.DataFrame, metric: str, ties: str) -> float | None:
    """The metric's value at chance over the candidates of `rows`, of one test set; None where it has none.

    If ties count for the model, there is none: one that scores all alike is perfect then.
    """
    known, candidates = metric_named(metric), rows.n_candidates.unique()
    if not known.has_ceiling or ties == "optimistic" or len(candidates) > 1:
        return None
    return known.ceiling(int(candidates[0]))


@dataclass(frozen=True)
class QueryCovariance:
    """Covariance of metrics between checkpoints from sampling the queries, paired by query.

    The parts' noise is that of their pseudo-values, all others' that of their values query by query. Metrics that are
    no means over queries (margins, the median rank) count as free of it: their residuals alone tell their noise.
    `matrix` is [m n, m n], the n checkpoints of the first metric first; `positions` are the checkpoints' by row label.
    A measure of retrieval that a checkpoint does not have is 0 there, and nobody may ask for it.
    """

    metrics: list[str]
    positions: dict[object, int]
    matrix: np.ndarray

    @classmethod
    def read(cls, rows: pd.DataFrame, metrics: list[str], study: Path, ties: str) -> "QueryCovariance":
        """From the observations of the checkpoints of `rows`, one test set and kind of candidates of the metrics table.

        Raises StudyError for an unknown metric, and where a checkpoint lacks observations, has another's or other
        queries.
        """
        return cls.of_values(metrics, rows.index, query_values(rows, metrics, study, ties)[1])

    @classmethod
    def of_values(cls, metrics: list[str], labels: pd.Index, values: np.ndarray) -> "QueryCovariance":
        """From the centred values [m, n, q] of the checkpoints at row `labels` [n]."""
        positions = {label: number for number, label in enumerate(labels)}
        return cls(metrics, positions, covariance_of_means(values.reshape(-1, values.shape[2])))

    def of(self, rows: pd.DataFrame, metrics: list[str]) -> np.ndarray:
        """[m n, m n] for `metrics` one after the other, each at the checkpoints of `rows`."""
        n = len(self.positions)
        indices = [self.metrics.index(metric) * n + self.positions[label] for metric in metrics for label in rows.index]
        return self.matrix[np.ix_(indices, indices)]


def query_values(rows: pd.DataFrame, metrics: list[str], study: Path, ties: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids [q] of the queries, and what each metric has of each checkpoint of `rows` there, centred: float32 [m, n, q].

    Raises StudyError as `QueryCovariance.read` does.
    """
    known = [metric_named(metric) for metric in metrics]
    ids: np.ndarray | None = None
    values: np.ndarray = np.empty(0, np.float32)
    label = f"read {rows.split.iloc[0]} {rows.candidates.iloc[0]}"
    for number, row in enumerate(progress(list(rows.itertuples()), label, "checkpoint")):
        checkpoint = row.collection, run_of(row), row.checkpoint
        path = table_path(study, "observations", *checkpoint)
        keys = {name: getattr(row, name) for name in EVALUATED_KEY}
        observed = _observed(path, keys, row.split, row.candidates)
        if ids is None:
            ids = observed.query_id.to_numpy()
            values = np.zeros((len(known), len(rows), len(ids)), np.float32)
        if not np.array_equal(ids, observed.query_id.to_numpy()):
            raise StudyError(f"{path}: other queries than the first checkpoint's; evaluate the study again")
        retrieval = [metric.column for metric in known if metric.source == "retrieval"]
        measures = [name for name in retrieval if np.isfinite(getattr(row, name))]
        if measures:
            path = table_path(study, "per_query", *checkpoint)
            observed = _with_retrieval(observed, measures, path, keys, row.split)
        queries = CheckpointQueries.of_observations(observed, ties, measures)
        for position, metric in enumerate(known):
            if metric.per_query is not None and (metric.column in measures or metric.column not in retrieval):
                # Centred before rounding to single precision: what matters is the spread.
                of_metric = np.asarray(metric.per_query(queries), float)
                values[position, number] = of_metric - of_metric.mean()
    assert ids is not None, "there are rows"
    return ids, values


def covariance_of_means(values: np.ndarray) -> np.ndarray:
    """The covariance [k, k] of means over queries, from centred values [k, q]."""
    queries = values.shape[1]
    covariance = np.zeros((len(values), len(values)))
    for chunk in np.array_split(np.arange(queries), max(queries // CHUNK, 1)):
        block = values[:, chunk].astype(np.float64)
        covariance += block @ block.T
    return covariance / max(queries - 1, 1) / queries


def _observed(path: str, keys: dict[str, object], split: str, candidates: str) -> pd.DataFrame:
    """A checkpoint's observations of one test set and kind of candidates, by query."""
    rows = tables.read("observations", path, keys=keys).to_pandas()
    rows = rows[(rows.split == split) & (rows.candidates == candidates)].sort_values("query_id")
    if rows.empty:
        raise StudyError(f"{path}: no observations of {split} over {candidates} candidates; evaluate it again")
    return rows


def _with_retrieval(
    observed: pd.DataFrame, measures: list[str], path: str, keys: dict[str, object], split: str
) -> pd.DataFrame:
    """The observations with the measures of the checkpoint's run."""
    each = tables.read("per_query", path, keys=keys).to_pandas()
    joined = observed.join(each[each.split == split].set_index("query_id")[list(RETRIEVAL)], on="query_id")
    missing = joined[measures].isna().any(axis=1)
    if missing.any():
        raise StudyError(f"{path}: lacks query {joined.query_id[missing].iloc[0]}; score the study again")
    return joined
