"""Compare two checkpoints query by query, or two studies.

Of checkpoints: differences, their intervals, and a paired randomisation test. Of studies (their folders): the slopes of
their laws, the models that both have, what the second's way to train is worth over the first's, and a figure.
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
from rankscale.laws.options import Resampling
from rankscale.laws.variants.between_studies import Way, compare_ways
from rankscale.report.best_variant import recipe_sentences
from rankscale.report.figures.two_studies import draw_two_studies
from rankscale.report.study_comparison import common_slices, printed, read_study, shared, slopes
from rankscale.report.variants import multiplier_sentences, multiplier_table
from rankscale.storage import schemas


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
        print(f"\n{multipliers_between(args.first, args.second, Resampling(seed=args.seed, ties=args.ties))}")
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
    parser.add_argument("--draws", type=int, default=10_000, help="random swaps, of checkpoints")
    parser.add_argument(
        "--seed", type=int, default=7, help="of the swaps, or of the simulated studies behind intervals"
    )
    parser.add_argument("--ties", choices=TIES, default="expected")
    return parser


def multipliers_between(first: Path, second: Path, resampling: Resampling) -> str:
    """What the second study's way to train is worth over the first's, as the summary of a study of both says it."""
    ways = []
    for label, folder in (("first", first), ("second", second)):
        finals = read_study(folder).finals
        # A partial report's observations lie in the study that it is of.
        held = folder if (folder / "observations").is_dir() else folder.parent
        ways.append(Way(f"{label} ({finals.study.iloc[0]})", finals[finals.status == "finished"], held))
    head = "What the second's way to train is worth over the first's, by the laws of both, paired by query:"
    try:
        rows = compare_ways(ways[0], ways[1], resampling)
    except StudyError as error:
        return f"{head} cannot be told: {error}"
    multipliers, exponents = (pd.DataFrame(part) for part in rows)
    columns = [*schemas.SCHEMAS["multipliers"].names]
    multipliers = multipliers.reindex(columns=columns)
    parts = [head, *recipe_sentences(multipliers, exponents), *multiplier_sentences(multipliers)]
    shown = tabulate(multiplier_table(multipliers), headers="keys", tablefmt="github", showindex=False)
    return "\n".join([*parts, "", shown])


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
