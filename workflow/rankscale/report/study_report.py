"""All that people read of a study, from its tables alone: the page, figures, summary, tables as pages."""

from pathlib import Path
from typing import Any

from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.laws.options import OF_TEST_SETS, OF_VARIANTS
from rankscale.report.figures.drawing import draw_figures
from rankscale.report.figures.registry import figures_of
from rankscale.report.figures.style import StudyTables
from rankscale.report.html import report_pages, without_tags
from rankscale.report.page.document import page
from rankscale.report.page.figure_data import figure_data
from rankscale.report.summary import summary
from rankscale.storage import tables

SUMMARISED = ("metrics", "fits", "forecasts", "ranking", "verdicts", "contrasts")
DRAWN = ("metrics", "fits", "forecasts", "curves", "subsamples", "influence", "verdicts")
OPTIONAL = ("plan", "plan_grid", "references", "slices", *OF_VARIANTS, *OF_TEST_SETS)


def write_report(folder: Path, output: Path) -> list[Path]:
    """Write page.html, figures/, summary.md and tables/*.html of the study in `folder` to `output`.

    Returns the files, the page first. Raises StudyError where a table is missing or another study's.
    """
    if not (folder / "metrics.parquet").exists():
        raise StudyError(f"{folder}: holds no metrics.parquet; name the folder of a finished study")
    optional = [name for name in OPTIONAL if (folder / f"{name}.parquet").exists()]
    names = dict.fromkeys((*SUMMARISED, *DRAWN, *optional, "left_out"))
    read = tables.read_study({name: folder / f"{name}.parquet" for name in names})
    missing = read.pop("left_out").to_pylist()
    frames = {name: table.to_pandas() for name, table in read.items()}
    metrics = frames["metrics"]
    if metrics.empty:
        raise StudyError(f"{folder}/metrics.parquet: holds no finished run")
    # What training took is not known of every model that was trained elsewhere; nor are there snapshots of it.
    unknown = set() if metrics.train_flops.notna().all() else {"compute_scale", "training"}
    unknown |= set() if metrics.inference_flops.notna().all() else {"variants_inference"}
    drawn = StudyTables(**{name: frames[name] for name in (*DRAWN, *optional) if name in StudyTables._fields})
    figures = [name for name in figures_of(set(optional)) if name not in unknown]
    draw_figures(figures, drawn, missing, output / "figures")
    shown = [name for name in optional if name != "plan_grid"]
    parts: dict[str, Any] = dict.fromkeys(("plan", *OF_VARIANTS)) | {
        name: frames[name] for name in (*SUMMARISED, *shown)
    }
    text = without_tags(summary(**parts, missing=missing))
    pages = report_pages({name: frames[name] for name in (*SUMMARISED, *shown)}, text)
    pictures = {name: output / f"figures/{name}.svg" for name in figures}
    data = figure_data(metrics, frames["fits"], frames["curves"], frames["verdicts"])
    whole = page(text, data, {name: path.read_text(encoding="utf-8") for name, path in pictures.items()})
    texts = {output / "page.html": whole, output / "summary.md": text}
    texts |= {output / f"tables/{name}.html": content for name, content in pages.items()}
    for path, content in texts.items():
        write_text(path, content)
    return [*texts, *pictures.values()]


def write_text(path: Path, content: str) -> None:
    """Write a text whole or not at all."""
    with atomic_files.whole(path) as beside:
        beside.write_text(content, encoding="utf-8")
