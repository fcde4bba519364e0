"""Scores of queries with documents, looked up by rows: a teacher's, the miner's, or the grades of judgments."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.storage import manifests, tables


class ScoredPairs:
    """Scores float32 of some pairs of n queries, by their positions, and documents, by their rows."""

    def __init__(self, queries: np.ndarray, rows: np.ndarray, scores: np.ndarray, n_documents: int) -> None:
        """Of pairs [m]: positions int64 of `queries`, `rows` of documents, `scores`; of equal pairs the last counts."""
        keys = queries.astype(np.int64) * n_documents + rows
        order = np.argsort(keys, kind="stable")
        last = np.append(np.diff(keys[order]) != 0, True)[: len(order)]
        self.keys, self.scores = keys[order][last], scores[order][last].astype(np.float32)
        self.n_documents = n_documents

    @classmethod
    def read(cls, paths: list[Path], ids: pa.Array, n_documents: int) -> "ScoredPairs":
        """Those of the queries `ids` in the tables of the stage teach, one a shard.

        Raises StudyError for another file than its manifest speaks of, a query that it lacks, a score that is not
        finite, and a row that is no document's.
        """
        parts, is_there = [], np.zeros(len(ids), bool)
        for path in paths:
            manifests.refuse_changed(path.with_suffix(".json"), path.name)
            for batch in tables.scan("teacher", path):
                index = pc.index_in(batch["query_id"].combine_chunks(), ids)
                wanted = pc.is_valid(index)
                queries = index.filter(wanted).to_numpy().astype(np.int64)
                rows, scores = (batch[name].combine_chunks().filter(wanted) for name in ("rows", "scores"))
                lengths = pc.list_value_length(rows).to_numpy()
                if not np.array_equal(lengths, pc.list_value_length(scores).to_numpy()):
                    raise StudyError(f"{path}: a query has not as many scores as rows; delete it and run again")
                parts.append((np.repeat(queries, lengths), rows.flatten().to_numpy(), scores.flatten().to_numpy()))
                is_there[queries[lengths > 0]] = True
        if not is_there.all():
            raise StudyError(f"{paths[0]}: no scores for training query {ids[int((~is_there).argmax())]}")
        queries, rows, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not np.isfinite(scores).all():
            query = ids[int(queries[(~np.isfinite(scores)).argmax()])]
            raise StudyError(f"{paths[0]}: a score of query {query} is not a finite number")
        if rows.size and not 0 <= rows.min() <= rows.max() < n_documents:
            raise StudyError(
                f"{paths[0]}: names rows that the {n_documents} documents do not have; delete it and run again"
            )
        return cls(queries, rows, scores, n_documents)

    def of(self, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Scores float32 [b, k] of queries [b], by their positions, with documents [b, k]; NaN where there is none."""
        pairs = queries[:, None] * self.n_documents + documents
        if not len(self.keys):
            return np.full(pairs.shape, np.nan, np.float32)
        index = np.searchsorted(self.keys, pairs).clip(max=len(self.keys) - 1)
        return np.where(self.keys[index] == pairs, self.scores[index], np.float32(np.nan))

    def contents(self) -> list[object]:
        """All that it says, to be hashed."""
        return [self.n_documents, self.keys, self.scores]
