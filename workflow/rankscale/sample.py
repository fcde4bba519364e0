"""Fix, once per study, which candidates each evaluated query is scored against: `hard` and `random`."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.qrels import positives_of
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.storage import schemas, tables


def hard(mined: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
    """`n` of one query's mined rows, without replacement. Raises StudyError if it has fewer."""
    if len(mined) < n:
        raise StudyError(
            f"evaluation.candidates.hard: {n} asked for, but query {query} has {len(mined)} mined (what only fills its "
            f"list does not count); lower it, raise miner.range_max or loosen the miner's filters"
        )
    return generator(seed, "hard", query).choice(mined, n, replace=False)


def random(pool: np.ndarray, n: int, query: str, seed: int) -> np.ndarray:
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


def main(args: argparse.Namespace) -> None:
    """Write one row per split, kind of candidates and query: its positive and its candidates."""
    if not (args.hard or args.random):
        raise StudyError("evaluation.candidates: neither hard nor random ones are asked for")
    documents = tables.count(args.collection / "documents.parquet")
    every = tables.read("qrels", args.collection / "qrels.parquet")
    qrels = every.filter(pc.is_in(every["split"], pa.array(args.splits)))
    empty = sorted(set(args.splits) - set(qrels["split"].to_pylist()))
    if empty:
        raise StudyError(f"collection.splits.test: the collection has no split {empty[0]} with a positive judgment")
    refuse_overlap(every, args.train_split, qrels)
    ids = pc.unique(qrels["query_id"])
    # A document that is relevant by any split's judgments is no candidate of its query.
    everywhere = dict(zip(ids.to_pylist(), positives_of(every, ids), strict=True))
    free = np.setdiff1d(np.arange(documents), np.concatenate(list(everywhere.values())))
    pool = free
    if args.random_pool and args.random_pool < len(free):
        pool = np.sort(generator(args.seed, "pool").choice(free, args.random_pool, replace=False))
    mined = mined_lists(args.mined, ids) if args.hard or args.pool else {}
    log.info(
        "fixing %d hard and %d random candidates for each of %d queries; random pool of %d documents",
        args.hard,
        args.random,
        len(ids),
        len(pool),
    )
    made: dict[str, list] = {name: [] for name in schemas.SCHEMAS["candidates"].names}
    # The first test set that the config names comes first, here and in all that follows: it is the headline.
    for split in args.splits:
        judged = qrels.filter(pc.equal(qrels["split"], split))
        names = pc.unique(judged["query_id"])
        for query, positive in zip(names.to_pylist(), positives_of(judged, names), strict=True):
            for kind in ("hard", "random"):
                n = getattr(args, kind)
                if not n:
                    continue
                source = mined.get(query, np.empty(0, np.int32)) if kind == "hard" else pool
                rows = hard(source, n, query, args.seed) if kind == "hard" else random(source, n, query, args.seed)
                clash = np.intersect1d(rows, everywhere[query])
                if len(clash):
                    raise StudyError(f"{args.mined[0]}: a positive of query {query} stands among its mined negatives")
                # The positive that is scored is the first in the collection's order; the others are no candidates.
                for name, value in zip(made, (split, kind, query, int(positive.min()), rows), strict=True):
                    made[name].append(value)
    tables.write("candidates", made, args.output)
    if args.pool:
        retrieval_pool(args, qrels, mined, documents)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("sample", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    made.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives, all shards")
    made.add_argument("--train-split", default="train", help="whose queries must not be among the evaluated")
    made.add_argument("--splits", nargs="+", default=["test"], help="of the queries to evaluate")
    made.add_argument("--hard", type=int, default=0, help="candidates per query from its mined list")
    made.add_argument("--random", type=int, default=0, help="candidates per query from the pool")
    made.add_argument("--random-pool", type=int, help="documents in the pool; without it all that are free")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--pool", type=Path, help="output: rows that a pooled retrieval searches")
    made.add_argument("--pool-sample", type=int, default=0, help="documents in it that are neither judged nor mined")
    made.add_argument("--output", type=Path, required=True)
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
