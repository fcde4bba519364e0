"""Draw a study's figures as SVG, PDF and PNG."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.core.options import add_options, parsed
from rankscale.laws.options import OF_VARIANTS

# Imported by name where they are drawn; named here, so that this stage's digest sees their code.
from rankscale.report.figures import (  # noqa: F401
    curves,
    diagnostics,
    other_metrics,
    plan,
    query_count,
    scaling,
    variants,
)
from rankscale.report.figures.drawing import draw_figures
from rankscale.report.figures.registry import FIGURES, figures_of
from rankscale.report.figures.style import StudyTables
from rankscale.report.options import PlotOptions
from rankscale.storage import tables
from rankscale.storage.identity import add_study_name

TABLES = ("metrics", "fits", "forecasts", "curves", "subsamples", "influence", "verdicts")
PLAN = ("plan", "plan_grid")
OPTIONAL = (*PLAN, "references", *OF_VARIANTS)


def main(args: argparse.Namespace) -> None:
    """Draw the chosen figures in three formats each."""
    present = [name for name in (*TABLES, *OPTIONAL) if getattr(args, name)]
    figures = parsed(PlotOptions, args).figures
    figures = figures_of(set(present)) if figures is None else figures
    for name in figures:
        if not set(present).issuperset(FIGURES[name].needs):
            options = " and ".join(f"--{table.replace('_', '-')}" for table in FIGURES[name].needs)
            raise StudyError(f"the figure {name} needs {options}")
    read = tables.read_study({name: getattr(args, name) for name in (*present, "left_out")}, args.study_name)
    missing = read.pop("left_out").to_pylist()
    study = StudyTables(**{name: table.to_pandas() for name, table in read.items()})
    draw_figures(figures, study, missing, args.output)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("plot", __doc__)
    for name in TABLES:
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in OPTIONAL:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path)
    parser.add_argument("--left-out", type=Path, required=True, help="table of the runs that the figures do not show")
    parser.add_argument("--output", type=Path, required=True, help="folder of the figures")
    add_study_name(parser)
    add_options(parser, PlotOptions)
    return parser
