"""Teachers that others trained, of a hub id or a local folder: they read the texts, each by a tokenizer of its own."""

from pathlib import Path

import numpy as np

from rankscale.search.cross_encoders import CrossEncoder
from rankscale.search.encoders import BATCH, Transformer
from rankscale.search.exact_search import PairScores
from rankscale.search.options import TeachOptions
from rankscale.search.teacher import Pairs
from rankscale.text.text_batches import batches

BLOCK = 1 << 18  # pairs whose texts are held together


def by_bi_encoder(pairs: Pairs, options: TeachOptions, collection: Path) -> tuple[np.ndarray, float]:
    """Inner products float32 [m] of its vectors, and the FLOPs of encoding each text once."""
    encode = Transformer(options)
    texts = _texts(collection, "queries", pairs.query_rows)
    vectors = encode("queries", [texts[row] for row in pairs.query_rows.tolist()])
    scorer = PairScores(vectors, pairs.queries, pairs.rows)
    needed, first = np.unique(pairs.rows), 0
    for ids, part in batches(collection, "documents", BATCH):
        rows = needed[np.searchsorted(needed, first) : np.searchsorted(needed, first + len(ids))]
        if len(rows):
            scorer.add(rows, encode("documents", [part[row - first] for row in rows.tolist()]))
        first += len(ids)
    return scorer.scores, encode.flops


def by_cross_encoder(pairs: Pairs, options: TeachOptions, collection: Path) -> tuple[np.ndarray, float]:
    """Its logits float32 [m], and the FLOPs of reading each pair."""
    score = CrossEncoder(options)
    queries = _texts(collection, "queries", pairs.query_rows)
    passages = _texts(collection, "documents", np.unique(pairs.rows))
    scores = np.full(len(pairs.rows), np.nan, np.float32)
    for start in range(0, len(scores), BLOCK):
        block = slice(start, start + BLOCK)
        own = [queries[row] for row in pairs.query_rows[pairs.queries[block]].tolist()]
        scores[block] = score(own, [passages[row] for row in pairs.rows[block].tolist()])
    return scores, score.flops


SCORERS = {"bi_encoder": by_bi_encoder, "cross_encoder": by_cross_encoder}


def _texts(collection: Path, unit: str, rows: np.ndarray) -> dict[int, str]:
    """The texts of some documents or queries by their rows int64, ascending."""
    texts: dict[int, str] = {}
    first = 0
    for ids, part in batches(collection, unit, BATCH):
        own = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(ids))]
        texts |= {row: part[row - first] for row in own.tolist()}
        first += len(ids)
    return texts
