"""Bring a collection into the project's tables: documents, queries and qrels in Parquet, with a manifest."""

import argparse
from pathlib import Path

from rankscale.collection.ingest import write_collection
from rankscale.collection.options import CollectOptions
from rankscale.collection.registry import source_kind
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.storage import manifests


def main(args: argparse.Namespace) -> None:
    """Write the tables and the manifest of one collection to a folder."""
    options = parsed(CollectOptions, args)
    kind = source_kind(options.source)
    log.info("collecting %s into %s: every later stage reads these tables", options.source, args.output)
    source = kind.read(options, args.output / "downloads")
    files, queries, repeated, left_out = write_collection(
        source, args.output, options.titles, options.positive_grade, options.max_missing
    )
    counts = {"queries": queries, "texts_in_several_splits": repeated, "left_out_or_merged": left_out}
    manifests.write_manifest(args, args.output / manifests.MANIFEST, files=files, **counts, **source.facts)
    log.info("%d documents; queries: %s", files["documents.parquet"]["rows"], queries)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("collect", __doc__)
    add_options(parser, CollectOptions)
    manifests.add_manifest(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    return parser
