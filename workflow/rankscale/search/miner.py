"""Hard negatives of one shard of queries: exact search over all documents, in bounded memory."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.copies import never_negative, read_copies, with_copies
from rankscale.collection.qrels import positives_of
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.search import vector_shards
from rankscale.search.exact_search import PairScores, TopK
from rankscale.search.hard_negatives import (
    SPARE,
    Filters,
    NegativeLists,
    draw_fill_documents,
    drop_rows,
    fill_short_lists,
    refuse_short,
    select,
)
from rankscale.search.list_quality import ListQuality
from rankscale.search.options import MineOptions
from rankscale.storage import manifests, schemas, tables

STATE = 128 << 20  # bytes of running results: more queries than fit wait for another pass over the documents
MANY = 1000  # positives; queries with more are searched apart, lest all the others be searched as deep
AKIN = "copy of a positive, or the query itself"
BLOCK = 1024  # queries whose lists are selected and written together


class MiningData(NamedTuple):
    """The vectors and judgments of one shard of queries, and the vectors of all documents.

    `ids` string [q], `queries` float32 [q, d], `positives` int64 rows of each query's, `akin` those of their copies and
    of its own document; `answers` int64, ascending: the documents that are positive for any query, and their copies;
    `documents`: how many there are, in the files `shards`.
    """

    ids: pa.Array
    queries: np.ndarray
    positives: list[np.ndarray]
    akin: list[np.ndarray]
    answers: np.ndarray
    documents: int
    shards: list[Path]


def read_mining_data(collection: Path, shards: list[Path], queries: Path) -> MiningData:
    """What mining needs: the `shards` of document vectors in order, and one shard of query vectors.

    Raises StudyError unless they are the collection's, and of one dimension.
    """
    manifests.refuse_changed(collection / manifests.MANIFEST, "queries.parquet", "qrels.parquet")
    ids, vectors = vector_shards.read_shard(queries)
    collected = tables.read("queries", collection / "queries.parquet", ["query_id"])["query_id"]
    if pc.index_in(ids, collected.combine_chunks()).null_count:
        raise StudyError(f"{queries}: has a query that {collection}/queries.parquet lacks")
    refuse_other_documents(shards, collection)
    vector_shards.refuse_unlike([*shards, queries], collection)
    for path in shards:
        dimension = vector_shards.shard_shape(path)[1]
        if dimension != vectors.shape[1]:
            raise StudyError(
                f"{path}: its vectors have {dimension} dimensions, those of {queries} {vectors.shape[1]}; "
                f"remake both with encode"
            )
    qrels = tables.read("qrels", collection / "qrels.parquet")
    answers = np.unique(qrels["row"].filter(qrels["positive"]).to_numpy())
    (answers,) = with_copies([answers], read_copies(collection))
    documents = tables.count(collection / "documents.parquet")
    positives = positives_of(qrels, ids)
    wrong = never_negative(collection, qrels, ids)
    nothing = np.empty(0, np.int64)
    pairs = zip(wrong, positives, strict=True)
    akin = [np.setdiff1d(rows, own) if len(rows) > len(own) else nothing for rows, own in pairs]
    return MiningData(ids, vectors, positives, akin, answers, documents, shards)


def refuse_other_documents(shards: list[Path], collection: Path) -> None:
    """Raise StudyError unless the shards hold the collection's documents, in order."""
    start, documents = 0, collection / "documents.parquet"
    for path in shards:
        rows, _ = vector_shards.shard_shape(path)
        ids = vector_shards.shard_ids(path)
        parts = [part["doc_id"] for part in tables.scan("documents", documents, ["doc_id"], (start, start + rows))]
        if pa.chunked_array(parts, pa.string()) != ids:
            raise StudyError(f"{path}: its vectors and {documents} name different documents; remake it with encode")
        start += rows
    if start != tables.count(documents):
        raise StudyError(f"{documents}: has {tables.count(documents)} documents, the shards have vectors of {start}")


def filters_of(options: MineOptions) -> Filters:
    """The filters that the options name. Raises StudyError if nothing is to be kept."""
    if options.top_k < 1:
        raise StudyError("miner.top_k: at least 1 negative is needed")
    range_max = options.range_max or options.range_min + options.top_k
    return Filters(options.range_min, range_max, options.absolute_margin, options.relative_margin, options.max_score)


class Miner:
    """The search for one shard of queries; each pass over the documents serves as many queries as memory holds.

    `left_out` counts documents by why they are no negatives, `filled` the lists that came out short and were filled,
    `quality` those that tell nothing.
    `device` is what scores are computed on, `cpu` or `cuda`.
    """

    def __init__(self, data: MiningData, options: MineOptions, device: str) -> None:
        self.data, self.options, self.device = data, options, device
        self.filters = filters_of(options)
        self.left_out: Counter[str] = Counter()
        self.quality = ListQuality()
        self.filled = 0

    def tables(self) -> Iterator[pa.Table]:
        """Parts of the table of negatives, of all queries in order, those with very many positives last.

        Raises StudyError for a list that stays short, and where lists tell nothing.
        """
        # How many of a query's nearest documents may be passed over: its positives, their copies, and itself.
        passed = zip(self.data.positives, self.data.akin, strict=True)
        counts = np.array([len(own) + len(akin) for own, akin in passed])
        for which in (np.flatnonzero(counts <= MANY), np.flatnonzero(counts > MANY)):
            depth = min(self.filters.range_max + int(counts[which].max(initial=0)), self.data.documents)
            size = max(1, STATE // (8 * depth))
            for start in range(0, len(which), size):
                for ids, lists in self._mine(which[start : start + size], depth):
                    offsets = np.arange(0, lists.rows.size + 1, self.options.top_k, dtype=np.int32)
                    columns = [pa.ListArray.from_arrays(offsets, a.reshape(-1)) for a in (lists.rows, lists.scores)]
                    yield pa.table([ids, *columns, pa.array(lists.mined)], schema=schemas.SCHEMAS["negatives"])
        self.quality.refuse_degenerate()

    def _mine(self, chunk: np.ndarray, depth: int) -> Iterator[tuple[pa.Array, NegativeLists]]:
        """Ids and negatives of a chunk of the queries, a block at a time; one pass over the documents."""
        queries, positives = self.data.queries[chunk], [self.data.positives[i] for i in chunk]
        all_akin = [self.data.akin[i] for i in chunk]
        best, lowest = self._search(queries, positives, depth)
        for first in range(0, len(queries), BLOCK):
            block = slice(first, min(first + BLOCK, len(queries)))
            ids = self.data.ids.take(pa.array(chunk[block]))
            scores, rows = best.result(block)
            # As deep as the query itself needs: another query's many positives must not change what this one sees.
            akin = all_akin[block]
            own_depth = self.filters.range_max + np.array(
                [len(p) + len(a) for p, a in zip(positives[block], akin, strict=True)]
            )
            rows[np.arange(rows.shape[1]) >= own_depth[:, None]] = -1
            self.left_out.update({AKIN: drop_rows(rows, akin)})
            lists, counts = select(rows, scores, positives[block], lowest[block], self.options.top_k, self.filters)
            self.left_out.update(counts)
            names = ids.to_pylist()
            self.quality.add(names, queries[block], lists, positives[block], best)
            if self.options.short == "fill":
                self._fill(names, queries[block], lists, rows, akin, lowest[block])
            refuse_short(names, lists, self.options.short == "fill")
            yield ids, lists

    def _search(self, queries: np.ndarray, positives: list[np.ndarray], depth: int) -> tuple[TopK, np.ndarray]:
        """The nearest `depth` documents of each query, and float32 [q] the lowest score of each query's positives.

        That is infinite where no filter asks for it.
        """
        best = TopK(queries, depth, self.device)
        lowest = np.full(len(queries), np.inf, np.float32)
        doing = f"mine for {len(queries)} queries"
        if not self.filters.use_positives():
            self._show_documents(doing, best)
            return best, lowest
        owner = np.repeat(np.arange(len(queries)), [len(p) for p in positives])
        judged = PairScores(queries, owner, np.concatenate(positives))
        self._show_documents(doing, best, judged)
        np.minimum.at(lowest, owner, judged.scores)
        return best, lowest

    def _fill(
        self,
        names: list[str],
        queries: np.ndarray,
        lists: NegativeLists,
        ranked: np.ndarray,
        akin: list[np.ndarray],
        lowest: np.ndarray,
    ) -> None:
        """Fill the lists that came out short with documents that are positive for no query, scored in another pass.

        `ranked` int64 [q, k] are the rows that each query's search found: none of them is drawn, and none that is
        `akin` to the query.
        """
        need = lists.rows.shape[1] - lists.mined
        if not need.any():
            return
        self.filled += int((need > 0).sum())
        free = np.setdiff1d(np.arange(self.data.documents), self.data.answers)
        for spare in SPARE:
            drawn = draw_fill_documents(names, ranked, need, free, self.options.seed, spare)
            drawn = [rows[~np.isin(rows, other)] for rows, other in zip(drawn, akin, strict=True)]
            owner = np.repeat(np.arange(len(names)), [len(rows) for rows in drawn])
            pairs = PairScores(queries, owner, np.concatenate(drawn))
            self._show_documents("score what lists are filled with", pairs)
            fill_short_lists(lists, drawn, pairs.scores, lowest, self.filters)
            if (lists.rows >= 0).all():
                return

    def _show_documents(self, doing: str, *takers: TopK | PairScores) -> None:
        """Show every document to the takers, once."""
        chunks = vector_shards.vector_chunks(self.data.shards, vector_shards.PART)
        for rows, documents in progress(chunks, doing, "part of the documents"):
            for taker in takers:
                taker.add(rows, documents)
