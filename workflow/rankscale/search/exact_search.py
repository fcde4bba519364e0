"""Exact inner-product search over documents that come in parts: the best of each query, and scores of given pairs."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from rankscale.core.errors import StudyError

ScannedBlock = tuple[
    int, np.ndarray, np.ndarray
]  # where a block of queries begins, scores, indices among the documents

BLOCK = 1024  # queries scanned together
GPU_BLOCK = 256
MARGIN = 16  # kept beyond the depth, to see whether a tie reaches past it
PAIRS = 4096  # scored together: few enough to stay in a processor's cache
LOW = 0xFFFFFFFF  # where the row stands in what `pack` makes


class TopK:
    """The best `depth` documents of each query among all that were added, ties by row.

    Equal vectors tie exactly, wherever they stood: each distinct vector is scored once, however often it comes. (A
    matrix product may give equal columns different last bits.) So the outcome does not hang on the number of the parts,
    but for fp32 rounding between vectors that differ; nor on their order, but where different vectors score the same.
    Memory: 8 bytes per query and place, and 16 per document.
    """

    def __init__(self, queries: np.ndarray, depth: int, device: str = "cpu") -> None:
        self.queries, self.depth = np.ascontiguousarray(queries, np.float32), depth
        self.scan = _scan_faiss if device == "cpu" else partial(_scan_gpu, device=device)
        # Score and row in one integer that sorts as they should: one fast sort does the merging.
        self.packed = np.full((len(queries), depth), np.iinfo(np.int64).max)
        self.keys, self.heads = np.empty(0, np.uint64), np.empty(0, np.int64)
        self.repeats: list[np.ndarray] = []
        self.groups: tuple | None = None

    def add(self, rows: np.ndarray, documents: np.ndarray) -> None:
        """Take in documents [n, d] float16 or float32 with their rows [n]. Raises StudyError on overflow."""
        if len(rows):
            rows, documents = self._without_repeats(rows.astype(np.int64), documents)
        if not len(rows):
            return
        for start, scores, indices in self.scan(documents, self.queries, self.depth):
            if not np.isfinite(scores).all() or indices.min() < 0:  # FAISS gives no index to minus infinity
                raise StudyError("a score is not finite: the vectors are too large for an inner product")
            best = self.packed[start : start + len(scores)]
            both = np.concatenate([best, pack(scores, rows[indices])], axis=1)
            both.sort(axis=1)
            best[:] = both[:, : self.depth]

    def _without_repeats(self, rows: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The vectors that are new; the rest is remembered as repetitions of the first."""
        keys, first, which = np.unique(hashes(documents), return_index=True, return_inverse=True)
        heads = rows[first]
        index = np.searchsorted(self.keys, keys)
        old = index < len(self.keys)
        old[old] = self.keys[index[old]] == keys[old]
        heads[old] = self.heads[index[old]]
        repeated = heads[which] != rows
        if repeated.any():
            self.groups = None
            self.repeats.append(np.column_stack([heads[which[repeated]], rows[repeated]]))
        self.keys = np.concatenate([self.keys, keys[~old]])
        order = np.argsort(self.keys, kind="stable")
        self.keys = self.keys[order]
        self.heads = np.concatenate([self.heads, heads[~old]])[order]
        if not repeated.any():
            return rows, documents
        fresh = np.sort(first[~old])
        return rows[fresh], documents[fresh]

    def result(self, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 and rows int64 [queries, depth] of a part; -inf and -1 where there are fewer documents."""
        packed = self.packed[part]
        if self.repeats:
            heads, groups = self._groups()
            repeated = np.isin(packed & LOW, heads)
            packed = packed.copy()
            for i in np.flatnonzero(repeated.any(1)):
                # Each stands where its first stands, as often as it was repeated.
                copies = [(p & ~LOW) | groups[p & LOW][: self.depth] for p in packed[i, repeated[i]].tolist()]
                packed[i] = np.sort(np.concatenate([packed[i], *copies]))[: self.depth]
        return unpack(packed)

    def first_rows(self, rows: np.ndarray) -> np.ndarray:
        """Of each of `rows` int64 the first row with the same vector; all documents have been added."""
        if not self.repeats:
            return rows
        self._groups()
        (pairs,) = self.repeats
        heads, repeated = pairs[np.argsort(pairs[:, 1])].T
        index = np.minimum(np.searchsorted(repeated, rows), len(repeated) - 1)
        return np.where(repeated[index] == rows, heads[index], rows)

    def rows_of(self, vectors: np.ndarray) -> np.ndarray:
        """The first row int64 with each of `vectors` [n, d], -1 where no document has it."""
        if not len(self.keys):
            return np.full(len(vectors), -1)
        keys = hashes(vectors.astype(np.float32))
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[index] == keys, self.heads[index], -1)

    def _groups(self) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """The rows that were repeated, and where."""
        if self.groups is None:
            pairs = np.concatenate(self.repeats)
            pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
            heads, starts = np.unique(pairs[:, 0], return_index=True)
            self.groups = heads, dict(zip(heads.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True))
            self.repeats = [pairs]
        return self.groups


class PairScores:
    """Scores of given pairs of a query and a document, as the documents come by.

    Summed in double and rounded to single precision, so that equal vectors tie whatever the order in which a processor
    adds.
    """

    def __init__(self, queries: np.ndarray, which: np.ndarray, rows: np.ndarray) -> None:
        self.queries = queries
        self.order = np.argsort(rows, kind="stable")
        self.which, self.rows = which[self.order], rows[self.order]
        self.scores = np.full(len(rows), np.nan, np.float32)

    def add(self, rows: np.ndarray, documents: np.ndarray) -> None:
        """Score what falls on `rows` int64 [n], ascending, whose vectors are `documents` [n, d]."""
        index = np.searchsorted(rows, self.rows)
        here = index < len(rows)
        here[here] = rows[index[here]] == self.rows[here]
        for chunk in np.array_split(np.flatnonzero(here), max(1, int(here.sum()) // PAIRS)):
            pair_queries, pair_documents = self.queries[self.which[chunk]], documents[index[chunk]]
            products = np.einsum("pd,pd->p", pair_queries.astype(np.float64), pair_documents.astype(np.float64))
            self.scores[self.order[chunk]] = products


def pack(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """int64 that sort by falling score (float32), then by rising row (below 2^32)."""
    bits = (scores + np.float32(0)).view(np.int32)  # + 0 makes -0 a plain 0
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (~rising).astype(np.int64) << 32 | rows


def unpack(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores float32 and rows int64 of what `pack` made; -inf and -1 of what nothing was put in."""
    rising = ~(packed >> 32).astype(np.int32)
    scores = (rising ^ ((rising >> 31) & 0x7FFFFFFF)).view(np.float32)
    empty = packed == np.iinfo(np.int64).max
    return np.where(empty, -np.inf, scores).astype(np.float32), np.where(empty, -1, packed & LOW)


def hashes(vectors: np.ndarray) -> np.ndarray:
    """A number uint64 [n] for each vector [n, d], the same for the same vector.

    Two of nine million different ones share a number in some two of a million collections.
    """
    raw = np.ascontiguousarray(vectors).view(np.uint8).reshape(len(vectors), -1)
    if raw.shape[1] % 8:
        raw = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 8)))
    words = raw.view(np.uint64)
    weights = np.random.Generator(np.random.Philox(0)).integers(1, 2**63, words.shape[1], dtype=np.uint64) * 2 + 1
    out = np.empty(len(words), np.uint64)
    for start in range(0, len(words), PAIRS):
        mixed = words[start : start + PAIRS] * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        out[start : start + PAIRS] = (mixed * weights).sum(1, dtype=np.uint64)
    return out


def _scan_faiss(documents: np.ndarray, queries: np.ndarray, depth: int) -> Iterator[ScannedBlock]:
    """By FAISS on the processor, in single precision."""
    import faiss

    documents = np.ascontiguousarray(documents, np.float32)
    most = min(depth + MARGIN, len(documents))
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        scores, indices = faiss.knn(block, documents, most, metric=faiss.METRIC_INNER_PRODUCT)
        if most > depth:
            # Where a tie reaches past what was kept, which of the tied were kept is chance: rank them all.
            for i in np.flatnonzero(scores[:, -1] == scores[:, depth - 1]):
                ranked = np.sort(pack(documents @ block[i], np.arange(len(documents))))[:most]
                scores[i], indices[i] = unpack(ranked)
        yield start, scores, indices


def _scan_gpu(documents: np.ndarray, queries: np.ndarray, depth: int, device: str) -> Iterator[ScannedBlock]:
    """By a 16-bit product on a GPU, and in single precision for what that keeps (FAISS's GPU index ends at 2,048).

    How much rounding to 16 bits can change is bounded; a query whose best documents that bound leaves in doubt is
    scored in single precision against all of them.
    """
    import torch

    full = torch.from_numpy(np.ascontiguousarray(documents)).to(device)
    n, d = full.shape
    # Powers of two scale without rounding, and unit lengths keep the product within 16 bits.
    longest = torch.linalg.vector_norm(full, dim=1, dtype=torch.float32).max().item()
    shrink = 2.0 ** -math.frexp(longest)[1]
    half = (full.float() * shrink).half()
    # Of unit vectors: three roundings to 11 bits (document, query, product), and the sum's own in 24 bits.
    doubt = 3 * 2.0**-11 + (d + 2 * math.sqrt(d)) * 2.0**-24
    most = min(depth + depth // 4 + 64, n)
    for start in range(0, len(queries), GPU_BLOCK):
        block = torch.from_numpy(queries[start : start + GPU_BLOCK]).to(device)
        lengths = torch.linalg.vector_norm(block, dim=1, keepdim=True).clamp_min(2.0**-60)
        scale = torch.exp2(-torch.ceil(torch.log2(lengths)))
        rough, nearest = torch.topk((block * scale).half() @ half.T, most, dim=1)
        exact = torch.stack([full[i].float() @ q for q, i in zip(block, nearest, strict=True)])
        worst = exact.topk(min(depth, n), dim=1).values[:, -1:] * scale * shrink
        unsure = (
            (worst <= rough[:, -1:].float() + doubt)[:, 0] if most < n else torch.zeros(len(block), dtype=torch.bool)
        )
        scores, indices = exact.cpu().numpy(), nearest.cpu().numpy()
        for i in unsure.nonzero()[:, 0].tolist():
            every = pack((full.float() @ block[i]).cpu().numpy(), np.arange(n))
            scores[i], indices[i] = unpack(np.sort(every)[:most])
        yield start, scores, indices
