"""What a training step sees: which queries, which positive, which negatives; a function of (seed, pass, position)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale import tables
from rankscale.errors import StudyError
from rankscale.judgments import positives_of
from rankscale.seeds import generator


def subset(n_queries: int, size: int | None, kind: str, seed: int) -> np.ndarray:
    """Positions of the training queries of one subset, ascending; `nested` ones contain the smaller ones.

    Raises StudyError if the subset is larger than the training queries.
    """
    size = n_queries if size is None else size
    if size > n_queries:
        raise StudyError(
            f"training.train_queries: a subset of {size} queries was asked for, but the collection has only "
            f"{n_queries} training queries with a positive"
        )
    order = np.arange(n_queries) if kind == "first" else generator(seed, "subset").permutation(n_queries)
    return np.sort(order[:size])


class Examples:
    """Training examples of one run, in rows of the queries and documents tables.

    `objective` is `mined` or `mined+in_batch` (hard negatives drawn afresh from each query's mined list) or
    `random` (drawn from the whole collection, positives excepted). Raises StudyError where a query lacks what
    the objective needs.
    """

    def __init__(
        self,
        collection: Path,
        negatives: Path | None,
        split: str,
        size: int | None,
        kind: str,
        objective: str,
        per_query: int,
        seed: int,
    ) -> None:
        self.objective, self.per_query, self.seed = objective, per_query, seed
        queries = tables.read("queries", collection / "queries.parquet", ["query_id", "split"])
        documents = tables.read("documents", collection / "documents.parquet", ["doc_id"])
        ids = queries["query_id"].combine_chunks()
        qrels = tables.read("qrels", collection / "qrels.parquet")
        positives = positives_of(qrels, ids, documents["doc_id"].combine_chunks())
        in_split = pc.equal(queries["split"], split).to_numpy()
        usable = np.flatnonzero(in_split & np.array([len(p) > 0 for p in positives]))
        if not len(usable):
            raise StudyError(f"collection.splits.train: no query of split {split} has a positive document")
        chosen = usable[subset(len(usable), size, kind, seed)]
        self.queries = chosen
        self.n_documents = len(documents)
        self.positives = [positives[q] for q in chosen]
        # Judged pairs as one number each, so that a batch's false negatives are found in one look-up.
        self.judged = np.sort(np.concatenate([q * self.n_documents + positives[q] for q in chosen]))
        self.mined = None
        if objective != "random":
            self.mined = self._mined(negatives, ids.take(pa.array(chosen)), per_query)

    @staticmethod
    def _mined(path: Path, ids: pa.Array, per_query: int) -> np.ndarray:
        table = tables.read("negatives", path, ["query_id", "rows"])
        place = pc.index_in(ids, table["query_id"].combine_chunks())
        if place.null_count:
            missing = ids.filter(pc.is_null(place))[0]
            raise StudyError(f"{path}: no mined negatives for training query {missing}")
        lists = table["rows"].combine_chunks().take(place)
        lengths = pc.list_value_length(lists).to_numpy()
        if lengths.min() < per_query:
            short = ids[int(lengths.argmin())]
            raise StudyError(
                f"training.negatives_per_query: {per_query} asked for, but query {short} has {lengths.min()} mined"
            )
        # One width for all: the first so many of each, as every list has at least those.
        width = int(lengths.min())
        starts = lists.offsets.to_numpy()[:-1]
        return lists.values.to_numpy()[starts[:, None] + np.arange(width)]

    def __len__(self) -> int:
        return len(self.queries)

    def epoch(self, number: int) -> np.ndarray:
        """The order, positions int64 [n], in which pass `number` (from 0) goes through the examples."""
        return generator(self.seed, "order", number).permutation(len(self))

    def batch(self, epoch: int, position: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Query rows [b] and document rows [b, 1 + negatives] (positive first) of one step of a pass."""
        random = generator(self.seed, "draws", epoch, position)
        positive = [self.positives[i][random.integers(len(self.positives[i]))] for i in chosen]
        if self.mined is not None:
            width = self.mined.shape[1]
            picks = np.argsort(random.random((len(chosen), width)), axis=1)[:, : self.per_query]
            drawn = self.mined[chosen[:, None], picks]
        else:
            drawn = random.integers(self.n_documents, size=(len(chosen), self.per_query))
            while (wrong := self.is_judged(self.queries[chosen], drawn)).any():
                drawn[wrong] = random.integers(self.n_documents, size=int(wrong.sum()))
        return self.queries[chosen], np.column_stack([positive, drawn])

    def is_judged(self, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Whether each of `documents` [b, k] is judged positive for its query of `queries` [b]."""
        pairs = queries[:, None] * self.n_documents + documents
        place = np.searchsorted(self.judged, pairs).clip(max=len(self.judged) - 1)
        return self.judged[place] == pairs
