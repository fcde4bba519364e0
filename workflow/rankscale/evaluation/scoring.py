"""The metrics of one checkpoint from its observations."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.core.metric import Metric
from rankscale.core.metrics import metrics_of
from rankscale.evaluation.decomposition import NORMAL
from rankscale.evaluation.query_values import SCALE, VALUES, CheckpointQueries
from rankscale.storage.schemas import EVALUATED_KEY


def score_observations(observations: pa.Table, ties: str, correction: str) -> list[dict[str, Any]]:
    """One row of the scores table, without the full-retrieval metrics, per split and kind of candidates."""
    rows = []
    for key, part in groups(observations, ["split", "candidates"]):
        sizes = pc.unique(part["n_candidates"]).to_pylist()
        if len(sizes) != 1:
            raise StudyError(f"{key}: observations over {sizes} candidates are mixed; evaluate the checkpoint again")
        values = part.select([*VALUES, *SCALE, "n_candidates"]).to_pandas()
        queries = CheckpointQueries.of_observations(values, ties, correction=correction)
        row = {
            **{k: part[k][0].as_py() for k in EVALUATED_KEY},
            **key,
            "n_candidates": sizes[0],
            "n_queries": len(part),
        }
        for metric in metrics_of("candidates"):
            known = queries.has_scores or not metric.of_scores
            row |= metric_values(metric, queries) if known else missing_values(metric)
        decomposition = queries.decomposition
        row |= {
            "calibration_uncertain": queries.scale.uncertain,
            "calibration_at_cap": queries.scale.at_cap,
            "below_chance": decomposition.below_chance,
            "too_few_queries": decomposition.too_few_queries,
        }
        rows.append(row)
    return rows


def metric_values(metric: Metric, queries: CheckpointQueries) -> dict[str, float | None]:
    """The columns of one metric: its value, and its 95 % interval where it has one (normal, over queries)."""
    name = metric.name
    bounds: tuple[float | None, float | None] = (None, None)
    if metric.value is None:
        assert metric.per_query is not None, metric.not_a_mean
        values = np.asarray(metric.per_query(queries), np.float64)
        value = float(values.mean())
        error = NORMAL * float(values.std(ddof=1) / np.sqrt(len(values)))
        bounds = value - error, value + error
    else:
        value = float(metric.value(queries))
        if metric.has_interval:
            assert metric.bounds is not None, "an interval of a value has bounds"
            bounds = metric.bounds(queries)
    return {
        name: value,
        **(dict(zip((f"{name}_low", f"{name}_high"), bounds, strict=True)) if metric.has_interval else {}),
    }


def missing_values(metric: Metric) -> dict[str, None]:
    """The columns of a metric that needs scores, where there are none."""
    bounds = ("_low", "_high") if metric.has_interval else ()
    return {f"{metric.name}{end}": None for end in ("", *bounds)}


def groups(table: pa.Table, keys: list[str]) -> list[tuple[dict[str, object], pa.Table]]:
    """The parts of a table with equal `keys`, in order of first appearance."""
    parts = []
    for key in table.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        part = table
        for name, value in key.items():
            part = part.filter(pc.equal(part[name], value))
        parts.append((key, part))
    return parts
