"""Curricula and propensities by hand, and against scipy."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from rankscale.training.supervision import query_weights
from rankscale.training.supervision.query_weights import Curriculum, MinerLists, Propensity, QueryWeights
from rankscale.training.supervision.scored_pairs import ScoredPairs
from rankscale.training.training_data import TrainingData

# Three queries with positives 0, 1, 2 and mined lists of four. The first positive is found first, the second third,
# the third behind the list.
MINED = np.array([[3, 4, 5, 6], [5, 6, 7, 8], [3, 4, 7, 8]], np.int32)
SCORES = np.array([[0.8, 0.6, 0.4, 0.2], [0.9, 0.7, 0.3, 0.1], [0.8, 0.7, 0.6, 0.5]], np.float32)
OF_POSITIVES = np.array([0.9, 0.5, 0.4], np.float32)
POSITIVES = [np.array([0]), np.array([1]), np.array([2])]
DATA = TrainingData(np.arange(3), POSITIVES, POSITIVES, MINED, 10, SCORES)
PAIRS = ScoredPairs(
    np.repeat(np.arange(3), 5), np.column_stack([np.arange(3), MINED]).ravel(),
    np.column_stack([OF_POSITIVES, SCORES]).ravel(), 10,
)  # fmt: skip
LISTS, ALL = MinerLists(DATA, PAIRS), np.arange(3)
BATCH = np.array([[0, 4, 6], [1, 5, 8], [2, 4, 8]])  # of each query its positive and two of its list


def test_ranks_are_places_in_list_and_positive_together():
    # Of the second the positive stands third: 0.9, 0.7, then 0.5; of the third behind all four.
    assert LISTS.ranks(ALL, BATCH).tolist() == [[1, 3, 5], [3, 1, 5], [1000, 2, 4]]


def test_reciprocal_ranks_and_their_weights():
    curriculum = Curriculum(LISTS, "reciprocal_rank", 4, anti=False)
    # (h+ - h- + 1) / 2 with the hardest of the two negatives.
    plain = np.array([(1 - 1 / 3 + 1) / 2, (1 / 3 - 1 + 1) / 2, (1 / 1000 - 1 / 2 + 1) / 2])
    assert curriculum.weights(ALL, BATCH, 0) == pytest.approx(plain)
    assert curriculum.weights(ALL, BATCH, 1) == pytest.approx(plain * 0.75 + 0.25)
    for epoch in (4, 9):
        assert curriculum.weights(ALL, BATCH, epoch).tolist() == [1, 1, 1]  # the plain loss
    anti = Curriculum(LISTS, "reciprocal_rank", 4, anti=True)
    assert anti.weights(ALL, BATCH, 0) == pytest.approx(1 - plain)


def test_normalized_scores():
    scores = query_weights.normalized_score(LISTS, ALL, BATCH)
    expected = [[1, 4 / 7, 0], [0.5, 1, 0], [0, 0.75, 0.25]]
    assert scores == pytest.approx(np.array(expected), abs=1e-6)


def test_the_share_of_a_density_estimate_is_scipy_s():
    weights = query_weights.kde(LISTS, ALL, BATCH)
    for query, (positive, rows) in enumerate(zip(OF_POSITIVES, BATCH, strict=True)):
        estimate = gaussian_kde(np.append(positive, SCORES[query]).astype(float))
        score = dict(zip([query, *MINED[query]], [positive, *SCORES[query]], strict=True))
        shares = [estimate.integrate_box_1d(-np.inf, float(score[row])) for row in rows]
        assert weights[query] == pytest.approx(shares, abs=1e-6)


def test_clipped_propensities():
    weights = Propensity(LISTS, DATA.positives, floor=0.1, power=1.0).weights(ALL, BATCH, 0)
    plain = np.array([1, 3, 10])  # ranks 1, 3 and 1000, the last at the floor
    assert weights == pytest.approx(plain / plain.mean())
    squared = Propensity(LISTS, DATA.positives, floor=0.01, power=2.0).weights(ALL, BATCH, 0)
    assert squared == pytest.approx(np.array([1, 9, 100]) / (110 / 3))


def test_weights_multiply():
    both = QueryWeights(DATA, PAIRS, {"heuristic": "kde", "epochs": 2, "anti": False}, {"floor": 0.1, "power": 1.0})
    one = Curriculum(LISTS, "kde", 2, anti=False).weights(ALL, BATCH, 1)
    other = Propensity(LISTS, DATA.positives, 0.1, 1.0).weights(ALL, BATCH, 1)
    assert both.of(ALL, BATCH, 1) == pytest.approx(one * other, rel=1e-6)
    assert both.of(ALL, BATCH, 1).dtype == np.float32


def test_weights_that_are_all_zero_are_refused(monkeypatch):
    def nothing(lists, examples, documents):
        return np.column_stack([np.zeros(len(documents)), np.ones(len(documents))])

    monkeypatch.setitem(query_weights.HEURISTICS, "kde", nothing)
    with pytest.raises(query_weights.StudyError, match=r"training\.curriculum: every query weighs nothing"):
        QueryWeights(DATA, PAIRS, {"heuristic": "kde", "epochs": 2, "anti": False}, None)
