"""What tells test queries apart: how long they are, and how like what was trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rankscale.collection.near_duplicates import largest_similarity
from rankscale.storage import tables

DUPLICATE = 0.8  # TF-IDF cosine of passages above which one nearly repeats the other
WORDS, QUERY, POSITIVE = "words", "query_similarity", "positive_similarity"


def query_features(collection: Path, trained: Path, train_split: str, candidates: pa.Table) -> pd.DataFrame:
    """By query id of a candidates table: its words, and how like it and its positive are to those of training.

    Likeness is the largest TF-IDF cosine to any.
    `collection` is the folder of its texts, `trained` that of the collection that is trained on.
    """
    first = candidates.group_by("query_id", use_threads=False).aggregate([("positive", "first")])
    ids = first["query_id"].combine_chunks()
    queries, passages = _queries(collection, ids), _passages(collection, first["positive_first"].to_numpy())
    qrels = tables.read("qrels", trained / "qrels.parquet")
    positive = qrels.filter(pc.and_(pc.equal(qrels["split"], train_split), qrels["positive"]))
    seen_queries = _queries(trained, pc.unique(positive["query_id"]))
    seen_passages = _passages(trained, np.unique(positive["row"].to_numpy()))
    return pd.DataFrame(
        {
            WORDS: [len(text.split()) for text in queries],
            QUERY: largest_similarity(queries, seen_queries),
            POSITIVE: largest_similarity(passages, seen_passages),
        },
        index=ids.to_pylist(),
    )


def _queries(collection: Path, ids: pa.Array) -> list[str]:
    table = tables.read("queries", collection / "queries.parquet")
    return table["text"].take(pc.index_in(ids, table["query_id"].combine_chunks())).to_pylist()


def _passages(collection: Path, rows: np.ndarray) -> list[str]:
    table = tables.read("documents", collection / "documents.parquet", ["text"])
    return table["text"].take(pa.array(rows)).to_pylist()
