"""Runs to TREC's format and back: query, Q0, document, rank, score, tag."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.evaluation.trec_format import read_trec, write_trec
from rankscale.storage import tables


def main(args: argparse.Namespace) -> None:
    """Write the other format."""
    if args.run:
        run = tables.read("runs", args.run)
        write_trec(run, args.split, args.output)
        log.info("%s: TREC's format", args.output)
        return
    keys = {"collection": "imported", "variant": "imported", "model": args.model}
    keys |= {"train_queries": 0, "seed": 0, "step": 0, "split": args.split or "test"}
    columns = read_trec(args.read, keys)
    tables.write("runs", columns, args.output)
    log.info("%s: %d results as a table of runs", args.output, len(columns["rank"]))


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("trec", __doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="a runs table, to be written in TREC's format")
    source.add_argument("--read", type=Path, help="a file in TREC's format, to be parser a runs table")
    parser.add_argument("--split", help="the test set")
    parser.add_argument("--model", default="imported", help="with --read: whose run it is")
    parser.add_argument("--output", type=Path, required=True)
    return parser
