"""Slices of the queries of a test set, and a checkpoint's metrics on each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from rankscale.core.metrics import SCALE_FREE, metric_named
from rankscale.evaluation.query_values import CheckpointQueries
from rankscale.evaluation.scoring import metric_values
from rankscale.evaluation.slices.query_features import DUPLICATE, POSITIVE, QUERY, WORDS

FEWEST = 20  # queries of a slice; of fewer nothing is said
WORST = 0.1  # of the queries
ALL = "all"
# By slicing: the feature, and its lowest, middle and highest third.
THIRDS = {
    "length": (WORDS, ("short", "middling", "long")),
    "novelty": (QUERY, ("novel", "middling", "familiar")),
    "novelty_positive": (POSITIVE, ("novel", "middling", "familiar")),
}
DUPLICATES = "near_duplicates"

Slices = dict[tuple[str, str], np.ndarray]


def slices_of(features: pd.DataFrame) -> Slices:
    """Which queries bool [q] each slice has, by slicing and name: all, thirds by each feature, and near-duplicates.

    Queries that are alike in a feature are in one third; slices of too few queries are left out.
    """
    slices: Slices = {(ALL, ALL): np.ones(len(features), bool)}
    for slicing, (feature, names) in THIRDS.items():
        values = features[feature].to_numpy(float)
        third = np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values, side="left")
        slices |= {(slicing, name): third == number for number, name in enumerate(names)}
    near = features[POSITIVE].to_numpy() > DUPLICATE
    slices |= {(DUPLICATES, "near-duplicates"): near, (DUPLICATES, "others"): ~near}
    return {name: chosen for name, chosen in slices.items() if chosen.sum() >= FEWEST}


def slice_rows(
    observations: pd.DataFrame, features: pd.DataFrame, ties: str, correction: str
) -> Iterator[dict[str, Any]]:
    """One row a slice, of a checkpoint's observations of one test set and kind of candidates.

    `worst_tenth` is the mean reciprocal rank of the tenth of the queries where it is lowest, `spread` the standard
    deviation of reciprocal ranks between queries.
    """
    for (slicing, name), chosen in slices_of(features.loc[observations.query_id]).items():
        queries = CheckpointQueries.of_observations(observations[chosen], ties, correction=correction)
        ranks = np.sort(queries.reciprocal_ranks)
        row: dict[str, Any] = {"slicing": slicing, "slice": name, "n_queries": len(ranks)}
        for metric in SCALE_FREE:
            row[metric] = metric_values(metric_named(metric), queries)[metric]
        worst = ranks[: max(1, round(WORST * len(ranks)))]
        yield row | {"worst_tenth": float(worst.mean()), "spread": float(ranks.std(ddof=1))}
