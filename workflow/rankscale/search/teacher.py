"""A teacher's scores: of each training query with its positives and mined negatives, or what a file has."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from rankscale.collection.qrels import positives_of
from rankscale.collection.readers import lines
from rankscale.core.errors import StudyError
from rankscale.models.base import Ranker
from rankscale.search import vector_shards
from rankscale.search.exact_search import PairScores
from rankscale.search.scorers.base import Texts
from rankscale.search.scorers.registry import make_scorer
from rankscale.storage import manifests, tables
from rankscale.text.token_store import TokenStore

BLOCK = 1 << 20  # lines of a file at a time


class Pairs(NamedTuple):
    """Pairs to be scored, in the order of the queries `ids`: positions int64 `queries`, int64 `rows` of documents [m].

    `scores` float32 [m] are the miner's, NaN for the positives; `query_rows` int64 [n] are those of the queries table.
    """

    ids: pa.Array
    query_rows: np.ndarray
    queries: np.ndarray
    rows: np.ndarray
    scores: np.ndarray


def training_queries(
    collection: Path, split: str, shard: int = 0, shards: int = 1
) -> tuple[pa.Array, np.ndarray, list[np.ndarray]]:
    """Ids and rows int64 of the queries of a split that have a positive, and the rows of those; of one part of them.

    Raises StudyError where there are none, and for more shards than queries.
    """
    manifests.refuse_changed(collection / manifests.MANIFEST, "queries.parquet", "qrels.parquet")
    ids = tables.read("queries", collection / "queries.parquet", ["query_id"])["query_id"].combine_chunks()
    qrels = tables.read("qrels", collection / "qrels.parquet")
    positives = positives_of(qrels.filter(pc.equal(qrels["split"], split)), ids)
    rows = np.flatnonzero([len(own) > 0 for own in positives])
    if not len(rows):
        raise StudyError(f"collection.splits.train: no query of split {split} has a positive document")
    edges = np.linspace(0, len(rows), shards + 1).astype(int)
    rows = rows[edges[shard] : edges[shard + 1]]
    if not len(rows):
        raise StudyError(f"training.teacher.shards: {shards} are more than there are training queries; take fewer")
    return ids.take(pa.array(rows)), rows, [positives[row] for row in rows]


def pairs_to_score(
    collection: Path, split: str, mined: list[Path], top_k: int | None = None, shard: int = 0, shards: int = 1
) -> Pairs:
    """Each training query with its positives, then with its mined list, or the nearest `top_k` of it; of one shard.

    Raises StudyError for a query without a list.
    """
    for path in mined:
        manifests.refuse_changed(path.with_suffix(".json"), path.name)
        manifests.refuse_other_sources(path.with_suffix(".json"), collection)
    ids, query_rows, positives = training_queries(collection, split, shard, shards)
    counts = [len(rows) for rows in positives]
    queries, rows = [np.repeat(np.arange(len(ids)), counts)], [np.concatenate(positives)]
    scores, has_list = [np.full(sum(counts), np.nan, np.float32)], np.zeros(len(ids), bool)
    columns = ["query_id", "rows", "scores"]
    for batch in chain.from_iterable(tables.scan("negatives", path, columns) for path in mined):
        index = pc.index_in(batch["query_id"].combine_chunks(), ids)
        wanted = pc.is_valid(index)
        own, lists, values = (a.filter(wanted) for a in (index, *(batch[n].combine_chunks() for n in columns[1:])))
        if top_k:
            lists, values = (pc.list_slice(column, 0, top_k) for column in (lists, values))
        queries.append(np.repeat(own.to_numpy().astype(np.int64), pc.list_value_length(lists).to_numpy()))
        rows.append(lists.flatten().to_numpy().astype(np.int64))
        scores.append(values.flatten().to_numpy())
        has_list[own.to_numpy()] = True
    if not has_list.all():
        raise StudyError(f"{mined[0].parent}: no mined negatives for training query {ids[int((~has_list).argmax())]}")
    positions, documents, mined_scores = (np.concatenate(part) for part in (queries, rows, scores))
    order = np.argsort(positions, kind="stable")
    return Pairs(ids, query_rows, positions[order], documents[order], mined_scores[order])


def by_miner(pairs: Pairs, documents: list[Path], queries: list[Path]) -> np.ndarray:
    """The miner's scores float32 [m]: those of its lists, and inner products of its vectors for the positives."""
    vectors = np.empty((len(pairs.ids), vector_shards.shard_shape(queries[0])[1]), np.float32)
    is_there = np.zeros(len(pairs.ids), bool)
    for path in queries:
        ids, part = vector_shards.read_shard(path)
        index = pc.index_in(ids, pairs.ids)
        wanted = pc.is_valid(index).to_numpy(zero_copy_only=False)
        own = index.filter(pa.array(wanted)).to_numpy()
        vectors[own], is_there[own] = part[wanted], True
    if not is_there.all():
        raise StudyError(f"{queries[0].parent}: no vector of training query {pairs.ids[int((~is_there).argmax())]}")
    unscored = np.flatnonzero(np.isnan(pairs.scores))
    judged = PairScores(vectors, pairs.queries[unscored], pairs.rows[unscored])
    for rows, part in vector_shards.vector_chunks(documents, vector_shards.PART):
        judged.add(rows, part)
    scores = pairs.scores.copy()
    scores[unscored] = judged.scores
    return scores


def by_model(
    pairs: Pairs,
    model: Ranker,
    queries: TokenStore,
    documents: TokenStore,
    device: torch.device,
) -> tuple[np.ndarray, float]:
    """A model's scores float32 [m], whatever kind of ranker it is, and the FLOPs that they took."""
    texts = Texts(model, *model.as_read(queries, documents), device, nullcontext)
    scorer = make_scorer(texts, pairs.query_rows)
    scored = scorer.pairs(pairs.queries, pairs.rows)
    for rows, part in scorer.parts(np.unique(pairs.rows)):
        scored.add(rows, part)
    return scored.scores, scorer.flops(pairs.queries, pairs.rows)


def from_file(path: Path, collection: Path, split: str) -> Pairs:
    """What a file says of the training queries: Parquet (query_id, doc_id, score), TSV of these, or a TREC run.

    Other queries are passed over. Raises StudyError, naming file and line or id, for an unknown document, a pair that
    stands twice, a score that is no finite number, and a training query without one.
    """
    ids, query_rows, _ = training_queries(collection, split)
    documents = tables.read("documents", collection / "documents.parquet", ["doc_id"])["doc_id"].combine_chunks()
    parts = []
    for query_ids, doc_ids, values in _parquet(path) if path.suffix == ".parquet" else _lines(path):
        index = pc.index_in(query_ids, ids)
        wanted = pc.is_valid(index)
        own = doc_ids.filter(wanted)
        own_rows = pc.index_in(own, documents)
        if own_rows.null_count:
            first = own[pc.is_null(own_rows).to_pylist().index(True)]
            raise StudyError(f"{path}: document {first} is none of the collection's")
        kept = values[wanted.to_numpy(zero_copy_only=False)]
        parts.append((index.filter(wanted).to_numpy(), own_rows.to_numpy(), kept))
    if not parts:
        raise StudyError(f"{path}: holds no scores")
    queries, rows, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((rows, queries))
    queries, rows, scores = queries[order].astype(np.int64), rows[order].astype(np.int64), scores[order]
    twice = np.flatnonzero((np.diff(queries) == 0) & (np.diff(rows) == 0))
    if len(twice):
        query, document = ids[int(queries[twice[0]])], documents[int(rows[twice[0]])]
        raise StudyError(f"{path}: query {query} has document {document} twice")
    missing = np.setdiff1d(np.arange(len(ids)), queries)
    if len(missing):
        others = f", nor of {len(missing) - 1} others" if len(missing) > 1 else ""
        raise StudyError(f"{path}: no scores of training query {ids[int(missing[0])]}{others}")
    return Pairs(ids, query_rows, queries, rows, scores.astype(np.float32))


def _parquet(path: Path) -> Iterator[tuple[pa.Array, pa.Array, np.ndarray]]:
    import pyarrow.parquet as pq

    with tables.reading(path), pq.ParquetFile(path) as file:
        columns = ["query_id", "doc_id", "score"]
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            raise StudyError(f"{path}: has no column {missing[0]}; a teacher's are {', '.join(columns)}")
        for batch in file.iter_batches(BLOCK, columns=columns):
            queries, texts = (batch[name].cast(pa.string()) for name in columns[:2])
            scores = batch["score"].cast(pa.float64()).to_numpy(zero_copy_only=False)
            wrong = np.flatnonzero(~np.isfinite(scores))
            if len(wrong):
                raise StudyError(f"{path}: the score of query {queries[int(wrong[0])]} is not a finite number")
            yield queries, texts, scores


def _lines(path: Path) -> Iterator[tuple[pa.Array, pa.Array, np.ndarray]]:
    parsed = (_parse(line, where) for line, where in lines(path))
    while block := list(islice(parsed, BLOCK)):
        queries, texts, scores = zip(*block, strict=True)
        yield pa.array(queries, pa.string()), pa.array(texts, pa.string()), np.array(scores)


def _parse(line: str, where: str) -> tuple[str, str, float]:
    """Query, document and score of `query TAB document TAB score`, or of a line of a TREC run."""
    cells = line.split("\t")
    if len(cells) != 3:
        cells = line.split()
        cells = [cells[0], cells[2], cells[4]] if len(cells) == 6 else []
    try:
        query, document, score = cells
        value = float(score)
    except ValueError:
        raise StudyError(f"{where}: {line[:60]!r} is neither query, document, score nor a line of a TREC run") from None
    if not np.isfinite(value):
        raise StudyError(f"{where}: the score is not a finite number")
    return query, document, value


def as_table(pairs: Pairs, scores: np.ndarray) -> dict[str, pa.Array]:
    """Columns of the table of a teacher, one row a query. Raises StudyError for a score that is not finite."""
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        query = pairs.ids[int(pairs.queries[wrong[0]])]
        raise StudyError(f"the teacher's score of query {query} is not a finite number")
    edges = np.searchsorted(pairs.queries, np.arange(len(pairs.ids) + 1)).astype(np.int32)
    lists = (pa.ListArray.from_arrays(edges, pa.array(column)) for column in (pairs.rows.astype(np.int32), scores))
    return dict(zip(("query_id", "rows", "scores"), (pairs.ids, *lists), strict=True))
