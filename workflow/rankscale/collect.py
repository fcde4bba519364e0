"""Bring a collection into the project's tables: documents, queries and qrels in Parquet, with a manifest."""

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from rankscale import command, docstrings, readers, tables
from rankscale.command import log, progress
from rankscale.errors import StudyError
from rankscale.seeds import generator

BATCH = 100_000


class Source(NamedTuple):
    """A collection as it is read: texts one by one, judgments by split, and facts for the manifest."""

    documents: Iterable[readers.Text]
    queries: Iterable[readers.Text]
    judgments: dict[str, Iterable[readers.Judgment]]
    facts: dict[str, object]


def from_docstrings(args: argparse.Namespace) -> Source:
    """The embedded collection, its queries dealt by `seed` into test, dev and train.

    Raises StudyError if there are too few pairs.
    """
    pairs = docstrings.harvest()
    if args.sample and args.sample > len(pairs):
        raise StudyError(f"collection.sample: {args.sample} pairs asked for, docstrings has {len(pairs)}")
    if args.sample:
        kept = generator(args.seed, "sample").permutation(len(pairs))[: args.sample]
        pairs = [pairs[i] for i in sorted(kept)]
    test, dev = args.test_queries, args.dev_queries
    if test + dev >= len(pairs):
        raise StudyError(
            f"collection.test_queries + collection.dev_queries: {test} + {dev} leave no training query of "
            f"{len(pairs)} pairs"
        )
    split = ["train"] * len(pairs)
    for rank, i in enumerate(generator(args.seed, "split").permutation(len(pairs))[: test + dev]):
        split[i] = "test" if rank < test else "dev"
    judged: dict[str, list] = {"train": [], "dev": [], "test": []}
    for pair, of in zip(pairs, split, strict=True):
        judged[of].append(readers.Judgment(f"q:{pair.name}", pair.name, 1, pair.name))
    return Source(
        (readers.Text(p.name, "", p.passage, p.name) for p in pairs),
        (readers.Text(f"q:{p.name}", "", p.query, p.name) for p in pairs),
        judged,
        {"versions": docstrings.versions()},
    )


def from_beir(args: argparse.Namespace) -> Source:
    """A BEIR folder or zip: corpus.jsonl, queries.jsonl, qrels/{split}.tsv. Raises StudyError if one is missing."""
    place = args.path[0]
    if place.suffix == ".zip":
        members = readers.members(place)
        corpus = next((m for m in members if m.endswith("corpus.jsonl")), None)
        if corpus is None:
            raise StudyError(f"{place}: has no member corpus.jsonl")
        root = f"{place}!{corpus.removesuffix('corpus.jsonl')}"
        qrels = {Path(m).stem: Path(f"{place}!{m}") for m in members if m.endswith(".tsv") and "qrels/" in m}
    else:
        root = f"{place}/"
        qrels = {p.stem: p for p in sorted((place / "qrels").glob("*.tsv"))}
    if not qrels:
        raise StudyError(f"{place}: has no judgments, qrels/*.tsv")
    return Source(
        readers.jsonl_texts(Path(f"{root}corpus.jsonl")),
        readers.jsonl_texts(Path(f"{root}queries.jsonl")),
        {split: readers.judgments(path) for split, path in sorted(qrels.items())},
        {},
    )


def from_tsv(args: argparse.Namespace) -> Source:
    """Files in the MS MARCO and TREC formats, plain or gzipped: corpus, and queries and judgments by split."""
    place = json.loads(args.files)
    missing = [key for key in ("corpus", "queries", "qrels") if key not in place]
    if missing:
        raise StudyError(f"collection.path.{missing[0]}: is missing; source tsv needs corpus, queries and qrels")
    queries = dict.fromkeys(place["queries"].values())  # a file may serve several splits
    return Source(
        readers.tsv_texts(Path(place["corpus"])),
        (text for path in queries for text in readers.tsv_texts(Path(path))),
        {split: readers.judgments(Path(path)) for split, path in sorted(place["qrels"].items())},
        {},
    )


SOURCES = {"docstrings": from_docstrings, "beir": from_beir, "tsv": from_tsv}


class Ids:
    """The ids seen so far, as 8-byte hashes: names whose hash is new are new for certain."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def add(self, names: list[str]) -> None:
        self.parts.append(np.fromiter(map(hash, names), np.int64, len(names)))

    def freeze(self) -> np.ndarray:
        """All hashes, sorted."""
        return np.sort(np.concatenate(self.parts)) if self.parts else np.empty(0, np.int64)


def write_documents(texts: Iterable[readers.Text], path: Path, titles: str) -> tuple[int, np.ndarray]:
    """Stream documents to Parquet; their number and sorted id hashes. Raises StudyError for an id given twice."""
    seen, number = Ids(), 0
    with tables.whole(path) as beside, pq.ParquetWriter(beside, tables.SCHEMAS["documents"], compression="zstd") as out:
        for batch in batches(progress(texts, "collect documents", "document")):
            seen.add([text.id for text in batch])
            columns = {
                "doc_id": [t.id for t in batch],
                "title": [t.title for t in batch],
                "text": [f"{t.title} {t.text}" if titles == "join" and t.title else t.text for t in batch],
            }
            out.write_table(tables.checked("documents", columns, path, unique=False))
            number += len(batch)
        hashes = seen.freeze()
        twice = hashes[:-1][hashes[1:] == hashes[:-1]]
        out.close()
        if len(twice):
            _refuse_twice(beside, set(twice.tolist()))
    if not number:
        raise StudyError("the source has no documents: its corpus is empty")
    return number, hashes


def _refuse_twice(path: Path, suspects: set[int]) -> None:
    """Two ids of one hash are looked at as they are: raise StudyError if they are the same."""
    first: dict[str, int] = {}
    row = 0
    for part in pq.ParquetFile(path).iter_batches(columns=["doc_id"]):
        for name in part["doc_id"].to_pylist():
            row += 1
            if hash(name) in suspects:
                if name in first:
                    raise StudyError(f"document {name} is given twice, as number {first[name]} and {row}")
                first[name] = row


def batches(items: Iterable, size: int = BATCH) -> Iterator[list]:
    """Lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def read_judgments(
    source: Source, texts: dict[str, readers.Text], documents: np.ndarray, threshold: int
) -> dict[str, list]:
    """The columns of the qrels table. Raises StudyError for unknown ids, a pair judged twice, or a query that two
    splits judge (it would be trained on and tested)."""
    columns: dict[str, list] = {name: [] for name in tables.SCHEMAS["qrels"].names}
    split_of: dict[str, str] = {}
    for split, judgments in source.judgments.items():
        pairs = set()
        for judged in progress(judgments, f"collect judgments of {split}", "judgment"):
            if judged.query_id not in texts:
                raise StudyError(f"{judged.where}: judges query {judged.query_id}, which the queries lack")
            place = np.searchsorted(documents, hash(judged.doc_id))
            if place == len(documents) or documents[place] != hash(judged.doc_id):
                raise StudyError(f"{judged.where}: judges document {judged.doc_id}, which the collection lacks")
            if (judged.query_id, judged.doc_id) in pairs:
                raise StudyError(f"{judged.where}: judges {judged.doc_id} for {judged.query_id} a second time")
            pairs.add((judged.query_id, judged.doc_id))
            other = split_of.setdefault(judged.query_id, split)
            if other != split:
                raise StudyError(f"{judged.where}: query {judged.query_id} is judged in split {other} too")
            row = (split, judged.query_id, judged.doc_id, judged.grade, judged.grade >= threshold)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return columns


def read_queries(texts: Iterable[readers.Text]) -> dict[str, readers.Text]:
    """Queries by id. Raises StudyError for one given twice with another text."""
    found: dict[str, readers.Text] = {}
    for text in texts:
        before = found.setdefault(text.id, text)
        if before.text != text.text:
            raise StudyError(f"{text.where}: query {text.id} is given twice, first at {before.where}")
    return found


def main(args: argparse.Namespace) -> None:
    """Write the three tables and the manifest of one collection to a folder."""
    log.info("collecting %s into %s: every later stage reads these tables", args.source, args.output)
    source = SOURCES[args.source](args)
    number, hashes = write_documents(source.documents, args.output / "documents.parquet", args.titles)
    texts = read_queries(source.queries)
    qrels = read_judgments(source, texts, hashes, args.positive_grade)
    # Only queries with a positive can be trained on or evaluated; the order of the source is kept.
    answered = {
        q: s for q, s, positive in zip(qrels["query_id"], qrels["split"], qrels["positive"], strict=True) if positive
    }
    kept = [text for text in texts.values() if text.id in answered]
    if not kept:
        raise StudyError("no query of the collection has a positive judgment")
    if len(kept) < len(texts):
        lost = next(q for q in texts if q not in answered)
        log.info(
            "%d of %d queries have no positive and are left out, e.g. %s", len(texts) - len(kept), len(texts), lost
        )
    queries = {
        "query_id": [text.id for text in kept],
        "split": [answered[text.id] for text in kept],
        "text": [text.text for text in kept],
    }
    keep = [q in answered for q in qrels["query_id"]]
    qrels = {name: [v for v, k in zip(column, keep, strict=True) if k] for name, column in qrels.items()}
    files = {"documents.parquet": {"rows": number}}
    for name, columns in (("queries", queries), ("qrels", qrels)):
        tables.write(name, columns, args.output / f"{name}.parquet")
        files[f"{name}.parquet"] = {"rows": len(columns["split"])}
    for name, facts in files.items():
        with open(args.output / name, "rb") as file:
            facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    counts = {s: queries["split"].count(s) for s in sorted(set(queries["split"]))}
    command.write_manifest(args, args.output, files=files, queries=counts, **source.facts)
    log.info("%d documents; queries: %s", number, counts)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("collect", __doc__)
    made.add_argument("--source", choices=SOURCES, required=True)
    made.add_argument("--path", type=Path, nargs=1, help="of beir: its folder or zip")
    made.add_argument("--files", help="of tsv: JSON {corpus: .., queries: {split: ..}, qrels: {split: ..}}")
    made.add_argument("--titles", choices=["join", "drop"], default="join", help="put a title before its text, or not")
    made.add_argument("--positive-grade", type=int, default=1, help="least grade of a relevant document")
    made.add_argument("--seed", type=int, default=1, help="of docstrings' split into train, dev and test queries")
    made.add_argument("--test-queries", type=int, default=1500, help="of docstrings")
    made.add_argument("--dev-queries", type=int, default=500, help="of docstrings, kept apart for tuning")
    made.add_argument("--sample", type=int, help="of docstrings: keep a seeded sample of so many pairs")
    command.add_manifest(made)
    made.add_argument("--output", type=Path, required=True, help="folder of the three tables")
    return made


if __name__ == "__main__":
    command.run(main, arguments())
