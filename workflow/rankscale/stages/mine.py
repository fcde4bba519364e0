"""Find hard negatives: exact search over all documents, judged positives removed, likely false negatives if asked."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.search.miner import Miner, read_mining_data
from rankscale.search.options import MineOptions
from rankscale.storage import manifests, tables


def main(args: argparse.Namespace) -> None:
    """Write the top `k` of every query of a shard as rows into documents.parquet, with scores."""
    import faiss

    from rankscale.models import devices

    options = parsed(MineOptions, args)
    faiss.omp_set_num_threads(options.threads)
    device = devices.set_up_device(options.device, options.threads)
    data = read_mining_data(args.collection, args.documents, args.queries)
    miner = Miner(data, options, device.type)
    queries = len(data.ids)
    log.info("mining %d negatives for each of %d queries among %d documents", options.top_k, queries, data.documents)
    # Rows and scores hardly repeat: a dictionary of them would only cost.
    with tables.writer("negatives", args.output, use_dictionary=["query_id"]) as write:
        for part in miner.tables():
            write(part)
    log.info("left out: %s", ", ".join(f"{n} {why}" for why, n in miner.left_out.items()))
    if miner.filled:
        log.info("%d of %d lists came out short and were filled with random documents", miner.filled, queries)
    n = miner.quality.counts
    if n["useless_lists"] or n["copies"]:
        log.warning(
            "%d of %d lists tell nothing, %d of %d negatives are copies of their query or positive: see quality in %s",
            *(n["useless_lists"], n["lists"], n["copies"], n["negatives"], args.manifest),
        )
    counts = {"left_out": miner.left_out, "lists_filled": miner.filled, "quality": miner.quality.counts}
    sums = {
        "files": manifests.checksums([args.output]),
        "sources": manifests.sources(args.collection, *manifests.COLLECTED),
    }
    manifests.write_manifest(args, args.manifest, queries=queries, **sums, **counts)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("mine", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="vectors, all shards in order")
    parser.add_argument("--queries", type=Path, required=True, help="vectors of the queries to mine for: one shard")
    add_options(parser, MineOptions)
    manifests.add_manifest(parser)
    parser.add_argument("--manifest", type=Path, required=True, help="output: how the lists came about, as JSON")
    parser.add_argument("--output", type=Path, required=True)
    return parser
