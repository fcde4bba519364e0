"""Scores that are inner products of one vector a text."""

from collections.abc import Iterator

import numpy as np

from rankscale.models import encoding
from rankscale.search.exact_search import PairScores, TopK
from rankscale.search.scorers.base import Scorer, Texts
from rankscale.search.vector_shards import PART


class VectorScorer(Scorer):
    """Of a bi-encoder: the queries are encoded at once, documents as they are asked for."""

    def __init__(self, texts: Texts, rows: np.ndarray) -> None:
        super().__init__(texts, rows)
        self.vectors = encoding.encode(
            texts.model.query_side, texts.queries, rows, texts.device, "encode queries", texts.precision
        )

    def pairs(self, queries: np.ndarray, rows: np.ndarray) -> PairScores:
        """Scores of pairs of queries and documents."""
        return PairScores(self.vectors, queries, rows)

    def best(self, depth: int) -> TopK:
        """The best documents of each query, by exact search."""
        return TopK(self.vectors, depth, self.texts.device.type)

    def flops(self, queries: np.ndarray, rows: np.ndarray) -> float:
        """FLOPs of encoding the queries and the documents of pairs, each row once."""
        model, store, documents, _, _ = self.texts
        lengths = np.concatenate([store.lengths[self.rows], documents.lengths[np.unique(rows)]])
        return model.training_flops(lengths) / 3  # forward alone

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows, ascending, and their vectors float32 [n, d]."""
        model, _, documents, device, precision = self.texts
        passages = model.passage_side
        return encoding.encode_in_chunks(passages, documents, rows, device, "encode passages", precision, PART)
