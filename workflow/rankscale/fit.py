"""Fit laws to the metrics of a study on every axis, and forecast the sizes that were held out.

With --table, fit one law to a table of runs made elsewhere, and print it.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale import elsewhere
from rankscale.axes import Points, envelope, law_names, origins, scales
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.evaluation.decomposition import PARTS, TIES
from rankscale.noise import Noise, numeric, values_of
from rankscale.ranking import Race, ranked
from rankscale.storage import schemas, tables
from rankscale.work import Result, Task, done

OUTPUTS = ("fits", "forecasts", "curves", "influence", "ranking")
RUN = ("model", "train_queries", "seed")


def available(finals: pd.DataFrame, asked: list[str]) -> list[str]:
    """The metrics that were measured of every run. Raises StudyError for a name that is no column."""
    found = []
    for metric in dict.fromkeys(asked):
        if not numeric(metric):
            raise StudyError(f"laws.metrics: {metric!r} is no metric of metrics.parquet, nor 1- and one")
        if np.isfinite(values_of(finals, metric)).all():
            found.append(metric)
        else:
            log.info("%s was not measured of every run, so nothing is fitted to it", metric)
    return found


def tasks(finals: pd.DataFrame, metrics: list[str], args: argparse.Namespace) -> Iterator[Task | Race]:
    """All that is to be fitted, one set of points of one metric each, and the races between metrics."""
    hold = {"model": args.hold_out_models, "data": args.hold_out_train_queries}
    for (split, candidates), rows in finals.groupby(["split", "candidates"]):
        noise = Noise(rows, metrics, args.study, args.ties)
        for base in scales(rows):
            where = {"split": split, "candidates": candidates, "axis": base.axis}
            ahead = origins(base, hold) if base.axis in ("model", "data", "grid") else []
            for metric in metrics:
                y = values_of(base.rows, metric)
                for points in [base, *([envelope(base, y)] if "compute" in base.axis else [])]:
                    yield Task(
                        {"metric": metric, **where, "fixed": points.fixed},
                        points.x,
                        values_of(points.rows, metric),
                        noise.of(points.rows, [metric]),
                        points.rows[list(RUN)].to_dict("records"),
                        law_names(metric, base.axis),
                        ahead,
                        base.headline,
                        args.bootstrap,
                        args.seed,
                    )
            yield from _races(base, {**where, "fixed": base.fixed}, noise, metrics, ahead, args)


def _races(points: Points, where: dict, noise: Noise, metrics: list[str], ahead: list, args) -> Iterator[Race]:  # noqa: ANN001
    fitted = [m for m in metrics if law_names(m, points.axis)]
    for origin in ahead if points.headline and fitted else []:
        if origin.held_out:
            y = np.stack([values_of(points.rows, m) for m in fitted])
            names = [law_names(m, points.axis) for m in fitted]
            shared = noise.of(points.rows, fitted)
            yield Race(where, fitted, points.x, y, shared, names, origin, args.bootstrap, args.seed)


def result_of(work: Task | Race) -> Result | list[dict]:
    """What one process makes of one piece of work."""
    return done(work) if isinstance(work, Task) else ranked(work)


def fit_all(finals: pd.DataFrame, args: argparse.Namespace) -> dict[str, list[dict]]:
    """Rows of each output table, in the order of the work, whatever the number of processes."""
    metrics = available(finals, args.columns)
    if not metrics:
        raise StudyError("laws.metrics: none of them was measured of every run")
    rows: dict[str, list[dict]] = {name: [] for name in OUTPUTS}
    # One thread of linear algebra in each process: its sums must not depend on how many there are.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        waiting = [pool.submit(result_of, work) for work in tasks(finals, metrics, args)]
        for future in progress(waiting, "fit", "set of points"):
            made = future.result()
            if isinstance(made, Result):
                for name in Result._fields:
                    rows[name] += getattr(made, name)
            else:
                rows["ranking"] += made
    return rows


def main(args: argparse.Namespace) -> None:
    """Write fits, forecasts, influence, the ranking, and the curves with their bands that the figures draw."""
    if args.table:
        elsewhere.fit_table(args)
        return
    wanted = ("metrics", "study", *OUTPUTS)
    missing = [name for name in wanted if getattr(args, name) is None]
    if missing:
        raise StudyError(f"--{missing[0]} is missing; or give --table with a table of runs made elsewhere")
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
    made = cli.stage_parser("fit", __doc__)
    made.add_argument("--metrics", type=Path, help="the study's metrics")
    made.add_argument("--study", type=Path, help="the study's folder: observations and per_query give the noise")
    made.add_argument("--columns", nargs="+", default=list(PARTS), help="metrics to fit; 1-x is what x lacks to 1")
    count = cli.at_least(0)
    made.add_argument("--hold-out-models", type=count, default=2, help="largest sizes to forecast from the others")
    made.add_argument("--hold-out-train-queries", type=count, default=1, help="largest subsets to forecast")
    made.add_argument("--bootstrap", type=cli.at_least(100), default=1000, help="draws behind each interval")
    made.add_argument("--seed", type=count, default=7)
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--workers", type=cli.at_least(1), default=1, help="processes; the tables are the same")
    for name in OUTPUTS:
        made.add_argument(f"--{name}", type=Path, help="output")
    elsewhere.add_arguments(made.add_argument_group("a table of runs made elsewhere"))
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
