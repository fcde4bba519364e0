"""Fit laws to the metrics of a study on every axis, and forecast the sizes that were held out."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.options import add_options, parsed
from rankscale.laws.options import OF_TEST_SETS, OF_VARIANTS, FitOptions
from rankscale.laws.study_fit import OUTPUTS, RUN, fit_all, write_fits
from rankscale.storage import schemas, tables
from rankscale.storage.identity import add_study_name


def main(args: argparse.Namespace) -> None:
    """Write fits, forecasts, influence, the ranking, and the curves with their bands that the figures draw."""
    options = parsed(FitOptions, args)
    metrics = tables.read_study({"metrics": args.metrics}, args.study_name)["metrics"].to_pandas()
    metrics = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if metrics.empty:
        raise StudyError(f"{args.metrics}: no finished run, nothing to fit")
    log.info(
        "fitting laws to %d finished runs; the largest %d sizes and %d subsets are forecast from the others",
        len(metrics.drop_duplicates(["variant", *RUN])),
        options.hold_out_models,
        options.hold_out_train_queries,
    )
    results = fit_all(metrics, args.study, options, args.workers)
    write_fits(results, {name: getattr(args, name) for name in results}, metrics.study.iloc[0])
    failed = [row for row in results["fits"] if not row["converged"]]
    fits = {tuple(row[k] for k in schemas.FIT_KEY) for row in results["fits"]}
    log.info("%d fits, %d of them without a result; %d forecasts", len(fits), len(failed), len(results["forecasts"]))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("fit", __doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="the study's metrics")
    parser.add_argument(
        "--study", type=Path, required=True, help="the study's folder, whose observations tell the noise"
    )
    parser.add_argument("--workers", type=cli.at_least(1), default=1, help="processes; the tables are the same")
    for name in OUTPUTS:
        parser.add_argument(f"--{name}", type=Path, required=True, help="output")
    for name in OF_VARIANTS:
        parser.add_argument(f"--{name}", type=Path, help="output, of a study of several variants")
    for name in OF_TEST_SETS:
        parser.add_argument(f"--{name}", type=Path, help="output, of a study of several test sets")
    add_study_name(parser)
    add_options(parser, FitOptions)
    return parser
