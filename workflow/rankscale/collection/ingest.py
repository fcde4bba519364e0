"""Documents, queries and judgments of any source, checked and brought into tables."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from rankscale.collection import readers
from rankscale.collection.base import LeftOut, Source
from rankscale.collection.copies import copy_columns, drop_repeats, normalised, own_columns
from rankscale.collection.qrels import answered, read_judgments
from rankscale.core import atomic_files
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.storage import schemas, tables
from rankscale.storage.digests import file_hash

BATCH = 100_000


class Collected(NamedTuple):
    """What was written: rows and checksum of each file by its name, how many queries each split has, what was left out.

    The last counts by reasons. `repeated`: texts that are queries of different splits under different ids.
    """

    files: dict[str, dict[str, object]]
    queries: dict[str, int]
    repeated: int
    left_out: dict[str, int]


def write_collection(
    source: Source, folder: Path, titles: str, thresholds: dict[str, int], max_missing: float = 0.05
) -> Collected:
    """Write the tables of documents, queries, qrels, copies and own documents to `folder`.

    `titles` is `join` or `drop`; `thresholds` has the least grade of a relevant document by split, under "" that of all
    others. Queries without a positive judgment are left out, as are empty documents; of a split's judgments at most
    the share `max_missing` may name what is not there. Raises StudyError if the source is not sound.
    """
    # Documents get their name last: where anything is wrong, a collection that was here stays as it was.
    left_out = LeftOut()
    with atomic_files.whole(folder / "documents.parquet") as beside:
        number, documents, copies = write_documents(source.documents, beside, titles, left_out)
        texts = read_queries(source.queries, left_out)
        qrels = read_judgments(source, texts, documents.row, thresholds, max_missing, left_out)
        by_split = answered(qrels)
        kept = _with_a_positive(texts, set().union(*by_split.values()), left_out)
        rows_of = {row: text for text in kept if (row := documents.row(text.id)) is not None}
        own = own_columns(rows_of, beside)
        positive = set(zip(*(compress(qrels[c], qrels["positive"]) for c in ("query_id", "row")), strict=True))
        own_pairs = [pair for pair in zip(own["query_id"], own["row"], strict=True) if pair not in positive]
        if own_pairs:
            left_out.add(
                "queries that are documents themselves, which are left out of their results",
                own_pairs[0][0],
                len(own_pairs),
            )
        keep = [query in by_split[split] for split, query in zip(qrels["split"], qrels["query_id"], strict=True)]
        written: dict[str, Mapping[str, Any]] = {
            "queries": {"query_id": [text.id for text in kept], "text": [text.text for text in kept]},
            "qrels": {name: list(compress(column, keep)) for name, column in qrels.items()},
            "copies": copies,
            "own_documents": {"query_id": [q for q, _ in own_pairs], "row": [row for _, row in own_pairs]},
        }
        rows = {"documents": number}
        for name, columns in written.items():
            tables.write(name, columns, folder / f"{name}.parquet")
            rows[name] = len(next(iter(columns.values())))
    left_out.say()
    sums = {name: file_hash(folder / f"{name}.parquet") for name in rows}
    files = {f"{name}.parquet": {"rows": rows[name], "sha256": total} for name, total in sums.items()}
    by_name = {split: len(queries) for split, queries in sorted(by_split.items())}
    return Collected(files, by_name, repeated_texts(kept, by_split), left_out.counts)


def _with_a_positive(texts: dict[str, readers.Text], useful: set[str], left_out: LeftOut) -> list[readers.Text]:
    """The queries that are `useful`. Raises StudyError if there are none, or one of them is empty."""
    kept = [text for text in texts.values() if text.id in useful]
    if not kept:
        raise StudyError("no query of the collection has a positive judgment")
    for text in kept:
        if not text.text.strip():
            raise StudyError(f"{text.where}: the text of {text.id} is empty")
    if len(kept) < len(texts):
        example = next(query for query in texts if query not in useful)
        left_out.add("queries without a positive left out", example, len(texts) - len(kept))
    return kept


def repeated_texts(kept: list[readers.Text], by_split: dict[str, set[str]]) -> int:
    """How many texts are queries of different splits under different ids: what is tested may have been trained on."""
    first: dict[str, tuple[str, set[str]]] = {}
    repeated: set[str] = set()
    for query in kept:
        splits = {split for split, queries in by_split.items() if query.id in queries}
        other, its = first.setdefault(query.text, (query.id, splits))
        if other != query.id and splits != its:
            repeated.add(query.text)
    if repeated:
        log.warning(
            "%d texts are queries of different splits under different ids: %r", len(repeated), min(repeated)[:60]
        )
    return len(repeated)


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
        hashes, counts = np.unique(np.concatenate(self.parts), return_counts=True)
        return set(hashes[counts > 1].tolist())

    def keep(self, stays: np.ndarray) -> None:
        """Leave out the names whose bool is false."""
        self.parts = [np.concatenate(self.parts)[stays]]

    def row(self, name: str) -> int | None:
        """The 0-based row of a name; None if it is not there."""
        i = np.searchsorted(self.hashes, hash(name))
        return int(self.rows[i]) if i < len(self.hashes) and self.hashes[i] == hash(name) else None


def write_documents(
    texts: Iterable[readers.Text], path: Path, titles: str, left_out: LeftOut
) -> tuple[int, Ids, dict[str, np.ndarray]]:
    """Stream documents to Parquet, without empty ones and exact repeats; their number, ids, and columns of copies.

    Raises StudyError for an id with two texts.
    """
    ids, normal, number = Ids(), Ids(), 0
    with pq.ParquetWriter(path, schemas.SCHEMAS["documents"], compression="zstd", write_page_checksum=True) as out:
        for batch in batches(_not_empty(progress(texts, "collect documents", "document"), left_out)):
            ids.add([text.id for text in batch])
            columns = {
                "doc_id": [t.id for t in batch],
                "title": [t.title for t in batch],
                "text": [body(t, titles) for t in batch],
            }
            normal.add([normalised(text) for text in columns["text"]])
            out.write_table(tables.checked("documents", columns, path, unique=False))
            number += len(batch)
    if not number:
        raise StudyError("the source has no documents: its corpus is empty")
    if suspects := ids.twice():
        stays = drop_repeats(path, suspects)
        if not stays.all():
            repeats = int((~stays).sum())
            left_out.add("exact repeats of documents merged", f"number {int((~stays).argmax()) + 1}", repeats)
        ids.keep(stays)
        normal.keep(stays)
        number = int(stays.sum())
    ids.freeze()
    copies = copy_columns(np.concatenate(normal.parts))
    if n := len(copies["row"]):
        left_out.add(
            "documents with the text of another, never a negative where that is a positive",
            f"number {copies['row'][0] + 1}",
            n,
        )
    return number, ids, copies


def _not_empty(texts: Iterable[readers.Text], left_out: LeftOut) -> Iterator[readers.Text]:
    for text in texts:
        if text.text.strip() or text.title.strip():
            yield text
        else:
            left_out.add("empty documents left out", f"{text.where} ({text.id})")


def body(document: readers.Text, titles: str) -> str:
    """The text of a document as models read it. Raises StudyError where nothing is left without the title."""
    if titles == "join" and document.title:
        return f"{document.title} {document.text}".rstrip()
    if not document.text.strip():
        raise StudyError(f"{document.where}: the text of {document.id} is empty but for its title; join titles")
    return document.text


def batches(items: Iterable, size: int = BATCH) -> Iterator[list]:
    """Lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def read_queries(texts: Iterable[readers.Text], left_out: LeftOut) -> dict[str, readers.Text]:
    """Queries by id; a title serves where there is no text. Raises StudyError for one given twice with another text."""
    by_id: dict[str, readers.Text] = {}
    for text in texts:
        if text.title.strip() and text.text.strip():
            # BEIR's own loader reads the text alone.
            left_out.add("titles of queries that have a text too left out", text.where)
        query = text._replace(title="", text=text.text if text.text.strip() else text.title)
        first = by_id.setdefault(query.id, query)
        if first.text != query.text:
            raise StudyError(f"{query.where}: query {query.id} is given twice, first at {first.where}")
        if first is not query:
            left_out.add("exact repeats of queries merged", query.where)
    return by_id
