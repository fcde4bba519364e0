"""The log rank and the global AUC against hand calculation, brute force, other code, and drawn truths."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from rankscale import StudyError
from rankscale.core.metrics import METRICS
from rankscale.evaluation.rank_statistics import auc_global_values, log_ranks


def drawn(seed, queries, candidates, step=None):
    """Scores [q, 1 + n] whose queries differ in level, so that candidates of one query are alike."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(queries, candidates + 1)) + 0.7 * random.normal(size=(queries, 1))
    scores[:, 0] += 1
    return np.round(scores / step) * step if step else scores


def test_log_ranks_by_hand():
    values = log_ranks([0, 3, 0, 2], [0, 0, 1, 2])
    assert values.dtype == np.float64
    assert values == pytest.approx([0, math.log(4), math.log(2) / 2, math.log(3 * 4 * 5) / 3], abs=1e-15)


def test_log_ranks_equal_brute_force():
    random = np.random.default_rng(0)
    above, tied = random.integers(0, 300, 200), random.integers(0, 300, 200)
    expected = [np.mean([math.log(r + 1) for r in range(a, a + t + 1)]) for a, t in zip(above, tied, strict=True)]
    assert log_ranks(above, tied) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("candidates", [1, 64, 256, 100_000])
def test_log_rank_at_chance(candidates):
    chance = METRICS["mean_log_rank"].chance(candidates)
    assert log_ranks([0], [candidates]) == pytest.approx(chance, rel=1e-12)
    ranks = np.arange(candidates + 1)
    assert log_ranks(ranks, np.zeros_like(ranks)).mean() == pytest.approx(chance, rel=1e-12)


def test_log_rank_at_chance_with_64_candidates():
    assert METRICS["mean_log_rank"].chance(64) == pytest.approx(3.2207, abs=5e-5)


def test_log_ranks_of_no_queries():
    assert log_ranks([], []).shape == (0,)


def test_auc_by_hand():
    # Positives 3 and 1; candidates 2, 0 and 1, 4. The first beats 2, 0, 1; the second beats 0 and ties with 1.
    values = auc_global_values([[3, 2, 0], [1, 1, 4]])
    # A: 3/4 and 1.5/4. B: 2 and 0 lie below 1 and 2 of two positives; 1 below 1 and level with 1, 4 below none.
    auc = 4.5 / 8
    assert values == pytest.approx([3 / 4 + (1 / 2 + 2 / 2) / 2 - auc, 1.5 / 4 + (1.5 / 2 + 0) / 2 - auc], abs=1e-15)
    assert values.mean() == pytest.approx(auc, abs=1e-15)


@pytest.mark.parametrize("step", [None, 0.5, 10])
@pytest.mark.parametrize(("queries", "candidates"), [(100, 20), (1, 30), (200, 1)])
def test_auc_equals_other_code(queries, candidates, step):
    scores = drawn(queries, queries, candidates, step)
    auc = auc_global_values(scores).mean()
    labels = np.zeros(scores.shape, int)
    labels[:, 0] = 1
    assert auc == pytest.approx(roc_auc_score(labels.ravel(), scores.ravel()), abs=1e-12)
    u = mannwhitneyu(scores[:, 0], scores[:, 1:].ravel()).statistic
    assert auc == pytest.approx(u / (queries * queries * candidates), abs=1e-12)


def test_auc_values_equal_brute_force():
    scores = drawn(1, 60, 7, 0.5)
    positives, candidates = scores[:, 0], scores[:, 1:]
    wins = (positives[:, None, None] > candidates) + 0.5 * (positives[:, None, None] == candidates)  # [q, q, n]
    expected = wins.mean((1, 2)) + wins.mean((0, 2)) - wins.mean()
    assert auc_global_values(scores) == pytest.approx(expected, abs=1e-13)
    # To first order the values are the jackknife's.
    q = len(scores)
    without = [np.delete(np.delete(wins, i, 0), i, 1).mean() for i in range(q)]
    jackknife = q * wins.mean() - (q - 1) * np.array(without)
    assert auc_global_values(scores).std(ddof=1) == pytest.approx(jackknife.std(ddof=1), rel=0.02)


def test_auc_limits():
    assert auc_global_values(np.ones((30, 5))) == pytest.approx(0.5, abs=1e-15)
    scores = drawn(2, 30, 5)
    scores[:, 0] += 100
    assert auc_global_values(scores) == pytest.approx(1, abs=1e-15)
    scores[:, 0] -= 200
    assert auc_global_values(scores) == pytest.approx(0, abs=1e-15)


def test_auc_depends_on_order_alone():
    scores = drawn(3, 50, 9).astype(np.float32)
    assert (auc_global_values(scores) == auc_global_values(np.exp(scores.astype(np.float64)) * 1e6)).all()


def test_a_query_whose_scores_lie_higher_costs_auc_global_alone():
    scores = drawn(4, 50, 9)
    above = (scores[:, 1:] > scores[:, :1]).sum(1)
    shifted = scores + 10 * np.arange(50)[:, None]
    assert ((shifted[:, 1:] > shifted[:, :1]).sum(1) == above).all()
    assert auc_global_values(shifted).mean() < auc_global_values(scores).mean() - 0.1


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(StudyError, match="a score of query number 1 is not finite"):
        auc_global_values([[1.0, 0.0], [0.0, np.nan]])


def test_auc_interval_covers_the_truth():
    """500 studies of 300 queries against 16 candidates, queries of unequal level."""
    # Positive less candidate of another query: normal with mean 1, variance 2 (1 + .7^2); q cancels for the same query.
    between, within = (0.5 * math.erfc(-1 / math.sqrt(2 * v)) for v in (2 * (1 + 0.49), 2))
    truth = between + (within - between) / 300
    held = []
    for study in range(500):
        values = auc_global_values(drawn([5, study], 300, 16))
        held.append(abs(values.mean() - truth) <= 1.96 * values.std(ddof=1) / math.sqrt(300))
    assert 0.93 <= np.mean(held) <= 0.98
