"""Figures to files, in three formats each."""

from pathlib import Path

import matplotlib.pyplot as plt

from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.progress import progress
from rankscale.report.figures.registry import FIGURES
from rankscale.report.figures.style import StudyTables
from rankscale.report.missing_runs import describe_missing_runs, progress_phrase
from rankscale.storage.schemas import UNFINISHED


def draw_figures(names: list[str], study: StudyTables, missing: list[dict], folder: Path) -> None:
    """Draw the figures `names` of a study into `folder`; `missing` are the rows of its table of runs left out."""
    # What is still to come is counted, what is lost is named.
    lost = describe_missing_runs([run for run in missing if run["status"] != UNFINISHED])
    note = ". ".join(filter(None, (progress_phrase(study.metrics, missing).capitalize(), lost)))
    log.info("drawing %d figures", len(names))
    for name in progress(names, "plot", "figure"):
        figure = FIGURES[name].load()(study)
        if note:
            figure.suptitle(f"{figure.get_suptitle()}\n{note}", fontsize=9, color="#a00", wrap=True)
        figure.draw_without_rendering()
        # The layout is found once, not once per format; nor does matplotlib, without an engine, draw each format twice.
        with plt.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            for suffix, dated in (("svg", "Date"), ("pdf", "CreationDate"), ("png", None)):
                # Without the date, equal results give equal files.
                with atomic_files.whole(folder / f"{name}.{suffix}") as beside:
                    figure.savefig(beside, format=suffix, metadata={dated: None} if dated else None)
        plt.close(figure)
