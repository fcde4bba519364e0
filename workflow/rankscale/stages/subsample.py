"""See how the parts move as queries are dropped: whether a test set has enough of them."""

import argparse
from pathlib import Path

import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.progress import progress
from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import TIES
from rankscale.evaluation.query_subsampling import KEYS, parts_by_query_count
from rankscale.storage import schemas, tables


def main(args: argparse.Namespace) -> None:
    """Write one table for the given checkpoints."""
    rows = []
    for path in progress(args.observations, "subsample", "checkpoint"):
        seen = tables.read("observations", path).to_pandas()
        for key, part in seen.groupby(KEYS):
            random = generator(args.seed, "subsample", *key)
            rows += [
                {**dict(zip(KEYS, key, strict=True)), **row}
                for row in parts_by_query_count(part, args.ties, args.draws, random)
            ]
    tables.write("subsamples", pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["subsamples"]), args.output)
    log.info("%d checkpoints on ever fewer queries, %d draws each", len(args.observations), args.draws)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("subsample", __doc__)
    made.add_argument("--observations", type=Path, nargs="+", required=True, help="of the checkpoints to look at")
    made.add_argument("--draws", type=int, default=30, help="random subsets of each size")
    made.add_argument("--seed", type=int, default=7, help="of the draws")
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--output", type=Path, required=True)
    return made
