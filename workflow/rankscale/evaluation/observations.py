"""What a query's scores come to: the loss, and how many candidates score above and like the positive; and the run."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.search.exact_search import PairScores, TopK


def observe(scores: np.ndarray, inverse_temperature: float = 1.0) -> tuple[np.ndarray, ...]:
    """Loss (float64, nats), how many candidates score above and equal to the positive, and by how much it wins.

    One value per query each; the last, the margin, is float64: the positive's score less the best candidate's.

    `scores` float32 [q, 1 + k], the positive's first. Raises StudyError where one is not finite.
    """
    bad = ~np.isfinite(scores)
    if bad.any():
        raise StudyError(f"the score of evaluated query number {int(bad.any(1).argmax())} is not finite")
    above = (scores[:, 1:] > scores[:, :1]).sum(1, dtype=np.int32)
    tied = (scores[:, 1:] == scores[:, :1]).sum(1, dtype=np.int32)
    logits = scores.astype(np.float64) * inverse_temperature
    top = logits.max(1)
    loss = np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[:, 0]
    return loss, above, tied, scores[:, 0].astype(np.float64) - scores[:, 1:].max(1)


class Contrast:
    """One kind of candidates: the scores of each query's positive and candidates, gathered as documents come by."""

    def __init__(self, kind: str, part: pa.Table, place: pa.Array, queries: np.ndarray, documents: int) -> None:
        self.kind, self.part = kind, part
        rows = part["rows"].combine_chunks()
        self.width = _width(rows, part, documents)
        candidates = rows.values.to_numpy().reshape(-1, self.width)
        self.rows = np.column_stack([part["positive"].to_numpy(), candidates])
        twice = (np.diff(np.sort(self.rows, axis=1), axis=1) == 0).any(1)
        if twice.any():
            query = part["query_id"][int(twice.argmax())]
            raise StudyError(
                f"the candidates table has a document twice for query {query}, or its positive among its candidates; "
                "delete it and run again"
            )
        which = np.repeat(place.to_numpy(), 1 + self.width)
        self.pairs = PairScores(queries, which, self.rows.reshape(-1))

    def columns(self, inverse_temperature: float) -> dict[str, object]:
        """The columns of the observations table beside the run's keys."""
        loss, above, tied, margin = observe(self.pairs.scores.reshape(self.rows.shape), inverse_temperature)
        return {
            "split": self.part["split"],
            "query_id": self.part["query_id"],
            "candidates": pa.array([self.kind] * len(loss)),
            "n_candidates": pa.array(np.full(len(loss), self.width, np.int32)),
            "loss": pa.array(loss),
            "above": pa.array(above),
            "tied": pa.array(tied),
            "margin": pa.array(margin),
        }


def _width(rows: pa.ListArray, part: pa.Table, documents: int) -> int:
    """How many candidates each query has. Raises StudyError where they differ or name no document."""
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0] or rows.values.null_count:
        raise StudyError(f"the candidates table has lists of {widths} candidates; delete it and run again")
    for values in (rows.values, part["positive"]):
        ends = pc.min_max(values).as_py()
        if ends["min"] < 0 or ends["max"] >= documents:
            raise StudyError(f"the candidates table names row {ends} of {documents} documents; delete it and run again")
    return widths[0]


def run_columns(best: TopK, candidates: pa.Table, ids: pa.Array, documents: pa.Array) -> dict[str, object]:
    """The columns of the run: each split's queries and their best documents, ties by document order."""
    asked = candidates.group_by(["split", "query_id"], use_threads=False).aggregate([]).combine_chunks()
    scores, rows = best.result()
    k = int((rows[0] >= 0).sum())
    some = pc.index_in(asked["query_id"].combine_chunks(), ids).to_numpy()
    again = pa.array(np.repeat(np.arange(len(some)), k))
    return {
        "split": asked["split"].combine_chunks().dictionary_encode().take(again).cast(pa.string()),
        "query_id": asked["query_id"].combine_chunks().dictionary_encode().take(again).cast(pa.string()),
        "doc_id": documents.take(pa.array(rows[some, :k].reshape(-1))),
        "score": scores[some, :k].reshape(-1),
        "rank": np.tile(np.arange(1, k + 1, dtype=np.int32), len(some)),
    }
