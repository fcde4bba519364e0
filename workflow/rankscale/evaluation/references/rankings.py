"""References that need no words: by vectors that come in parts, and at random."""

from collections.abc import Iterable

import numpy as np

from rankscale.core.seeding import generator
from rankscale.evaluation.references.task import ReferenceTask, Scored
from rankscale.search.exact_search import PairScores, TopK


def vector_scores(
    queries: np.ndarray, parts: Iterable[tuple[np.ndarray, np.ndarray]], task: ReferenceTask, device: str = "cpu"
) -> Scored:
    """Inner products of the queries' vectors float32 [q, d] with documents: rows [n], ascending, and vectors [n, d]."""
    pairs = PairScores(queries, task.pair_query, task.pair_row)
    best = None if task.searched is None else TopK(queries, task.depth, device)
    for rows, vectors in parts:
        pairs.add(rows, vectors)
        if best is not None:
            assert task.searched is not None, "a run searches something"
            inside = np.isin(rows, task.searched)
            best.add(rows[inside], vectors[inside])
    return Scored(pairs.scores) if best is None else Scored(pairs.scores, *best.result())


def random_scores(task: ReferenceTask, seed: int) -> Scored:
    """Seeded scores that tell nothing, drawn query by query: another set of queries changes no other's."""
    pairs = np.empty(len(task.pair_row), np.float32)
    best = np.empty((len(task.ids), task.depth), np.float32)
    rows = np.full(best.shape, -1)
    for query, name in enumerate(task.ids.to_pylist()):
        draw = generator(seed, "random ranking", name)
        own = task.pairs_of(query)
        pairs[own] = draw.random(len(own))
        if task.searched is not None:
            best[query] = -np.sort(-draw.random(task.depth))
            rows[query] = draw.choice(task.searched, task.depth, replace=False)
    return Scored(pairs) if task.searched is None else Scored(pairs, best, rows)
