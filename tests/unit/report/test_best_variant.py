"""Which way to train scales best, in words: told, not told, never reached, with a teacher, and how sure."""

import pandas as pd
import pytest

from rankscale.report.best_variant import contrast_sentences, recipe_sentences
from rankscale.report.variants import multiplier_sentences

NONE = float("nan")


def worth(variant, multiplier=NONE, low=NONE, high=NONE, own=1e12, metric="rank_entropy", **more):
    """A row of compute; of a variant without a law `own` is missing."""
    row = {"metric": metric, "variant": variant, "first": "base", "kind": "compute", "own": own, "reach": 0.9}
    row |= {"multiplier": multiplier, "low": low, "high": high, "extrapolated": False, "teacher_flops": 0.0}
    return row | {"with_teacher": multiplier, "with_teacher_low": low, "with_teacher_high": high} | more


def exponent(variant, parameter, difference, low, high, metric="rank_entropy"):
    row = {"metric": metric, "variant": variant, "first": "base", "parameter": parameter}
    return row | {"difference": difference, "difference_low": low, "difference_high": high}


EXPONENTS = pd.DataFrame(
    [
        exponent("base", "alpha", NONE, NONE, NONE),
        exponent("star", "alpha", 0.1, 0.05, 0.15),
        exponent("star", "beta", 0.1, -0.05, 0.25),
        exponent("kl", "alpha", -0.2, -0.3, -0.1),
        exponent("kl", "beta", 0.0, -0.1, 0.1),
        exponent("star", "delta", 0.3, 0.2, 0.4),
    ]
)
STAR, KL = worth("star", 2.5, 1.6, 4.0), worth("kl", 0.5, 0.3, 0.8)


def best_sentences(*rows, exponents=EXPONENTS):
    return recipe_sentences(pd.DataFrame(rows), exponents)


def test_the_best_is_named_with_what_it_is_worth_and_how_sure_that_is():
    answer, sure = best_sentences(KL, STAR, worth("mw", 1.8, 0.9, 3.0))
    assert answer == (
        "By Rank-Entropy, star scales best of 4 ways to train: base needs 2.5 [1.6, 4] times the compute to be as good "
        "as star on its best cell; kl is worse than base."
    )
    assert "not of the choice among 3; the intervals of mw reach that of star." in sure
    assert "Its law is steeper in parameters (+0.100 [+0.050, +0.150]) than base's." in sure
    assert "training queries" not in sure


def test_where_none_is_told_to_be_better_it_is_said():
    answer, sure = best_sentences(KL, worth("mw", 1.8, 0.9, 3.0))
    assert answer == (
        "By Rank-Entropy, none of 2 other ways to train is told to be better than base: the best of them, mw, is worth "
        "1.8 [0.9, 3] times the compute; kl is worse than base."
    )
    assert "lead" not in sure


def test_a_steeper_law_of_one_that_is_not_better_is_no_secret():
    steeper = pd.DataFrame([exponent("kl", "beta", 0.4, 0.2, 0.6), exponent("mw", "alpha", 0.04, -0.01, 0.09)])
    _, sure = best_sentences(KL, worth("mw", 1.8, 0.9, 3.0), exponents=steeper)
    assert "are the laws of kl in training queries: whether these overtake it lies beyond what was measured." in sure
    _, sure = best_sentences(STAR, KL)
    assert "overtake" not in sure


def test_a_larger_multiplier_that_is_not_told_from_one_is_not_the_best():
    answer, sure = best_sentences(STAR, worth("mw", 9.0, 0.5))
    assert "star scales best of 3" in answer
    assert "the intervals of mw reach that of star" in sure


def test_what_extrapolates_what_is_never_reached_and_what_has_no_law_say_so():
    answer, _ = best_sentences(STAR | {"extrapolated": True, "reach": 12.3})
    assert "(this extrapolates, to 12.3 times the largest measured)" in answer
    answer, _ = best_sentences(STAR, worth("mw", low=3.0))
    assert "base never gets as good as mw by its law" in answer
    answer, _ = best_sentences(STAR, worth("mw", own=NONE))
    assert answer.endswith("; mw cannot be told.")
    (only,) = best_sentences(worth("mw", own=NONE))
    assert "cannot be told by Rank-Entropy: there are no laws" in only


def test_a_teacher_s_compute_stands_beside_what_leaves_it_out():
    teacher = {"teacher_flops": 4e12, "with_teacher": 0.5, "with_teacher_low": 0.32, "with_teacher_high": 0.8}
    answer, _ = best_sentences(STAR | teacher)
    assert "on its best cell, teachers' compute counted 0.5 [0.32, 0.8]." in answer
    # Of the first it is its teacher that counts.
    answer, _ = best_sentences(STAR | {"with_teacher": 7.5, "with_teacher_low": 4.8, "with_teacher_high": 12.0})
    assert "teachers' compute counted 7.5 [4.8, 12]" in answer
    assert "teachers" not in best_sentences(STAR)[0]
    cell = {"model": "L1H32", "train_queries": 512, "out_of_reach": 0.0, "note": ""}
    rows = pd.DataFrame([STAR | teacher | cell | {"kind": kind} for kind in ("compute", "data", "parameters")])
    assert "With teachers' compute counted it is 0.5 [0.32, 0.8] times." in multiplier_sentences(rows)[0]


def test_other_metrics_that_say_otherwise_are_named():
    others = [worth("star", 0.9, 0.5, 1.4, metric="1-mrr"), worth("kl", 1.5, 1.2, 1.9, metric="1-mrr")]
    _, sure = best_sentences(STAR, KL, *others)
    assert "; by 1 - MRR it is kl." in sure
    _, sure = best_sentences(STAR, KL, others[0])
    assert "; by 1 - MRR none is told to be better." in sure


def test_contrasts_of_exponents_are_sorted_by_what_their_intervals_tell():
    assert contrast_sentences(EXPONENTS) == [
        "Exponents of parameters (alpha), steeper than base's: star (+0.100 [+0.050, +0.150]); flatter than base's: kl "
        "(-0.200 [-0.300, -0.100]).",
        "Exponents of training queries (beta), not told apart from base's: star, kl.",
    ]


@pytest.mark.parametrize("sentences", [recipe_sentences(pd.DataFrame(), EXPONENTS), contrast_sentences(pd.DataFrame())])
def test_a_study_of_one_way_says_nothing(sentences):
    assert sentences == []
