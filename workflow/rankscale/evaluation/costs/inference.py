"""What an answer to an evaluated query costs each ranker, by the tokens of its query and candidates."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.core.errors import StudyError
from rankscale.core.ranker_flops import Load, Size, answer_flops
from rankscale.storage import tables


class Reading(NamedTuple):
    """How a variant's rankers read: their kind, the numbers of a vector, the cuts, whether queries are filled."""

    kind: str
    dimension: int
    query_length: int
    passage_length: int
    fills: bool


class Candidates(NamedTuple):
    """The candidates of one test set and kind: query ids [q], and rows int64 [q, 1 + k], the positive first."""

    split: str
    kind: str
    ids: pa.Array
    rows: np.ndarray


def read_candidates(path: Path) -> list[Candidates]:
    """All test sets and kinds of a table of candidates."""
    table, groups = tables.read("candidates", path), []
    for key in table.group_by(["split", "candidates"], use_threads=False).aggregate([]).to_pylist():
        chosen = pc.and_(pc.equal(table["split"], key["split"]), pc.equal(table["candidates"], key["candidates"]))
        part = table.filter(chosen)
        flat = part["rows"].combine_chunks().flatten().to_numpy().reshape(len(part), -1)
        ids = part["query_id"].combine_chunks()
        groups.append(
            Candidates(key["split"], key["candidates"], ids, np.column_stack([part["positive"].to_numpy(), flat]))
        )
    return groups


class TokenCounts:
    """Tokens of the texts in one folder of token ids, without special ones, and how many of those a text has."""

    def __init__(self, folder: Path) -> None:
        self.queries, self.query_ids = _lengths(folder / "queries.parquet")
        self.documents, _ = _lengths(folder / "documents.parquet")
        special = json.loads((folder / "special.json").read_text(encoding="utf-8"))
        self.before, self.after = len(special["before"]), len(special["after"])

    def load(self, reading: Reading, candidates: Candidates) -> Load:
        """What the queries ask of a ranker, on average. Raises StudyError for a query without tokens.

        A pair has the special tokens of its two texts but for those that begin the second: what BERT's has.
        """
        index = pc.index_in(candidates.ids, self.query_ids)
        if index.null_count:
            missing = candidates.ids.filter(pc.is_null(index))[0]
            raise StudyError(f"no tokens for query {missing}; remake the token ids with tokenize")
        special = self.before + self.after
        query = np.minimum(self.queries[index.to_numpy()], reading.query_length - special).astype(float)
        passage = np.minimum(self.documents[candidates.rows], reading.passage_length - special).astype(float)
        pairs = query[:, None] + passage + special + self.after
        query = np.full_like(query, reading.query_length) if reading.fills else query + special
        sums = (query[:, None] * (passage + special)).sum(1)
        means = (query, query**2, pairs.sum(1), (pairs**2).sum(1), sums)
        whole, squared, together, together_squared, compared = (float(values.mean()) for values in means)
        return Load(whole, squared, passage.shape[1], together, together_squared, compared)


def _lengths(path: Path) -> tuple[np.ndarray, pa.Array]:
    lengths, ids = [], []
    for batch in tables.scan("tokens", path):
        lengths.append(pc.list_value_length(batch["ids"].combine_chunks()).to_numpy())
        ids.append(batch["id"].combine_chunks())
    return np.concatenate(lengths), pa.concat_arrays(ids)


class InferenceCosts:
    """FLOPs a query of each checkpoint of a study, `readings` by variant, folders of `tokens` by model."""

    def __init__(self, readings: dict[str, Reading], tokens: dict[str, Path], candidates: list[Candidates]) -> None:
        self.readings, self.tokens, self.candidates = readings, tokens, candidates
        self.counts: dict[Path, TokenCounts] = {}
        self.loads: dict[tuple, Load] = {}

    def of(self, row: dict) -> float:
        """Of a row of the checkpoints table with its `split` and `candidates`."""
        reading, folder = self.readings[row["variant"]], self.tokens[row["model"]]
        key = (reading, folder, row["split"], row["candidates"])
        if key not in self.loads:
            if folder not in self.counts:
                self.counts[folder] = TokenCounts(folder)
            own = next(one for one in self.candidates if (one.split, one.kind) == key[2:])
            self.loads[key] = self.counts[folder].load(reading, own)
        shape = (row["layers"] or 0, row["hidden"] or 0)
        size = Size(row["encoder_parameters"], row["head_parameters"], *shape, reading.dimension)
        return answer_flops(reading.kind, self.loads[key], size)
