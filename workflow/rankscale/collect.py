"""Bring a collection into the project's tables: documents, queries and qrels in Parquet, with a manifest."""

import argparse
import hashlib
from pathlib import Path

import pyarrow as pa

from rankscale import command, docstrings, tables
from rankscale.command import log
from rankscale.errors import StudyError
from rankscale.seeds import generator


def collect_docstrings(seed: int, test: int, dev: int, sample: int | None) -> dict[str, pa.Table]:
    """The embedded collection as tables, its queries dealt by `seed` into test, dev and train.

    `sample` keeps a seeded sample of so many pairs. Raises StudyError if there are too few pairs.
    """
    pairs = docstrings.harvest()
    if sample and sample > len(pairs):
        raise StudyError(f"collection.sample: {sample} pairs asked for, docstrings has {len(pairs)}")
    if sample:
        kept = generator(seed, "sample").permutation(len(pairs))[:sample]
        pairs = [pairs[i] for i in sorted(kept)]
    if test + dev >= len(pairs):
        raise StudyError(
            f"collection.test_queries + collection.dev_queries: {test} + {dev} leave no training query of "
            f"{len(pairs)} pairs"
        )
    split = ["train"] * len(pairs)
    for rank, i in enumerate(generator(seed, "split").permutation(len(pairs))[: test + dev]):
        split[i] = "test" if rank < test else "dev"
    documents = [p.name for p in pairs]
    queries = [f"q:{p.name}" for p in pairs]
    return {
        "documents": {"doc_id": documents, "text": [p.passage for p in pairs]},
        "queries": {"query_id": queries, "split": split, "text": [p.query for p in pairs]},
        "qrels": {"split": split, "query_id": queries, "doc_id": documents, "grade": [1] * len(pairs)},
    }


def main(args: argparse.Namespace) -> None:
    """Write the three tables and the manifest of one collection to a folder."""
    log.info("collecting %s into %s: every later stage reads these tables", args.source, args.output)
    made = collect_docstrings(args.seed, args.test_queries, args.dev_queries, args.sample)
    files = {}
    for name, columns in made.items():
        path = args.output / f"{name}.parquet"
        tables.write(name, columns, path)
        rows = len(next(iter(columns.values())))
        files[path.name] = {"rows": rows, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    splits = made["queries"]["split"]
    queries = {s: splits.count(s) for s in sorted(set(splits))}
    command.write_manifest(args, args.output, versions=docstrings.versions(), files=files, queries=queries)
    log.info("%d documents; queries: %s", files["documents.parquet"]["rows"], queries)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("collect", __doc__)
    made.add_argument("--source", choices=["docstrings"], required=True)
    made.add_argument("--seed", type=int, default=1, help="of the split into train, dev and test queries")
    made.add_argument("--test-queries", type=int, default=1500)
    made.add_argument("--dev-queries", type=int, default=500, help="kept apart for tuning")
    made.add_argument("--sample", type=int, help="keep a seeded sample of so many pairs")
    command.add_manifest(made)
    made.add_argument("--output", type=Path, required=True, help="folder of the three tables")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
