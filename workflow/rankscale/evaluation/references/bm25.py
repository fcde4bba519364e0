"""BM25 by bm25s: every evaluated query against every document, one query's scores in memory at a time."""

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from rankscale.core.errors import StudyError
from rankscale.core.progress import progress
from rankscale.evaluation.references.options import ReferOptions
from rankscale.evaluation.references.task import ReferenceTask, Scored
from rankscale.search.exact_search import pack, unpack


def bm25_scores(documents: Sequence[str], queries: Sequence[str], task: ReferenceTask, options: ReferOptions) -> Scored:
    """The scores of all `documents`, in the collection's order, for the texts of the task's queries.

    Words are bm25s's own: two letters or digits at least, in lower case, not stemmed. Raises StudyError where no
    document has a word.
    """
    import bm25s

    stop_words = None if options.stop_words == "none" else options.stop_words
    how = {"stopwords": stop_words, "show_progress": False}
    tokens = bm25s.tokenize(list(documents), **how)
    if not any(tokens.ids):
        raise StudyError("bm25: no document has a word of two letters or more")
    index = bm25s.BM25(k1=options.k1, b=options.b, method=options.method)
    index.index(tokens, show_progress=False)
    pairs = np.empty(len(task.pair_row), np.float32)
    best = np.full((len(task.ids), task.depth), np.iinfo(np.int64).max)
    asked = bm25s.tokenize(list(queries), return_ids=False, **how)
    for query, words in enumerate(progress(asked, "score by BM25", "query")):
        known = index.get_tokens_ids(words)
        scores = index.get_scores_from_ids(known) if known else np.zeros(len(documents), np.float32)
        own = task.pairs_of(query)
        pairs[own] = scores[task.pair_row[own]]
        if task.searched is not None:
            best[query] = top(scores[task.searched], task.searched, task.depth)
    return Scored(pairs) if task.searched is None else Scored(pairs, *unpack(best))


def top(scores: np.ndarray, rows: np.ndarray, depth: int) -> np.ndarray:
    """The `depth` best of `rows` [n] by `scores` float32 [n], ties by row, as `search.exact_search.pack` has them."""
    if depth < len(scores):
        least = np.partition(scores, -depth)[-depth]
        kept = scores >= least
        scores, rows = scores[kept], rows[kept]
    return np.sort(pack(scores.astype(np.float32), rows))[:depth]


def about(options: ReferOptions) -> str:
    """What was computed, in words."""
    words = "English stop words left out" if options.stop_words == "english" else "all words"
    version = importlib.metadata.version("bm25s")
    return f"bm25s {version}, {options.method}, k1 {options.k1:g}, b {options.b:g}, {words}, no stemming"
