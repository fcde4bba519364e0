"""See how the parts move as queries are dropped: whether a test set has enough of them."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.layout import promised_keys
from rankscale.core.options import add_options, parsed
from rankscale.core.progress import progress
from rankscale.evaluation.query_subsampling import subsampled
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.storage import schemas, tables
from rankscale.storage.identity import add_study_name, refuse_other_studies


def main(args: argparse.Namespace) -> None:
    """Write one table for the given checkpoints."""
    options = parsed(SubsampleOptions, args)
    rows = []
    metrics = tables.read_study({"metrics": args.metrics}, args.study_name)["metrics"].to_pandas()
    if args.study_name:
        refuse_other_studies(args.observations, args.study_name)
    for path in progress(args.observations, "subsample", "checkpoint"):
        observations = tables.read("observations", path, keys=keys_of(path, metrics, args.metrics)).to_pandas()
        rows += list(subsampled(observations, options))
    table = pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["subsamples"])
    tables.write("subsamples", table, args.output, study=metrics.study.iloc[0])
    log.info("%d checkpoints on ever fewer queries, %d draws each", len(args.observations), options.draws)


def keys_of(path: Path, metrics: pd.DataFrame, source: Path) -> dict[str, Any]:
    """The keys of the checkpoint whose observations lie at `path`, by the rows of `source` that it promises to be of.

    Raises StudyError for a checkpoint that the study does not have.
    """
    rows, promised = metrics, promised_keys(path)
    for key in promised.keys() - {"study"}:  # a study's folder may be moved
        rows = rows[rows[key] == promised[key]]
    if rows.empty:
        raise StudyError(f"{path}: {source} has no such checkpoint; name observations of its own study")
    return rows.iloc[0][list(schemas.EVALUATED_KEY)].to_dict() if promised else {}


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("subsample", __doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="the study's, which have the checkpoints")
    parser.add_argument("--observations", type=Path, nargs="+", required=True, help="of the checkpoints to look at")
    parser.add_argument("--output", type=Path, required=True)
    add_study_name(parser)
    add_options(parser, SubsampleOptions)
    return parser
