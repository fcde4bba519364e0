"""Say what a study shows, in words and tables, and record what it was made with."""

import argparse
import json
from pathlib import Path

from markdown_it import MarkdownIt

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.report.html import PAGE, page
from rankscale.report.summary import summary
from rankscale.storage import tables
from rankscale.study.provenance import provenance

TABLES = ("metrics", "fits", "forecasts", "ranking", "plan")


def main(args: argparse.Namespace) -> None:
    """Write summary.md, the report's tables, and provenance.json."""
    log.info("saying what the study shows")
    named = [name for name in TABLES if getattr(args, name)]
    read = {name: tables.read(name, getattr(args, name)).to_pandas() for name in named}
    missing = tables.read("left_out", args.left_out).to_pylist()
    text = summary(**{"plan": None, **read}, missing=missing)
    pages = {name: page(name.capitalize(), table) for name, table in read.items()}
    pages["summary"] = PAGE.format(title="Summary", body=MarkdownIt("commonmark").enable("table").render(text))
    written = {args.tables / f"{name}.html": made for name, made in pages.items()}
    written[args.summary] = text
    made = provenance(args.config, args.manifest, missing)
    written[args.provenance] = json.dumps(made, indent=2, sort_keys=True) + "\n"
    for path, made in written.items():
        with atomic_files.whole(path) as beside:
            beside.write_text(made, encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("summarize", __doc__)
    for name in TABLES:
        made.add_argument(f"--{name}", type=Path, required=name != "plan")
    made.add_argument("--left-out", type=Path, required=True, help="table of the runs that are in no other")
    made.add_argument("--manifest", type=Path, required=True, help="of the collection")
    made.add_argument("--config", type=json.loads, required=True, help="of the study, as JSON")
    made.add_argument("--tables", type=Path, required=True, help="output: folder of the report's tables")
    made.add_argument("--summary", type=Path, required=True, help="output")
    made.add_argument("--provenance", type=Path, required=True, help="output")
    return made
