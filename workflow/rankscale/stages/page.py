"""Write the report as one page: the summary, its figures, and one to explore."""

import argparse
from pathlib import Path

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.report.page.document import page
from rankscale.report.page.figure_data import figure_data
from rankscale.storage import tables
from rankscale.storage.identity import add_study_name

TABLES = ("metrics", "fits", "curves", "verdicts")


def main(args: argparse.Namespace) -> None:
    """Write the page."""
    log.info("writing the page of the report")
    read = tables.read_study({name: getattr(args, name) for name in TABLES}, args.study_name)
    data = figure_data(**{name: table.to_pandas() for name, table in read.items()})
    figures = {path.stem: path.read_text(encoding="utf-8") for path in args.figures}
    written = page(args.summary.read_text(encoding="utf-8"), data, figures)
    with atomic_files.whole(args.output) as beside:
        beside.write_text(written, encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("page", __doc__)
    parser.add_argument("--summary", type=Path, required=True, help="summary.md of the study")
    for name in TABLES:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--figures", type=Path, nargs="*", default=[], help="drawn figures, as SVG, in their order")
    parser.add_argument("--output", type=Path, required=True)
    add_study_name(parser)
    return parser
