"""Pairs that the miner finds too."""

import numpy as np

from rankscale.training.supervision.consistency import found_by_miner
from rankscale.training.supervision.scored_pairs import ScoredPairs


def test_positives_are_kept_that_few_documents_outrank():
    # The first query: positives 0 (0.9) and 1 (0.3) against 0.8, 0.5, 0.4; the second: positive 2 (0.1) against two.
    queries = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    rows, scores = np.array([0, 1, 5, 6, 7, 2, 5, 6]), np.array([0.9, 0.3, 0.8, 0.5, 0.4, 0.1, 0.6, 0.2])
    pairs = ScoredPairs(queries, rows, scores, 10)
    positives = [np.array([0, 1]), np.array([2])]

    def kept(top_k):
        return [own.tolist() for own in found_by_miner(positives, pairs, top_k)]

    assert kept(1) == [[0], []]
    assert kept(3) == [[0], [2]]  # the other positive, before which three stand, is not among the first three
    assert kept(4) == [[0, 1], [2]]
