"""What a reference is asked to score: the pairs of the candidates table, and what a run is to search."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Scored(NamedTuple):
    """A reference's scores float32 [p] of the pairs; and of each query its best, float32 and rows int64 [q, depth].

    The last two are None where no run is asked for; where fewer documents are searched, rows are -1.
    """

    pairs: np.ndarray
    best: np.ndarray | None = None
    best_rows: np.ndarray | None = None


class CandidateRows(NamedTuple):
    """One kind of candidates: the rows of the candidates table, and the documents of each, int64 [n, 1 + k].

    The positive's row comes first.
    """

    kind: str
    part: pa.Table
    documents: np.ndarray


class ReferenceTask:
    """The evaluated queries `ids` string [q]; `pair_query` and `pair_row` int64 [p], all kinds one after the other.

    `searched` int64, ascending: the documents that a run of `depth` searches, None where there is no run. `own` int64
    [q]: the row of the document that each query is itself (-1: none), which is no result of its.
    """

    def __init__(
        self, candidates: pa.Table, searched: np.ndarray | None = None, depth: int = 0, own: np.ndarray | None = None
    ) -> None:
        self.ids = pc.unique(candidates["query_id"])
        self.contrasts = []
        queries = []
        for kind in pc.unique(candidates["candidates"]).to_pylist():
            part = candidates.filter(pc.equal(candidates["candidates"], kind))
            lists = np.stack([np.asarray(rows, np.int64) for rows in part["rows"].to_pylist()])
            documents = np.column_stack([part["positive"].to_numpy().astype(np.int64), lists])
            self.contrasts.append(CandidateRows(kind, part, documents))
            index = pc.index_in(part["query_id"].combine_chunks(), self.ids).to_numpy()
            queries.append(np.repeat(index, documents.shape[1]))
        self.pair_query = np.concatenate(queries)
        self.pair_row = np.concatenate([contrast.documents.reshape(-1) for contrast in self.contrasts])
        self.searched = searched
        self.own = np.full(len(self.ids), -1) if own is None else own
        # What a query is itself must not shorten its results.
        self.depth = 0 if searched is None else min(depth + int((self.own >= 0).any()), len(searched))
        self.asked_depth = depth

    def pairs_of(self, query: int) -> np.ndarray:
        """The positions of a query's pairs."""
        if not hasattr(self, "_order"):
            self._order = np.argsort(self.pair_query, kind="stable")
            self._edges = np.searchsorted(self.pair_query[self._order], np.arange(len(self.ids) + 1))
        return self._order[self._edges[query] : self._edges[query + 1]]
