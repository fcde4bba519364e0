"""Decompose a result archive of the metric's published code: a NumPy file of `rank`, `loss` and `qids`."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.evaluation.result_archives import format_decomposition


def main(args: argparse.Namespace) -> None:
    """Print the parts by both rules, with their intervals."""
    print(format_decomposition(args.archive, args.n_candidates, args.json))


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("decompose", __doc__)
    parser.add_argument("archive", type=Path, help="NumPy archive with one value per query; ranks count from 0")
    parser.add_argument("--json", action="store_true", help="print one JSON object with keys expected and optimistic")
    parser.add_argument("--n-candidates", type=int, help="of each query, to compare the MRR with chance")
    return parser
