"""Compare two checkpoints query by query, or two studies.

Of checkpoints: differences, their intervals, and a paired randomisation test. Of studies (their folders): the slopes of
their laws, the models that both have, and a figure.
"""

import argparse
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.metrics import TIES
from rankscale.evaluation.paired_tests import paired_differences
from rankscale.report.figures.two_studies import draw_two_studies
from rankscale.report.study_comparison import common_slices, printed, read_study, shared, slopes


def main(args: argparse.Namespace) -> None:
    """Print the comparison."""
    for path in (args.first, args.second):
        if not path.exists():
            raise StudyError(f"{path}: there is no such file or folder")
    if args.first.is_dir() != args.second.is_dir():
        raise StudyError(f"{args.first} and {args.second}: give two tables, or the folders of two studies")
    if args.first.is_dir():
        log.info("comparing two studies")
        print(compare_studies(args.first, args.second, args.figure, args.table))
        return
    if args.figure or args.table:
        raise StudyError("--figure and --table are for two studies: give their folders")
    rows = list(paired_differences(args.first, args.second, args.draws, args.seed, args.ties))
    print(f"second ({args.second}) less first ({args.first}), 95 % intervals, {args.draws} random swaps\n")
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".4g"))


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("compare", __doc__)
    parser.add_argument("first", type=Path, help="a table of observations or of per-query values, or a study's folder")
    parser.add_argument("second", type=Path, help="the same of another checkpoint or study")
    parser.add_argument("--figure", type=Path, help="of two studies: draw them (.svg, .pdf or .png)")
    parser.add_argument("--table", type=Path, help="of two studies: write the slopes as CSV")
    parser.add_argument("--draws", type=int, default=10_000, help="random swaps")
    parser.add_argument("--seed", type=int, default=7, help="of the swaps")
    parser.add_argument("--ties", choices=TIES, default="expected")
    return parser


def compare_studies(first: Path, second: Path, figure: Path | None, table: Path | None) -> str:
    """Both studies in words and tables; `figure` and `table` (CSV) are written where given."""
    if figure and figure.suffix.lower() not in (".svg", ".pdf", ".png"):
        raise StudyError(f"--figure: {figure} should end in .svg, .pdf or .png")
    sides = read_study(first), read_study(second)
    slices, warning = common_slices(*sides)
    rows = slopes(*sides, slices)
    values, why = shared(*sides)
    if table:
        with atomic_files.whole(table) as beside:
            pd.DataFrame(rows).to_csv(beside, index=False)
    if figure:
        draw_two_studies(*sides, slices, figure)
    for path in filter(None, (table, figure)):
        log.info("wrote %s", path)
    parts = [
        f"first:  {first}, {sides[0].name()}",
        f"second: {second}, {sides[1].name()}",
        "\nSlopes (metric ~ size^-slope; of Score-Uncertainty nats per e-fold of size), 95 % intervals. The",
        "difference is second less first; its interval takes both as independent: too wide where they share queries",
        "or runs.\n",
        *([f"{warning}\n"] if warning else []),
        tabulate(printed(rows), headers="keys", tablefmt="github", disable_numparse=True),
        f"\n{why}" if why else "\nModels and subsets that both have, means over them and over seeds:\n",
        tabulate(values, headers="keys", tablefmt="github", floatfmt=".4g") if values else "",
    ]
    return "\n".join(parts)
