"""Two studies as two ways to train: the first variant of each, on the test queries that both answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.laws.options import Resampling
from rankscale.laws.query_covariance import QueryCovariance, query_values, values_of
from rankscale.laws.variants.variant_laws import (
    COMPARED,
    SAME_TEST,
    VariantRows,
    VariantTask,
    compare_variants,
    variant_task,
)


class Way(NamedTuple):
    """One study's final checkpoints of one variant and test set (rows of metrics), its folder, and what to call it."""

    name: str
    finals: pd.DataFrame
    folder: Path


def compare_ways(first: Way, second: Way, resampling: Resampling) -> VariantRows:
    """Rows of the tables multipliers and exponents, as a study of both would have them.

    Raises StudyError where the two did not answer the same queries, each with as many candidates.
    """
    rows = VariantRows([], [])
    for task in tasks_between(first, second, resampling):
        own = compare_variants(task)
        rows.multipliers.extend(own.multipliers)
        rows.exponents.extend(own.exponents)
    return rows


def tasks_between(first: Way, second: Way, resampling: Resampling) -> Iterator[VariantTask]:
    """One task a compared metric that all runs of both have. Raises StudyError for other queries or candidates."""
    for name in (*SAME_TEST, "n_candidates", "n_queries"):
        one, other = (way.finals[name].iloc[0] for way in (first, second))
        if one != other:
            raise StudyError(f"{name} is {one} in {first.name} and {other} in {second.name}")
    ways = (first, second)
    metrics = [m for m in COMPARED if all(np.isfinite(values_of(way.finals, m)).all() for way in ways)]
    read = [query_values(way.finals, metrics, way.folder, resampling.ties) for way in ways]
    if not np.array_equal(read[0][0], read[1][0]):
        raise StudyError(f"the queries of {first.name} and {second.name} are others")
    both = pd.concat([way.finals.assign(variant=way.name) for way in ways], ignore_index=True)
    covariance = QueryCovariance.of_values(metrics, both.index, np.concatenate([values for _, values in read], axis=1))
    key = {name: both[name].iloc[0] for name in SAME_TEST}
    for metric in metrics:
        yield variant_task(both, metric, covariance, key, resampling)
