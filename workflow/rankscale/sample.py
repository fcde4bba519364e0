"""Fix, once per study, which candidates each evaluated query is scored against: `hard` and `random`."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale import command, tables
from rankscale.command import log
from rankscale.errors import StudyError
from rankscale.judgments import positives_of
from rankscale.seeds import generator


def hard(mined: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
    """`n` of one query's mined rows, without replacement. Raises StudyError if it has fewer."""
    if len(mined) < n:
        raise StudyError(f"evaluation.candidates.hard: {n} asked for, but query {query} has {len(mined)} mined")
    return generator(seed, "hard", query).choice(mined, n, replace=False)


def random(pool: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
    """`n` rows of the pool for one query, without replacement. Raises StudyError if the pool is smaller."""
    if len(pool) < n:
        raise StudyError(
            f"evaluation.candidates.random: {n} asked for, but the pool has only {len(pool)} documents that are "
            f"positive for no evaluated query"
        )
    return generator(seed, "random", query).choice(pool, n, replace=False)


def main(args: argparse.Namespace) -> None:
    """Write one row per split, kind of candidates and query: its positive and its candidates."""
    queries = tables.read("queries", args.collection / "queries.parquet", ["query_id", "split"])
    documents = tables.read("documents", args.collection / "documents.parquet", ["doc_id"])
    evaluated = queries.filter(pc.is_in(queries["split"], pa.array(args.splits)))
    ids, splits = evaluated["query_id"].to_pylist(), evaluated["split"].to_pylist()
    empty = sorted(set(args.splits) - set(splits))
    if empty:
        raise StudyError(f"collection.splits.test: the collection has no split {empty[0]}")
    qrels = tables.read("qrels", args.collection / "qrels.parquet")
    qrels = qrels.filter(pc.is_in(qrels["split"], pa.array(args.splits)))
    positives = positives_of(qrels, evaluated["query_id"].combine_chunks(), documents["doc_id"].combine_chunks())
    alone = [q for q, p in zip(ids, positives, strict=True) if not len(p)]
    if alone:
        log.info("%d queries without a positive are left out, e.g. %s", len(alone), alone[0])
    taken = np.unique(np.concatenate(positives))
    free = np.setdiff1d(np.arange(len(documents)), taken)
    pool = free
    if args.random_pool and args.random_pool < len(free):
        pool = np.sort(generator(args.seed, "pool").choice(free, args.random_pool, replace=False))
    log.info(
        "fixing %d hard and %d random candidates for each of %d queries; random pool of %d documents",
        args.hard,
        args.random,
        len(ids) - len(alone),
        len(pool),
    )
    mined = {}
    if args.hard:
        table = tables.read("negatives", args.mined, ["query_id", "rows"])
        table = table.filter(pc.is_in(table["query_id"], evaluated["query_id"]))
        mined = dict(zip(table["query_id"].to_pylist(), table["rows"].to_pylist(), strict=True))
    made: dict[str, list] = {name: [] for name in tables.SCHEMAS["candidates"].names}
    # The first test set that the config names comes first, here and in all that follows: it is the headline.
    in_order = sorted(zip(ids, splits, positives, strict=True), key=lambda row: args.splits.index(row[1]))
    for query, split, positive in in_order:
        if not len(positive):
            continue
        for kind in ("hard", "random"):
            n = getattr(args, kind)
            if not n:
                continue
            source = np.array(mined.get(query, []), np.int32) if kind == "hard" else pool
            rows = hard(source, n, query, args.seed) if kind == "hard" else random(source, n, query, args.seed)
            # The positive that is scored is the first in the collection's order; the others are no candidates.
            clash = np.intersect1d(rows, positive)
            if len(clash):
                raise StudyError(f"{args.mined}: a positive of query {query} stands among its mined negatives")
            for name, value in zip(made, (split, kind, query, int(positive.min()), rows), strict=True):
                made[name].append(value)
    tables.write("candidates", made, args.output)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("sample", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    made.add_argument("--mined", type=Path, required=True, help="table of mined negatives")
    made.add_argument("--splits", nargs="+", default=["test"], help="of the queries to evaluate")
    made.add_argument("--hard", type=int, default=0, help="candidates per query from its mined list")
    made.add_argument("--random", type=int, default=0, help="candidates per query from the pool")
    made.add_argument("--random-pool", type=int, help="documents in the pool; without it all that are free")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--output", type=Path, required=True)
    return made


if __name__ == "__main__":
    command.run(main, arguments())
