"""Fix, once per study, the miner's run of the evaluated queries, which rankers rerank that cannot search."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.options import add_options, parsed
from rankscale.search.options import ShortlistOptions
from rankscale.storage import manifests, origins, tables


def main(args: argparse.Namespace) -> None:
    """Write one row per query: its nearest documents by the miner's vectors."""
    import faiss

    from rankscale.models import devices
    from rankscale.search import vector_shards
    from rankscale.search.shortlists import shortlists

    options = parsed(ShortlistOptions, args)
    faiss.omp_set_num_threads(options.threads)
    device = devices.set_up_device(options.device, options.threads)
    vector_shards.refuse_unlike([*args.documents, *args.queries], args.collection)
    lists = shortlists(args.collection, args.documents, args.queries, options, device.type)
    tables.write("shortlists", lists, args.output, origin=origins.of_collection(args.collection, *manifests.COLLECTED))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("shortlist", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    parser.add_argument("--documents", type=Path, nargs="+", required=True, help="vectors, all shards in order")
    parser.add_argument("--queries", type=Path, nargs="+", required=True, help="vectors of queries, all shards")
    add_options(parser, ShortlistOptions)
    parser.add_argument("--output", type=Path, required=True)
    return parser
