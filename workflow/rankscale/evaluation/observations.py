"""What a query's scores come to: the loss, and how many candidates score above and like the positive; and the run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.evaluation.calibration import calibrate
from rankscale.evaluation.rank_statistics import auc_global_values

if TYPE_CHECKING:
    from rankscale.search.scorers.base import Ranked, Scorer

CALIBRATION_COLUMNS = (
    *("calibrated_loss", "inverse_temperature", "auc_global"),
    *("best_inverse_temperature", "best_inverse_temperature_low", "best_inverse_temperature_high"),
)


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


def calibration_columns(
    scores: np.ndarray, splits: np.ndarray, query_ids: np.ndarray, kind: str
) -> dict[str, pa.Array]:
    """The columns of the observations table that queries owe to each other: calibrated losses, and global AUC's values.

    `scores` float32 [q, 1 + k] before any inverse temperature, the positive's first; `splits` and `query_ids` [q].
    Each split is calibrated on its own. Raises StudyError, naming it, for one that cannot be.
    """
    q = len(scores)
    numbers = {name: np.full(q, np.nan) for name in CALIBRATION_COLUMNS}
    at_cap = np.empty(q, bool)
    for split in np.unique(splits):
        rows = np.flatnonzero(splits == split)
        try:
            calibration = calibrate(scores[rows], query_ids[rows].tolist())
        except StudyError as error:
            raise StudyError(f"{split}, {kind} candidates: {error}") from error
        values = (
            calibration.loss,
            np.asarray(calibration.inverse_temperature)[calibration.fold],
            auc_global_values(scores[rows]),
            calibration.best_inverse_temperature,
            calibration.low,
            calibration.high,
        )
        for name, value in zip(CALIBRATION_COLUMNS, values, strict=True):
            numbers[name][rows] = np.nan if value is None else value
        at_cap[rows] = calibration.at_cap
    return {
        **{name: pa.array(column, from_pandas=True) for name, column in numbers.items()},
        "at_cap": pa.array(at_cap),
    }


class Contrast:
    """One kind of candidates: the scores of each query's positive and candidates, gathered as documents come by.

    `part`: the rows of the candidates table of one `kind`; `query_index` [n]: which of the scorer's queries each row is
    about; `documents`: how many there are. Raises StudyError for a table that cannot be.
    """

    def __init__(self, kind: str, part: pa.Table, query_index: pa.Array, scorer: "Scorer", documents: int) -> None:
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
        which = np.repeat(query_index.to_numpy(), 1 + self.width)
        self.pairs = scorer.pairs(which, self.rows.reshape(-1))

    def columns(self, inverse_temperature: float) -> dict[str, object]:
        """The columns of the observations table beside the run's keys."""
        scores = self.pairs.scores.reshape(self.rows.shape)
        loss, above, tied, margin = observe(scores, inverse_temperature)
        splits, query_ids = (self.part[name].to_numpy() for name in ("split", "query_id"))
        return {
            "split": self.part["split"],
            "query_id": self.part["query_id"],
            "candidates": pa.array([self.kind] * len(loss)),
            "n_candidates": pa.array(np.full(len(loss), self.width, np.int32)),
            "loss": pa.array(loss),
            "above": pa.array(above),
            "tied": pa.array(tied),
            "margin": pa.array(margin),
            **calibration_columns(scores, splits, query_ids, self.kind),
        }


class Evaluation:
    """What one checkpoint is evaluated on, gathered as its documents come by: all contrasts, and the run.

    `ids` string [q] are the evaluated queries, in the order of those of the `scorer`; `documents`: how many there are.
    `searched` int64, ascending: the documents that the run searches, `depth` deep; without it there is no run. `own`
    int64 [q] are the rows of the documents that queries are themselves (-1: none), which are no result of theirs.
    Raises StudyError for a table of candidates that cannot be.
    """

    def __init__(
        self,
        candidates: pa.Table,
        ids: pa.Array,
        scorer: "Scorer",
        documents: int,
        searched: np.ndarray | None = None,
        depth: int = 0,
        own: np.ndarray | None = None,
    ) -> None:
        self.candidates, self.ids, self.searched = candidates, ids, searched
        self.contrasts = []
        for kind in pc.unique(candidates["candidates"]).to_pylist():
            part = candidates.filter(pc.equal(candidates["candidates"], kind))
            query_index = pc.index_in(part["query_id"].combine_chunks(), ids)
            self.contrasts.append(Contrast(kind, part, query_index, scorer, documents))
        # Rows int64, ascending, of the documents that are needed.
        self.needed = np.unique(np.concatenate([contrast.rows.reshape(-1) for contrast in self.contrasts]))
        if searched is not None:
            self.needed = np.union1d(self.needed, searched)
            self.own, self.depth = np.full(len(ids), -1) if own is None else own, depth
            one_more = int((self.own >= 0).any())  # what a query is itself must not shorten its results
            self.best = scorer.best(min(depth + one_more, len(searched)))

    def add(self, parts: Iterable[tuple[np.ndarray, Any]]) -> None:
        """Take in all that is `needed`, in parts as the scorer makes them: rows int64 [n], ascending, and documents."""
        for rows, documents in parts:
            for contrast in self.contrasts:
                contrast.pairs.add(rows, documents)
            if self.searched is not None:
                every = len(self.searched) == len(self.needed)
                inside = slice(None) if every else np.isin(rows, self.searched)
                self.best.add(rows[inside], documents[inside])

    def observations(self, inverse_temperature: float) -> dict[str, pa.ChunkedArray]:
        """The columns of the observations table beside the run's keys, one contrast after the other."""
        parts = [pa.table(contrast.columns(inverse_temperature)) for contrast in self.contrasts]
        table = pa.concat_tables(parts)
        return dict(zip(table.column_names, table.columns, strict=True))

    def run(self, document_ids: pa.Array) -> dict[str, object]:
        """The columns of the runs table beside the run's keys."""
        return run_columns(self.best, self.candidates, self.ids, document_ids, self.own, self.depth)


def evaluated_queries(candidates: pa.Table, tokenized: pa.Array, tokens: Path) -> tuple[pa.Array, np.ndarray]:
    """The ids of the queries to evaluate, and their rows among the `tokenized`, which lie in the folder `tokens`.

    Raises StudyError, naming it, for a query that is not among them.
    """
    ids = pc.unique(candidates["query_id"])
    rows = pc.index_in(ids, tokenized)
    if rows.null_count:
        raise StudyError(f"{tokens}: no tokens for query {ids.filter(pc.is_null(rows))[0]}")
    return ids, rows.to_numpy()


def _width(rows: pa.ListArray, part: pa.Table, documents: int) -> int:
    """How many candidates each query has. Raises StudyError where they differ or name no document."""
    widths = pc.unique(pc.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or not widths[0] or rows.values.null_count:
        raise StudyError(f"the candidates table has lists of {widths} candidates; delete it and run again")
    for values in (rows.values, part["positive"]):
        bounds = pc.min_max(values).as_py()
        if bounds["min"] < 0 or bounds["max"] >= documents:
            raise StudyError(
                f"the candidates table names row {bounds} of {documents} documents; delete it and run again"
            )
    return widths[0]


def run_columns(
    best: "Ranked", candidates: pa.Table, ids: pa.Array, documents: pa.Array, own: np.ndarray, depth: int
) -> dict[str, object]:
    """The columns of the run: each split's queries and their `depth` best documents but `own`, ties by their order."""
    evaluated = candidates.group_by(["split", "query_id"], use_threads=False).aggregate([]).combine_chunks()
    scores, rows = best.result()
    query_index = pc.index_in(evaluated["query_id"].combine_chunks(), ids).to_numpy()
    scores, rows = scores[query_index], rows[query_index]  # [evaluated, at most depth + 1]
    is_result = (rows >= 0) & (rows != own[query_index, None])
    rank = np.cumsum(is_result, axis=1, dtype=np.int32)
    is_result &= rank <= depth
    repeated = pa.array(np.nonzero(is_result)[0])
    return {
        "split": evaluated["split"].combine_chunks().dictionary_encode().take(repeated).cast(pa.string()),
        "query_id": evaluated["query_id"].combine_chunks().dictionary_encode().take(repeated).cast(pa.string()),
        "doc_id": documents.take(pa.array(rows[is_result])),
        "score": scores[is_result],
        "rank": rank[is_result],
    }
