"""What a run is trained on, read from the collection and checked: its queries, their positives and mined negatives."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.qrels import positives_of
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.storage import manifests, tables


class TrainingData(NamedTuple):
    """The n queries of one subset, in rows of the queries and documents tables.

    `queries` int64 [n]; `positives` holds each query's rows, int64; `mined` int32 [n, width] the first so many mined
    rows of each, as all have at least those (None: negatives are drawn from the whole collection).
    """

    queries: np.ndarray
    positives: list[np.ndarray]
    mined: np.ndarray | None
    n_documents: int


def load_training_data(
    collection: Path,
    negatives: list[Path] | None,
    split: str,
    size: int | None,
    subset_mode: str,
    per_query: int,
    seed: int,
) -> TrainingData:
    """The subset of `size` training queries (None: all) of a split, with the mined tables `negatives` if not None.

    Raises StudyError where a query lacks what is needed, and where tables do not belong together.
    """
    manifests.refuse_changed(collection / manifests.MANIFEST, "queries.parquet", "qrels.parquet")
    for path in negatives or ():
        manifests.refuse_changed(path.with_suffix(".json"), path.name)
    ids = tables.read("queries", collection / "queries.parquet", ["query_id"])["query_id"].combine_chunks()
    qrels = tables.read("qrels", collection / "qrels.parquet")
    positives = positives_of(qrels.filter(pc.equal(qrels["split"], split)), ids)
    usable = np.flatnonzero([len(rows) > 0 for rows in positives])
    if not len(usable):
        raise StudyError(f"collection.splits.train: no query of split {split} has a positive document")
    queries = usable[subset(len(usable), size, subset_mode, seed)]
    n_documents = tables.count(collection / "documents.parquet")
    _refuse_rows(collection / "qrels.parquet", qrels["row"].to_numpy(), n_documents)
    if negatives is None and max(map(len, positives)) + per_query > n_documents:
        raise StudyError(
            f"training.negatives_per_query: {per_query} asked for, but a query's positives leave fewer of "
            f"{n_documents} documents"
        )
    mined = None
    if negatives is not None:
        if not negatives:
            raise StudyError("--mined: training.negatives takes mined negatives, and no table of them was given")
        mined = _read_mined(negatives, ids.take(pa.array(queries)), per_query)
        _refuse_rows(negatives[0].parent, mined, n_documents)
    return TrainingData(queries, [positives[row] for row in queries], mined, n_documents)


def subset(n_queries: int, size: int | None, mode: str, seed: int) -> np.ndarray:
    """Positions of the training queries of one subset, ascending; `nested` ones contain the smaller ones.

    Raises StudyError if the subset is larger than the training queries.
    """
    size = n_queries if size is None else size
    if size > n_queries:
        raise StudyError(
            f"training.train_queries: a subset of {size} queries was asked for, but the collection has only "
            f"{n_queries} training queries with a positive"
        )
    order = np.arange(n_queries) if mode == "first" else generator(seed, "subset").permutation(n_queries)
    return np.sort(order[:size])


def refuse_other_ids(collection: Path, queries: pa.Array, documents: pa.Array) -> None:
    """Raise StudyError unless these ids are those of the collection, in its order: rows are all that follows."""
    for unit, key, ids in (("queries", "query_id", queries), ("documents", "doc_id", documents)):
        path = collection / f"{unit}.parquet"
        if not tables.read(unit, path, [key])[key].combine_chunks().equals(ids):
            raise StudyError(f"{path}: its ids are not those of the token ids; delete those and run again")


def _refuse_rows(path: Path, rows: np.ndarray, n_documents: int) -> None:
    """Raise StudyError where a row is none of the documents'."""
    if rows.size and not 0 <= rows.min() <= rows.max() < n_documents:
        raise StudyError(
            f"{path}: names rows {rows.min()} to {rows.max()} of {n_documents} documents; it belongs to "
            f"another collection, delete it and run again"
        )


def _read_mined(shards: list[Path], ids: pa.Array, per_query: int) -> np.ndarray:
    """Rows int32 [queries, width] of the mined lists: the first so many of each, as all have at least those."""
    mined, is_filled, width = np.empty((len(ids), 0), np.int32), np.zeros(len(ids), bool), None
    for batch in (batch for path in shards for batch in tables.scan("negatives", path, ["query_id", "rows"])):
        index = pc.index_in(batch["query_id"].combine_chunks(), ids)
        wanted = pc.is_valid(index)
        index, lists = index.filter(wanted).to_numpy(), batch["rows"].combine_chunks().filter(wanted)
        if not len(lists):
            continue
        lengths = pc.list_value_length(lists).to_numpy()
        if lengths.min() < per_query:
            query = ids[int(index[lengths.argmin()])]
            raise StudyError(
                f"training.negatives_per_query: {per_query} asked for, but query {query} has {lengths.min()} mined"
            )
        if width is None or lengths.min() < width:
            width = int(lengths.min())
            mined = mined[:, :width] if is_filled.any() else np.empty((len(ids), width), np.int32)
        starts = lists.offsets.to_numpy()[:-1]
        mined[index] = lists.values.to_numpy()[starts[:, None] + np.arange(width)]
        is_filled[index] = True
    if not is_filled.all():
        query = ids[int((~is_filled).argmax())]
        raise StudyError(f"{shards[0].parent}: no mined negatives for training query {query}")
    return mined
