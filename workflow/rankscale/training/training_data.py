"""What a run is trained on, read from the collection and checked: its queries, their positives and mined negatives."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.copies import never_negative
from rankscale.collection.qrels import positives_of
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.storage import manifests, tables


class TrainingData(NamedTuple):
    """The n queries of one subset, in rows of the queries and documents tables.

    `queries` int64 [n]; `positives` holds each query's rows, int64, and `wrong` all of its positives (those too that
    are not trained on), their copies and the query's own document: what is no negative of it; `mined` int32 [n, width]
    the first so many mined rows of each, as all have at least those (None: drawn from the whole collection);
    `mined_scores` float32 [n, width] are the miner's, where they were asked for.
    """

    queries: np.ndarray
    positives: list[np.ndarray]
    wrong: list[np.ndarray]
    mined: np.ndarray | None
    n_documents: int
    mined_scores: np.ndarray | None = None


def load_training_data(
    collection: Path,
    negatives: list[Path] | None,
    split: str,
    size: int | None,
    subset_mode: str,
    per_query: int,
    seed: int,
    with_scores: bool = False,
    keep: Callable[[list[np.ndarray], pa.Array, int], list[np.ndarray]] | None = None,
) -> TrainingData:
    """The subset of `size` training queries (None: all) of a split, with the mined tables `negatives` if not None.

    `with_scores` says whether the miner's are read too. `keep` gives, of the positives of the queries with the ids and
    of so many documents, those that may be trained on; the subset is one of the queries that it leaves any. Raises
    StudyError where a query lacks what is needed, and where tables do not belong together.
    """
    manifests.refuse_changed(collection / manifests.MANIFEST, "queries.parquet", "qrels.parquet")
    for path in negatives or ():
        manifests.refuse_changed(path.with_suffix(".json"), path.name)
        manifests.refuse_other_sources(path.with_suffix(".json"), collection)
    ids = tables.read("queries", collection / "queries.parquet", ["query_id"])["query_id"].combine_chunks()
    qrels = tables.read("qrels", collection / "qrels.parquet")
    trained = qrels.filter(pc.equal(qrels["split"], split))
    positives = positives_of(trained, ids)
    usable = np.flatnonzero([len(rows) > 0 for rows in positives])
    if not len(usable):
        raise StudyError(f"collection.splits.train: no query of split {split} has a positive document")
    n_documents = tables.count(collection / "documents.parquet")
    if keep:
        kept = keep([positives[row] for row in usable], ids.take(pa.array(usable)), n_documents)
        positives = list(positives)
        for row, rows in zip(usable, kept, strict=True):
            positives[row] = rows
        usable = usable[[len(rows) > 0 for rows in kept]]
        log.info("the miner finds positives of %d of %d training queries", len(usable), len(kept))
    queries = usable[subset(len(usable), size, subset_mode, seed)]
    _refuse_rows(collection / "qrels.parquet", qrels["row"].to_numpy(), n_documents)
    wrong = never_negative(collection, trained, ids)
    if negatives is None and max(map(len, wrong)) + per_query > n_documents:
        raise StudyError(
            f"training.negatives_per_query: {per_query} asked for, but a query's positives leave fewer of "
            f"{n_documents} documents"
        )
    mined = scores = None
    if negatives is not None:
        if not negatives:
            raise StudyError("--mined: training.negatives takes mined negatives, and no table of them was given")
        mined, scores = _read_mined(negatives, ids.take(pa.array(queries)), per_query, with_scores)
        _refuse_rows(negatives[0].parent, mined, n_documents)
    own = [positives[row] for row in queries]
    return TrainingData(queries, own, [wrong[row] for row in queries], mined, n_documents, scores)


def subset(n_queries: int, size: int | None, mode: str, seed: int) -> np.ndarray:
    """Positions of the training queries of one subset, ascending; `nested` ones contain the smaller ones.

    Raises StudyError if the subset is larger than the training queries.
    """
    size = n_queries if size is None else size
    if size > n_queries:
        raise StudyError(
            f"training.train_queries: a subset of {size} queries was asked for, but the collection has only "
            f"{n_queries} training queries with a positive that may be trained on"
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


def _read_mined(
    shards: list[Path], ids: pa.Array, per_query: int, with_scores: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows int32 [queries, width] of the mined lists: the first so many of each, as all have at least those.

    And their scores float32, if asked for.
    """
    mined, is_filled, width = np.empty((len(ids), 0), np.int32), np.zeros(len(ids), bool), None
    scores = np.empty((len(ids), 0), np.float32)
    columns = ["query_id", "rows", *(["scores"] if with_scores else [])]
    for batch in (batch for path in shards for batch in tables.scan("negatives", path, columns)):
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
            if with_scores:
                scores = scores[:, :width] if is_filled.any() else np.empty((len(ids), width), np.float32)
        first = lists.offsets.to_numpy()[:-1, None] + np.arange(width)
        mined[index] = lists.values.to_numpy()[first]
        if with_scores:
            scores[index] = batch["scores"].combine_chunks().filter(wanted).flatten().to_numpy()[first - first[0, 0]]
        is_filled[index] = True
    if not is_filled.all():
        query = ids[int((~is_filled).argmax())]
        raise StudyError(f"{shards[0].parent}: no mined negatives for training query {query}")
    return mined, scores if with_scores else None
