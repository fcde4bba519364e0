"""Who answers what: judgments as they are read, and judged passages by their rows."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection import readers
from rankscale.collection.base import LeftOut, Source
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.storage import schemas


def positives_of(qrels: pa.Table, queries: pa.Array) -> list[np.ndarray]:
    """Rows int64 of the positive documents of each query in any split of `qrels`, ascending, each once.

    Judgments of other queries are passed over.
    """
    qrels = qrels.filter(qrels["positive"])
    rows = qrels["row"].to_numpy().astype(np.int64)
    which = pc.fill_null(pc.index_in(qrels["query_id"].combine_chunks(), queries), -1).to_numpy().astype(np.int64)
    # A query that two splits judge has its positives twice.
    pairs = np.unique(which << 32 | rows)
    edges = np.searchsorted(pairs, np.arange(len(queries) + 1) << 32)
    return [pairs[a:b] & 0xFFFFFFFF for a, b in pairwise(edges)]


def read_judgments(
    source: Source,
    texts: dict[str, readers.Text],
    row_of: Callable[[str], int | None],
    thresholds: dict[str, int],
    max_missing: float,
    left_out: LeftOut,
) -> dict[str, list]:
    """The columns of the qrels table, each pair of a split once.

    `texts` are the queries by id, `row_of` gives a document's row. Judgments of what is not there are left out; raises
    StudyError where they are more than the share `max_missing` of a split's, and for a pair that is judged twice
    differently. A query may be judged in several splits, as dev and its small part; that none is both trained on and
    evaluated is for a study to check, which says which split serves as which.
    """
    columns: dict[str, list] = {name: [] for name in schemas.SCHEMAS["qrels"].names}
    for split, judgments in source.judgments.items():
        grades: dict[tuple[str, int], int] = {}
        missing, first, total = 0, "", 0
        for judged in progress(judgments, f"collect judgments of {split}", "judgment"):
            total += 1
            row = row_of(judged.doc_id)
            if judged.query_id not in texts or row is None:
                missing += 1
                unknown = f"document {judged.doc_id}, which the collection lacks or has empty"
                if judged.query_id not in texts:
                    unknown = f"query {judged.query_id}, which the queries lack"
                first = first or f"{judged.where}: judges {unknown}"
                continue
            pair = (judged.query_id, row)
            if (grade := grades.get(pair)) is not None:
                if grade != judged.grade:
                    twice = f"judges {judged.doc_id} for {judged.query_id} a second time"
                    raise StudyError(f"{judged.where}: {twice}, as {judged.grade} after {grade}")
                left_out.add("exact repeats of judgments merged", judged.where)
                continue
            grades[pair] = judged.grade
            positive = judged.grade >= thresholds.get(split, thresholds[""])
            entry = (split, judged.query_id, judged.doc_id, row, judged.grade, positive)
            for column, value in zip(columns.values(), entry, strict=True):
                column.append(value)
        if missing > max_missing * total:
            raise StudyError(
                f"{first}; so do {missing} of {total} judgments of {split}. If they are as they should be, raise "
                f"collection.max_missing (now {max_missing:g}), and they are left out"
            )
        if missing:
            left_out.add("judgments of documents or queries that are not there (or empty) left out", first, missing)
    return columns


def answered(qrels: dict[str, list]) -> dict[str, set[str]]:
    """By split, the queries with a positive: only those can be trained on or evaluated."""
    by_split: dict[str, set[str]] = {}
    for split, query, positive in zip(qrels["split"], qrels["query_id"], qrels["positive"], strict=True):
        queries = by_split.setdefault(split, set())
        if positive:
            queries.add(query)
    return by_split
