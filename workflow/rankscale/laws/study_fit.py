"""Every fit of a study: which points, metrics and laws, spread over processes."""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.laws.axes import PointSet, envelope, law_names, point_sets
from rankscale.laws.fit_tasks import FitRows, FitTask, run_fit_task
from rankscale.laws.holdout import forecast_splits
from rankscale.laws.metric_ranking import MetricComparison, rank_metrics
from rankscale.laws.query_covariance import QueryCovariance, numeric, values_of

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


def tasks(finals: pd.DataFrame, metrics: list[str], args: argparse.Namespace) -> Iterator[FitTask | MetricComparison]:
    """All that is to be fitted, one set of points of one metric each, and the races between metrics."""
    hold = {"model": args.hold_out_models, "data": args.hold_out_train_queries}
    for (split, candidates), rows in finals.groupby(["split", "candidates"]):
        noise = QueryCovariance(rows, metrics, args.study, args.ties)
        for base in point_sets(rows):
            where = {"split": split, "candidates": candidates, "axis": base.axis}
            ahead = forecast_splits(base, hold) if base.axis in ("model", "data", "grid") else []
            for metric in metrics:
                y = values_of(base.rows, metric)
                for points in [base, *([envelope(base, y)] if "compute" in base.axis else [])]:
                    yield FitTask(
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


def _races(
    points: PointSet, where: dict, noise: QueryCovariance, metrics: list[str], ahead: list, args: argparse.Namespace
) -> Iterator[MetricComparison]:
    fitted = [m for m in metrics if law_names(m, points.axis)]
    for origin in ahead if points.headline and fitted else []:
        if origin.held_out:
            y = np.stack([values_of(points.rows, m) for m in fitted])
            names = [law_names(m, points.axis) for m in fitted]
            shared = noise.of(points.rows, fitted)
            yield MetricComparison(where, fitted, points.x, y, shared, names, origin, args.bootstrap, args.seed)


def result_of(work: FitTask | MetricComparison) -> FitRows | list[dict]:
    """What one process makes of one piece of work."""
    return run_fit_task(work) if isinstance(work, FitTask) else rank_metrics(work)


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
            if isinstance(made, FitRows):
                for name in FitRows._fields:
                    rows[name] += getattr(made, name)
            else:
                rows["ranking"] += made
    return rows
