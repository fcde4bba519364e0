"""Bring a collection into the project's tables: documents, queries and qrels in Parquet, with a manifest."""

import argparse
import hashlib
from pathlib import Path

from rankscale.collection.ingest import answered, read_judgments, read_queries, thresholds, write_documents
from rankscale.collection.sources import SOURCES
from rankscale.core import atomic_files, cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables


def main(args: argparse.Namespace) -> None:
    """Write the three tables and the manifest of one collection to a folder."""
    log.info("collecting %s into %s: every later stage reads these tables", args.source, args.output)
    source = SOURCES[args.source](args)
    # Documents get their name last: where anything is wrong, a collection that was here stays as it was.
    with atomic_files.whole(args.output / "documents.parquet") as beside:
        number, documents = write_documents(source.documents, beside, args.titles)
        texts = read_queries(source.queries)
        qrels = read_judgments(source, texts, documents, args.positive_grade)
        by_split = answered(qrels)
        useful = set().union(*by_split.values())
        kept = [text for text in texts.values() if text.id in useful]
        if not kept:
            raise StudyError("no query of the collection has a positive judgment")
        if len(kept) < len(texts):
            lost, n = next(q for q in texts if q not in useful), len(texts) - len(kept)
            log.info("%d of %d queries have no positive and are left out, e.g. %s", n, len(texts), lost)
        queries = {"query_id": [text.id for text in kept], "text": [text.text for text in kept]}
        keep = [q in by_split[s] for s, q in zip(qrels["split"], qrels["query_id"], strict=True)]
        qrels = {name: [v for v, k in zip(column, keep, strict=True) if k] for name, column in qrels.items()}
        files = {"documents.parquet": {"rows": number}}
        for name, columns in (("queries", queries), ("qrels", qrels)):
            tables.write(name, columns, args.output / f"{name}.parquet")
            files[f"{name}.parquet"] = {"rows": len(columns["query_id"])}
    for name, facts in files.items():
        with open(args.output / name, "rb") as file:
            facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    counts = {split: len(some) for split, some in sorted(by_split.items())}
    manifests.write_manifest(args, args.output / "manifest.json", files=files, queries=counts, **source.facts)
    log.info("%d documents; queries: %s", number, counts)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("collect", __doc__)
    made.add_argument("--source", choices=SOURCES, required=True)
    made.add_argument("--path", help="of beir: its folder or zip; of ir_datasets: the id of its documents")
    made.add_argument("--splits", nargs="+", default=["train", "test"], help="of ir_datasets: what follows the id")
    made.add_argument("--files", help="of tsv: JSON {corpus: .., queries: {split: ..}, qrels: {split: ..}}")
    made.add_argument("--titles", choices=["join", "drop"], default="join", help="put a title before its text, or not")
    made.add_argument(
        "--positive-grade", type=thresholds, default="1", help="least of a relevant document; or by split"
    )
    made.add_argument("--seed", type=int, default=1, help="of docstrings' split into train, dev and test queries")
    made.add_argument("--test-queries", type=int, default=1500, help="of docstrings")
    made.add_argument("--dev-queries", type=int, default=500, help="of docstrings, kept apart for tuning")
    made.add_argument("--sample", type=int, help="of docstrings: keep a seeded sample of so many pairs")
    manifests.add_manifest(made)
    made.add_argument("--output", type=Path, required=True, help="folder of the three tables")
    return made
