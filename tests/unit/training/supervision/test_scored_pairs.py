"""Scores of pairs by rows."""

import numpy as np

from rankscale.training.supervision.scored_pairs import ScoredPairs


def test_scores_are_looked_up_by_query_and_row():
    pairs = ScoredPairs(np.array([1, 0, 1]), np.array([4, 2, 0]), np.array([1.5, 2.5, 3.5]), 5)
    scores = pairs.of(np.array([0, 1, 2]), np.array([[2, 4], [4, 0], [2, 0]]))
    assert np.array_equal(scores, np.array([[2.5, np.nan], [1.5, 3.5], [np.nan, np.nan]]), equal_nan=True)
    assert scores.dtype == np.float32


def test_of_equal_pairs_the_last_counts_and_none_gives_nothing():
    twice = ScoredPairs(np.array([0, 0]), np.array([3, 3]), np.array([1.0, 2.0]), 5)
    assert twice.of(np.array([0]), np.array([[3]])).tolist() == [[2.0]]
    empty = ScoredPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 5)
    assert np.isnan(empty.of(np.array([0]), np.array([[3]]))).all()
