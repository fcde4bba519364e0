"""Every fit of a study: which points, metrics and laws, spread over processes."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.metrics import metric_named
from rankscale.core.progress import progress
from rankscale.laws.axes import ENVELOPE, PointSet, envelope, point_sets
from rankscale.laws.fit_tasks import FitRows, FitTask, Row, run_fit_task
from rankscale.laws.forms.registry import laws_for
from rankscale.laws.holdout import ForecastSplit, forecast_splits
from rankscale.laws.metric_ranking import MetricComparison, rank_metrics
from rankscale.laws.options import OF_TEST_SETS, OF_VARIANTS, FitOptions
from rankscale.laws.query_covariance import QueryCovariance, ceiling_of, values_of
from rankscale.laws.seed_shifts import shared_noise
from rankscale.laws.transfer.transfer_laws import TransferRows, TransferTask, compare_test_sets, transfer_tasks
from rankscale.laws.variants.variant_laws import VariantRows, VariantTask, compare_variants, variant_tasks
from rankscale.laws.verdicts.axis_verdicts import (
    CELL,
    AxisVerdicts,
    JudgementTask,
    cells_of,
    judge_axis,
    judged,
)
from rankscale.laws.verdicts.study_contrasts import study_contrasts
from rankscale.storage import schemas, tables

OUTPUTS = ("fits", "forecasts", "curves", "influence", "ranking", "verdicts", "contrasts")
RUN = ("model", "train_queries", "seed")
# What is fitted apart: how it was trained, and on what it was evaluated.
TEST_SET = ("collection", "variant", "split", "candidates")
FORECAST_AXES = ("model", "data", "grid")
Task = FitTask | MetricComparison | JudgementTask | VariantTask | TransferTask


def available(finals: pd.DataFrame, requested: list[str]) -> list[str]:
    """The metrics that were measured of any run. Raises StudyError for a name that is none."""
    metrics = []
    for metric in dict.fromkeys(requested):
        metric_named(metric, "laws.metrics")
        measured = np.isfinite(values_of(finals, metric))
        if measured.any():
            metrics.append(metric)
        if not measured.all():
            fitted = "only points that have it are fitted" if measured.any() else "nothing is fitted to it"
            log.info("%s was not measured of every run, so %s", metric, fitted)
    return metrics


def measured_of(rows: pd.DataFrame, metrics: list[str]) -> list[str]:
    """Those of the metrics that every one of these rows has."""
    return [metric for metric in metrics if np.isfinite(values_of(rows, metric)).all()]


def tasks(finals: pd.DataFrame, metrics: list[str], study: Path, options: FitOptions) -> Iterator[Task]:
    """All that is to be fitted, one set of points of one metric each, the comparisons between metrics, and what is
    judged."""
    hold = {"model": options.hold_out_models, "data": options.hold_out_train_queries}
    for group, rows in _test_sets(finals):
        noise = QueryCovariance.read(rows, metrics, study, options.ties)
        ceilings = {metric: ceiling_of(rows, metric, options.ties) for metric in metrics}
        for points in point_sets(rows):
            key: Row = {**dict(zip(TEST_SET, group, strict=True)), "axis": points.axis}
            splits = forecast_splits(points, hold) if points.axis in FORECAST_AXES else []
            measured = measured_of(points.rows, metrics)
            for metric in measured:
                several = [points]
                if "compute" in points.axis:
                    several.append(envelope(points, values_of(points.rows, metric)))
                for one in several:
                    yield FitTask(
                        {"metric": metric, **key, "fixed": one.fixed},
                        one.x,
                        values_of(one.rows, metric),
                        shared_noise(noise, one.rows, [metric]),
                        one.rows[list(RUN)].to_dict("records"),
                        laws_for(metric, one.x.shape[1], ceilings[metric]),
                        splits,
                        points.headline,
                        options.bootstrap,
                        options.seed,
                        one.fixed != ENVELOPE,
                    )
            if points.headline:
                yield from comparisons(points, {**key, "fixed": points.fixed}, noise, measured, splits, options)
                if points.axis in CELL and judged(measured):
                    laws = {metric: laws_for(metric, 1, ceilings[metric]) for metric in judged(measured)}
                    cells = cells_of(points, list(laws), hold[points.axis], noise)
                    own = {**key, "fixed": points.fixed}
                    yield JudgementTask(own, cells, laws, options.bootstrap, options.seed)


def _test_sets(finals: pd.DataFrame) -> list[tuple[tuple, pd.DataFrame]]:
    """The rows of each test set and variant; the variants of each in the order of the study."""
    order = {name: position for position, name in enumerate(finals.variant.unique())}
    groups = [(group, rows) for group, rows in finals.groupby(list(TEST_SET))]
    return sorted(groups, key=lambda pair: (pair[0][0], order[pair[0][1]], *pair[0][2:]))


def comparisons(
    points: PointSet,
    key: Row,
    noise: QueryCovariance,
    metrics: list[str],
    splits: list[ForecastSplit],
    options: FitOptions,
) -> Iterator[MetricComparison]:
    """The comparison of the metrics that have laws on a headline's points, by what the study itself holds out."""
    ceilings = {metric: ceiling_of(points.rows, metric, options.ties) for metric in metrics}
    laws = {metric: laws_for(metric, points.x.shape[1], ceilings[metric]) for metric in metrics}
    fitted = [metric for metric in metrics if laws[metric]]
    for split in splits if fitted else []:
        if split.held_out:
            yield MetricComparison(
                key,
                fitted,
                points.x,
                np.stack([values_of(points.rows, metric) for metric in fitted]),
                shared_noise(noise, points.rows, fitted),
                [laws[metric] for metric in fitted],
                split,
                options.bootstrap,
                options.seed,
            )


def result_of(task: Task) -> FitRows | VariantRows | TransferRows | AxisVerdicts | list[Row]:
    """What one process makes of one task."""
    if isinstance(task, TransferTask):
        return compare_test_sets(task)
    if isinstance(task, VariantTask):
        return compare_variants(task)
    if isinstance(task, JudgementTask):
        return judge_axis(task)
    return run_fit_task(task) if isinstance(task, FitTask) else rank_metrics(task)


def fit_all(finals: pd.DataFrame, study: Path, options: FitOptions, workers: int = 1) -> dict[str, list[Row]]:
    """Rows of each output table, in the order of the tasks, whatever the number of processes."""
    metrics = available(finals, options.columns)
    if not metrics:
        raise StudyError("laws.metrics: none of them was measured")
    rows: dict[str, list[Row]] = {name: [] for name in (*OUTPUTS, *OF_VARIANTS, *OF_TEST_SETS)}
    axes: list[AxisVerdicts] = []
    # One thread of linear algebra in each process: its sums must not depend on how many there are.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        between = variant_tasks(finals, study, options), transfer_tasks(finals, study, options)
        every = chain(tasks(finals, metrics, study, options), *between)
        waiting = [pool.submit(result_of, task) for task in every]
        for future in progress(waiting, "fit", "set of points"):
            result = future.result()
            if isinstance(result, FitRows | VariantRows | TransferRows):
                for name in result._fields:
                    rows[name] += getattr(result, name)
            elif isinstance(result, AxisVerdicts):
                rows["verdicts"] += result.rows
                axes.append(result)
            else:
                rows["ranking"] += result
    rows["contrasts"] += study_contrasts(axes)
    return rows


def write_fits(results: Mapping[str, list[Row]], paths: Mapping[str, Path | None], study: str) -> None:
    """Write what `fit_all` gave, each table where `paths` has one, as tables of `study`."""
    for name, rows in results.items():
        if path := paths.get(name):
            table = {column: [row.get(column) for row in rows] for column in schemas.SCHEMAS[name].names}
            tables.write(name, table, path, study=study)
