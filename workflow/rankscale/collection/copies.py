"""Documents that stand in a collection several times, and queries that are documents of it themselves.

MS MARCO holds passages twice under two ids, of which one is judged; a query of ArguAna or Quora is a document too. What
is a copy of a positive, or the query itself, is no negative and no candidate. Copies stay in runs; a query's own
document does not (as in BEIR, Thakur et al., arXiv 2104.08663, whose evaluation passes over a result with the query's
id).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale.collection.qrels import positives_of
from rankscale.collection.readers import Text
from rankscale.core import atomic_files
from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables

COPIES, OWN = "copies.parquet", "own_documents.parquet"


def normalised(text: str) -> str:
    """A text without what tells copies apart: case, and how blanks stand."""
    return " ".join(text.casefold().split())


def drop_repeats(path: Path, suspects: set[int]) -> np.ndarray:
    """Rewrite the documents at `path` without the exact repeats of some; a bool for each row, whether it stayed.

    `suspects` are hashes of ids that come more than once. Raises StudyError for one id with two texts.
    """
    first: dict[str, tuple[int, str, str]] = {}
    stays: list[bool] = []
    for part in _parts(path, ["doc_id", "title", "text"]):
        for name, *content in zip(*(column.to_pylist() for column in part.columns), strict=True):
            known = None
            if hash(name) in suspects:
                known = first.get(name)
                first.setdefault(name, (len(stays) + 1, *content))
                if known and known[1:] != tuple(content):
                    raise StudyError(
                        f"document {name} is given twice, as number {known[0]} and {len(stays) + 1}, with two texts"
                    )
            stays.append(known is None)
    kept, start = np.array(stays), 0
    if not kept.all():
        # As one table's file is another's beside it: what is read stays whole until the new one is.
        with atomic_files.whole(path.with_name(f"{path.name}.once")) as beside:
            with pq.ParquetWriter(beside, pq.read_schema(path), compression="zstd", write_page_checksum=True) as out:
                for part in _parts(path):
                    out.write_batch(part.filter(pa.array(kept[start : start + len(part)])))
                    start += len(part)
            beside.replace(path)
            beside.touch()
        path.with_name(f"{path.name}.once").unlink()
    return kept


def _parts(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=columns)


def copy_columns(hashes: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of the table of copies: rows whose normalised text another has, and the first row with it.

    `hashes` int64 [documents] are those of the normalised texts.
    """
    _, first, group, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[group] > 1)
    return {"row": rows.astype(np.int32), "first": first[group[rows]].astype(np.int32)}


def own_columns(candidates: dict[int, Text], path: Path) -> dict[str, list]:
    """The columns of the table of queries that are documents themselves: of one id, and of one normalised text.

    `candidates` are queries by the row of the document with their id; `path` the documents. A document's title counts
    as a part of its text or not.
    """
    columns: dict[str, list] = {"query_id": [], "row": []}
    rows, start = np.array(sorted(candidates), np.int64), 0
    for part in _parts(path, ["title", "text"]) if len(rows) else ():
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(part))]
        chosen = part.take(pa.array(inside - start)).to_pylist()
        for row, document in zip(inside.tolist(), chosen, strict=True):
            query, title, text = (normalised(v) for v in (candidates[row].text, document["title"], document["text"]))
            if query in (text, f"{title} {text}", text.removeprefix(title).strip()):
                columns["query_id"].append(candidates[row].id)
                columns["row"].append(row)
        start += len(part)
    return columns


def own_rows(path: Path, ids: pa.Array) -> np.ndarray:
    """Of each query of `ids` the row int64 of the document that it is itself, by the table at `path`; -1 if none."""
    manifests.refuse_changed(path.parent / manifests.MANIFEST, path.name)
    own = tables.read("own_documents", path)
    index = pc.index_in(ids, own["query_id"].combine_chunks())
    rows = np.append(own["row"].to_numpy().astype(np.int64), -1)
    return rows[pc.fill_null(index, -1).to_numpy().astype(np.int64)]


def read_copies(collection: Path) -> pa.Table:
    """The table of copies of a collection's folder."""
    manifests.refuse_changed(collection / manifests.MANIFEST, COPIES)
    return tables.read("copies", collection / COPIES)


def with_copies(rows: list[np.ndarray], copies: pa.Table) -> list[np.ndarray]:
    """Each array of document rows with all copies of its documents, int64 ascending, each once.

    An array without a document of the table `copies` stays as it is.
    """
    row, first = (copies[name].to_numpy().astype(np.int64) for name in ("row", "first"))
    if not len(row) or not rows:
        return rows
    flat, owner = np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    position = np.searchsorted(row, flat).clip(max=len(row) - 1)
    by_group = np.argsort(first, kind="stable")
    groups, wide = first[by_group], list(rows)
    for i in np.flatnonzero(row[position] == flat):
        start, end = np.searchsorted(groups, first[position[i]]), np.searchsorted(groups, first[position[i]], "right")
        wide[owner[i]] = np.union1d(wide[owner[i]], row[by_group[start:end]])
    return wide


def never_negative(collection: Path, qrels: pa.Table, ids: pa.Array) -> list[np.ndarray]:
    """Rows int64, ascending, of what is no negative of each query: its positives, their copies, and its own document.

    `qrels` are the judgments that count, `ids` the queries; `collection` is the folder of their tables.
    """
    positives = positives_of(qrels, ids)
    rows = own_rows(collection / OWN, ids)
    own = [np.union1d(p, [row]) if row >= 0 else p for p, row in zip(positives, rows.tolist(), strict=True)]
    return with_copies(own, read_copies(collection))
