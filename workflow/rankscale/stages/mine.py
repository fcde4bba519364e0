"""Find hard negatives: exact search over all documents, judged positives removed, likely false negatives if asked."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.search.hard_negatives import Filters
from rankscale.search.miner import Miner
from rankscale.storage import manifests, tables


def main(args: argparse.Namespace) -> None:
    """Write the top `k` of every query of a shard as rows into documents.parquet, with scores."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    if args.top_k < 1:
        raise StudyError("miner.top_k: at least 1 negative is needed")
    wide = args.range_max or args.range_min + args.top_k
    args.filters = Filters(args.range_min, wide, args.absolute_margin, args.relative_margin, args.max_score)
    miner = Miner(args)
    log.info(
        "mining %d negatives for each of %d queries among %d documents", args.top_k, len(miner.names), miner.documents
    )
    # Rows and scores hardly repeat: a dictionary of them would only cost.
    with tables.writer("negatives", args.output, use_dictionary=["query_id"]) as write:
        for part in miner.run():
            write(part)
    log.info("left out: %s", ", ".join(f"{n} {why}" for why, n in miner.counts.items()))
    if miner.filled:
        log.info("%d of %d lists came out short and were filled with random documents", miner.filled, len(miner.names))
    facts = {"left_out": miner.counts, "lists_filled": miner.filled}
    manifests.write_manifest(args, args.manifest, queries=len(miner.names), **facts)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("mine", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    made.add_argument("--documents", type=Path, nargs="+", required=True, help="vectors, all shards in order")
    made.add_argument("--queries", type=Path, required=True, help="vectors of the queries to mine for: one shard")
    made.add_argument("--top-k", type=int, required=True, help="kept per query after positives are removed")
    made.add_argument("--range-min", type=int, default=0, help="leave out each query's nearest so many")
    made.add_argument("--range-max", type=int, help="look no further than this rank; default: range-min + top-k")
    made.add_argument("--absolute-margin", type=float, help="keep what scores so much below the positive")
    made.add_argument("--relative-margin", type=float, help="the same, as a share of the positive's score")
    made.add_argument("--max-score", type=float, help="leave out what scores higher")
    made.add_argument("--short", choices=["refuse", "fill"], default="refuse", help="what to do with a short list")
    made.add_argument("--seed", type=int, default=0, help="of what short lists are filled with")
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1)
    manifests.add_manifest(made)
    made.add_argument("--manifest", type=Path, required=True, help="output: how the lists came about, as JSON")
    made.add_argument("--output", type=Path, required=True)
    return made
