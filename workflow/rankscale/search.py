"""Exact inner products, and exact search over them with FAISS."""

import numpy as np

from rankscale.command import progress

BLOCK = 512
CACHED = 16  # queries whose documents are scored together: few enough to stay in a processor's cache


def scores_of(queries: np.ndarray, documents: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Inner products float32 [q, k] of `queries` [q, d] with the documents [n, d] that `rows` [q, k] name.

    Summed in double and rounded to single precision, so that equal vectors tie whatever the order in which a
    processor adds.
    """
    out = np.empty(rows.shape, np.float32)
    for start in range(0, len(queries), CACHED):
        part = slice(start, start + CACHED)
        some = documents[rows[part]].astype(np.float64)
        out[part] = (some @ queries[part].astype(np.float64)[:, :, None])[:, :, 0]
    return out


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
            exact = scores_of(some, documents, found)
            order = np.argsort(-exact, axis=1, kind="stable")
            exact = np.take_along_axis(exact, order, 1)
            # A tie that reaches past what was kept could hide an earlier document: look further.
            if margin == len(documents) or not (exact[:, -1] >= exact[:, depth - 1]).any():
                break
            margin = min(2 * margin, len(documents))
        scores[start : start + len(some)] = exact[:, :depth]
        rows[start : start + len(some)] = np.take_along_axis(found, order, 1)[:, :depth]
    return scores, rows
