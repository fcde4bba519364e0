"""Encode one shard of documents and queries with the frozen miner: TF-IDF + truncated SVD, or a transformer."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.options import add_options, parsed
from rankscale.search.encoders import encode_shard
from rankscale.search.options import EncodeOptions


def main(args: argparse.Namespace) -> None:
    """Write the vectors of a contiguous part of the documents and of the queries."""
    encode_shard(parsed(EncodeOptions, args), args.collection, args.documents, args.queries)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("encode", __doc__)
    parser.add_argument("--collection", type=Path, required=True, help="folder of documents and queries")
    add_options(parser, EncodeOptions)
    parser.add_argument("--documents", type=Path, required=True, help="output: this shard's document vectors")
    parser.add_argument("--queries", type=Path, required=True, help="output: this shard's query vectors")
    return parser
