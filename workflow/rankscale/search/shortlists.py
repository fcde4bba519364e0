"""What rankers rerank that cannot search: the miner's run of the evaluated queries."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.copies import OWN, own_rows
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.search import vector_shards
from rankscale.search.exact_search import TopK
from rankscale.search.miner import refuse_other_documents
from rankscale.search.options import ShortlistOptions
from rankscale.storage import tables


def shortlists(
    collection: Path, documents: list[Path], queries: list[Path], options: ShortlistOptions, device: str
) -> pa.Table:
    """One row an evaluated query, in the order of the shards: the rows and scores of its `depth` nearest documents.

    Positives are among them as they come, and the query's own document is not. `documents` and `queries` are the
    miner's vectors, all shards in order. Raises StudyError for a query without a vector, and for other documents.
    """
    refuse_other_documents(documents, collection)
    qrels = tables.read("qrels", collection / "qrels.parquet", ["split", "query_id"])
    wanted = pc.unique(qrels["query_id"].filter(pc.is_in(qrels["split"], pa.array(options.splits))))
    ids, vectors = [], []
    for path in queries:
        own, part = vector_shards.read_shard(path)
        kept = pc.is_in(own, wanted)
        ids.append(own.filter(kept))
        vectors.append(part[kept.to_numpy(zero_copy_only=False)])
    found = pa.concat_arrays(ids)
    if len(found) < len(wanted):
        missing = wanted.filter(pc.invert(pc.is_in(wanted, found)))[0]
        raise StudyError(f"{queries[0].parent}: no vector of query {missing}; remake it with encode")
    own_document = own_rows(collection / OWN, found)
    n_documents = tables.count(collection / "documents.parquet")
    one_more = int((own_document >= 0).any())  # what a query is itself must not shorten its list
    best = TopK(np.concatenate(vectors), min(options.depth + one_more, n_documents), device)
    for rows, part in progress(vector_shards.vector_chunks(documents, vector_shards.PART), "search", "part"):
        best.add(rows, part)
    scores, rows = best.result()
    is_listed = (rows >= 0) & (rows != own_document[:, None])
    is_listed &= np.cumsum(is_listed, axis=1) <= options.depth
    edges = np.append(0, np.cumsum(is_listed.sum(1))).astype(np.int32)
    lists = (pa.ListArray.from_arrays(edges, pa.array(part[is_listed])) for part in (rows.astype(np.int32), scores))
    return pa.table([found, *lists], names=["query_id", "rows", "scores"])


def read_shortlists(path: Path, ids: pa.Array) -> np.ndarray:
    """The rows int64 [q, depth] of the queries `ids`, -1 where a list is shorter. Raises StudyError for one without."""
    table = tables.read("shortlists", path)
    index = pc.index_in(ids, table["query_id"].combine_chunks())
    if index.null_count:
        raise StudyError(f"{path}: has no list of query {ids.filter(pc.is_null(index))[0]}; delete it and run again")
    lists = table["rows"].combine_chunks().take(index)
    lengths = pc.list_value_length(lists).to_numpy()
    rows = np.full((len(ids), int(lengths.max(initial=1))), -1)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = lists.flatten().to_numpy()
    return rows
