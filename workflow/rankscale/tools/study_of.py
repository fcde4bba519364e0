"""Make a study of results from elsewhere: models that others trained, query by query; nothing is trained.

FILE is a table (CSV or Parquet), one row per model and query: model, size (parameters), data (training queries), query,
and either positive and scores (the positive's score, the candidates' as a list) or loss, above, tied and n_candidates.
Optional: seed, variant, collection, split, kind (of candidates), inverse_temperature, flops, teacher_flops, tokens,
layers, hidden, head_parameters. Or it is a folder of runs in TREC's format with runs.csv and qrels.txt
(docs/taking-along.md).
"""

import argparse
import dataclasses
from pathlib import Path

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.metrics import CORRECTIONS
from rankscale.core.options import add_options, parsed
from rankscale.evaluation.score_options import SubsampleOptions
from rankscale.external.query_table import checked_table, read_table
from rankscale.external.trec_folder import QRELS, RUNS, trec_table
from rankscale.laws.options import FitOptions
from rankscale.storage.digests import file_hash


def main(args: argparse.Namespace) -> None:
    """Write the study's tables, figures and summary, and print the answer."""
    from rankscale.external.conclusions import conclude, write_record
    from rankscale.external.observed import write_study
    from rankscale.report.answer import answer_sentences
    from rankscale.report.verdicts import headline_of
    from rankscale.storage import tables

    fit = parsed(FitOptions, args)
    output, source = args.output, args.file
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise StudyError(f"{output}: is there already; name a new folder, or delete it first")
    study = output.resolve().name
    if source.is_dir():
        table = checked_table(trec_table(source, args.positive_grade), source / RUNS, study)
        source = source / QRELS
    else:
        table = read_table(source, study)
    metrics = write_study(table, study, output, fit.ties, args.correction)
    log.info("%d rows of metrics; a study of %d queries", len(metrics), table["query"].nunique())
    conclude(output, fit, SubsampleOptions(seed=fit.seed, ties=fit.ties), args.workers)
    options = {**dataclasses.asdict(fit), "correction": args.correction, "positive_grade": args.positive_grade}
    write_record(output, args.file, file_hash(source), options)
    frame = metrics.to_pandas()
    verdicts, contrasts = (
        headline_of(tables.read(name, output / f"{name}.parquet").to_pandas(), frame)
        for name in ("verdicts", "contrasts")
    )
    for sentence in answer_sentences(verdicts, contrasts):
        print(f"{sentence}\n")
    print(f"In words: {output / 'summary.md'}; figures: {output / 'figures'}")


def arguments() -> argparse.ArgumentParser:
    """The tool's command line."""
    parser = cli.command_parser("study-of", __doc__)
    parser.add_argument("file", type=Path, help="the table, or the folder of runs")
    parser.add_argument("--output", type=Path, required=True, help="the new folder, whose name the study gets")
    parser.add_argument("--correction", choices=CORRECTIONS, default="jackknife", help="of the parts' sampling bias")
    parser.add_argument(
        "--positive-grade", type=cli.count, default=1, help="of runs: least grade of a relevant document"
    )
    parser.add_argument("--workers", type=cli.at_least(1), default=1, help="processes; the tables are the same")
    add_options(parser, FitOptions)
    return parser
