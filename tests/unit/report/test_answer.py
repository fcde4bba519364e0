"""What a reader is told: verdicts in words, the answer to quote, the claim, and what would decide it."""

import pandas as pd
import pytest

from rankscale.report.answer import answer_sentences, claim_sentence, confidence_sentences, open_verdicts
from rankscale.report.text_tables import contrast_table, verdict_table
from rankscale.report.verdicts import verdict_words, what_would_decide
from rankscale.storage.schemas import SCHEMAS

KEEPS, STOPPED, OPEN = "keeps improving", "no longer", "undecided"
METRICS = ("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "calibrated_cross_entropy")


def verdict(metric="rank_entropy", verdict=KEEPS, **columns):
    """A row of the table, of a study of two seeds."""
    row = dict.fromkeys(SCHEMAS["verdicts"].names)
    row |= {"metric": metric, "axis": "model", "fixed": "train_queries=4000", "law": "line", "verdict": verdict}
    row |= {"forecast": "confirmed", "as_forecast": verdict == KEEPS, "provisional": False, "reason": "", "seeds": 2}
    row |= {"cells_known": 5, "cells_held_out": 2, "predicted_gain": 0.2, "realised_gain": 0.1, "smallest_gain": 0.25}
    row |= {"gain_low": 0.0, "gain_high": 0.2, "share": 0.5, "share_low": 0.0, "p_improving": 0.04, "misfit": 0.01}
    row |= {"lack_of_fit_p": 0.3, "same": 0.94, "seeds_agreeing": 1, "cells_left_out": 7, "cells_left_out_agreeing": 6}
    return row | {"turned_by": "L2H96", "seeds_needed": 5} | columns


def contrast(second, answer=OPEN, bounded=True, **columns):
    row = dict.fromkeys(SCHEMAS["contrasts"].names)
    row |= {"axis": "model", "kind": "metric", "first": "rank_entropy", "second": second, "answer": answer}
    row |= {"bounded": bounded, "provisional": False, "reason": "the realised share of rank_entropy has no bound"}
    if bounded:
        row |= {"difference": 0.3, "low": -0.1, "high": 0.7, "p": 0.1, "p_holm": 0.2, "smallest_difference": 0.6}
        row |= {"share_first": 1.1, "share_second": 0.8}
    return row | columns


def verdicts_of(**kinds):
    return pd.DataFrame([verdict(metric, kinds.get(metric, OPEN)) for metric in METRICS])


def contrasts_of(answer=OPEN, **columns):
    return pd.DataFrame([contrast(metric, answer, **columns) for metric in METRICS if metric != "rank_entropy"])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "keeps improving, as forecast"),
        ({"forecast": "too uncertain"}, "keeps improving, as forecast, amount uncertain"),
        ({"forecast": "too uncertain", "as_forecast": False}, "keeps improving"),
        ({"forecast": "less", "as_forecast": False}, "keeps improving, less than forecast"),
        ({"provisional": True}, "keeps improving, as forecast (provisional: one seed)"),
        ({"verdict": STOPPED, "as_forecast": False, "forecast": "less"}, "no longer"),
        ({"verdict": OPEN, "as_forecast": False, "forecast": "unbounded", "provisional": True}, "undecided"),
    ],
)
def test_verdicts_in_words(columns, words):
    assert verdict_words(pd.Series(verdict(**columns))) == words


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"forecast": "unbounded"}, "a gain of 0.25 would have been seen in 80% of such studies, 0.2 is forecast; 5"),
        ({"seeds_needed": None}, "more cells are needed"),
        ({}, "5 seeds in all would show the forecast gain in 80% of such studies"),
        ({"cells_needed": 12}, "5 seeds or 12 sizes in all would each show the forecast gain"),
        ({"cells_needed": 12, "queries_needed": 9000}, "5 seeds, 12 sizes or 9,000 test queries in all would each"),
        ({"cells_needed": 7, "queries_needed": 9000}, "5 seeds or 9,000 test queries in all"),  # there are 7
        ({"axis": "data", "seeds_needed": 2, "cells_needed": 9}, "9 subsets in all would show"),  # two seeds were run
        ({"seeds": 1, "seeds_needed": None, "cells_needed": 12}, "how far runs differ; 12 sizes in all would show"),
        ({"seeds": 1, "reason": "one seed"}, "one seed; a second seed would tell"),
        ({"smallest_gain": 0.15, "queries_needed": 500}, "would have been seen in 80% of such studies: less was"),
        ({"predicted_gain": None, "reason": "nothing was held out"}, "nothing was held out"),
    ],
)  # fmt: skip
def test_what_is_undecided_says_what_would_decide_it(columns, sentence):
    assert sentence in what_would_decide(pd.Series(verdict(verdict=OPEN, **columns)))
    assert not what_would_decide(pd.Series(verdict()))


def test_each_undecided_verdict_of_a_study_has_its_sentence():
    rows = [verdict(), verdict("mrr", OPEN), verdict("rank_entropy", OPEN, axis="data", fixed="model=L1H96")]
    sentences = open_verdicts(
        pd.DataFrame([*rows, verdict("cross_entropy", STOPPED), verdict("auc", OPEN, axis="compute")])
    )
    assert sentences == [
        "MRR over model size (on 4,000 training queries): 5 seeds in all would show the forecast gain in 80% of such "
        "studies.",
        "Rank-Entropy over training queries (of L1H96): 5 seeds in all would show the forecast gain in 80% of such "
        "studies.",
    ]


def test_the_answer_is_three_sentences():
    verdicts = verdicts_of(rank_entropy=KEEPS, cross_entropy=KEEPS)
    model, data, claim = answer_sentences(verdicts, contrasts_of())
    assert model == (
        "Over model size (on 4,000 training queries; 5 cells known, 2 held out, 2 seeds), Rank-Entropy: keeps "
        "improving, as forecast (gain 0.1 [0, 0.2] nats, 0.2 forecast; one-sided p 0.04); keeps improving: "
        "Cross-entropy; undecided: Calibrated cross-entropy."
    )
    assert data == "Over training queries no metric was judged."
    assert claim == (
        'The claim "only Rank-Entropy scales": over model size, does not hold here: Cross-entropy keeps improving too; '
        "over training queries, undecided: Rank-Entropy was not judged."
    )
    twice = pd.concat([verdicts, verdicts.assign(axis="data")])
    assert "on both axes: does not hold here" in answer_sentences(twice, contrasts_of())[2]


def test_how_sure_the_answer_is():
    verdicts = verdicts_of(rank_entropy=KEEPS, cross_entropy=KEEPS)
    (sure,) = confidence_sentences(verdicts, contrasts_of())
    assert "the same in 94% of studies simulated around this one, on 1 of 2 seeds alone" in sure
    assert "(another without L2H96)" in sure
    assert sure.count("cannot be told from") == 2  # the raw and the calibrated cross-entropy
    assert "Calibrated cross-entropy (+0.30 [-0.10, +0.70], adjusted p 0.2; 0.60 would have been seen)" in sure
    (better,) = confidence_sentences(verdicts, contrasts_of("better"))
    assert "realises more of it than Cross-entropy does of its own" in better
    (unbounded,) = confidence_sentences(verdicts, contrasts_of(bounded=False))
    assert "it cannot be compared with Cross-entropy and Calibrated cross-entropy, for want of" in unbounded
    half = contrasts_of()
    half.loc[half.second == "cross_entropy", "bounded"] = False
    (mixed,) = confidence_sentences(verdicts, half.assign(reason="the realised share of cross_entropy has no bound"))
    assert "cannot be compared with Cross-entropy (the realised share of Cross-entropy has no bound) and can" in mixed
    raw_alone = contrasts_of().query("second != 'calibrated_cross_entropy'")
    assert "Calibrated" not in confidence_sentences(verdicts, raw_alone)[0]


@pytest.mark.parametrize(
    ("verdicts", "answer", "sentence"),
    [
        ({"rank_entropy": KEEPS, "cross_entropy": KEEPS}, "better", "does not hold here: Cross-entropy keeps"),
        ({"rank_entropy": KEEPS}, OPEN, "undecided: Rank-Entropy keeps improving, but is not told apart"),
        ({"rank_entropy": KEEPS, "cross_entropy": STOPPED}, OPEN, "undecided"),
        ({"rank_entropy": KEEPS}, "better", "holds here"),
        ({"rank_entropy": STOPPED}, OPEN, "does not hold here: Rank-Entropy no longer improves"),
        ({}, OPEN, "undecided"),
    ],
)  # fmt: skip
def test_a_yes_beside_an_undecided_is_no_difference(verdicts, answer, sentence):
    assert claim_sentence(verdicts_of(**verdicts), contrasts_of(answer), "model").startswith(sentence)


def test_tables_leave_open_what_is_not_told():
    table = verdict_table(pd.DataFrame([verdict(), verdict("score_uncertainty", OPEN, share=None, realised_gain=None)]))
    first, second = table.to_dict("records")
    assert first["share realised"] == "0.50 [0.00, open]"
    assert first["the same"] == "94%, seeds 1 of 2, cells 6 of 7 (not without L2H96)"
    assert (second["share realised"], second["gain realised"], second["p"]) == ("-", "-", "-")
    rows = contrast_table(pd.DataFrame([contrast("cross_entropy"), contrast("1-mrr", bounded=False)]))
    assert rows.difference.tolist() == ["+0.30 [-0.10, +0.70]", "-"]
    assert rows.why[1] == "the realised share of Rank-Entropy has no bound"
