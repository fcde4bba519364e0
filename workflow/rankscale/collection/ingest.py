"""Documents, queries and judgments of any source, checked and brought into tables."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from rankscale.collection import readers
from rankscale.collection.base import Source
from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.storage import schemas, tables
from rankscale.storage.digests import file_hash

BATCH = 100_000


class Collected(NamedTuple):
    """What was written: rows and checksum of each file by its name, and how many queries each split has."""

    files: dict[str, dict[str, object]]
    queries: dict[str, int]


def write_collection(source: Source, folder: Path, titles: str, thresholds: dict[str, int]) -> Collected:
    """Write `documents.parquet`, `queries.parquet` and `qrels.parquet` to `folder`.

    `titles` is `join` or `drop`; `thresholds` has the least grade of a relevant document by split, under "" that of all
    others. Queries without a positive judgment are left out. Raises StudyError if the source is not sound.
    """
    # Documents get their name last: where anything is wrong, a collection that was here stays as it was.
    with atomic_files.whole(folder / "documents.parquet") as beside:
        number, documents = write_documents(source.documents, beside, titles)
        texts = read_queries(source.queries)
        qrels = read_judgments(source, texts, documents, thresholds)
        by_split = answered(qrels)
        kept = _with_a_positive(texts, set().union(*by_split.values()))
        queries = {"query_id": [text.id for text in kept], "text": [text.text for text in kept]}
        keep = [query in by_split[split] for split, query in zip(qrels["split"], qrels["query_id"], strict=True)]
        qrels = {name: [v for v, k in zip(column, keep, strict=True) if k] for name, column in qrels.items()}
        rows = {"documents": number}
        for name, columns in (("queries", queries), ("qrels", qrels)):
            tables.write(name, columns, folder / f"{name}.parquet")
            rows[name] = len(columns["query_id"])
    sums = {name: file_hash(folder / f"{name}.parquet") for name in rows}
    files = {f"{name}.parquet": {"rows": rows[name], "sha256": total} for name, total in sums.items()}
    return Collected(files, {split: len(queries) for split, queries in sorted(by_split.items())})


def _with_a_positive(texts: dict[str, readers.Text], useful: set[str]) -> list[readers.Text]:
    """The queries that are `useful`. Raises StudyError if there are none."""
    kept = [text for text in texts.values() if text.id in useful]
    if not kept:
        raise StudyError("no query of the collection has a positive judgment")
    if len(kept) < len(texts):
        example, n = next(query for query in texts if query not in useful), len(texts) - len(kept)
        log.info("%d of %d queries have no positive and are left out, e.g. %s", n, len(texts), example)
    return kept


class Ids:
    """Ids as 8-byte hashes: names whose hash is new are new for certain."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def add(self, names: list[str]) -> None:
        """Take in the next names."""
        self.parts.append(np.fromiter(map(hash, names), np.int64, len(names)))

    def freeze(self) -> None:
        """No more names: from now on they can be looked up."""
        hashes = np.concatenate(self.parts)
        self.rows = np.argsort(hashes, kind="stable")
        self.hashes = hashes[self.rows]

    def twice(self) -> set[int]:
        """The hashes that came more than once."""
        return set(self.hashes[:-1][self.hashes[1:] == self.hashes[:-1]].tolist())

    def row(self, name: str) -> int | None:
        """The 0-based row of a name; None if it is not there."""
        i = np.searchsorted(self.hashes, hash(name))
        return int(self.rows[i]) if i < len(self.hashes) and self.hashes[i] == hash(name) else None


def write_documents(texts: Iterable[readers.Text], path: Path, titles: str) -> tuple[int, Ids]:
    """Stream documents to Parquet; their number and their ids.

    Raises StudyError for an id given twice, or a document without text.
    """
    ids, number = Ids(), 0
    with pq.ParquetWriter(path, schemas.SCHEMAS["documents"], compression="zstd", write_page_checksum=True) as out:
        for batch in batches(progress(texts, "collect documents", "document")):
            ids.add([text.id for text in batch])
            columns = {
                "doc_id": [t.id for t in batch],
                "title": [t.title for t in batch],
                "text": [body(t, titles) for t in batch],
            }
            out.write_table(tables.checked("documents", columns, path, unique=False))
            number += len(batch)
    if not number:
        raise StudyError("the source has no documents: its corpus is empty")
    ids.freeze()
    if ids.twice():
        _refuse_twice(path, ids.twice())
    return number, ids


def body(document: readers.Text, titles: str) -> str:
    """The text of a document as models read it. Raises StudyError where nothing is left without the title."""
    if titles == "join" and document.title:
        return f"{document.title} {document.text}".rstrip()
    if not document.text.strip():
        raise StudyError(f"{document.where}: the text of {document.id} is empty but for its title; join titles")
    return document.text


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
    source: Source, texts: dict[str, readers.Text], documents: Ids, thresholds: dict[str, int]
) -> dict[str, list]:
    """The columns of the qrels table. Raises StudyError for unknown ids, or a pair judged twice in a split.

    A query may be judged in several splits, as dev and its small part; that none is both trained on and evaluated is
    for a study to check, which says which split serves as which.
    """
    columns: dict[str, list] = {name: [] for name in schemas.SCHEMAS["qrels"].names}
    for split, judgments in source.judgments.items():
        pairs = set()
        for judged in progress(judgments, f"collect judgments of {split}", "judgment"):
            if judged.query_id not in texts:
                raise StudyError(f"{judged.where}: judges query {judged.query_id}, which the queries lack")
            row = documents.row(judged.doc_id)
            if row is None:
                raise StudyError(f"{judged.where}: judges document {judged.doc_id}, which the collection lacks")
            if (judged.query_id, row) in pairs:
                raise StudyError(f"{judged.where}: judges {judged.doc_id} for {judged.query_id} a second time")
            pairs.add((judged.query_id, row))
            positive = judged.grade >= thresholds.get(split, thresholds[""])
            entry = (split, judged.query_id, judged.doc_id, row, judged.grade, positive)
            for column, value in zip(columns.values(), entry, strict=True):
                column.append(value)
    return columns


def read_queries(texts: Iterable[readers.Text]) -> dict[str, readers.Text]:
    """Queries by id. Raises StudyError for one given twice with another text."""
    by_id: dict[str, readers.Text] = {}
    for text in texts:
        first = by_id.setdefault(text.id, text)
        if first.text != text.text:
            raise StudyError(f"{text.where}: query {text.id} is given twice, first at {first.where}")
    return by_id


def answered(qrels: dict[str, list]) -> dict[str, set[str]]:
    """By split, the queries with a positive: only those can be trained on or evaluated."""
    by_split: dict[str, set[str]] = {}
    for split, query, positive in zip(qrels["split"], qrels["query_id"], qrels["positive"], strict=True):
        queries = by_split.setdefault(split, set())
        if positive:
            queries.add(query)
    return by_split
