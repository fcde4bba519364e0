"""Scores of late interaction, exact: of given pairs, and the best documents of each query by brute force."""

from collections.abc import Iterator

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.models.kinds.max_similarity import TokenVectors, all_scores
from rankscale.search.exact_search import pack, unpack
from rankscale.search.scorers.base import Scorer, Texts
from rankscale.search.scorers.token_parts import TokenPart, token_parts
from rankscale.search.vector_shards import PART

CELLS = 1 << 23  # similarities that are held at once: 32 MB
BLOCK = 32  # queries scanned together


class TokenScorer(Scorer):
    """Of late interaction: the queries are encoded at once, documents as they are asked for."""

    def __init__(self, texts: Texts, rows: np.ndarray) -> None:
        super().__init__(texts, rows)
        ascending, index = np.unique(rows, return_inverse=True)
        ((_, part),) = token_parts(texts, texts.queries, ascending, True, 0)
        self.queries = part[index]

    def pairs(self, queries: np.ndarray, rows: np.ndarray) -> "TokenPairScores":
        """Scores of pairs of queries and documents."""
        return TokenPairScores(self.queries, queries, rows)

    def best(self, depth: int) -> "TokenTopK":
        """The best documents of each query, by exact search."""
        return TokenTopK(self.queries, depth, self.texts.device)

    def flops(self, queries: np.ndarray, rows: np.ndarray) -> float:
        """FLOPs of encoding the queries and the documents of pairs, each row once, and of comparing their tokens."""
        model, store, documents, _, _ = self.texts
        lengths = np.concatenate([store.lengths[self.rows], documents.lengths[np.unique(rows)]])
        compared = store.lengths[self.rows[queries]].astype(float) * documents.lengths[rows]
        return model.training_flops(lengths) / 3 + 2.0 * self.queries.flat.shape[1] * float(compared.sum())

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, TokenPart]]:
        """Rows, ascending, and the vectors of their tokens that count."""
        return token_parts(self.texts, self.texts.documents, rows, False, PART)


def exact_scores(query: np.ndarray, documents: TokenPart) -> np.ndarray:
    """Scores float32 [n] of one query's token vectors [s, d] with n documents.

    Summed in double and rounded to single precision, so that equal texts tie whatever the order in which a processor
    adds.
    """
    similarities = documents.flat.astype(np.float64) @ query.astype(np.float64).T  # [tokens, s]
    return np.maximum.reduceat(similarities, documents.starts, axis=0).sum(1).astype(np.float32)


class TokenPairScores:
    """Scores of given pairs of a query and a document, as the documents come by."""

    def __init__(self, queries: TokenPart, which: np.ndarray, rows: np.ndarray) -> None:
        self.queries, self.which, self.rows = queries, which, rows
        self.scores = np.full(len(rows), np.nan, np.float32)

    def add(self, rows: np.ndarray, documents: TokenPart) -> None:
        """Score what falls on `rows` int64 [n], ascending, whose texts are `documents`."""
        index = np.searchsorted(rows, self.rows)
        here = index < len(rows)
        here[here] = rows[index[here]] == self.rows[here]
        pairs = np.flatnonzero(here)
        pairs = pairs[np.argsort(self.which[pairs], kind="stable")]
        for own in np.split(pairs, np.flatnonzero(np.diff(self.which[pairs])) + 1) if len(pairs) else ():
            query = self.queries.text(int(self.which[own[0]]))
            self.scores[own] = exact_scores(query, documents[index[own]])


class TokenTopK:
    """The best `depth` documents of each query among all that were added, ties by row; exact.

    All are scored in single precision, and those that rounding could bring among the best are scored anew as
    `exact_scores` does. Memory: 8 bytes per query and place, CELLS similarities, and a part of the documents.
    """

    def __init__(self, queries: TokenPart, depth: int, device: torch.device) -> None:
        self.queries, self.depth, self.device = queries, depth, device
        self.packed = np.full((len(queries), depth), np.iinfo(np.int64).max)
        d = queries.flat.shape[1]
        # Vectors have length 1: the error of a sum of d products, of two ways to take it, for each query token.
        self.doubt = (4 * (d + 4) * 2.0**-24 * queries.lengths).astype(np.float32)

    def add(self, rows: np.ndarray, documents: TokenPart) -> None:
        """Take in documents with their rows int64 [n], ascending. Raises StudyError where a score is not finite."""
        for first in range(0, len(self.queries), BLOCK) if len(rows) else ():
            block = slice(first, min(first + BLOCK, len(self.queries)))
            scores = self._approximate(self.queries[block], documents)
            if not np.isfinite(scores).all():
                raise StudyError("a score is not finite: a text's token vectors cannot be compared")
            for query in range(block.start, block.stop):
                self._merge(query, rows, scores[query - first], documents)

    def _merge(self, query: int, rows: np.ndarray, scores: np.ndarray, documents: TokenPart) -> None:
        """Put what may be among the best of a query, of approximate `scores` float32 [n], in its place."""
        best = self.packed[query]
        least = unpack(best[-1:])[0][0]  # -inf until there are as many as are kept
        if len(scores) > self.depth:
            kth = np.partition(scores, len(scores) - self.depth)[len(scores) - self.depth]
            least = max(least, kth - self.doubt[query])
        near = np.flatnonzero(scores >= least - self.doubt[query])
        if not len(near):
            return
        exact = exact_scores(self.queries.text(query), documents[near])
        best[:] = np.sort(np.concatenate([best, pack(exact, rows[near])]))[: self.depth]

    def _approximate(self, queries: TokenPart, documents: TokenPart) -> np.ndarray:
        """Scores float32 [q, n] of some queries with all documents of a part, in single precision."""
        asked = _padded(queries, self.device)
        order = np.argsort(-documents.lengths, kind="stable")  # alike in length: hardly any padding
        scores, start = np.empty((len(queries), len(documents)), np.float32), 0
        room = CELLS // max(asked.counted.numel(), 1)
        while start < len(order):
            size = max(1, room // int(documents.lengths[order[start]]))
            index = order[start : start + size]
            with torch.inference_mode():
                scores[:, index] = all_scores(asked, _padded(documents[index], self.device)).cpu().numpy()
            start += size
        return scores

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 and rows int64 [queries, depth]; -inf and -1 where there are fewer documents."""
        return unpack(self.packed)


def _padded(part: TokenPart, device: torch.device) -> TokenVectors:
    counted = np.arange(int(part.lengths.max())) < part.lengths[:, None]
    vectors = np.zeros((*counted.shape, part.flat.shape[1]), np.float32)
    vectors[counted] = part.flat
    return TokenVectors(torch.from_numpy(vectors).to(device), torch.from_numpy(counted).to(device))
