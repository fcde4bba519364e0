"""Fit laws to the metrics of a study on every axis, and forecast the sizes that were held out."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale import command, laws, schemas, tables
from rankscale.axes import Points, envelope, held_out, law_names, scales
from rankscale.command import log, progress
from rankscale.decomposition import PARTS, TIES, pseudo_values
from rankscale.errors import StudyError
from rankscale.seeds import generator

GRID = 60


class Noise:
    """Covariance of metrics between checkpoints from sampling the queries, by their pseudo-values paired by query."""

    def __init__(self, rows: pd.DataFrame, observations: Path, ties: str) -> None:
        self.of: dict[tuple, np.ndarray] = {}
        ids = None
        split, candidates = rows.split.iloc[0], rows.candidates.iloc[0]
        for row in rows.itertuples():
            path = observations / row.model / row.subset / str(row.seed) / f"{row.checkpoint}.parquet"
            seen = tables.read("observations", path).to_pandas()
            seen = seen[(seen.split == split) & (seen.candidates == candidates)].sort_values("query_id")
            if ids is None:
                ids = seen.query_id.to_numpy()
            if not np.array_equal(ids, seen.query_id.to_numpy()):
                raise StudyError(f"{path}: other queries than the first checkpoint's; evaluate the study again")
            self.of[row.Index] = pseudo_values(seen.loss, seen.above, seen.tied, ties=ties)
        self.rows = rows

    def covariance(self, rows: pd.DataFrame, metric: str, law: str) -> np.ndarray:
        """[n, n], in the law's space (relative for a power law)."""
        column = PARTS.index(metric)
        values = np.stack([self.of[i][:, column] for i in rows.index])
        found = np.atleast_2d(np.cov(values)) / values.shape[1]
        scale = np.ones(len(rows)) if law == "trend" else rows[metric].to_numpy()
        return found / np.outer(scale, scale)


def fit_rows(made: laws.Fit, what: dict[str, str]) -> Iterator[dict[str, object]]:
    """Rows of the fits table: one per parameter, or one without where there is no fit."""
    row = {**what, "n_points": len(made.x), "converged": made.converged, "note": made.note}
    if not made.converged:
        yield {**row, **dict.fromkeys(("r2", "rmse", "aicc", "parameter", "estimate", "low", "high"))}
        return
    for name, (estimate, low, high) in made.parameters().items():
        yield {**row, **made.quality(), "parameter": name, "estimate": estimate, "low": low, "high": high}


def forecasts(points: Points, metric: str, noise: Noise, hold: dict, draws: int, random) -> Iterator[dict]:  # noqa: ANN001
    """Rows of the forecasts table for the held-out points of one set: each law, and `no change`."""
    out = held_out(points, hold)
    if out is None:
        return
    order = np.argsort(points.x, kind="stable")
    seen, unseen = order[~out[order]], order[out[order]]
    rows, x, y = points.rows, points.x, points.rows[metric].to_numpy()
    names = ("trend",) if metric == "score_uncertainty" else ("line", "floor")
    for law in (*names, laws.NO_CHANGE):
        predicted, low, high = np.full(len(unseen), y[seen[x[seen] == x[seen].max()]].mean()), None, None
        aicc = None
        if law != laws.NO_CHANGE:
            made = laws.fit(law, x[seen], y[seen])
            if not made.converged:
                continue
            aicc = made.quality()["aicc"]
            covariance = noise.covariance(rows.iloc[np.append(seen, unseen)], metric, law)
            predicted, low, high = laws.forecast(made, x[unseen], covariance, draws, random)
        for i, place in enumerate(unseen):
            row, value = rows.iloc[place], y[place]
            yield {
                **{k: row[k] for k in ("model", "train_queries", "seed")},
                "axis": points.axis,
                "fixed": points.fixed,
                "law": law,
                "x": x[place],
                "observed": value,
                "predicted": predicted[i],
                "low": None if low is None else low[i],
                "high": None if high is None else high[i],
                "relative_error": (predicted[i] - value) / abs(value) if value else None,
                "covered": None if low is None else bool(low[i] <= value <= high[i]),
                "aicc": aicc,
            }


def fit_all(metrics: pd.DataFrame, args: argparse.Namespace) -> tuple[list[dict], list[dict], list[dict]]:
    """Rows of the fits, forecasts and curves tables."""
    hold = {"model": args.hold_out_models, "data": args.hold_out_train_queries}
    found, ahead, curves = [], [], []
    for (split, candidates), rows in metrics.groupby(["split", "candidates"]):
        noise = Noise(rows, args.observations, args.ties)
        work = [
            (metric, points)
            for metric in PARTS
            for all_points in scales(rows)
            for points in [all_points, *([envelope(all_points, metric)] if "compute" in all_points.axis else [])]
        ]
        for metric, points in progress(work, f"fit {split} {candidates}", "fit"):
            where = {
                "metric": metric,
                "split": split,
                "candidates": candidates,
                "axis": points.axis,
                "fixed": points.fixed,
            }
            for law in law_names(metric):
                what = {**where, "law": law}
                random = generator(args.seed, *what.values())
                made = laws.fit(law, points.x, points.rows[metric].to_numpy())
                if made.converged:
                    laws.simulate(made, noise.covariance(points.rows, metric, law), args.bootstrap, random)
                    x = np.geomspace(points.x.min(), points.x.max(), GRID)
                    band = zip(x, made.predict(x), *made.band(x), strict=True)
                    curves += [{**what, **dict(zip(("x", "y", "low", "high"), p, strict=True))} for p in band]
                found += fit_rows(made, what)
            if points.axis in hold:
                random = generator(args.seed, "forecast", *where.values())
                ahead += [{**where, **r} for r in forecasts(points, metric, noise, hold, args.bootstrap, random)]
    return found, ahead, curves


def main(args: argparse.Namespace) -> None:
    """Write fits, forecasts, and the curves with their bands that the figures draw."""
    metrics = tables.read("metrics", args.metrics).to_pandas()
    metrics = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if metrics.empty:
        raise StudyError(f"{args.metrics}: no finished run, nothing to fit")
    log.info(
        "fitting laws to %d finished runs; the largest %d sizes and %d subsets are forecast from the others",
        len(metrics.drop_duplicates(["model", "train_queries", "seed"])),
        args.hold_out_models,
        args.hold_out_train_queries,
    )
    found, ahead, curves = fit_all(metrics, args)
    for name, rows, path in (
        ("fits", found, args.fits),
        ("forecasts", ahead, args.forecasts),
        ("curves", curves, args.curves),
    ):
        names = schemas.SCHEMAS[name].names
        tables.write(name, {n: [row[n] for row in rows] for n in names}, path)
    failed = [row for row in found if not row["converged"]]
    log.info(
        "%d fits, %d of them without a result; %d forecasts", len({_key(r) for r in found}), len(failed), len(ahead)
    )


def _key(row: dict[str, object]) -> tuple:
    return tuple(row[k] for k in schemas.what)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("fit", __doc__)
    made.add_argument("--metrics", type=Path, required=True)
    made.add_argument("--observations", type=Path, required=True, help="folder; gives the noise from queries")
    made.add_argument("--hold-out-models", type=int, default=2, help="largest sizes to forecast from the others")
    made.add_argument("--hold-out-train-queries", type=int, default=1, help="largest subsets to forecast")
    made.add_argument("--bootstrap", type=int, default=1000, help="draws behind each interval")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--fits", type=Path, required=True, help="output")
    made.add_argument("--forecasts", type=Path, required=True, help="output")
    made.add_argument("--curves", type=Path, required=True, help="output: fitted curves and bands, for the figures")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
