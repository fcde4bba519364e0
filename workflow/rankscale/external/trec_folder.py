"""Runs in TREC's format with judgments, as the table that a study is made of.

The folder has `runs.csv` (a row per run: its file, model, size, data, seed), `qrels.txt`, and the runs. All of them
score the same documents of a query, as rerankings of one list do: one that is judged relevant, and the candidates.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.evaluation.trec_format import read_trec
from rankscale.laws.external_table import read

RUNS, QRELS = "runs.csv", "qrels.txt"
Documents = dict[str, tuple[str, list[str]]]  # by query: the positive, and the candidates


def trec_table(folder: Path, positive_grade: int = 1) -> pd.DataFrame:
    """The columns of `runs.csv` but for `run`, with query, positive and scores: one row per run and query.

    A query's positive is the first, by id, of its documents of `positive_grade` or more that the runs score; the others
    of these are left out, all else are its candidates. Every query gets as many of them as the one with the fewest,
    chosen by their ids alone. Raises StudyError where runs score different documents.
    """
    runs = read(folder / RUNS)
    if "run" not in runs:
        raise StudyError(f"{folder / RUNS}: has no column run, which names each run's file")
    relevant = read_qrels(folder / QRELS, positive_grade)
    scores: list[dict[str, dict[str, float]]] = []
    for name in runs["run"].astype(str):
        columns = read_trec(folder / name, {})
        of_run: dict[str, dict[str, float]] = {}
        for query, document, score in zip(columns["query_id"], columns["doc_id"], columns["score"], strict=True):
            of_run.setdefault(query, {})[document] = score
        scores.append(of_run)
    _refuse_others(folder, runs["run"].astype(str).tolist(), scores)
    documents = _contrasts(scores[0], relevant)
    if not documents:
        raise StudyError(f"{folder}: no query has both a relevant document and another among those that the runs score")
    left_out = len(scores[0]) - len(documents)
    width = len(next(iter(documents.values()))[1])
    log.info("%d queries, each against %d candidates; %d without a positive left out", len(documents), width, left_out)
    rows = []
    for facts, of_run in zip(runs.drop(columns="run").to_dict("records"), scores, strict=True):
        for query, (positive, candidates) in documents.items():
            values = np.array([of_run[query][document] for document in candidates])
            rows.append({**facts, "query": query, "positive": of_run[query][positive], "scores": values})
    return pd.DataFrame(rows)


def read_qrels(path: Path, positive_grade: int) -> dict[str, set[str]]:
    """By query the documents that are judged relevant, from TREC's four columns. Raises StudyError for other lines."""
    relevant: dict[str, set[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, document, grade = fields
            positive = int(grade) >= positive_grade
        except ValueError:
            raise StudyError(f"{path}:{number}: {line[:60]!r} is not query, 0, document, grade") from None
        if positive:
            relevant.setdefault(query, set()).add(document)
    if not relevant:
        raise StudyError(f"{path}: judges no document relevant (grade {positive_grade} or more)")
    return relevant


def _refuse_others(folder: Path, names: list[str], scores: list[dict[str, dict[str, float]]]) -> None:
    """Raise StudyError unless all runs score the same documents of the same queries."""
    for name, of_run in zip(names[1:], scores[1:], strict=True):
        for query in sorted(scores[0].keys() | of_run.keys()):
            first, other = (set(run.get(query, ())) for run in (scores[0], of_run))
            if first != other:
                document = sorted(first ^ other)[0]
                has, lacks = (names[0], name) if document in first else (name, names[0])
                raise StudyError(
                    f"{folder / lacks}: query {query} lacks {document}, which {has} scores; runs can be contrasted "
                    "where they score the same documents, as rerankings of one list do: rerank one list by every model"
                )


def _contrasts(scored: dict[str, dict[str, float]], relevant: dict[str, set[str]]) -> Documents:
    """Each query's positive and candidates, equally many for all; queries without either are left out."""
    documents: Documents = {}
    for query, of_query in scored.items():
        positives = relevant.get(query, set())
        known, others = sorted(positives & of_query.keys()), sorted(of_query.keys() - positives)
        if known and others:
            documents[query] = known[0], sorted(others, key=lambda doc: hashlib.sha256(doc.encode()).digest())
    width = min((len(candidates) for _, candidates in documents.values()), default=0)
    return {query: (positive, candidates[:width]) for query, (positive, candidates) in documents.items()}
