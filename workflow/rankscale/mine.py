"""Find each query's hard negatives: exact inner-product search with FAISS, judged positives removed."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from rankscale import command, tables
from rankscale.command import log
from rankscale.errors import StudyError
from rankscale.judgments import positives_of
from rankscale.search import search


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
    if not ids.equals(
        tables.read("documents", args.collection / "documents.parquet", ["doc_id"])["doc_id"].combine_chunks()
    ):
        raise StudyError(
            f"{args.documents[0]}: vectors and {args.collection}/documents.parquet name different documents"
        )
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
