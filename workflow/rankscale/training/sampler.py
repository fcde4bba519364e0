"""What a training step sees: which queries, which positive, which negatives; a function of (seed, pass, position)."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.qrels import positives_of
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.storage import tables


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


class ExampleSampler:
    """Training examples of one run, in rows of the queries and documents tables.

    `objective` is `mined` or `mined+in_batch` (hard negatives drawn afresh from each query's mined list) or
    `random` (drawn from the whole collection, positives excepted). Raises StudyError where a query lacks what
    the objective needs.
    """

    def __init__(
        self,
        collection: Path,
        negatives: list[Path],
        split: str,
        size: int | None,
        kind: str,
        objective: str,
        per_query: int,
        seed: int,
    ) -> None:
        self.objective, self.per_query, self.seed, self.collection = objective, per_query, seed, collection
        ids = tables.read("queries", collection / "queries.parquet", ["query_id"])["query_id"].combine_chunks()
        qrels = tables.read("qrels", collection / "qrels.parquet")
        positives = positives_of(qrels.filter(pc.equal(qrels["split"], split)), ids)
        usable = np.flatnonzero([len(p) > 0 for p in positives])
        if not len(usable):
            raise StudyError(f"collection.splits.train: no query of split {split} has a positive document")
        chosen = usable[subset(len(usable), size, kind, seed)]
        self.queries = chosen
        self.n_documents = tables.count(collection / "documents.parquet")
        self._refuse_rows(collection / "qrels.parquet", qrels["row"].to_numpy())
        if objective == "random" and max(map(len, positives)) + per_query > self.n_documents:
            raise StudyError(
                f"training.negatives_per_query: {per_query} asked for, but a query's positives leave fewer of "
                f"{self.n_documents} documents"
            )
        self.positives = [positives[q] for q in chosen]
        # Judged pairs as one number each, so that a batch's false negatives are found in one look-up.
        self.judged = np.sort(np.concatenate([q * self.n_documents + positives[q] for q in chosen]))
        self.mined = None
        if objective != "random":
            if not negatives:
                raise StudyError("--mined: training.negatives takes mined negatives, and no table of them was given")
            self.mined = self._mined(negatives, ids.take(pa.array(chosen)), per_query)
            self._refuse_rows(negatives[0].parent, self.mined)

    def _refuse_rows(self, path: Path, rows: np.ndarray) -> None:
        """Raise StudyError where a row is none of the documents'."""
        if rows.size and not 0 <= rows.min() <= rows.max() < self.n_documents:
            raise StudyError(
                f"{path}: names rows {rows.min()} to {rows.max()} of {self.n_documents} documents; it belongs to "
                f"another collection, delete it and run again"
            )

    @staticmethod
    def _mined(shards: list[Path], ids: pa.Array, per_query: int) -> np.ndarray:
        """Rows int32 [queries, width] of the mined lists: the first so many of each, as all have at least those."""
        out, seen, width = np.empty((len(ids), 0), np.int32), np.zeros(len(ids), bool), None
        for part in (part for path in shards for part in tables.scan("negatives", path, ["query_id", "rows"])):
            place = pc.index_in(part["query_id"].combine_chunks(), ids)
            here = pc.is_valid(place)
            place, lists = place.filter(here).to_numpy(), part["rows"].combine_chunks().filter(here)
            if not len(lists):
                continue
            lengths = pc.list_value_length(lists).to_numpy()
            if lengths.min() < per_query:
                short = ids[int(place[lengths.argmin()])]
                raise StudyError(
                    f"training.negatives_per_query: {per_query} asked for, but query {short} has {lengths.min()} mined"
                )
            if width is None or lengths.min() < width:
                width = int(lengths.min())
                out = out[:, :width] if seen.any() else np.empty((len(ids), width), np.int32)
            starts = lists.offsets.to_numpy()[:-1]
            out[place] = lists.values.to_numpy()[starts[:, None] + np.arange(width)]
            seen[place] = True
        if not seen.all():
            raise StudyError(f"{shards[0].parent}: no mined negatives for training query {ids[int((~seen).argmax())]}")
        return out

    def __len__(self) -> int:
        return len(self.queries)

    def refuse_others(self, queries: pa.Array, documents: pa.Array) -> None:
        """Raise StudyError unless these ids are those of the collection, in its order: rows are all that follows."""
        for unit, key, given in (("queries", "query_id", queries), ("documents", "doc_id", documents)):
            path = self.collection / f"{unit}.parquet"
            if not tables.read(unit, path, [key])[key].combine_chunks().equals(given):
                raise StudyError(f"{path}: its ids are not those of the token ids; delete those and run again")

    def contents(self) -> list[object]:
        """Everything that its batches are made of beside the code, to be digested."""
        lengths = np.array([len(p) for p in self.positives])
        mined = [] if self.mined is None else [self.mined]
        kept = [self.objective, self.per_query, self.seed, self.n_documents]
        return [kept, self.queries, lengths, np.concatenate(self.positives), *mined]

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
