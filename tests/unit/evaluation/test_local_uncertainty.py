"""Score-Uncertainty by a smooth course of the loss: exact cases, and drawn truths where the jackknife is off centre."""

import numpy as np
import pytest

from rankscale import StudyError, decompose

N = 256


def drawn(queries, random):
    """Loss and rank of queries whose positives score sqrt(2) z + 1 and whose candidates score z, z standard normal."""
    others = random.standard_normal((queries, N))
    own = 1 + np.sqrt(2) * random.standard_normal((queries, 1))
    return np.log1p(np.exp(others - own).sum(1)), (others > own).sum(1)


def test_a_course_that_is_linear_in_the_log_rank_is_met_exactly():
    # Losses a + b log(1 + r) without noise: every window's line is that course, at ranks that no query holds too.
    rank = np.random.default_rng(1).integers(0, 40, 300)
    every = 0.5 + 0.8 * np.log1p(np.arange(65))
    result = decompose(every[rank], rank, n_candidates=64, correction="local")
    assert result.score_uncertainty == pytest.approx(-np.log(np.exp(-every).sum()), abs=1e-6)
    parts = result.rank_entropy + result.rank_score_alignment + result.score_uncertainty
    assert parts == pytest.approx(result.cross_entropy, abs=1e-12)
    assert result.rank_entropy == decompose(every[rank], rank, n_candidates=64).rank_entropy


def test_constant_scores_leave_nothing_but_rank_entropy():
    loss, ties = np.full(300, np.log(65)), np.full(300, 64)
    result = decompose(loss, np.zeros(300), ties, n_candidates=64, correction="local")
    assert result.score_uncertainty == pytest.approx(0, abs=1e-9)
    assert result.rank_entropy == pytest.approx(np.log(65), abs=1e-2)


def test_a_model_of_few_ranks_keeps_the_sum_over_those():
    loss, rank = np.linspace(0.1, 0.2, 100), np.repeat([0, 1], 50)
    local, jackknife = (decompose(loss, rank, n_candidates=64, correction=name) for name in ("local", "jackknife"))
    assert local == jackknife


def test_where_few_queries_share_a_rank_it_is_centred_and_the_jackknife_is_not():
    random = np.random.default_rng(7)
    many = [drawn(20_000, random) for _ in range(10)]
    truth = decompose(*map(np.concatenate, zip(*many, strict=True))).score_uncertainty
    studies = [drawn(1500, random) for _ in range(40)]
    local, jackknife = (
        [decompose(*study, n_candidates=N, correction=name) for study in studies] for name in ("local", "jackknife")
    )
    errors = np.array([[result.score_uncertainty - truth for result in side] for side in (local, jackknife)])
    standard = errors.std(1, ddof=1) / np.sqrt(len(studies))
    # Bias within three of its standard errors, against over ten; the rows are flagged as ones that need it.
    assert abs(errors[0].mean()) < 3 * standard[0] + 0.001
    assert errors[1].mean() < -10 * standard[1]
    covered = [low <= truth <= high for result in local for low, high in [result.interval("score_uncertainty")]]
    assert np.mean(covered) >= 0.85
    assert all(result.too_few_queries for result in jackknife)


def test_needs_the_number_of_candidates():
    with pytest.raises(StudyError, match="give n_candidates"):
        decompose([0.1, 0.2], [0, 1], correction="local")
