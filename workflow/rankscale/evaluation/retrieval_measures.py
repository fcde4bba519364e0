"""Full retrieval measured by pytrec_eval, query by query, in memory that does not grow with the run.

The measures depend on a run only by where its judged documents stand. So the run is read part by part, those ranks
are kept, and pytrec_eval is given each document under its rank as a name.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.metric import TrecMeasure
from rankscale.core.metrics import metrics_of

COLUMNS = ["split", "query_id", "doc_id", "rank"]

Query = tuple[str, str]  # split and query id


class JudgedRanks:
    """Where a run has the judged documents of each query, and how many results it has for each."""

    def __init__(self, parts: Iterable[pa.Table], qrels: pa.Table) -> None:
        self.ranks: dict[Query, dict[str, int]] = {}
        self.depth: dict[Query, int] = {}
        deepest: dict[Query, int] = {}
        known = pc.unique(qrels["doc_id"])
        for part in parts:
            judged = part.filter(pc.is_valid(pc.index_in(part["doc_id"], known)))
            for split, query, document, rank in zip(*(judged[c].to_pylist() for c in COLUMNS), strict=True):
                ranks = self.ranks.setdefault((split, query), {})
                if ranks.setdefault(document, rank) != rank:
                    raise StudyError(f"the run has document {document} twice for query {query}")
            for split, query, count, last in _extents(part):
                self.depth[split, query] = self.depth.get((split, query), 0) + count
                deepest[split, query] = max(deepest.get((split, query), 0), last)
        for key, last in deepest.items():
            if last != self.depth[key]:
                raise StudyError(f"the run has {self.depth[key]} results for query {key[1]}, ranked up to {last}")


def _extents(part: pa.Table) -> Iterable[tuple[str, str, int, int]]:
    counted = part.group_by(["split", "query_id"]).aggregate([([], "count_all"), ("rank", "max")])
    return zip(*(counted[c].to_pylist() for c in ("split", "query_id", "count_all", "rank_max")), strict=True)


def full_retrieval(parts: Iterable[pa.Table], qrels: pa.Table) -> dict[str, dict[str, dict[str, float | None]]]:
    """By split and judged query: mrr_10, ndcg_10, recall_100, recall_1000 (None if the run is shorter) and map.

    `parts` are pieces of a runs table, `qrels` the judgments. Splits without results are left out. nDCG takes the
    grades, the others whether a document is positive. A judged query that the run lacks counts 0. Raises StudyError
    for empty judgments, a query nobody judged, a document twice in one list, or ranks that are not 1 to n.
    """
    run = JudgedRanks(parts, qrels)
    splits = list(dict.fromkeys(split for split, _ in run.depth))
    judged: dict[Query, list[tuple[str, int, bool]]] = {}
    for split, query, document, grade, positive in zip(
        *(qrels[c].to_pylist() for c in ("split", "query_id", "doc_id", "grade", "positive")), strict=True
    ):
        if split in splits:
            judged.setdefault((split, query), []).append((document, grade, positive))
    judged = {key: judgments for key, judgments in judged.items() if any(positive for *_, positive in judgments)}
    for split in splits:
        if not any(of == split for of, _ in judged):
            raise StudyError(f"{split}: no query has a positive judgment; full retrieval cannot be measured")
    unknown = sorted(set(run.depth) - set(judged))
    if unknown:
        raise StudyError(f"the run has query {unknown[0][1]}, which nobody judged")
    if len(run.depth) < len(judged):
        log.info("%d judged queries have no results and count 0", len(judged) - len(run.depth))
    out: dict[str, dict[str, dict[str, float | None]]] = {split: {} for split in splits}
    for key, values in _measured(run, judged).items():
        out[key[0]][key[1]] = values
    return out


def _measured(run: JudgedRanks, judged: dict[Query, list]) -> dict[Query, dict[str, float | None]]:
    import pytrec_eval

    numbers = {str(number): key for number, key in enumerate(judged)}
    grades: dict[str, dict[str, int]] = {}
    positives: dict[str, dict[str, int]] = {}
    reach: dict[str, int] = {}
    for number, key in numbers.items():
        ranks = run.ranks.get(key, {})
        named = [(str(ranks.get(document, f"-{i}")), *rest) for i, (document, *rest) in enumerate(judged[key])]
        grades[number] = {name: max(grade, 0) for name, grade, _ in named}
        positives[number] = {name: int(positive) for name, _, positive in named}
        if key in run.depth:
            # What lies below the last judged document changes nothing.
            reach[number] = max([1, *(ranks[document] for document, *_ in judged[key] if document in ranks)])
    # trec_eval orders by score and breaks ties by name; the run's own order is kept by scoring it by rank.
    lists: dict[int, dict[str, float]] = {}

    def results(depth: int) -> dict[str, float]:
        if depth not in lists:
            lists[depth] = {str(rank): -float(rank) for rank in range(1, depth + 1)}
        return lists[depth]

    deepest = max(run.depth.values(), default=0)
    out: dict[Query, dict[str, float | None]] = {key: {} for key in numbers.values()}
    alike: dict[tuple[bool, int | None], list[tuple[str, TrecMeasure]]] = {}
    for metric in metrics_of("retrieval"):
        assert metric.trec is not None, f"{metric.name}: a metric of retrieval says how it is measured"
        alike.setdefault((metric.trec.graded, metric.trec.cut), []).append((metric.name, metric.trec))
    for (graded, cut), metrics in alike.items():
        measures = {trec.measure for _, trec in metrics}
        cut_runs = {number: results(depth if cut is None else min(depth, cut)) for number, depth in reach.items()}
        values = pytrec_eval.RelevanceEvaluator(grades if graded else positives, measures).evaluate(cut_runs)
        for number, key in numbers.items():
            for name, trec in metrics:
                value = values.get(number, {}).get(trec.measure, 0.0)
                out[key][name] = value if deepest >= trec.depth else None
    return out


def means(values: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each measure over the queries; None where it is."""
    columns: dict[str, list[Any]] = {
        metric.name: [each[metric.name] for each in values.values()] for metric in metrics_of("retrieval")
    }
    return {name: None if None in column else float(np.mean(column)) for name, column in columns.items()}
