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
from rankscale.evaluation.candidates import draw_hard, draw_random, mined_lists, refuse_overlap, retrieval_pool
from rankscale.storage import schemas, tables


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
                rows = (
                    draw_hard(source, n, query, args.seed)
                    if kind == "hard"
                    else draw_random(source, n, query, args.seed)
                )
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
    made = cli.command_parser("sample", __doc__)
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
