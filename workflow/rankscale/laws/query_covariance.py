"""What each metric of each checkpoint owes to the queries that were drawn: one covariance for a whole study."""

from pathlib import Path

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.evaluation.decomposition import PARTS, pseudo_values, reciprocal_ranks
from rankscale.storage import tables
from rankscale.storage.schemas import FULL, MORE

COMPLEMENT = "1-"  # before a metric that rises as models get better: what it lacks to 1 falls as a loss does


def values_of(rows: pd.DataFrame, metric: str) -> np.ndarray:
    """The metric of each row [n], float64; NaN where it was not measured. `1-mrr` is what mrr lacks to 1."""
    if metric.startswith(COMPLEMENT):
        return 1 - rows[metric.removeprefix(COMPLEMENT)].to_numpy(float)
    return rows[metric].to_numpy(float)


def numeric(metric: str) -> bool:
    """Whether it names a metric of the metrics table, or 1- and one."""
    return metric.removeprefix(COMPLEMENT) in (*PARTS, *(f"{part}_plugin" for part in PARTS[1:]), "mrr", *MORE, *FULL)


def per_query(metric: str, seen: pd.DataFrame, parts: np.ndarray, ties: str) -> np.ndarray | None:
    """Values [q] whose mean is the metric, up to a constant; None for quantiles, which are no means.

    `seen` are the observations of one checkpoint by query, with the measures of its run where there is one.
    """
    if metric.startswith(COMPLEMENT):
        found = per_query(metric.removeprefix(COMPLEMENT), seen, parts, ties)
        return None if found is None else -found
    name = metric.removesuffix("_plugin")
    if name in PARTS:
        return parts[:, PARTS.index(name)]
    above = seen.above.to_numpy(float)
    tied = seen.tied.to_numpy(float)
    if name == "mrr":
        return reciprocal_ranks(seen.above, seen.tied if ties == "expected" else 0 * seen.tied)
    if name == "mean_rank":
        return above + tied / 2
    if name == "auc":
        return -(above + tied / 2) / seen.n_candidates.to_numpy()
    if name == "accuracy_1":
        return (above == 0) / (1 + tied)
    return seen[name].to_numpy(float) if name in FULL else None


class QueryCovariance:
    """Covariance of metrics between checkpoints from sampling the queries, paired by query.

    The parts' noise is that of their pseudo-values, all others' that of their values query by query. Metrics that are
    no means over queries (margins, the median rank) count as free of it: their residuals alone tell their noise.
    """

    def __init__(self, rows: pd.DataFrame, metrics: list[str], study: Path, ties: str) -> None:
        self.metrics, self.number = metrics, {index: i for i, index in enumerate(rows.index)}
        ids, held = None, None
        split, candidates = rows.split.iloc[0], rows.candidates.iloc[0]
        for number, row in enumerate(progress(list(rows.itertuples()), f"read {split} {candidates}", "checkpoint")):
            place = f"{row.model}/{row.subset}/{row.seed}/{row.checkpoint}.parquet"
            path = study / "observations" / place
            seen = tables.read("observations", path).to_pandas()
            seen = seen[(seen.split == split) & (seen.candidates == candidates)].sort_values("query_id")
            if seen.empty:
                raise StudyError(f"{path}: no observations of {split} over {candidates} candidates; evaluate it again")
            if ids is None:
                ids = seen.query_id.to_numpy()
                held = np.zeros((len(metrics), len(rows), len(ids)), np.float32)
            if not np.array_equal(ids, seen.query_id.to_numpy()):
                raise StudyError(f"{path}: other queries than the first checkpoint's; evaluate the study again")
            needed = [m.removeprefix(COMPLEMENT) for m in metrics if m.removeprefix(COMPLEMENT) in FULL]
            if needed:
                each = tables.read("per_query", study / "per_query" / place).to_pandas()
                each = each[each.split == split].set_index("query_id")[list(FULL)]
                seen = seen.join(each, on="query_id")
                lost = seen[needed].isna().any(axis=1)
                if lost.any():
                    query = seen.query_id[lost].iloc[0]
                    raise StudyError(f"{study / 'per_query' / place}: lacks query {query}; score the study again")
            parts = pseudo_values(seen.loss, seen.above, seen.tied, ties=ties)
            for at, metric in enumerate(metrics):
                found = per_query(metric, seen, parts, ties)
                if found is not None:
                    # Centred before rounding to single precision: what matters is the spread.
                    held[at, number] = found - found.mean()
        flat = held.reshape(-1, held.shape[2])
        covariance = np.zeros((len(flat), len(flat)))
        for some in np.array_split(np.arange(flat.shape[1]), max(flat.shape[1] // 4096, 1)):
            block = flat[:, some].astype(np.float64)
            covariance += block @ block.T
        queries = flat.shape[1]
        self.all = covariance / max(queries - 1, 1) / queries

    def of(self, rows: pd.DataFrame, metrics: list[str]) -> np.ndarray:
        """[m n, m n] for `metrics` one after the other, each at the checkpoints of `rows`."""
        at = [self.metrics.index(m) * len(self.number) + self.number[i] for m in metrics for i in rows.index]
        return self.all[np.ix_(at, at)]
