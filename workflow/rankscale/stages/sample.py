"""Fix, once per study, which candidates each evaluated query is scored against: `hard` and `random`."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.options import add_options, parsed
from rankscale.evaluation.candidates import sample_candidates
from rankscale.evaluation.options import SampleOptions
from rankscale.storage import manifests, origins, tables


def main(args: argparse.Namespace) -> None:
    """Write one row per split, kind of candidates and query: its positive and its candidates."""
    options = parsed(SampleOptions, args)
    candidates, pool = sample_candidates(args.collection, args.mined, options, pooled=args.pool is not None)
    origin = origins.of_collection(args.collection, *manifests.COLLECTED)
    tables.write("candidates", candidates, args.output, origin=origin)
    if pool is not None:
        tables.write("pool", {"row": pool}, args.pool, origin=origin)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("sample", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of queries, documents, qrels")
    parser.add_argument("--mined", type=Path, nargs="*", default=[], help="tables of mined negatives, all shards")
    add_options(parser, SampleOptions)
    parser.add_argument("--pool", type=Path, nargs="?", help="output: rows that a pooled retrieval searches")
    parser.add_argument("--output", type=Path, required=True)
    return parser
