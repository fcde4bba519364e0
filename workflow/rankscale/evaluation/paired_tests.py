"""Two checkpoints query by query: differences, their intervals, and a paired randomisation test."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from rankscale.core.errors import StudyError
from rankscale.core.metrics import metrics_of
from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import NORMAL
from rankscale.evaluation.query_values import CheckpointQueries
from rankscale.storage import schemas, tables


def values_per_query(path: Path, ties: str) -> pd.DataFrame:
    """One row per test set, kind of candidates, measure and query, of an `observations` or a `per_query` table.

    The parts of the cross-entropy are pseudo-values, whose means are the corrected parts. Raises StudyError for
    any other table.
    """
    with tables.reading(path):
        names = pq.read_schema(path).names
    if names == schemas.SCHEMAS["per_query"].names:
        table = tables.read("per_query", path).to_pandas().assign(candidates="retrieval")
        measures = [name for name in schemas.RETRIEVAL if table[name].notna().all()]
        parts = [table[["split", "candidates", "query_id", *measures]]]
    elif names == schemas.SCHEMAS["observations"].names:
        parts = []
        metrics = [metric for metric in metrics_of("candidates") if metric.has_interval and metric.per_query]
        for _, part in tables.read("observations", path).to_pandas().groupby(["split", "candidates"]):
            queries = CheckpointQueries.of_observations(part, ties)
            values = {metric.name: metric.per_query(queries) for metric in metrics}
            parts.append(part[["split", "candidates", "query_id"]].assign(**values))
    else:
        raise StudyError(f"{path}: is neither a table of observations nor of per-query values")
    if not parts or not len(parts[0]):
        raise StudyError(f"{path}: holds no queries (the run diverged?)")
    return pd.concat(p.melt(["split", "candidates", "query_id"], var_name="measure") for p in parts)


def paired_differences(first: Path, second: Path, draws: int, seed: int, ties: str) -> Iterator[dict[str, object]]:
    """Per test set, kind of candidates and measure: both means, their difference, its 95 % interval, and p.

    The interval is that of paired differences; p is two-sided, from swapping the two within each query (Smucker et
    al., CIKM 2007). Raises StudyError where the queries differ.
    """
    from scipy.stats import permutation_test

    keys = ["split", "candidates", "measure"]
    tables_of = [dict(list(values_per_query(path, ties).groupby(keys, sort=False))) for path in (first, second)]
    if tables_of[0].keys() != tables_of[1].keys():
        unpaired = sorted(set(tables_of[0]) ^ set(tables_of[1]))[0]
        raise StudyError(f"{first} and {second}: only one of them has {' '.join(unpaired)}")
    for key in tables_of[0]:
        a, b = (table[key].set_index("query_id").value.sort_index() for table in tables_of)
        if not a.index.equals(b.index):
            unpaired = a.index.symmetric_difference(b.index)[0]
            raise StudyError(
                f"{first} and {second}: other queries ({unpaired} is in one of them); they cannot be paired"
            )
        apart = (b - a).to_numpy()
        error = NORMAL * apart.std(ddof=1) / np.sqrt(len(apart))
        test = permutation_test(
            (b.to_numpy(), a.to_numpy()),
            lambda x, y, axis: (x - y).mean(axis),
            permutation_type="samples",
            n_resamples=draws,
            batch=max(1, 2_000_000 // len(apart)),
            vectorized=True,
            rng=generator(seed, "compare", *key),
        )
        yield {
            **dict(zip(keys, key, strict=True)),
            "queries": len(apart),
            "first": a.mean(),
            "second": b.mean(),
            "difference": apart.mean(),
            "low": apart.mean() - error,
            "high": apart.mean() + error,
            "p": test.pvalue,
        }
