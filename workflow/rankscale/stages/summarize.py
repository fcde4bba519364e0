"""Say what a study shows, in words and tables, and record what it was made with."""

import argparse
import json
from pathlib import Path

from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.laws.options import OF_TEST_SETS, OF_VARIANTS
from rankscale.report.html import report_pages, without_tags
from rankscale.report.options import SummarizeOptions
from rankscale.report.summary import summary
from rankscale.storage import tables
from rankscale.study.provenance import provenance

OPTIONAL = ("plan", "references", "slices", *OF_VARIANTS, *OF_TEST_SETS)
TABLES = ("metrics", "fits", "forecasts", "ranking", "verdicts", "contrasts", *OPTIONAL)


def main(args: argparse.Namespace) -> None:
    """Write summary.md, the report's tables, and provenance.json."""
    log.info("saying what the study shows")
    options = parsed(SummarizeOptions, args)
    present = [name for name in TABLES if getattr(args, name)]
    whole = tables.read_study({name: getattr(args, name) for name in (*present, "left_out")}, options.config["study"])
    missing = whole.pop("left_out").to_pylist()
    read = {name: table.to_pandas() for name, table in whole.items()}
    # Names come from the config; none of them is HTML, in whatever shows the page.
    text = without_tags(summary(**{**dict.fromkeys(OPTIONAL), **read}, missing=missing))
    texts = {args.tables / f"{name}.html": html for name, html in report_pages(read, text).items()}
    texts[args.summary] = text
    record = provenance(options.config, args.manifest, missing)
    texts[args.provenance] = json.dumps(record, indent=2, sort_keys=True) + "\n"
    for path, content in texts.items():
        with atomic_files.whole(path) as beside:
            beside.write_text(content, encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("summarize", __doc__)
    for name in TABLES:
        parser.add_argument(f"--{name}", type=Path, required=name not in OPTIONAL)
    parser.add_argument("--left-out", type=Path, required=True, help="table of the runs that are in no other")
    parser.add_argument("--manifest", type=Path, required=True, help="of the collection")
    parser.add_argument("--tables", type=Path, required=True, help="output: folder of the report's tables")
    parser.add_argument("--summary", type=Path, required=True, help="output")
    parser.add_argument("--provenance", type=Path, required=True, help="output")
    add_options(parser, SummarizeOptions)
    return parser
