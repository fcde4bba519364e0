"""From the metrics of a study made of results from elsewhere to laws, verdicts, figures and the summary."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rankscale.core.cli import log
from rankscale.core.layout import FINAL, run_of, table_path
from rankscale.evaluation.query_subsampling import subsampled
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.laws.options import OF_VARIANTS, FitOptions
from rankscale.laws.study_fit import OUTPUTS, fit_all, write_fits
from rankscale.report.study_report import write_report, write_text
from rankscale.storage import schemas, tables


def conclude(folder: Path, options: FitOptions, subsample: SubsampleOptions, workers: int) -> None:
    """Write all that follows from `metrics.parquet` in `folder`: tables, figures, summary and pages."""
    metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas()
    study = str(metrics.study.iloc[0])
    between = OF_VARIANTS if metrics.variant.nunique() > 1 else ()
    log.info("fitting laws to %d runs", len(metrics.drop_duplicates(["variant", "model", "train_queries", "seed"])))
    results = fit_all(metrics, folder, options, workers)
    write_fits(results, {name: folder / f"{name}.parquet" for name in (*OUTPUTS, *between)}, study)
    write_subsamples(metrics, folder, subsample)
    write_report(folder, folder)


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
