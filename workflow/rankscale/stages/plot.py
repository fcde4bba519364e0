"""Draw a study's figures as SVG, PDF and PNG."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.report.figures.registry import FIGURES
from rankscale.report.figures.style import StudyTables
from rankscale.report.narrative import describe_missing_runs, progress_phrase
from rankscale.storage import tables
from rankscale.storage.schemas import UNFINISHED

TABLES = ("metrics", "fits", "forecasts", "curves", "subsamples", "influence")
PLAN = ("plan", "plan_grid")


def main(args: argparse.Namespace) -> None:
    """Draw the chosen figures in three formats each."""
    if args.figures is None:
        args.figures = [name for name in FIGURES if name != "plan" or args.plan]
    if "plan" in args.figures and not (args.plan and args.plan_grid):
        raise StudyError("the figure plan needs --plan and --plan-grid")
    given = [name for name in (*TABLES, *PLAN) if getattr(args, name)]
    study = StudyTables(**{name: tables.read(name, getattr(args, name)).to_pandas() for name in given})
    missing = tables.read("left_out", args.left_out).to_pylist()
    # What is still to come is counted, what is lost is named.
    lost = describe_missing_runs([run for run in missing if run["status"] != UNFINISHED])
    note = ". ".join(filter(None, (progress_phrase(study.metrics, missing).capitalize(), lost)))
    log.info("drawing %d figures", len(args.figures))
    for name in progress(args.figures, "plot", "figure"):
        figure = FIGURES[name](study)
        if note:
            figure.suptitle(f"{figure.get_suptitle()}\n{note}", fontsize=9, color="#a00", wrap=True)
        figure.draw_without_rendering()
        # The layout is found once, not once per format; nor does matplotlib, without an engine, draw each format twice.
        with plt.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            for suffix, dated in (("svg", "Date"), ("pdf", "CreationDate"), ("png", None)):
                # Without the date, equal results give equal files.
                with atomic_files.whole(args.output / f"{name}.{suffix}") as beside:
                    figure.savefig(beside, format=suffix, metadata={dated: None} if dated else None)
        plt.close(figure)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("plot", __doc__)
    for name in TABLES:
        made.add_argument(f"--{name}", type=Path, required=True)
    for name in PLAN:
        made.add_argument(f"--{name.replace('_', '-')}", type=Path)
    made.add_argument("--left-out", type=Path, required=True, help="table of the runs that the figures do not show")
    made.add_argument("--figures", nargs="+", choices=FIGURES, help="all that the tables serve for")
    made.add_argument("--output", type=Path, required=True, help="folder of the figures")
    return made
