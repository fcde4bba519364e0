"""Scores of a cross-encoder: of given pairs, each distinct one once; and a first-stage run in another order."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.models.encoding import tokens_a_batch
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.pairs import pack_pairs, pair_lengths
from rankscale.search.exact_search import pack, unpack
from rankscale.search.scorers.base import Scorer, Texts


class PairScorer(Scorer):
    """Of a cross-encoder: it cannot search, so the best documents are those of `first_stage`, reranked.

    All pairs that are asked for are scored together, once the first score is wanted.
    """

    searches = False

    def __init__(self, texts: Texts, rows: np.ndarray) -> None:
        super().__init__(texts, rows)
        self._waiting: list[JointPairs] = []

    def pairs(self, queries: np.ndarray, rows: np.ndarray) -> "JointPairs":
        """Scores of pairs of queries and documents."""
        pairs = JointPairs(self, queries, rows)
        self._waiting.append(pairs)
        return pairs

    def best(self, depth: int) -> "Reranked":
        """The `depth` first of each query's first-stage documents, by score."""
        assert self.first_stage is not None, "a scorer that cannot search is given what to rerank"
        lists = self.first_stage[:, :depth]
        queries, places = np.nonzero(lists >= 0)
        return Reranked(self.pairs(queries, lists[queries, places]), queries, lists.shape)

    def parts(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, None]]:
        """Nothing: documents are read together with queries."""
        return iter(())

    def flops(self, queries: np.ndarray, rows: np.ndarray) -> float:
        """FLOPs of scoring pairs, each distinct one once."""
        frame, (_, store, documents, _, _) = self._model.frame, self.texts
        distinct, _ = self._distinct(queries, rows)
        lengths = pair_lengths(frame, store, self.rows[queries[distinct]], documents, rows[distinct])
        return self._model.training_flops(lengths) / 3  # forward alone

    @property
    def _model(self) -> CrossEncoder:
        assert isinstance(self.texts.model, CrossEncoder), "it reads pairs"
        return self.texts.model

    def _distinct(self, queries: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of pairs, one per distinct pair of texts, and for each pair which of those it is."""
        _, of_query = self.texts.queries.unique(self.rows)
        needed, index = np.unique(rows, return_inverse=True)
        _, of_document = self.texts.documents.unique(needed)
        keys = of_query[queries] * len(needed) + of_document[index]
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        return first, which

    def score_waiting(self) -> None:
        """Score all pairs that wait. Raises StudyError, naming the query, for a score that is not finite."""
        waiting, self._waiting = self._waiting, []
        queries = np.concatenate([pairs.queries for pairs in waiting])
        rows = np.concatenate([pairs.rows for pairs in waiting])
        distinct, which = self._distinct(queries, rows)
        scores = self._scored(self.rows[queries[distinct]], rows[distinct])[which]
        ends = np.cumsum([len(pairs.rows) for pairs in waiting])[:-1]
        for pairs, own in zip(waiting, np.split(scores, ends), strict=True):
            pairs.known = own

    def _scored(self, rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Scores float32 [n] of pairs of rows, the longest pairs first."""
        frame, (_, queries, documents, device, precision) = self._model.frame, self.texts
        model = self._model.eval()
        lengths = pair_lengths(frame, queries, rows, documents, document_rows)
        order, budget = np.argsort(-lengths, kind="stable"), tokens_a_batch(model, device)
        edges = [0]
        while edges[-1] < len(order):
            edges.append(min(len(order), edges[-1] + max(1, budget // int(lengths[order[edges[-1]]]))))
        scores = np.empty(len(rows), np.float32)
        batches = [order[start:stop] for start, stop in pairwise(edges)]
        for batch in progress(batches, "score pairs", "batch"):
            with torch.inference_mode(), precision():
                packed = pack_pairs(frame, queries, rows[batch], documents, document_rows[batch]).to(device)
                scores[batch] = model(packed).float().cpu().numpy()[:, 0]
            wrong = np.flatnonzero(~np.isfinite(scores[batch]))
            if len(wrong):
                raise StudyError(f"the model gives {queries.ids[rows[batch[wrong[0]]]]} a score that is not finite")
        return scores


class JointPairs:
    """Scores of pairs, taken with all others that wait when they are asked for."""

    def __init__(self, scorer: PairScorer, queries: np.ndarray, rows: np.ndarray) -> None:
        self.scorer, self.queries, self.rows = scorer, queries, rows
        self.known: np.ndarray | None = None

    @property
    def scores(self) -> np.ndarray:
        """Scores float32 [pairs]."""
        if self.known is None:
            self.scorer.score_waiting()
        assert self.known is not None, "it waited"
        return self.known

    def add(self, rows: np.ndarray, part: None) -> None:
        """Documents do not come by."""


class Reranked:
    """The documents of a first-stage run, in the order of other scores, ties by row."""

    def __init__(self, pairs: JointPairs, owners: np.ndarray, shape: tuple[int, ...]) -> None:
        self.pairs, self.owners, self.shape = pairs, owners, shape

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 and rows int64 [queries, depth]; -inf and -1 where there are fewer documents."""
        packed = np.full(self.shape, np.iinfo(np.int64).max)
        first = np.searchsorted(self.owners, np.arange(self.shape[0]))
        place = np.arange(len(self.owners)) - first[self.owners]
        packed[self.owners, place] = pack(self.pairs.scores, self.pairs.rows.astype(np.int64))
        return unpack(np.sort(packed, axis=1))

    def add(self, rows: np.ndarray, part: None) -> None:
        """Documents do not come by."""
