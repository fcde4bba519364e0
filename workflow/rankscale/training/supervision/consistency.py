"""Which judged pairs a run is trained on: those that the miner finds too."""

import numpy as np

from rankscale.training.supervision.scored_pairs import ScoredPairs


def found_by_miner(positives: list[np.ndarray], scores: ScoredPairs, top_k: int) -> list[np.ndarray]:
    """Of each query's positives those that fewer than `top_k` documents outrank, positives aside.

    `scores` are the miner's, of the queries' positives and mined lists. So Dai et al., Promptagator: Few-shot Dense
    Retrieval From 8 Examples (arXiv 2209.11755), filter queries by a retriever.
    """
    edges = np.searchsorted(scores.keys, np.arange(len(positives) + 1) * scores.n_documents)
    kept = []
    for query, rows in enumerate(positives):
        pairs = slice(edges[query], edges[query + 1])
        others = scores.scores[pairs][~np.isin(scores.keys[pairs] - query * scores.n_documents, rows)]
        own = scores.of(np.array([query]), rows[None])[0]
        kept.append(rows[((others[None] > own[:, None]).sum(1) < top_k) & ~np.isnan(own)])
    return kept
