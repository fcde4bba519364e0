"""Write the report of a finished study again, from its tables alone: the page, figures, summary, tables as pages."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.errors import StudyError


def main(args: argparse.Namespace) -> None:
    """Write the report, and say where it is."""
    from rankscale.report.study_report import write_report

    if args.output.resolve() == args.study.resolve():
        raise StudyError(f"--output: {args.output} is the study's own folder, which its workflow writes; name another")
    print(write_report(args.study, args.output)[0])


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("report", __doc__)
    parser.add_argument("study", type=Path, nargs="?", default="results/demo", help="folder of a finished study")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for page.html, summary.md, figures and tables/*.html"
    )
    return parser
