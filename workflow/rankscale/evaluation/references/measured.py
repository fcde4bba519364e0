"""The metrics of a reference: what does not depend on the scale of its scores, and the measures of its run."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.metrics import SCALE_FREE, metric_named
from rankscale.evaluation import retrieval_measures
from rankscale.evaluation.observations import calibration_columns, observe
from rankscale.evaluation.query_values import SCALE, VALUES, CheckpointQueries
from rankscale.evaluation.references.task import ReferenceTask, Scored
from rankscale.evaluation.scoring import metric_values
from rankscale.storage.schemas import RETRIEVAL

Row = dict[str, Any]
READ = retrieval_measures.COLUMNS[1:]  # of a run: query, document, rank


def candidate_rows(task: ReferenceTask, pairs: np.ndarray, ties: str, correction: str) -> list[Row]:
    """One row a test set and kind of candidates, of the metrics over them.

    Raises StudyError for a score that is not finite.
    """
    rows, start = [], 0
    for contrast in task.contrasts:
        size = contrast.documents.size
        scores = pairs[start : start + size].reshape(contrast.documents.shape)
        start += size
        splits, ids = (contrast.part[name].to_numpy() for name in ("split", "query_id"))
        loss, above, tied, margin = observe(scores)
        columns = calibration_columns(scores, splits, ids, contrast.kind)
        own = {"loss": loss, "above": above, "tied": tied, "margin": margin}
        values = pd.DataFrame({**own, **{name: columns[name].to_pandas() for name in (*VALUES[4:], *SCALE)}})
        values["n_candidates"] = contrast.documents.shape[1] - 1
        for split in dict.fromkeys(splits):
            queries = CheckpointQueries.of_observations(values[splits == split], ties, correction=correction)
            row: Row = {"split": split, "candidates": contrast.kind, "n_candidates": queries.n_candidates}
            row["n_queries"] = len(queries.loss)
            for name in SCALE_FREE:
                row[name] = metric_values(metric_named(name), queries)[name]
            rows.append(row)
    return rows


def without_scores(task: ReferenceTask) -> list[Row]:
    """The same rows of a reference that scores no candidates."""
    rows = []
    for contrast in task.contrasts:
        for counted in pc.value_counts(contrast.part["split"]).to_pylist():
            row: Row = {"split": counted["values"], "candidates": contrast.kind, "n_queries": counted["counts"]}
            rows.append(row | {"n_candidates": contrast.documents.shape[1] - 1, **dict.fromkeys(SCALE_FREE)})
    return rows


def run_of(task: ReferenceTask, scored: Scored, documents: pa.Array) -> Iterable[pa.Table]:
    """The run in parts of one test set each: each query's best `asked_depth` documents but its own, ranked from 1."""
    assert scored.best_rows is not None, "there is a run"
    asked = pa.concat_tables([contrast.part.select(["split", "query_id"]) for contrast in task.contrasts])
    for split in pc.unique(asked["split"]).to_pylist():
        ids = pc.unique(asked["query_id"].filter(pc.equal(asked["split"], split)))
        index = pc.index_in(ids, task.ids).to_numpy()
        rows = scored.best_rows[index]
        is_result = (rows >= 0) & (rows != task.own[index, None])
        rank = np.cumsum(is_result, axis=1, dtype=np.int32)
        is_result &= rank <= task.asked_depth
        query = ids.take(pa.array(np.nonzero(is_result)[0]))
        columns = [pa.array([split] * len(query), pa.string()), query, documents.take(pa.array(rows[is_result]))]
        yield pa.table([*columns, pa.array(rank[is_result])], names=retrieval_measures.COLUMNS)


def external_run(columns: dict[str, Any], split: str, qrels: pa.Table) -> pa.Table:
    """A run that was read from a file, of the queries that are tested. Raises StudyError where it has none of them."""
    tested = pc.unique(qrels["query_id"].filter(pc.and_(pc.equal(qrels["split"], split), qrels["positive"])))
    table = pa.table({"split": [split] * len(columns["rank"]), **{name: columns[name] for name in READ}})
    kept = table.filter(pc.is_in(table["query_id"], tested))
    if not len(kept):
        raise StudyError(f"the run has results for none of the {len(tested)} queries of {split}")
    others = len(pc.unique(table["query_id"])) - len(pc.unique(kept["query_id"]))
    if others:
        log.info("%d queries of the run are not tested and left out", others)
    return kept.set_column(3, "rank", kept["rank"].cast(pa.int32()))


def with_retrieval(rows: list[Row], parts: Iterable[pa.Table] | None, qrels: pa.Table, label: str) -> list[Row]:
    """The rows with the means of the run's measures; of test sets without a run, none."""
    by_split = {} if parts is None else retrieval_measures.full_retrieval(parts, qrels)
    measured = {split: retrieval_measures.means(values) for split, values in by_split.items()}
    nothing = dict.fromkeys(RETRIEVAL)
    return [
        {**row, **measured.get(row["split"], nothing), "retrieval": label if row["split"] in measured else "none"}
        for row in rows
    ]
