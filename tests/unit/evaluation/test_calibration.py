"""Calibration against hand calculation, another optimiser, its limits, and drawn truths."""

import hashlib

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from rankscale import StudyError, decompose, pseudo_values
from rankscale.evaluation.calibration import CAP, calibrate, cross_fitting_folds

RESULTS = ("best_inverse_temperature", "low", "high")


def drawn(seed, queries, candidates, step=None):
    """Scores [q, 1 + n] of unequal scale by query, some 6 times too large."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(queries, candidates + 1)) * np.exp(0.3 * random.normal(size=(queries, 1)))
    scores[:, :1] += 1 + random.normal(size=(queries, 1))
    return 6 * (np.round(scores / step) * step if step else scores)


def losses(scores, inverse_temperature):
    return logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * scores[:, 0]


def counts(scores):
    return (scores[:, 1:] > scores[:, :1]).sum(1), (scores[:, 1:] == scores[:, :1]).sum(1)


def unit(scores):
    return np.abs(scores[:, 1:] - scores[:, :1]).mean()


def best_by_scipy(scores):
    upper = CAP / unit(scores)
    optimum = minimize_scalar(
        lambda b: losses(scores, b).mean(), bounds=(0, upper), method="bounded", options={"xatol": 1e-9 * upper}
    )
    return optimum.x


def test_by_hand():
    # Against one candidate each, 24 queries win by 2 and 8 lose by 2: the odds of winning, 3, are e^(2b).
    scores = np.zeros((32, 2))
    scores[:, 0] = np.where(np.arange(32) % 4 < 3, 2.0, -2.0)
    calibration = calibrate(scores)
    assert calibration.best_inverse_temperature == pytest.approx(np.log(3) / 2, abs=1e-12)
    # Slopes are -2/4 of a query that wins, 6/4 of one that loses; curvatures all 4 * 3/16.
    error = np.sqrt((24 * 0.25 + 8 * 2.25) / 31 / 32) / 0.75
    assert calibration.low == pytest.approx(np.log(3) / 2 - 1.959964 * error, abs=1e-6)
    assert calibration.high == pytest.approx(np.log(3) / 2 + 1.959964 * error, abs=1e-6)
    # Each fold is measured by the odds of the other.
    for fold in (0, 1):
        wins = scores[calibration.fold != fold, 0] > 0
        odds = wins.sum() / (~wins).sum()
        assert calibration.inverse_temperature[fold] == pytest.approx(np.log(odds) / 2, abs=1e-12)
        expected = np.where(scores[calibration.fold == fold, 0] > 0, np.log1p(1 / odds), np.log1p(odds))
        assert calibration.loss[calibration.fold == fold] == pytest.approx(expected, abs=1e-12)
    assert not calibration.at_cap


@pytest.mark.parametrize(
    ("queries", "candidates", "step"), [(300, 64, None), (301, 5, 0.5), (40, 1, None), (9, 3, None)]
)
def test_another_optimiser_agrees(queries, candidates, step):
    scores = drawn(queries, queries, candidates, step)
    calibration = calibrate(scores)
    assert not calibration.at_cap
    assert calibration.best_inverse_temperature == pytest.approx(best_by_scipy(scores), rel=1e-5, abs=1e-7)
    for fold in (0, 1):
        other = best_by_scipy(scores[calibration.fold != fold])
        assert calibration.inverse_temperature[fold] == pytest.approx(other, rel=1e-5, abs=1e-7)
        expected = losses(scores[calibration.fold == fold], calibration.inverse_temperature[fold])
        assert calibration.loss[calibration.fold == fold] == pytest.approx(expected, abs=1e-11)


def test_the_interval_is_the_sandwich_by_differences():
    scores = drawn(1, 500, 20)
    calibration = calibrate(scores)
    b, h = calibration.best_inverse_temperature, 1e-4
    before, at, after = (losses(scores, b + d) for d in (-h, 0, h))
    slope, curvature = (after - before) / (2 * h), (after - 2 * at + before).mean() / h**2
    error = slope.std(ddof=1) / np.sqrt(500) / curvature
    assert (calibration.high - calibration.low) / 2 == pytest.approx(1.959964 * error, rel=1e-5)
    assert (calibration.high + calibration.low) / 2 == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("factor", [10.0**power for power in (-6, -3, -1, 1, 3, 6)] + [1e-300, 1e300])
@pytest.mark.parametrize("which", ["usual", "separable"])
def test_the_unit_of_scores_does_not_matter(factor, which):
    scores = drawn(2, 200, 10)
    if which == "separable":
        scores[:, 0] = scores.max() + 1
    one, other = calibrate(scores), calibrate(scores * factor)
    assert other.loss == pytest.approx(one.loss, rel=1e-9, abs=1e-300)
    assert np.array(other.inverse_temperature) * factor == pytest.approx(np.array(one.inverse_temperature), rel=1e-9)
    assert other.at_cap == one.at_cap == (which == "separable")
    for name in RESULTS:
        value = getattr(one, name)
        assert getattr(other, name) == (None if value is None else pytest.approx(value / factor, rel=1e-9))


def test_a_querys_own_offset_and_the_order_of_queries_do_not_matter():
    scores, ids = drawn(3, 200, 10), [f"q{i}" for i in range(200)]
    order = np.random.default_rng(0).permutation(200)
    one = calibrate(scores, ids)
    other = calibrate((scores + np.arange(200)[:, None])[order], [ids[i] for i in order])
    assert other.loss == pytest.approx(one.loss[order], rel=1e-9)
    assert (other.fold == one.fold[order]).all()
    for name in RESULTS:
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)


def test_single_precision_scores_are_calibrated_in_double():
    scores = drawn(4, 200, 10).astype(np.float32)
    assert (calibrate(scores).loss == calibrate(scores.astype(np.float64)).loss).all()


@pytest.mark.parametrize("step", [None, 0.5])
def test_the_parts_add_up_and_rank_entropy_is_that_of_the_raw_scores(step):
    scores = drawn(5, 400, 30, step)
    above, tied = counts(scores)
    raw = losses(scores, 1.0)
    calibrated = calibrate(scores).loss
    before, after = decompose(raw, above, tied), decompose(calibrated, above, tied)
    assert after.rank_entropy == before.rank_entropy
    assert after.rank_entropy_se == before.rank_entropy_se
    assert after.cross_entropy == pytest.approx(calibrated.mean(), abs=1e-12)
    for end in ("", "_plugin"):
        parts = [getattr(after, f"{p}{end}") for p in ("rank_entropy", "rank_score_alignment", "score_uncertainty")]
        assert sum(parts) == pytest.approx(calibrated.mean(), abs=1e-10)
    assert (pseudo_values(calibrated, above, tied)[:, 1] == pseudo_values(raw, above, tied)[:, 1]).all()
    # Scores six times too large cost alignment, not the ranking.
    assert after.cross_entropy < before.cross_entropy - 1
    assert after.rank_score_alignment < before.rank_score_alignment / 5


def test_constant_scores_are_at_chance():
    calibration = calibrate(np.full((50, 8), 3.7))
    assert calibration.loss == pytest.approx(np.log(8), abs=1e-15)
    assert calibration.inverse_temperature == (0, 0)
    assert (calibration.best_inverse_temperature, calibration.low, calibration.high) == (0, None, None)
    assert not calibration.at_cap


def test_scores_that_rank_worse_than_at_random_are_switched_off():
    scores = -drawn(6, 300, 10)
    scores[:, 0] -= 20
    calibration = calibrate(scores)
    assert calibration.loss == pytest.approx(np.log(11), abs=1e-15)
    assert (calibration.best_inverse_temperature, calibration.low, calibration.high) == (0, 0, 0)
    assert not calibration.at_cap


@pytest.mark.parametrize("cap", [CAP, 7.0])
def test_a_ranking_without_a_mistake_sits_at_the_cap(cap):
    scores = drawn(7, 100, 10)
    scores[:, 0] = scores[:, 1:].max(1) + 1
    calibration = calibrate(scores, cap=cap)
    assert calibration.at_cap
    assert calibration.best_inverse_temperature == pytest.approx(cap / unit(scores), rel=1e-12)
    assert set(calibration.inverse_temperature) == {calibration.best_inverse_temperature}
    assert (calibration.low, calibration.high) == (None, None)
    assert calibration.loss == pytest.approx(losses(scores, cap / unit(scores)), rel=1e-6, abs=1e-14)


def test_a_tie_at_the_top_is_no_mistake_and_costs_log_2():
    scores = drawn(8, 100, 10)
    scores[:, 0] = scores[:, 1] = scores[:, 2:].max(1) + 5
    calibration = calibrate(scores)
    assert calibration.at_cap
    assert calibration.loss == pytest.approx(np.log(2), abs=1e-6)


def test_one_half_without_a_mistake_is_said_although_the_whole_has_a_best():
    scores = np.zeros((40, 2))
    scores[:, 0] = 1
    scores[int(cross_fitting_folds(range(40)).argmax()), 0] = -1  # the one mistake is in fold 1
    calibration = calibrate(scores)
    assert calibration.at_cap
    assert calibration.inverse_temperature[1] == CAP
    assert calibration.best_inverse_temperature == pytest.approx(np.log(39))
    assert calibration.low < np.log(39) < calibration.high


def test_folds_depend_on_seed_and_query_id_alone():
    ids = [f"q{i}" for i in range(2000)]
    fold = cross_fitting_folds(ids, 3)
    assert fold.dtype == np.int8
    assert fold[7] == hashlib.sha256(b"3\x1fq7").digest()[0] % 2
    assert (cross_fitting_folds(ids[500:], 3) == fold[500:]).all()
    assert 900 < fold.sum() < 1100
    assert 900 < (fold == cross_fitting_folds(ids, 4)).sum() < 1100
    scores = drawn(9, 2000, 3)
    assert (calibrate(scores, ids, seed=3).fold == fold).all()
    # Without ids: the row numbers.
    assert (calibrate(scores).fold == cross_fitting_folds(map(str, range(2000)))).all()


def test_two_queries_are_calibrated_where_they_can_calibrate_each_other():
    apart = [i for fold in (0, 1) for i in [int((cross_fitting_folds(range(20)) == fold).argmax())]]
    calibration = calibrate(drawn(10, 2, 5), apart)
    assert np.isfinite(calibration.loss).all()
    assert sorted(calibration.fold) == [0, 1]
    together = [i for i in range(20) if cross_fitting_folds([i])[0] == 0][:2]
    for ids in (together, together[:1]):
        with pytest.raises(StudyError, match=f"all of the {len(ids)} queries fall into one of the two halves"):
            calibrate(drawn(10, len(ids), 5), ids)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [[1.0, 0.0], [np.nan, 1.0], [1.0, 0.0]]}, "a score of query b is not finite"),
        ({"scores": [[1.0, 0.0], [0.0, 1.0], [1.0, -np.inf]]}, "a score of query c is not finite"),
        ({"scores": [[1.0, np.inf], [0.0, 1.0], [1.0, 0.0]], "query_ids": None}, "a score of query number 0 is not"),
        ({"scores": [[1.7e308, -1.7e308], [0.0, 1.0], [1.0, 0.0]]}, "too far apart"),
        ({"scores": [[1.0], [2.0], [3.0]]}, r"their shape is \(3, 1\)"),
        ({"scores": [1.0, 2.0, 3.0]}, r"their shape is \(3,\)"),
        ({"scores": np.empty((0, 3)), "query_ids": []}, r"their shape is \(0, 3\)"),
        ({"scores": [["x", "y"]] * 3}, "must be an array of numbers"),
        ({"scores": [[1.0, 2.0], [1.0], [2.0]]}, "must be an array of numbers"),
        ({"query_ids": ["a", "b"]}, "2 query ids for the scores of 3 queries"),
        ({"cap": 0.0}, "cap of the inverse temperature is 0.0"),
        ({"cap": np.inf}, "cap of the inverse temperature is inf"),
    ],
)
def test_bad_values_are_named(change, message):
    good = {"scores": [[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]], "query_ids": ["a", "b", "c"]}
    with pytest.raises(StudyError, match=message):
        calibrate(**{**good, **change})


def test_intervals_cover_the_truth():
    """500 studies of 500 queries against 16 candidates: of the calibrated loss and of the inverse temperature."""
    truth = [calibrate(drawn([11, i], 50_000, 16)) for i in range(8)]
    loss = np.mean([c.loss.mean() for c in truth])
    inverse_temperature = np.mean([c.best_inverse_temperature for c in truth])
    studies = [calibrate(drawn([12, i], 500, 16)) for i in range(500)]
    errors = np.array([c.loss.std(ddof=1) for c in studies]) / np.sqrt(500)
    means = np.array([c.loss.mean() for c in studies])
    assert 0.93 <= np.mean(np.abs(means - loss) <= 1.96 * errors) <= 0.97
    assert 0.93 <= np.mean([c.low <= inverse_temperature <= c.high for c in studies]) <= 0.97
    # What choosing on the other half costs, to first order: the variance of the slopes over q times the curvature.
    width = np.mean([c.high - c.low for c in truth]) / (2 * 1.959964) * np.sqrt(50_000)  # sqrt(variance) / curvature
    h = 1e-3
    large = drawn([11, 0], 50_000, 16)
    before, at, after = (losses(large, inverse_temperature + d).mean() for d in (-h, 0, h))
    expected = width**2 * (after - 2 * at + before) / h**2 / 500
    at_truth = np.array([losses(drawn([12, i], 500, 16), inverse_temperature).mean() for i in range(500)])
    assert (means - at_truth).mean() == pytest.approx(expected, rel=0.2)
    assert expected < 0.1 * errors.mean()
