"""Which documents an evaluated query's positive is scored against, and which a pooled retrieval searches."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.storage import tables


def draw_hard(mined: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
    """`n` of one query's mined rows, without replacement. Raises StudyError if it has fewer."""
    if len(mined) < n:
        raise StudyError(
            f"evaluation.candidates.hard: {n} asked for, but query {query} has {len(mined)} mined (what only fills its "
            f"list does not count); lower it, raise miner.range_max or loosen the miner's filters"
        )
    return generator(seed, "hard", query).choice(mined, n, replace=False)


def draw_random(pool: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
    """`n` rows of the pool for one query, without replacement. Raises StudyError if the pool is smaller."""
    if len(pool) < n:
        raise StudyError(
            f"evaluation.candidates.random: {n} asked for, but the pool has only {len(pool)} documents that are "
            f"positive for no evaluated query"
        )
    return generator(seed, "random", query).choice(pool, n, replace=False)


def mined_lists(shards: list[Path], ids: pa.Array) -> dict[str, np.ndarray]:
    """The mined rows int32 of the queries `ids`, documents that only fill a short list left out."""
    found: dict[str, np.ndarray] = {}
    for every in (part for path in shards for part in tables.scan("negatives", path, ["query_id", "rows", "mined"])):
        part = every.filter(pc.is_in(every["query_id"], ids))
        rows = part["rows"].combine_chunks()
        values, offsets = rows.values.to_numpy(), rows.offsets.to_numpy()
        for query, start, n in zip(part["query_id"].to_pylist(), offsets[:-1], part["mined"].to_pylist(), strict=True):
            found[query] = values[start : start + n].copy()
    return found


def retrieval_pool(args: argparse.Namespace, qrels: pa.Table, mined: dict[str, np.ndarray], documents: int) -> None:
    """Write the rows that a pooled retrieval searches: all judged, all mined, and a seeded sample of the others."""
    certain = np.unique(np.concatenate([qrels["row"].to_numpy(), *mined.values()]))
    others = np.setdiff1d(np.arange(documents), certain)
    drawn = generator(args.seed, "retrieval").choice(others, min(args.pool_sample, len(others)), replace=False)
    rows = np.sort(np.concatenate([certain, drawn]))
    log.info(
        "pooled retrieval among %d of %d documents: %d judged or mined, %d drawn",
        len(rows),
        documents,
        len(certain),
        len(drawn),
    )
    tables.write("pool", {"row": rows}, args.pool)


def refuse_overlap(qrels: pa.Table, train: str, evaluated: pa.Table) -> None:
    """Raise StudyError, naming one, if queries that are trained on are evaluated too."""
    trained = qrels["query_id"].filter(pc.equal(qrels["split"], train))
    both = evaluated.filter(pc.is_in(evaluated["query_id"], trained))
    if len(both):
        raise StudyError(
            f"collection.splits: query {both['query_id'][0]} of split {both['split'][0]} is judged in the training "
            f"split {train} too; a query is trained on or tested"
        )
