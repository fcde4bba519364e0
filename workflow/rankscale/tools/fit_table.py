"""Fit a law to runs that were made elsewhere: a CSV or Parquet table with a metric, sizes, numbers of data."""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.laws import fitting
from rankscale.laws.axes import PointSet
from rankscale.laws.external_table import numbers, read, refuse_repeats
from rankscale.laws.fit_tasks import FitRows, FitTask, run_fit_task
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.holdout import ForecastSplit, forecast_splits
from rankscale.storage import schemas, tables


class TableFit(NamedTuple):
    """A law fitted to a table's points, and its forecasts of those that were held out, if any were."""

    law: Law
    metric: str
    points: PointSet
    y: np.ndarray
    held_out: ForecastSplit | None
    rows: FitRows


def main(args: argparse.Namespace) -> None:
    """Fit one law, print it with its intervals and held-out forecasts, and write it where asked."""
    points, y = points_of(args)
    name = args.law or ("joint" if points.axis == "grid" else "floor")
    law = LAWS[name]
    if law.bounded:
        if args.ceiling is None:
            raise StudyError(f"--law {name} needs --ceiling: the metric of a model that has learnt nothing")
        law = law.for_ceiling(args.ceiling)
    result = fit_points(points, y, law, args)
    if args.output:
        names = schemas.SCHEMAS["fits"].names
        tables.write("fits", {n: [row.get(n) for row in result.rows.fits] for n in names}, args.output)
    print(description(result))


def points_of(args: argparse.Namespace) -> tuple[PointSet, np.ndarray]:
    """The points of the table and their metric [n]."""
    table = read(args.table)
    for condition in args.where:
        column, found, value = condition.partition("=")
        if not found or column not in table:
            raise StudyError(f"--where: {condition}: takes COLUMN=VALUE, of the columns {', '.join(map(str, table))}")
        table = table[table[column].astype(str) == value].reset_index(drop=True)
        if table.empty:
            raise StudyError(f"{args.table}: --where {condition}: no row has that")
    if not (args.size or args.data):
        raise StudyError("give --size, --data or both: the names of the table's columns")
    y = numbers(table, args.metric, "--metric", args.table)
    named = [(column, option) for column, option in ((args.size, "--size"), (args.data, "--data")) if column]
    x = np.column_stack([numbers(table, column, option, args.table) for column, option in named])
    refuse_repeats(table, x, args.table)
    axis = "grid" if len(named) == 2 else "model" if args.size else "data"
    return PointSet(axis, "all cells", table, x, True), y


def fit_points(points: PointSet, y: np.ndarray, law: Law, args: argparse.Namespace) -> TableFit:
    """Fit the law, and forecast what is held out. Raises StudyError where that cannot be done."""
    if law.variables != points.x.shape[1]:
        need = "both --size and --data" if law.variables == 2 else "one of --size and --data"
        raise StudyError(f"--law {law.name} needs {need}")
    runs = [
        {"model": str(size), "train_queries": int(row[-1] if args.data else 0), "seed": i}
        for i, (row, size) in enumerate(zip(points.x, points.x[:, 0] if args.size else y * 0, strict=True))
    ]
    hold = {"model": args.hold_out_size, "data": args.hold_out_data}
    own = [split for split in forecast_splits(points, hold) if split.held_out] if any(hold.values()) else []
    if any(hold.values()) and not own:
        raise StudyError("--hold-out-size, --hold-out-data: too little would be left, or it names a column not given")
    key = dict.fromkeys(schemas.FIT_KEY[:-1], "")
    key |= {"metric": args.metric, "axis": points.axis, "fixed": points.fixed}
    rows = run_fit_task(FitTask(key, points.x, y, None, runs, (law,), own, False, args.bootstrap, args.seed))
    first = rows.fits[0]
    if not first["converged"]:
        raise StudyError(f"{args.table}: {law.name} of {args.metric}: {first['note']}")
    return TableFit(law, args.metric, points, y, own[0] if own else None, rows)


def description(result: TableFit) -> str:
    """The fit in words and tables."""
    law, y, first = result.law, result.y, result.rows.fits[0]
    log = "" if law.signed else " (log)"
    rows = [[r["parameter"], *(_number(r[k]) for k in ("estimate", "low", "high"))] for r in result.rows.fits]
    lines = [
        f"\n{law.formula}, {result.metric}: {len(y)} runs, R² {first['r2']:.4f}, RMSE {first['rmse']:.4g}{log}",
        tabulate(rows, headers=["parameter", "estimate", "95 % low", "high"], disable_numparse=True),
    ]
    if first["note"]:
        lines.append(f"Note: {first['note']}.")
    if result.held_out:
        known, forecasts = result.held_out.known, result.rows.forecasts
        shown = _held_out(forecasts, result.points, result.held_out.ahead)
        lines += ["", tabulate(shown, headers="keys", disable_numparse=True)]
        if law.name not in {row["law"] for row in forecasts}:
            why = fitting.fit(law, result.points.x[known], y[known]).note
            lines.append(f"No forecast by the {law.name} law from the {len(known)} others: {why}.")
    return "\n".join(lines)


def _held_out(rows: list[dict], points: PointSet, ahead: np.ndarray) -> list[dict[str, str]]:
    shown = []
    for number, row in enumerate(rows):
        x = points.x[ahead[number % len(ahead)]]
        shown.append(
            {
                "held out": " x ".join(f"{value:g}" for value in x),
                "law": row["law"],
                "observed": _number(row["observed"]),
                "predicted": _number(row["predicted"]),
                "95 % low": _number(row["low"]),
                "high": _number(row["high"]),
                "error": f"{row['relative_error']:+.1%}",
            }
        )
    return shown


def positive(text: str) -> float:
    """A number above 0, as an argument."""
    value = cli.at_least(0, float)(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: takes a number above 0")
    return value


def _number(value: float | None) -> str:
    return "open" if value is None else f"{value:.4g}"


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser, count = cli.command_parser("fit-table", __doc__), cli.at_least(0)
    parser.add_argument("table", type=Path, help="CSV or Parquet, one row per run; a column seed tells repeats apart")
    parser.add_argument("--metric", required=True, help="its column with the metric")
    parser.add_argument("--size", help="its column with the size of the model")
    parser.add_argument("--data", help="its column with the number of training data")
    parser.add_argument(
        "--where", action="append", default=[], help="COLUMN=VALUE: only such rows; may stand repeatedly"
    )
    parser.add_argument("--law", choices=list(LAWS), help="floor, or joint where there are two columns")
    parser.add_argument("--ceiling", type=positive, help="C, where the law has one: the metric at chance")
    parser.add_argument("--hold-out-size", type=count, default=0, help="so many of the largest sizes are forecast")
    parser.add_argument("--hold-out-data", type=count, default=0, help="so many of the largest numbers of data are")
    parser.add_argument("--bootstrap", type=cli.at_least(100), default=1000, help="draws behind each interval")
    parser.add_argument("--seed", type=count, default=7)
    parser.add_argument("--output", type=Path, help="the fit as a table")
    return parser
