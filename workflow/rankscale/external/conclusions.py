"""From the metrics of a study made of results from elsewhere to laws, verdicts, figures and the summary."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.layout import FINAL, run_of, table_path
from rankscale.evaluation.query_subsampling import subsampled
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.laws.options import OF_VARIANTS, FitOptions
from rankscale.laws.study_fit import OUTPUTS, fit_all, write_fits
from rankscale.report.figures.drawing import draw_figures
from rankscale.report.figures.registry import figures_of
from rankscale.report.figures.style import StudyTables
from rankscale.report.html import report_pages, without_tags
from rankscale.report.summary import summary
from rankscale.storage import schemas, tables

SUMMARISED = ("metrics", "fits", "forecasts", "ranking", "verdicts", "contrasts")
DRAWN = ("metrics", "fits", "forecasts", "curves", "subsamples", "influence", "verdicts")


def conclude(folder: Path, options: FitOptions, subsample: SubsampleOptions, workers: int) -> None:
    """Write all that follows from `metrics.parquet` in `folder`: tables, figures, summary and pages."""
    metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas()
    study = str(metrics.study.iloc[0])
    between = OF_VARIANTS if metrics.variant.nunique() > 1 else ()
    log.info("fitting laws to %d runs", len(metrics.drop_duplicates(["variant", "model", "train_queries", "seed"])))
    results = fit_all(metrics, folder, options, workers)
    write_fits(results, {name: folder / f"{name}.parquet" for name in (*OUTPUTS, *between)}, study)
    write_subsamples(metrics, folder, subsample)
    read = tables.read_study({name: folder / f"{name}.parquet" for name in {*SUMMARISED, *DRAWN, *between}}, study)
    frames = {name: table.to_pandas() for name, table in read.items()}
    drawn = StudyTables(**{name: frames[name] for name in (*DRAWN, *between)})
    # What training took is not known of every model that was trained elsewhere; nor are there snapshots of it.
    unknown = {"training"} | (set() if metrics.train_flops.notna().all() else {"compute_scale"})
    draw_figures([name for name in figures_of(set(between)) if name not in unknown], drawn, [], folder / "figures")
    parts: dict[str, Any] = {name: frames[name] for name in SUMMARISED}
    text = without_tags(summary(**parts, **{name: frames[name] for name in between}, plan=None, missing=[]))
    texts = {folder / "summary.md": text}
    pages = report_pages({name: frames[name] for name in (*SUMMARISED, *between)}, text)
    texts |= {folder / "tables" / f"{name}.html": html for name, html in pages.items()}
    for path, content in texts.items():
        write_text(path, content)


def write_subsamples(metrics: pd.DataFrame, folder: Path, options: SubsampleOptions) -> None:
    """The table of the parts on ever fewer queries, of the runs on the most data."""
    largest = metrics[metrics.train_queries == metrics.train_queries.max()]
    rows: list[dict[str, object]] = []
    for row in largest.drop_duplicates(["collection", "variant", "model", "seed"]).itertuples():
        path = table_path(folder, "observations", row.collection, run_of(row), FINAL)
        rows += subsampled(tables.read("observations", path).to_pandas(), options)
    table = pa.Table.from_pylist(rows, schema=schemas.SCHEMAS["subsamples"])
    tables.write("subsamples", table, folder / "subsamples.parquet", study=str(metrics.study.iloc[0]))


def write_record(folder: Path, source: Path, digest: str, options: dict[str, Any]) -> None:
    """`provenance.json`: what was read, with which options, by which versions."""
    packages = ("matplotlib", "numpy", "pandas", "pyarrow", "scipy")
    record = {
        "rankscale": version("rankscale"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "source": {"name": source.name, "sha256": digest},
        "options": options,
    }
    write_text(folder / "provenance.json", json.dumps(record, indent=2, sort_keys=True) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a text whole or not at all."""
    with atomic_files.whole(path) as beside:
        beside.write_text(content, encoding="utf-8")
