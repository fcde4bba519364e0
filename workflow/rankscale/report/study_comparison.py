"""Two studies side by side: the slopes of their laws, the models that both have, and a figure of the two."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.metrics import PARTS, metric_named
from rankscale.laws.axes import headline_slice
from rankscale.report.labels import error_text, name_of
from rankscale.report.missing_runs import progress_phrase
from rankscale.report.verdicts import ScalingFinding, headline_of, scaling_findings
from rankscale.storage import tables

AXES = ("model", "data")
SHOWN = (*PARTS, "mrr", "ndcg_10")
TABLES = ("metrics", "fits", "forecasts", "verdicts", "curves")


class ComparedStudy(NamedTuple):
    """One study: its tables, by name, and what its headline speaks of."""

    folder: Path
    tables: dict[str, pd.DataFrame]
    stands: str

    @property
    def finals(self) -> pd.DataFrame:
        """The headline's rows at the end of training."""
        metrics = self.tables["metrics"]
        return headline_of(metrics[metrics.checkpoint == "final"], metrics)

    def name(self) -> str:
        """Study and headline in words."""
        row = self.finals.iloc[0]
        stands = f" ({self.stands})" if self.stands else ""
        return (
            f"{row.study}{stands}: {row.n_queries} {row.split} queries, {row.n_candidates} {row.candidates} candidates"
        )


def read_study(folder: Path) -> ComparedStudy:
    """Read a study's tables. Raises StudyError where one is missing or has no finished run."""
    if not (folder / "metrics.parquet").exists():
        raise StudyError(
            f"{folder}: not a finished study; snakemake --config partial=True reports one as it stands, in its partial"
        )
    whole = tables.read_study({name: folder / f"{name}.parquet" for name in (*TABLES, "left_out")})
    missing = whole.pop("left_out").to_pylist()
    read = {name: table.to_pandas() for name, table in whole.items()}
    if read["metrics"].empty:
        raise StudyError(f"{folder}/metrics.parquet: holds no finished run")
    return ComparedStudy(folder, read, progress_phrase(read["metrics"], missing))


def difference_interval(first: tuple, second: tuple) -> tuple[float, float, float]:
    """The difference second - first of two estimates (value, low, high), and its interval, from theirs.

    By the method of variance estimates recovery (Zou and Donner, Statistics in Medicine 2008), which takes intervals
    that are not symmetric, for independent estimates; NaN where an end is open.
    """
    (a, la, ua), (b, lb, ub) = ([math.nan if v is None else v for v in one] for one in (first, second))
    gap = b - a
    return gap, gap - math.hypot(b - lb, ua - a), gap + math.hypot(ub - b, a - la)


def common_slices(first: ComparedStudy, second: ComparedStudy) -> tuple[list[dict[str, str]], str]:
    """What each one's fits hold, by axis: the headline of the cells that both have; else its own, and a warning."""
    slices: list[dict[str, str]] = [{}, {}]
    warnings = []
    finals = first.finals, second.finals
    cells = [pd.MultiIndex.from_frame(rows[["model", "train_queries"]]) for rows in finals]
    both = finals[0][cells[0].isin(cells[1])]
    for axis, column in (("model", "train_queries"), ("data", "model")):
        common = finals[0][finals[0][column].isin(finals[1][column])]
        for one, rows in zip(slices, finals, strict=True):
            one[axis] = headline_slice(axis, rows if common.empty else common if both.empty else both)
        if common.empty:
            warnings.append(
                f"No {column} is in both: over {axis} size, {slices[0][axis]} and {slices[1][axis]} are compared."
            )
    return slices, " ".join(warnings)


def _findings(one: ComparedStudy, fixed: dict[str, str]) -> list[ScalingFinding]:
    metrics, fits, forecasts, verdicts = (one.tables[name] for name in TABLES[:4])
    return scaling_findings(metrics, fits, forecasts, verdicts, fixed)


def slopes(first: ComparedStudy, second: ComparedStudy, slices: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One row per axis and metric: both slopes with their intervals, the difference, laws, errors, verdicts."""
    rows = []
    sides = zip((first, second), slices, strict=True)
    findings = [_findings(one, fixed) for one, fixed in sides]
    for one, other in zip(*findings, strict=True):
        if one.axis not in AXES:
            continue
        gap, low, high = difference_interval(one[4:7], other[4:7])
        row: dict[str, Any] = {"axis": one.axis, "metric": one.metric}
        for side, f in (("first", one), ("second", other)):
            error = f.errors.get(f.law, (None,))[0]
            row |= {f"{side}_fixed": f.fixed, f"{side}_slope": f.slope, f"{side}_low": f.low, f"{side}_high": f.high}
            row |= {
                f"{side}_law": None if f.slope is None else f.law,
                f"{side}_r2": f.r2,
                f"{side}_error": error,
                f"{side}_verdict": f.verdict,
            }
        rows.append(row | {"difference": gap, "low": low, "high": high})
    return rows


def shared(first: ComparedStudy, second: ComparedStudy) -> tuple[list[dict[str, object]], str]:
    """One row per measure over the models and subsets that both have, means over seeds; or why there is none."""
    alike = ["collection", "split", "candidates", "n_candidates", "n_queries"]
    a, b = (one.finals.iloc[0][alike] for one in (first, second))
    mismatched = [f"{name} {a[name]} and {b[name]}" for name in alike if a[name] != b[name]]
    if mismatched:
        return [], f"Values are not set side by side, as they do not compare: {'; '.join(mismatched)}."
    keys = ["model", "train_queries"]
    means = [one.finals.groupby(keys)[list(SHOWN)].mean() for one in (first, second)]
    both = means[0].index.intersection(means[1].index)
    if not len(both):
        return [], "No model and subset is in both."
    rows = []
    for measure in SHOWN:
        x, y = (mean.loc[both, measure] for mean in means)
        if x.notna().all() and y.notna().all():
            lower = f"{(y < x).sum()} of {len(both)}"
            row = {"measure": measure, "first": x.mean(), "second": y.mean(), "difference": (y - x).mean()}
            rows.append(row | {"second is lower": lower})
    return rows, ""


def printed(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The slopes for a terminal."""
    shown = []
    for row in rows:
        fixed = dict.fromkeys((row["first_fixed"], row["second_fixed"]))
        cells = {"axis": f"{row['axis']} ({', '.join(fixed)})", "metric": name_of(row["metric"])}
        for side in ("first", "second"):
            value, low, high, r2 = (row[f"{side}_{name}"] for name in ("slope", "low", "high", "r2"))
            cells[side] = "-" if value is None else f"{value:.3f} [{_bound(low)}, {_bound(high)}]"
            error = row[f"{side}_error"]
            off = "" if error is None else f", off by {error_text(metric_named(row['metric']).signed, error)}"
            cells[f"its law, {side}"] = f"{row[f'{side}_law']}, R² {r2:.3f}{off}" if r2 is not None else "-"
        bounds = f"[{_bound(row['low'])}, {_bound(row['high'])}]"
        cells["difference"] = "-" if math.isnan(row["difference"]) else f"{row['difference']:+.3f} {bounds}"
        shown.append(cells)
    return shown


def _bound(value: float | None) -> str:
    return "open" if value is None or math.isnan(value) else f"{value:.3f}"
