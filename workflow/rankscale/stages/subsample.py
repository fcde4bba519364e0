"""See how the parts move as queries are dropped: whether a test set has enough of them."""

import argparse
from pathlib import Path

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.core.progress import progress
from rankscale.core.seeding import generator
from rankscale.evaluation.query_subsampling import KEYS, parts_by_query_count
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.storage import schemas, tables


def main(args: argparse.Namespace) -> None:
    """Write one table for the given checkpoints."""
    options = parsed(SubsampleOptions, args)
    rows = []
    for path in progress(args.observations, "subsample", "checkpoint"):
        observations = tables.read("observations", path).to_pandas()
        for key, part in observations.groupby(KEYS):
            random = generator(options.seed, "subsample", *key)
            rows += [
                {**dict(zip(KEYS, key, strict=True)), **row}
                for row in parts_by_query_count(part, options.ties, options.draws, random)
            ]
    tables.write("subsamples", pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["subsamples"]), args.output)
    log.info("%d checkpoints on ever fewer queries, %d draws each", len(args.observations), options.draws)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("subsample", __doc__)
    parser.add_argument("--observations", type=Path, nargs="+", required=True, help="of the checkpoints to look at")
    parser.add_argument("--output", type=Path, required=True)
    add_options(parser, SubsampleOptions)
    return parser
