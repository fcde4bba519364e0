"""The decomposition against hand calculation, brute force, the published formula, and drawn truths."""

import numpy as np
import pytest

from rankscale import StudyError, decompose, pseudo_values

PARTS = ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty")


def scores_to_observations(scores):
    """Loss, above, tied of scores [q, n + 1], the positive first."""
    loss = np.log(np.exp(scores).sum(1)) - scores[:, 0]
    return loss, (scores[:, 1:] > scores[:, :1]).sum(1), (scores[:, 1:] == scores[:, :1]).sum(1)


def drawn(seed, queries, candidates, step=None):
    scores = np.random.default_rng(seed).normal(size=(queries, candidates + 1))
    scores[:, 0] += 1
    if step:
        scores = np.round(scores / step) * step
    return scores_to_observations(scores)


def by_brute_force(loss, above, tied, n):
    """Plug-in parts straight from the definitions, one query and one rank at a time."""
    weight, weighted = np.zeros(n + 1), np.zeros(n + 1)
    for value, a, t in zip(loss, above, tied, strict=True):
        for rank in range(a, a + t + 1):
            weight[rank] += 1 / (t + 1)
            weighted[rank] += value / (t + 1)
    on = weight > 1e-9
    p, c = weight[on] / len(loss), weighted[on] / weight[on]
    z = np.exp(-c).sum()
    q = np.exp(-c) / z
    return np.array([np.mean(loss), -(p * np.log(p)).sum(), (p * np.log(p / q)).sum(), -np.log(z)])


def test_by_hand():
    # Two queries at rank 0 with losses 0.2 and 0.4, one tied over ranks 1 and 2 with loss 1.5.
    result = decompose([0.2, 0.4, 1.5], [0, 0, 1], [0, 0, 1], n_candidates=3, correction="none")
    p = np.array([2 / 3, 1 / 6, 1 / 6])
    c = np.array([0.3, 1.5, 1.5])
    z = np.exp(-c).sum()
    assert result.rank_entropy == pytest.approx(-(p * np.log(p)).sum(), abs=1e-15)
    assert result.score_uncertainty == pytest.approx(-np.log(z), abs=1e-15)
    assert result.rank_score_alignment == pytest.approx((p * np.log(p * z / np.exp(-c))).sum(), abs=1e-15)
    assert result.cross_entropy == pytest.approx(0.7)
    # The reciprocal ranks are 1, 1 and (1/2 + 1/3) / 2.
    assert result.mrr == pytest.approx((2 + 5 / 12) / 3)
    assert result.chance == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


@pytest.mark.parametrize(
    ("queries", "candidates", "step"), [(300, 64, None), (300, 64, 0.5), (40, 200, 0.2), (2, 3, None)]
)
def test_plugin_and_jackknife_equal_brute_force(queries, candidates, step):
    loss, above, tied = drawn(queries, queries, candidates, step)
    result = decompose(loss, above, tied, n_candidates=candidates)
    plugin = by_brute_force(loss, above, tied, candidates)
    assert [
        result.rank_entropy_plugin,
        result.rank_score_alignment_plugin,
        result.score_uncertainty_plugin,
    ] == pytest.approx(plugin[1:], abs=1e-12)
    without = np.stack(
        [by_brute_force(*(np.delete(a, i) for a in (loss, above, tied)), candidates) for i in range(queries)]
    )
    pseudo = queries * plugin - (queries - 1) * without
    assert np.abs(pseudo_values(loss, above, tied) - pseudo).max() < 1e-9
    assert [getattr(result, p) for p in PARTS] == pytest.approx(pseudo.mean(0), abs=1e-9)
    errors = pseudo.std(0, ddof=1) / np.sqrt(queries)
    assert [getattr(result, f"{p}_se") for p in PARTS] == pytest.approx(errors, abs=1e-9)


@pytest.mark.parametrize("correction", ["jackknife", "none", "miller-madow", "grassberger"])
@pytest.mark.parametrize("ties", ["expected", "optimistic"])
def test_parts_sum_to_the_cross_entropy(correction, ties):
    result = decompose(*drawn(1, 500, 64, 0.5), correction=correction, ties=ties)
    assert (
        abs(result.cross_entropy - result.rank_entropy - result.rank_score_alignment - result.score_uncertainty) < 1e-12
    )
    plugin = result.rank_entropy_plugin + result.rank_score_alignment_plugin + result.score_uncertainty_plugin
    assert abs(result.cross_entropy - plugin) < 1e-12


def test_a_constant_scorer_has_the_largest_entropy_not_none():
    n, q = 64, 200
    observed = np.full(q, np.log(n + 1)), np.zeros(q, int), np.full(q, n)
    result = decompose(*observed, n_candidates=n)
    assert result.rank_entropy == pytest.approx(np.log(n + 1))
    assert result.mrr == pytest.approx((1 / np.arange(1, n + 2)).mean())
    assert result.below_chance
    assert decompose(*observed, ties="optimistic").rank_entropy == 0  # what the default must not do


def test_a_perfect_scorer_has_none():
    result = decompose(np.full(100, 1e-6), np.zeros(100, int), n_candidates=64)
    assert (result.rank_entropy, result.mrr, result.below_chance) == (0, 1, False)


def test_optimistic_and_uncorrected_is_the_published_formula():
    loss, above, tied = drawn(2, 2000, 64, 0.25)
    result = decompose(loss, above, tied, ties="optimistic", correction="none")
    # As published: counts by rank, 1e-10 inside every logarithm.
    eps = 1e-10
    ranks = np.unique(above)
    p = np.array([(above == r).mean() for r in ranks])
    c = np.array([loss[above == r].mean() for r in ranks])
    assert c.max() < 14
    q = np.exp(-c) / np.exp(-c).sum()
    published = [
        -(p * np.log(p + eps)).sum(),
        (p * np.log((p + eps) / (q + eps))).sum(),
        -np.log(np.exp(-c).sum() + eps),
    ]
    ours = [result.rank_entropy, result.rank_score_alignment, result.score_uncertainty]
    assert ours == pytest.approx(published, abs=1e-6)


def test_miller_madow_is_the_textbook_term_without_ties():
    loss, above, _ = drawn(3, 400, 32)
    corrected, plain = (decompose(loss, above, correction=c) for c in ("miller-madow", "none"))
    observed = len(np.unique(above))
    assert corrected.rank_entropy - plain.rank_entropy == pytest.approx((observed - 1) / (2 * 400))
    constant = decompose(np.full(50, np.log(9)), np.zeros(50, int), np.full(50, 8), correction="miller-madow")
    assert constant.rank_entropy == pytest.approx(np.log(9))


def test_intervals_cover_the_truth_and_the_plugin_does_not():
    """200 studies of 1,000 queries against 64 negatives: biases and coverage as theory says."""
    random = np.random.default_rng(0)

    def one(queries):
        difficulty = random.normal(size=(queries, 1))
        scores = random.normal(size=(queries, 65)) * 1.5
        scores[:, :1] += 2 + difficulty
        return scores_to_observations(scores)

    truth = decompose(*one(400_000), correction="none")
    studies = [decompose(*one(1000)) for _ in range(200)]
    for part in PARTS:
        value = getattr(truth, part)
        covered = np.mean([s.interval(part)[0] <= value <= s.interval(part)[1] for s in studies])
        assert 0.88 <= covered <= 1.0, f"{part}: {covered}"
    plugin = np.mean([s.rank_entropy_plugin for s in studies]) - truth.rank_entropy
    corrected = np.mean([s.rank_entropy for s in studies]) - truth.rank_entropy
    # To first order the plug-in is (K - 1) / 2Q = 0.032 too low; sampling error of the means is .002.
    assert -0.045 < plugin < -0.02
    assert abs(corrected) < 0.008


def test_too_few_queries_by_the_share_of_q_at_thin_ranks():
    # Ranks 0 to 3 hold 6, 5, 4 and 1 queries of loss r + 1, so q is in proportion to exp(-r - 1), and 2 and 3 are thin.
    above = np.repeat([0, 1, 2, 3], [6, 5, 4, 1])
    q = np.exp(-np.array([1.0, 2, 3, 4]))
    assert decompose(above + 1.0, above).thin_share == pytest.approx(q[2:].sum() / q.sum())
    assert decompose(above + 1.0, above).too_few_queries
    assert not decompose(9.0 * above + 1.0, above).too_few_queries  # the thin ranks hardly count
    assert decompose(*drawn(4, 100, 64)).too_few_queries
    assert not decompose(*drawn(4, 2000, 64)).too_few_queries


def test_one_query_alone_at_a_rank_that_makes_up_z():
    # Without the first query Z falls by 13 orders of magnitude: a difference would have no digits left.
    loss, above = np.array([0.001, 30.0, 31.0, 32.0]), np.array([0, 1, 2, 2])
    plugin = by_brute_force(loss, above, np.zeros(4, int), 3)
    without = by_brute_force(loss[1:], above[1:], np.zeros(3, int), 3)
    expected = 4 * plugin - 3 * without
    assert pseudo_values(loss, above)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": [0.1, np.nan, 0.2]}, "loss of query number 1 is nan"),
        ({"loss": [0.1, np.inf, 0.2]}, "loss of query number 1 is inf"),
        ({"above": [0, -1, 0]}, "above of query number 1 is -1"),
        ({"above": [0, 0.5, 0]}, "above of query number 1 is 0.5"),
        ({"loss": ["a", "b", "c"]}, "must be arrays of numbers"),
        ({"loss": [[1.0], [2.0, 3.0], [4.0]]}, "must be arrays of numbers"),
        ({"above": [0, 2.0**63, 0], "n_candidates": None}, "more candidates than there can be"),
        ({"tied": [0, 0, 9]}, "query number 2 is 9, of 4 candidates"),
        ({"loss": [0.1, 0.2]}, "of equal length"),
        ({"loss": [0.1], "above": [0], "tied": [0]}, "two queries or more"),
        ({"ties": "hopeful"}, "'hopeful' is none of"),
        ({"correction": "wish"}, "'wish' is none of"),
    ],
)
def test_bad_values_are_named(change, message):
    good = {"loss": [0.1, 0.2, 0.3], "above": [0, 1, 0], "tied": [0, 0, 0], "n_candidates": 4}
    with pytest.raises(StudyError, match=message):
        decompose(**{**good, **change})
