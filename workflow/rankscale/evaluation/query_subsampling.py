"""The parts of the cross-entropy on ever fewer queries: whether a test set has enough of them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rankscale.core.metrics import PARTS
from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import decompose
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.storage.schemas import EVALUATED_KEY

KEYS = [*EVALUATED_KEY, "split", "candidates"]


FEWEST = 50  # queries; below it every part is mostly bias


def query_counts(queries: int) -> list[int]:
    """All queries, half of them, a quarter, and so on."""
    counts = [queries]
    while counts[-1] // 2 >= FEWEST:
        counts.append(counts[-1] // 2)
    return counts


def parts_by_query_count(
    part: pd.DataFrame, ties: str, draws: int, random: np.random.Generator
) -> Iterator[dict[str, object]]:
    """Per number of queries, correction and part of the loss: mean and spread over random subsets of the queries."""
    columns = part.loss.to_numpy(), part.above.to_numpy(), part.tied.to_numpy()
    for size in query_counts(len(part)):
        subsets = [random.permutation(len(part))[:size] for _ in range(draws if size < len(part) else 1)]
        results = [decompose(*(column[rows] for column in columns), ties=ties) for rows in subsets]
        for correction, suffix in (("jackknife", ""), ("none", "_plugin")):
            for name in PARTS[1:]:
                values = np.array([getattr(result, f"{name}{suffix}") for result in results])
                spread = values.std(ddof=1) if len(values) > 1 else None
                row = {"n_queries": size, "correction": correction, "part": name, "draws": len(values)}
                yield {**row, "mean": values.mean(), "spread": spread}


def subsampled(observations: pd.DataFrame, options: SubsampleOptions) -> Iterator[dict[str, object]]:
    """Rows of the subsamples table: `parts_by_query_count` of each checkpoint, test set and kind of candidates."""
    for key, part in observations.groupby(KEYS):
        random = generator(options.seed, "subsample", *key)
        for row in parts_by_query_count(part, options.ties, options.draws, random):
            yield {**dict(zip(KEYS, key, strict=True)), **row}
