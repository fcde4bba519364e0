"""Fit a law to runs that were made elsewhere: a CSV or Parquet table with a metric, sizes, numbers of data."""

import argparse
from pathlib import Path

import numpy as np
from tabulate import tabulate

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.laws import fitting
from rankscale.laws.axes import PointSet
from rankscale.laws.external_table import numbers, read, refuse_repeats
from rankscale.laws.fit_tasks import FitTask, run_fit_task
from rankscale.laws.forms import FORMULAS, LAWS
from rankscale.laws.holdout import forecast_splits
from rankscale.storage import schemas, tables


def points_of(args: argparse.Namespace) -> tuple[PointSet, np.ndarray]:
    """The points of the table and their metric [n]."""
    found = read(args.table)
    if not (args.size or args.data):
        raise StudyError("give --size, --data or both: the names of the table's columns")
    y = numbers(found, args.metric, "--metric", args.table)
    named = [(column, option) for column, option in ((args.size, "--size"), (args.data, "--data")) if column]
    x = np.column_stack([numbers(found, column, option, args.table) for column, option in named])
    refuse_repeats(found, x, args.table)
    axis = "grid" if len(named) == 2 else "model" if args.size else "data"
    return PointSet(axis, "all cells", found, x, True), y


def main(args: argparse.Namespace) -> None:
    """Fit one law, print it with its intervals and held-out forecasts, and write it where asked."""
    points, y = points_of(args)
    law = args.law or ("joint" if points.axis == "grid" else "floor")
    if LAWS[law].variables != points.x.shape[1]:
        need = "both --size and --data" if LAWS[law].variables == 2 else "one of --size and --data"
        raise StudyError(f"--law {law} needs {need}")
    runs = [
        {"model": str(size), "train_queries": int(row[-1] if args.data else 0), "seed": i}
        for i, (row, size) in enumerate(zip(points.x, points.x[:, 0] if args.size else y * 0, strict=True))
    ]
    hold = {"model": args.hold_out_size, "data": args.hold_out_data}
    asked = any(hold.values())
    own = [o for o in forecast_splits(points, hold) if o.held_out] if asked else []
    if asked and not own:
        raise StudyError("--hold-out-size, --hold-out-data: too little would be left, or it names a column not given")
    where = {"metric": args.metric, "split": "", "candidates": "", "axis": points.axis, "fixed": points.fixed}
    result = run_fit_task(FitTask(where, points.x, y, None, runs, (law,), own, False, args.bootstrap, args.seed))
    first = result.fits[0]
    if not first["converged"]:
        raise StudyError(f"{args.table}: {law} of {args.metric}: {first['note']}")
    log = "" if law == "trend" else " (log)"
    print(f"\n{FORMULAS[law]}, {args.metric}: {len(y)} runs, R² {first['r2']:.4f}, RMSE {first['rmse']:.4g}{log}")
    rows = [[r["parameter"], *(_said(r[k]) for k in ("estimate", "low", "high"))] for r in result.fits]
    print(tabulate(rows, headers=["parameter", "estimate", "95 % low", "high"], disable_numparse=True))
    if first["note"]:
        print(f"Note: {first['note']}.")
    if own:
        print()
        print(tabulate(_ahead(result.forecasts, points, own[0].ahead), headers="keys", disable_numparse=True))
        if law not in {row["law"] for row in result.forecasts}:
            why = fitting.fit(law, points.x[own[0].known], y[own[0].known]).note
            print(f"No forecast by the {law} law from the {len(own[0].known)} others: {why}.")
    if args.output:
        names = schemas.SCHEMAS["fits"].names
        tables.write("fits", {n: [row.get(n) for row in result.fits] for n in names}, args.output)


def _ahead(rows: list[dict], points: PointSet, ahead: np.ndarray) -> list[dict[str, str]]:
    shown = []
    for number, row in enumerate(rows):
        x = points.x[ahead[number % len(ahead)]]
        shown.append(
            {
                "held out": " x ".join(f"{value:g}" for value in x),
                "law": row["law"],
                "observed": _said(row["observed"]),
                "predicted": _said(row["predicted"]),
                "95 % low": _said(row["low"]),
                "high": _said(row["high"]),
                "error": f"{row['relative_error']:+.1%}",
            }
        )
    return shown


def _said(value: float | None) -> str:
    return "open" if value is None else f"{value:.4g}"


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser, count = cli.command_parser("fit-table", __doc__), cli.at_least(0)
    parser.add_argument("table", type=Path, help="CSV or Parquet, one row per run; a column seed tells repeats apart")
    parser.add_argument("--metric", required=True, help="its column with the metric")
    parser.add_argument("--size", help="its column with the size of the model")
    parser.add_argument("--data", help="its column with the number of training data")
    parser.add_argument("--law", choices=list(LAWS), help="floor, or joint where there are two columns")
    parser.add_argument("--hold-out-size", type=count, default=0, help="so many of the largest sizes are forecast")
    parser.add_argument("--hold-out-data", type=count, default=0, help="so many of the largest numbers of data are")
    parser.add_argument("--bootstrap", type=cli.at_least(100), default=1000, help="draws behind each interval")
    parser.add_argument("--seed", type=count, default=7)
    parser.add_argument("--output", type=Path, help="the fit as a table")
    return parser
