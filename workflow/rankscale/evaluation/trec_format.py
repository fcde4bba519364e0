"""Runs in TREC's format: query, Q0, document, rank, score, tag."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.readers import lines
from rankscale.core import atomic_files
from rankscale.core.errors import StudyError

NAMED = ("variant", "model", "train_queries", "seed", "step")  # what a run's tag is made of


def write_trec(run: pa.Table, split: str | None, path: Path) -> None:
    """Write one test set's results in TREC's format. Raises StudyError if the run has several and none is named."""
    splits = pc.unique(run["split"]).to_pylist()
    if split is None and len(splits) > 1:
        raise StudyError(f"--split: the run has {', '.join(splits)}; name one")
    split = split or (splits[0] if splits else "")
    if split not in splits:
        raise StudyError(f"--split: the run has no results for {split}; it has {', '.join(splits) or 'none'}")
    columns = ("query_id", "doc_id", "rank", "score")
    rows = zip(*(run.filter(pc.equal(run["split"], split))[name].to_pylist() for name in columns), strict=True)
    tag = "_".join("-".join(str(run[name][0]) for name in NAMED).split()) if len(run) else "empty"
    with atomic_files.whole(path) as beside, open(beside, "w", encoding="utf-8") as out:
        for query, document, rank, score in rows:
            if len(f"{query} {document}".split()) != 2:
                raise StudyError(f"{path}: an id with a blank ({query!r}, {document!r}) has no place in this format")
            out.write(f"{query} Q0 {document} {rank} {score!r} {tag}\n")


def read_trec(path: Path, keys: dict[str, object]) -> dict[str, Any]:
    """Columns of the runs table from a file in TREC's format, each query's results ordered by score, then by rank.

    Raises StudyError, naming file and line, for what is none.
    """
    results: dict[str, list[tuple[float, int, str]]] = {}
    for line, position in lines(path):
        fields = line.split()
        try:
            query, _, document, rank, score, _ = fields
            entry = (-float(score), int(rank), document)
        except ValueError:
            raise StudyError(f"{position}: {line[:60]!r} is not query, Q0, document, rank, score, tag") from None
        if entry[0] != entry[0]:
            raise StudyError(f"{position}: the score is no number")
        results.setdefault(query, []).append(entry)
    if not results:
        raise StudyError(f"{path}: holds no results")
    columns: dict[str, list] = {name: [] for name in ("query_id", "doc_id", "score", "rank")}
    for query, entries in results.items():
        entries.sort(key=lambda e: e[:2])
        if len({e[2] for e in entries}) < len(entries):
            raise StudyError(f"{path}: query {query} has a document twice")
        columns["query_id"] += [query] * len(entries)
        columns["doc_id"] += [e[2] for e in entries]
        columns["score"] += [-e[0] for e in entries]
        columns["rank"] += range(1, len(entries) + 1)
    return {**keys, **columns}
