"""Print what a finished study found, and where its report lies."""

import argparse
from pathlib import Path

from rankscale.core import cli
from rankscale.core.errors import StudyError
from rankscale.report.answer import answer_sentences, confidence_sentences
from rankscale.report.best_variant import recipe_sentences
from rankscale.report.missing_runs import describe_missing_runs, progress_phrase
from rankscale.report.text_tables import headline_table
from rankscale.report.variants import multiplier_sentences
from rankscale.report.verdicts import headline_of, on_headline_test
from rankscale.storage import tables


def main(args: argparse.Namespace) -> None:
    """Print the headline table and the answer of the study."""
    folder = args.folder
    names = "metrics", "verdicts", "contrasts", "left_out"
    whole = tables.read_study({name: folder / f"{name}.parquet" for name in names})
    missing = whole.pop("left_out").to_pylist()
    read = {name: table.to_pandas() for name, table in whole.items()}
    if read["metrics"].empty:
        raise StudyError(f"{folder}/metrics.parquet: holds no finished run")
    verdicts, contrasts = (headline_of(read[name], read["metrics"]) for name in ("verdicts", "contrasts"))
    for note in filter(None, (progress_phrase(read["metrics"], missing).capitalize(), describe_missing_runs(missing))):
        print(f"{note}.")
    lines = folder / "references.parquet"
    references = tables.read("references", lines).to_pandas() if lines.exists() else None
    table = headline_table(read["metrics"], references)
    print(f"\n{table.to_markdown(index=False, disable_numparse=True, tablefmt='simple')}\n")
    for sentence in (*answer_sentences(verdicts, contrasts), *confidence_sentences(verdicts, contrasts)):
        print(f"{sentence}\n")
    if read["metrics"].variant.nunique() > 1:
        keys = {"study": read["metrics"].study.iloc[0]}
        of_variants = [
            on_headline_test(tables.read(name, folder / f"{name}.parquet", keys=keys).to_pandas(), read["metrics"])
            for name in ("multipliers", "exponents")
        ]
        for sentence in (*recipe_sentences(*of_variants), *multiplier_sentences(of_variants[0])):
            print(f"{sentence}\n")
    print(f"In words: {folder / 'summary.md'}")
    if (folder / "report.html").exists():
        print(f"Report:   {folder / 'report.html'}")


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("headline", __doc__)
    parser.add_argument("folder", type=Path, nargs="?", default="results/demo", help="of a finished study")
    return parser
