"""Hard negatives of one shard of queries: exact search over all documents, in bounded memory."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale.collection.qrels import positives_of
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.models import devices
from rankscale.search import vector_shards
from rankscale.search.exact_search import PairScores, TopK
from rankscale.search.hard_negatives import (
    SPARE,
    NegativeLists,
    draw_fill_documents,
    fill_short_lists,
    refuse_short,
    select,
)
from rankscale.storage import schemas, tables

STATE = 128 << 20  # bytes of running results: more queries than fit wait for another pass over the documents


BLOCK = 1024  # queries whose lists are selected and written together


def check_ids(shards: list[Path], collection: Path) -> None:
    """Raise StudyError unless the shards hold the collection's documents, in order."""
    start, known = 0, collection / "documents.parquet"
    for path in shards:
        rows, _ = vector_shards.shard_shape(path)
        with tables.reading(path):
            ids = pq.read_table(path, columns=["id"])["id"]
        wanted = [t["doc_id"] for t in tables.scan("documents", known, ["doc_id"], (start, start + rows))]
        if pa.chunked_array(wanted, pa.string()) != ids:
            raise StudyError(f"{path}: its vectors and {known} name different documents; remake it with encode")
        start += rows
    if start != tables.count(known):
        raise StudyError(f"{known}: has {tables.count(known)} documents, the shards have vectors of {start}")


class Miner:
    """The search for one shard of queries; each pass over the documents serves as many queries as memory holds."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.filters = args, args.filters
        self.device = devices.set_up_device(args.device, args.threads).type
        self.names, self.queries = vector_shards.read_shard(args.queries)
        known = tables.read("queries", args.collection / "queries.parquet", ["query_id"])["query_id"]
        if pc.index_in(self.names, known.combine_chunks()).null_count:
            raise StudyError(f"{args.queries}: has a query that {args.collection}/queries.parquet lacks")
        check_ids(args.documents, args.collection)
        for path in args.documents:
            if (found := vector_shards.shard_shape(path)[1]) != self.queries.shape[1]:
                raise StudyError(
                    f"{path}: its vectors have {found} dimensions, those of {args.queries} {self.queries.shape[1]}; "
                    f"remake both with encode"
                )
        qrels = tables.read("qrels", args.collection / "qrels.parquet")
        self.positives = positives_of(qrels, self.names)
        self.taken = np.unique(qrels["row"].filter(qrels["positive"]).to_numpy())
        self.documents = tables.count(args.collection / "documents.parquet")
        self.counts: dict[str, int] = {}
        self.filled = 0

    def passed(self, what: str, *takers: TopK | PairScores) -> None:
        """Show every document to the takers, once."""
        shards = progress(
            vector_shards.vector_chunks(self.args.documents, vector_shards.PART), what, "part of the documents"
        )
        for rows, documents in shards:
            for taker in takers:
                taker.add(rows, documents)

    def lists(self, start: int, stop: int) -> Iterator[tuple[pa.Array, NegativeLists]]:
        """Ids and negatives of the queries from `start` to `stop`, some at a time; one pass over the documents."""
        queries, positives = self.queries[start:stop], self.positives[start:stop]
        best = TopK(queries, min(self.depth(), self.documents), self.device)
        owner = np.repeat(np.arange(stop - start), [len(p) for p in positives])
        judged = PairScores(queries, owner, np.concatenate(positives))
        lowest = np.full(stop - start, np.inf, np.float32)
        measured = self.filters.use_positives()
        self.passed(f"mine queries {start} to {stop}", best, *([judged] if measured else []))
        if measured:
            np.minimum.at(lowest, owner, judged.scores)
        for first in range(0, stop - start, BLOCK):
            part = slice(first, min(first + BLOCK, stop - start))
            scores, rows = best.result(part)
            # As deep as the query itself needs: another query's many positives must not change what this one sees.
            own = self.filters.range_max + np.array([len(p) for p in positives[part]])
            rows[np.arange(rows.shape[1]) >= own[:, None]] = -1
            found, counts = select(rows, scores, positives[part], lowest[part], self.args.top_k, self.filters)
            self.counts = {k: self.counts.get(k, 0) + n for k, n in counts.items()}
            names = self.names[start:stop][part]
            if self.args.short == "fill":
                self.fill(names.to_pylist(), queries[part], found, rows, lowest[part])
            refuse_short(names.to_pylist(), found, self.args.short == "fill")
            yield names, found

    def fill(
        self, names: list[str], queries: np.ndarray, found: NegativeLists, seen: np.ndarray, lowest: np.ndarray
    ) -> None:
        """Fill the lists that came out short with documents that are positive for no query, scored in another pass."""
        need = found.rows.shape[1] - found.mined
        if not need.any():
            return
        self.filled += int((need > 0).sum())
        free = np.setdiff1d(np.arange(self.documents), self.taken)
        for spare in SPARE:
            drawn = draw_fill_documents(names, seen, need, free, self.args.seed, spare)
            owner = np.repeat(np.arange(len(names)), [len(d) for d in drawn])
            pairs = PairScores(queries, owner, np.concatenate(drawn))
            self.passed("score what lists are filled with", pairs)
            fill_short_lists(found, drawn, pairs.scores, lowest, self.filters)
            if (found.rows >= 0).all():
                return

    def depth(self) -> int:
        """How many of its nearest documents each query needs: some may be its positives."""
        return self.filters.range_max + max(map(len, self.positives), default=0)

    def run(self) -> Iterator[pa.Table]:
        """Parts of the table of negatives, of all queries."""
        size = max(1, STATE // (8 * self.depth()))
        for start in range(0, len(self.names), size):
            for names, found in self.lists(start, min(start + size, len(self.names))):
                offsets = np.arange(0, found.rows.size + 1, self.args.top_k, dtype=np.int32)
                columns = [pa.ListArray.from_arrays(offsets, a.reshape(-1)) for a in (found.rows, found.scores)]
                yield pa.table([names, *columns, pa.array(found.mined)], schema=schemas.SCHEMAS["negatives"])
