"""Fit laws to the metrics of a study on every axis, and forecast the sizes that were held out.

With --table, fit one law to a table of runs made elsewhere, and print it.
"""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.evaluation.decomposition import PARTS, TIES
from rankscale.laws.study_fit import OUTPUTS, RUN, fit_all
from rankscale.storage import schemas, tables


def main(args: argparse.Namespace) -> None:
    """Write fits, forecasts, influence, the ranking, and the curves with their bands that the figures draw."""
    metrics = tables.read("metrics", args.metrics).to_pandas()
    metrics = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if metrics.empty:
        raise StudyError(f"{args.metrics}: no finished run, nothing to fit")
    log.info(
        "fitting laws to %d finished runs; the largest %d sizes and %d subsets are forecast from the others",
        len(metrics.drop_duplicates(list(RUN))),
        args.hold_out_models,
        args.hold_out_train_queries,
    )
    found = fit_all(metrics, args)
    for name, rows in found.items():
        columns = schemas.SCHEMAS[name].names
        tables.write(name, {n: [row.get(n) for row in rows] for n in columns}, getattr(args, name))
    failed = [row for row in found["fits"] if not row["converged"]]
    fits = {tuple(row[k] for k in schemas.what) for row in found["fits"]}
    log.info("%d fits, %d of them without a result; %d forecasts", len(fits), len(failed), len(found["forecasts"]))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("fit", __doc__)
    made.add_argument("--metrics", type=Path, required=True, help="the study's metrics")
    made.add_argument("--study", type=Path, required=True, help="the study's folder, whose observations tell the noise")
    made.add_argument("--columns", nargs="+", default=list(PARTS), help="metrics to fit; 1-x is what x lacks to 1")
    count = cli.at_least(0)
    made.add_argument("--hold-out-models", type=count, default=2, help="largest sizes to forecast from the others")
    made.add_argument("--hold-out-train-queries", type=count, default=1, help="largest subsets to forecast")
    made.add_argument("--bootstrap", type=cli.at_least(100), default=1000, help="draws behind each interval")
    made.add_argument("--seed", type=count, default=7)
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--workers", type=cli.at_least(1), default=1, help="processes; the tables are the same")
    for name in OUTPUTS:
        made.add_argument(f"--{name}", type=Path, required=True, help="output")
    return made
