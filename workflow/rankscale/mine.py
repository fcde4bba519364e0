"""Find hard negatives: exact search over all documents, judged positives removed, likely false negatives if asked."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankscale import vectors
from rankscale.collection.qrels import positives_of
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.models import devices
from rankscale.negatives import SPARE, Filters, Lists, draw, fill, refuse_short, select
from rankscale.search import Best, Pairs
from rankscale.storage import manifests, schemas, tables

STATE = 128 << 20  # bytes of running results: more queries than fit wait for another pass over the documents
BLOCK = 1024  # queries whose lists are selected and written together


def check_ids(shards: list[Path], collection: Path) -> None:
    """Raise StudyError unless the shards hold the collection's documents, in order."""
    start, known = 0, collection / "documents.parquet"
    for path in shards:
        rows, _ = vectors.shape(path)
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
        self.names, self.queries = vectors.read(args.queries)
        known = tables.read("queries", args.collection / "queries.parquet", ["query_id"])["query_id"]
        if pc.index_in(self.names, known.combine_chunks()).null_count:
            raise StudyError(f"{args.queries}: has a query that {args.collection}/queries.parquet lacks")
        check_ids(args.documents, args.collection)
        for path in args.documents:
            if (found := vectors.shape(path)[1]) != self.queries.shape[1]:
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

    def passed(self, what: str, *takers: Best | Pairs) -> None:
        """Show every document to the takers, once."""
        shards = progress(vectors.parts(self.args.documents, vectors.PART), what, "part of the documents")
        for rows, documents in shards:
            for taker in takers:
                taker.add(rows, documents)

    def lists(self, start: int, stop: int) -> Iterator[tuple[pa.Array, Lists]]:
        """Ids and negatives of the queries from `start` to `stop`, some at a time; one pass over the documents."""
        queries, positives = self.queries[start:stop], self.positives[start:stop]
        best = Best(queries, min(self.depth(), self.documents), self.device)
        owner = np.repeat(np.arange(stop - start), [len(p) for p in positives])
        judged = Pairs(queries, owner, np.concatenate(positives))
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

    def fill(self, names: list[str], queries: np.ndarray, found: Lists, seen: np.ndarray, lowest: np.ndarray) -> None:
        """Fill the lists that came out short with documents that are positive for no query, scored in another pass."""
        need = found.rows.shape[1] - found.mined
        if not need.any():
            return
        self.filled += int((need > 0).sum())
        free = np.setdiff1d(np.arange(self.documents), self.taken)
        for spare in SPARE:
            drawn = draw(names, seen, need, free, self.args.seed, spare)
            owner = np.repeat(np.arange(len(names)), [len(d) for d in drawn])
            pairs = Pairs(queries, owner, np.concatenate(drawn))
            self.passed("score what lists are filled with", pairs)
            fill(found, drawn, pairs.scores, lowest, self.filters)
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


def main(args: argparse.Namespace) -> None:
    """Write the top `k` of every query of a shard as rows into documents.parquet, with scores."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    if args.top_k < 1:
        raise StudyError("miner.top_k: at least 1 negative is needed")
    wide = args.range_max or args.range_min + args.top_k
    args.filters = Filters(args.range_min, wide, args.absolute_margin, args.relative_margin, args.max_score)
    miner = Miner(args)
    log.info(
        "mining %d negatives for each of %d queries among %d documents", args.top_k, len(miner.names), miner.documents
    )
    # Rows and scores hardly repeat: a dictionary of them would only cost.
    with tables.writer("negatives", args.output, use_dictionary=["query_id"]) as write:
        for part in miner.run():
            write(part)
    log.info("left out: %s", ", ".join(f"{n} {why}" for why, n in miner.counts.items()))
    if miner.filled:
        log.info("%d of %d lists came out short and were filled with random documents", miner.filled, len(miner.names))
    facts = {"left_out": miner.counts, "lists_filled": miner.filled}
    manifests.write_manifest(args, args.manifest, queries=len(miner.names), **facts)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.stage_parser("mine", __doc__)
    made.add_argument("--collection", type=Path, required=True, help="folder of documents, queries and qrels")
    made.add_argument("--documents", type=Path, nargs="+", required=True, help="vectors, all shards in order")
    made.add_argument("--queries", type=Path, required=True, help="vectors of the queries to mine for: one shard")
    made.add_argument("--top-k", type=int, required=True, help="kept per query after positives are removed")
    made.add_argument("--range-min", type=int, default=0, help="leave out each query's nearest so many")
    made.add_argument("--range-max", type=int, help="look no further than this rank; default: range-min + top-k")
    made.add_argument("--absolute-margin", type=float, help="keep what scores so much below the positive")
    made.add_argument("--relative-margin", type=float, help="the same, as a share of the positive's score")
    made.add_argument("--max-score", type=float, help="leave out what scores higher")
    made.add_argument("--short", choices=["refuse", "fill"], default="refuse", help="what to do with a short list")
    made.add_argument("--seed", type=int, default=0, help="of what short lists are filled with")
    made.add_argument("--device", default="auto")
    made.add_argument("--threads", type=int, default=1)
    manifests.add_manifest(made)
    made.add_argument("--manifest", type=Path, required=True, help="output: how the lists came about, as JSON")
    made.add_argument("--output", type=Path, required=True)
    return made


if __name__ == "__main__":
    cli.run_stage(main, arguments())
