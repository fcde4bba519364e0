"""Find each query's hard negatives: exact inner-product search with FAISS, judged positives removed."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from rankscale import command, tables
from rankscale.command import log, progress
from rankscale.errors import StudyError

BLOCK = 512


def search(documents: np.ndarray, queries: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `depth` documents of each query by inner product, ties by row: scores float32 and rows int64.

    FAISS scans; what it keeps is scored anew in double precision, so that equal vectors tie exactly and the
    order does not hang on how the scan was split.
    """
    import faiss

    depth = min(depth, len(documents))
    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(documents)
    scores = np.empty((len(queries), depth), np.float32)
    rows = np.empty((len(queries), depth), np.int64)
    for start in progress(range(0, len(queries), BLOCK), "mine", "block of queries"):
        some = queries[start : start + BLOCK]
        # A few more than asked: the scan's last places may be swapped by its rounding.
        margin = min(depth + 16, len(documents))
        while True:
            found = np.sort(index.search(some, margin)[1], axis=1)
            exact = np.einsum("qd,qkd->qk", some.astype(np.float64), documents[found]).astype(np.float32)
            order = np.argsort(-exact, axis=1, kind="stable")
            exact = np.take_along_axis(exact, order, 1)
            # A tie that reaches past what was kept could hide an earlier document: look further.
            if margin == len(documents) or not (exact[:, -1] >= exact[:, depth - 1]).any():
                break
            margin = min(2 * margin, len(documents))
        scores[start : start + len(some)] = exact[:, :depth]
        rows[start : start + len(some)] = np.take_along_axis(found, order, 1)[:, :depth]
    return scores, rows


def without_positives(
    scores: np.ndarray, rows: np.ndarray, positives: list[np.ndarray], top_k: int, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The first `top_k` of each ranking that are judged positive for none of its own query.

    Raises StudyError, naming the query, where fewer are left.
    """
    kept_scores = np.empty((len(rows), top_k), np.float32)
    kept_rows = np.empty((len(rows), top_k), np.int32)
    for i, (ranked, positive) in enumerate(zip(rows, positives, strict=True)):
        keep = np.flatnonzero(~np.isin(ranked, positive))[:top_k]
        if len(keep) < top_k:
            raise StudyError(
                f"miner.top_k: {top_k} negatives asked for, but query {names[i]} has only {len(keep)} "
                f"documents that are not its positives; lower it"
            )
        kept_scores[i], kept_rows[i] = scores[i, keep], ranked[keep]
    return kept_scores, kept_rows


def positives_of(qrels: pa.Table, queries: pa.Array, documents: pa.Array) -> list[np.ndarray]:
    """Rows int64 of the positive documents of each query. Raises StudyError for an id that is not there."""
    place = dict(zip(documents.to_pylist(), range(len(documents)), strict=True))
    found: dict[str, list[int]] = {}
    for query, document, grade in zip(*(qrels[c].to_pylist() for c in ("query_id", "doc_id", "grade")), strict=True):
        if grade <= 0:
            continue
        if document not in place:
            raise StudyError(f"qrels name document {document}, which the collection lacks")
        found.setdefault(query, []).append(place[document])
    return [np.array(found.get(q, []), np.int64) for q in queries.to_pylist()]


def main(args: argparse.Namespace) -> None:
    """Write the top `k` of every query as rows into documents.parquet, with scores."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    parts = [tables.read_vectors(path) for path in args.documents]
    ids, documents = (
        pa.concat_arrays([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]).astype(np.float32),
    )
    parts = [tables.read_vectors(path) for path in args.queries]
    names, queries = (
        pa.concat_arrays([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]).astype(np.float32),
    )
    known = tables.read("queries", args.collection / "queries.parquet")
    if not (names.equals(known["query_id"].combine_chunks())):
        raise StudyError(f"{args.queries[0]}: vectors and {args.collection}/queries.parquet name different queries")
    log.info("mining %d negatives for each of %d queries among %d documents", args.top_k, len(names), len(ids))
    positives = positives_of(tables.read("qrels", args.collection / "qrels.parquet"), names, ids)
    most = max(map(len, positives), default=0)
    scores, rows = search(documents, queries, args.top_k + most)
    scores, rows = without_positives(scores, rows, positives, args.top_k, names.to_pylist())
    offsets = np.arange(0, rows.size + 1, args.top_k, dtype=np.int32)
    lists = [pa.ListArray.from_arrays(offsets, a.reshape(-1)) for a in (rows, scores)]
    table = pa.table([names, known["split"].combine_chunks(), *lists], schema=tables.SCHEMAS["negatives"])
    tables.write("negatives", table, args.output)
    command.write_manifest(args, args.output.parent)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = command.parser("mine", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of queries and qrels")
    made.add_argument("--documents", type=Path, nargs="+", required=True, help="vectors, shards in order")
    made.add_argument("--queries", type=Path, nargs="+", required=True, help="vectors, shards in order")
    made.add_argument("--top-k", type=int, required=True, help="kept per query after positives are removed")
    made.add_argument("--threads", type=int, default=1)
    command.add_manifest(made)
    made.add_argument("--output", type=Path, required=True)
    return made


if __name__ == "__main__":
    command.run(main, arguments())
