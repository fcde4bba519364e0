"""Which documents an evaluated query's positive is scored against, and which a pooled retrieval searches."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.copies import never_negative, read_copies, with_copies
from rankscale.collection.qrels import positives_of
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.evaluation.options import SampleOptions
from rankscale.storage import manifests, schemas, tables


class Sampled(NamedTuple):
    """Columns of the table of candidates, and int64 the rows that a pooled retrieval searches, ascending."""

    candidates: dict[str, list]
    pool: np.ndarray | None


def sample_candidates(collection: Path, mined: list[Path], options: SampleOptions, pooled: bool) -> Sampled:
    """One row per split, kind of candidates and query; and, if `pooled`, the pool of retrieval.

    `mined` are the tables of mined negatives, all shards. Raises StudyError where too few candidates can be had, or
    the judgments do not fit the evaluation.
    """
    if not (options.hard or options.random):
        raise StudyError("evaluation.candidates: neither hard nor random ones are asked for")
    # Once a study: what was exchanged is seen before the first checkpoint is evaluated.
    manifests.refuse_changed(collection / manifests.MANIFEST, *manifests.COLLECTED)
    for path in mined:
        manifests.refuse_changed(path.with_suffix(".json"), path.name)
        manifests.refuse_other_sources(path.with_suffix(".json"), collection)
    documents = tables.count(collection / "documents.parquet")
    qrels = tables.read("qrels", collection / "qrels.parquet")
    evaluated = evaluated_judgments(qrels, options.splits, options.train_split)
    ids = pc.unique(evaluated["query_id"])
    # A document that is relevant by any split's judgments is no candidate of its query.
    # Nor is a copy of it, or the query itself.
    wrong = dict(zip(ids.to_pylist(), never_negative(collection, qrels, ids), strict=True))
    answers = with_copies(positives_of(qrels, ids), read_copies(collection))
    pool = random_pool(documents, answers, options.random_pool, options.seed)
    lists = mined_lists(mined, ids) if options.hard or pooled else {}
    log.info(
        "fixing %d hard and %d random candidates for each of %d queries; random pool of %d documents",
        options.hard,
        options.random,
        len(ids),
        len(pool),
    )
    columns: dict[str, list] = {name: [] for name in schemas.SCHEMAS["candidates"].names}
    # The first test set that the config names comes first, here and in all that follows: it is the headline.
    for split in options.splits:
        judged = evaluated.filter(pc.equal(evaluated["split"], split))
        queries = pc.unique(judged["query_id"])
        for query, own in zip(queries.to_pylist(), positives_of(judged, queries), strict=True):
            for kind, rows in _drawn(query, lists, pool, wrong[query], options):
                if len(np.intersect1d(rows, wrong[query])):
                    raise StudyError(
                        f"{mined[0]}: a positive of query {query}, a copy of one or the query itself stands among its "
                        "mined negatives; delete it and run again"
                    )
                # The positive that is scored is the first in the collection's order; the others are no candidates.
                for name, value in zip(columns, (split, kind, query, int(own.min()), rows), strict=True):
                    columns[name].append(value)
    searched = retrieval_pool(evaluated, lists, documents, options.pool_sample, options.seed) if pooled else None
    return Sampled(columns, searched)


def _drawn(
    query: str, lists: dict[str, np.ndarray], pool: np.ndarray, wrong: np.ndarray, options: SampleOptions
) -> Iterator[tuple[str, np.ndarray]]:
    """Each kind of candidates that is asked for, and one query's; `wrong` are rows that are none of its."""
    if options.hard:
        yield "hard", draw_hard(lists.get(query, np.empty(0, np.int32)), options.hard, query, options.seed)
    if options.random:
        yield "random", draw_random(pool[~np.isin(pool, wrong)], options.random, query, options.seed)


def evaluated_judgments(qrels: pa.Table, splits: list[str], train_split: str | None) -> pa.Table:
    """The judgments of the splits to evaluate. Raises StudyError for a split without, or a query that is trained on.

    No `train_split`: nothing is trained on this collection.
    """
    evaluated = qrels.filter(pc.is_in(qrels["split"], pa.array(splits)))
    empty = sorted(set(splits) - set(evaluated["split"].to_pylist()))
    if empty:
        raise StudyError(f"collection.splits.test: the collection has no split {empty[0]} with a positive judgment")
    if train_split is not None:
        refuse_overlap(qrels, train_split, evaluated)
    return evaluated


def random_pool(documents: int, answers: list[np.ndarray], size: int, seed: int) -> np.ndarray:
    """At most `size` rows int64, ascending, of documents that are among the `answers` of no evaluated query."""
    free = np.setdiff1d(np.arange(documents), np.concatenate(answers))
    if size >= len(free):
        return free
    return np.sort(generator(seed, "pool").choice(free, size, replace=False))


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
    lists: dict[str, np.ndarray] = {}
    for table in (part for path in shards for part in tables.scan("negatives", path, ["query_id", "rows", "mined"])):
        part = table.filter(pc.is_in(table["query_id"], ids))
        rows = part["rows"].combine_chunks()
        values, offsets = rows.values.to_numpy(), rows.offsets.to_numpy()
        for query, start, n in zip(part["query_id"].to_pylist(), offsets[:-1], part["mined"].to_pylist(), strict=True):
            lists[query] = values[start : start + n].copy()
    return lists


def retrieval_pool(
    evaluated: pa.Table, mined: dict[str, np.ndarray], documents: int, sample: int, seed: int
) -> np.ndarray:
    """The rows that a pooled retrieval searches: all judged, all mined, and a seeded sample of the others."""
    certain = np.unique(np.concatenate([evaluated["row"].to_numpy(), *mined.values()]))
    others = np.setdiff1d(np.arange(documents), certain)
    drawn = generator(seed, "retrieval").choice(others, min(sample, len(others)), replace=False)
    rows = np.sort(np.concatenate([certain, drawn]))
    log.info(
        "pooled retrieval among %d of %d documents: %d judged or mined, %d drawn",
        len(rows),
        documents,
        len(certain),
        len(drawn),
    )
    return rows


def refuse_overlap(qrels: pa.Table, train: str, evaluated: pa.Table) -> None:
    """Raise StudyError, naming one, if queries that are trained on are evaluated too."""
    trained = qrels["query_id"].filter(pc.equal(qrels["split"], train))
    both = evaluated.filter(pc.is_in(evaluated["query_id"], trained))
    if len(both):
        raise StudyError(
            f"collection.splits: query {both['query_id'][0]} of split {both['split'][0]} is judged in the training "
            f"split {train} too; a query is trained on or tested"
        )
