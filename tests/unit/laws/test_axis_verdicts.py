"""The verdicts and contrasts of a study: which cells, seeds and laws they rest on, and what the tables say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rankscale.laws import fitting
from rankscale.laws.axes import PointSet
from rankscale.laws.forms.registry import LAWS, laws_for
from rankscale.laws.query_covariance import QueryCovariance
from rankscale.laws.verdicts.axis_verdicts import (
    JudgementTask,
    axis_law,
    cells_of,
    judge_axis,
    judged,
)
from rankscale.laws.verdicts.needs import cells_needed, queries_needed, seeds_needed
from rankscale.laws.verdicts.realised_gain import realised_gain
from rankscale.laws.verdicts.rule import judge
from rankscale.laws.verdicts.study_contrasts import study_contrasts
from rankscale.storage import tables
from tests.benchmarks.verdicts import EMBEDDED, LINE, Ladder, draws, gains_of, values

SEEDS = (3, 5)


def points(seeds=SEEDS, seed=0, axis="model", **setting):
    """A set of points of seven sizes with Rank-Entropy by one draw and the cross-entropy by another."""
    y = [values("law", draws((1, 7, len(seeds)), np.random.default_rng([seed, i])), **setting)[0] for i in (0, 1)]
    rows = [
        {"model": f"m{i}", "train_queries": 100, "seed": s, "n_queries": 300}
        | {"rank_entropy": y[0][i, j], "cross_entropy": y[1][i, j]}
        for i in range(7)
        for j, s in enumerate(seeds)
    ]
    x = np.repeat(EMBEDDED.x, len(seeds))[:, None]
    return PointSet(axis, "train_queries=100", pd.DataFrame(rows), x, True)


def covariance(one, metrics=("rank_entropy", "cross_entropy"), variance=0.0):
    """Of checkpoints whose values owe `variance` to queries, each for itself."""
    positions = {label: number for number, label in enumerate(one.rows.index)}
    return QueryCovariance(list(metrics), positions, variance * np.eye(len(metrics) * len(positions)))


def task(one, hold_out=2, metrics=("rank_entropy", "cross_entropy"), variant="base"):
    key = {"collection": "c", "variant": variant, "split": "test", "candidates": "hard"}
    key |= {"axis": one.axis, "fixed": one.fixed}
    laws = {metric: (LAWS["line"],) for metric in metrics}
    return JudgementTask(key, cells_of(one, list(metrics), hold_out, covariance(one)), laws, 100, 7)


def test_only_what_falls_is_judged():
    assert judged(["rank_entropy", "mrr", "1-mrr", "mean_rank", "margin_50", "score_uncertainty"]) == [
        *("rank_entropy", "1-mrr", "mean_rank", "score_uncertainty")
    ]


def test_cells_have_the_seeds_that_all_of_them_have():
    one = points(seeds=(1, 2, 3))
    lost = (one.rows.model == "m2") & (one.rows.seed == 2)
    kept = PointSet(one.axis, one.fixed, one.rows[~lost], one.x[~lost], True)
    cells = cells_of(kept, ["rank_entropy"], 2, covariance(one, variance=6.0))
    assert cells.names == [f"m{i}" for i in range(7)]
    assert cells.held_out.tolist() == [False] * 5 + [True] * 2
    table = one.rows[one.rows.seed != 2].rank_entropy.to_numpy().reshape(7, 2)
    assert np.array_equal(cells.values["rank_entropy"], table)
    # Each mean is that of two seeds.
    assert cells.queries == 300
    assert cells.noise["rank_entropy"] == pytest.approx(3.0 * np.eye(7))


def test_a_law_refitted_is_the_law_fitted():
    x, y = EMBEDDED.x, values("law", draws((1, 7, 1), np.random.default_rng(1)))[0, :, 0]
    for law in laws_for("rank_entropy", 1, 4.17):
        fit = fitting.fit(law, x, y)
        if fit.converged:
            again = axis_law(law, fit.theta).predict(x, np.stack([y, -y]), x)
            assert again[0] == pytest.approx(fit.predict(x), rel=1e-4), law.name
            assert np.isnan(again[1]).all() == (not law.signed)


def test_rows_say_what_the_rule_says():
    one = points(misfit=0.004)
    result = judge_axis(task(one))
    assert [row["metric"] for row in result.rows] == ["rank_entropy", "cross_entropy"]
    y = one.rows.rank_entropy.to_numpy().reshape(7, 2)
    expected = judge(realised_gain(*EMBEDDED, y[None], LINE))
    row = result.rows[0]
    assert (row["verdict"], row["law"], row["seeds"]) == (expected.verdict[0], "line", 2)
    assert row["share"] == pytest.approx(expected.share[0])
    assert row["p_improving"] == pytest.approx(expected.p_improving[0], rel=1e-3)
    assert (row["cells_known"], row["cells_held_out"], row["cells_left_out"]) == (5, 2, 7)
    assert 0 <= row["cells_left_out_agreeing"] <= 7
    turned = [name for name in row["turned_by"].split(", ") if name]
    assert len(turned) == 7 - row["cells_left_out_agreeing"]
    assert set(turned) < {f"m{i}" for i in range(7)}
    written = {name: [r.get(name) for r in result.rows] for name in tables.SCHEMAS["verdicts"].names}
    assert tables.checked("verdicts", written, "v").num_rows == 2


@pytest.mark.parametrize(
    ("seeds", "hold_out", "cells", "reason"),
    [
        (SEEDS, 0, 7, "nothing was held out"),
        (SEEDS, 1, 1, "no law for the known cells: all points are at one size"),
        (SEEDS, 2, 4, "no law for the known cells: too few points"),
        ((1,), 2, 7, "one seed"),
    ],
)
def test_what_cannot_be_told_says_why(seeds, hold_out, cells, reason):
    one = points(seeds)
    few = one.rows.model.isin([f"m{i}" for i in range(cells)]).to_numpy()
    result = judge_axis(task(PointSet(one.axis, one.fixed, one.rows[few], one.x[few], True), hold_out))
    for row in result.rows:
        assert reason in row["reason"]
        assert row["provisional"] == (len(seeds) == 1)
        if row["law"] is None:
            assert (row["verdict"], row["share"]) == ("undecided", None)
    written = {name: [r.get(name) for r in result.rows] for name in tables.SCHEMAS["verdicts"].names}
    assert tables.checked("verdicts", written, "v").num_rows == 2
    for row in study_contrasts([result]):
        assert row["answer"] == "undecided" or len(seeds) == 1


def test_cells_without_a_common_seed_are_undecided():
    one = points()
    apart = (one.rows.index % 4 == 0) | (one.rows.index % 4 == 3)  # every other size has the other seed
    result = judge_axis(task(PointSet(one.axis, one.fixed, one.rows[apart], one.x[apart], True)))
    assert {row["reason"] for row in result.rows} == {"no seed was run in all cells of the axis"}
    assert {row["answer"] for row in study_contrasts([result])} == {"undecided"}


def test_contrasts_are_against_rank_entropy_and_between_variants():
    first, second = (judge_axis(task(points(run=0.002, seed=i), variant=v)) for i, v in enumerate(("base", "other")))
    rows = study_contrasts([first, second])
    assert [(r["kind"], r["variant"], r["metric"], r["first"], r["second"]) for r in rows] == [
        ("metric", "base", "", "rank_entropy", "cross_entropy"),
        ("metric", "other", "", "rank_entropy", "cross_entropy"),
        ("variant", "", "rank_entropy", "base", "other"),
        ("variant", "", "cross_entropy", "base", "other"),
    ]
    assert all(r["difference"] == pytest.approx(r["share_first"] - r["share_second"]) for r in rows if r["bounded"])
    assert all(r["p_holm"] >= r["p"] for r in rows if r["bounded"])
    assert all((r["answer"] == "better") == (r["low"] > 0) for r in rows if r["bounded"] and abs(r["low"]) > 0.02)
    written = {name: [r.get(name) for r in rows] for name in tables.SCHEMAS["contrasts"].names}
    assert tables.checked("contrasts", written, "c").num_rows == 4


def test_so_many_seeds_show_the_forecast_gain_in_four_of_five_studies():
    """The mean noise of many studies is the true one: the seeds that it asks for must have the power."""
    run, slope = 0.02, 0.022
    seed_counts = []
    for seed in range(40):
        y = values("law", draws((1, 7, 20), np.random.default_rng(seed)), run=run, slope=slope)
        seed_counts.append(seeds_needed(realised_gain(*EMBEDDED, y, LINE), y[0], True, 0.0))
    needed = int(np.median(seed_counts))
    assert 3 < needed < 20
    power = [
        judge(realised_gain(*EMBEDDED, values("law", draws((4000, 7, s), np.random.default_rng(9)), run=run), LINE))
        for s in (needed, max(needed // 2, 2))
    ]
    assert power[0].keeps_improving.mean() == pytest.approx(0.8, abs=0.08)
    assert power[1].keeps_improving.mean() < 0.75


def test_no_number_of_seeds_mends_cells_that_are_off_the_law():
    y = values("law", draws((1, 7, 3), np.random.default_rng(0)), run=0.001)
    gains = realised_gain(*EMBEDDED, y, LINE)
    assert seeds_needed(gains, y[0], True, 0.0) == 2
    assert seeds_needed(gains, y[0], True, 0.05) is None
    assert seeds_needed(realised_gain(*EMBEDDED, y[:, :, :1], LINE), y[0, :, :1], True, 0.0) is None


def measured(slope, variance, seeds):
    """Gains of a study on its law, of which the known means show just so much variance."""
    exact = np.exp(1.2 - slope * np.log(EMBEDDED.x / EMBEDDED.x[0]))[None, :, None] * np.ones((1, 7, seeds))
    # Five residuals have three degrees of freedom.
    return replace(gains_of(exact), residuals=np.full((1, 5), np.sqrt(variance * 3 / 5)))


def power(ladder, seeds, **setting):
    """How often studies whose law goes on keep improving."""
    noise = draws((3000, len(ladder.x), seeds), np.random.default_rng(5))
    return judge(gains_of(values("law", noise, ladder=ladder, **setting), ladder)).keeps_improving.mean()


def test_so_many_cells_show_the_forecast_gain_in_four_of_five_studies():
    setting = {"slope": 0.0195, "misfit": 0.01, "run": 0.004}
    gains = measured(0.0195, 0.01**2 + 0.004**2 / 2, 2)
    assert cells_needed(gains) == 14
    twice = Ladder(*(np.repeat(part, 2) for part in EMBEDDED))  # another size beside each
    assert power(EMBEDDED, 2, **setting) < 0.6
    assert power(twice, 2, **setting) == pytest.approx(0.8, abs=0.06)
    assert cells_needed(measured(0.0195, 0.1**2, 2)) is None


def test_so_many_queries_show_the_forecast_gain_in_four_of_five_studies():
    """Runs that differ by their answers to 1,000 queries, and a little by themselves."""
    of_queries, run, slope = 0.02, 0.005, 0.022
    gains = measured(slope, of_queries**2 + run**2, 1)
    needed = queries_needed(gains, of_queries**2 * np.eye(7), 1000)
    assert 2000 < needed < 20_000
    less = np.hypot(of_queries * np.sqrt(1000 / needed), run)
    assert power(EMBEDDED, 1, slope=slope, run=np.hypot(of_queries, run)) < 0.6
    assert power(EMBEDDED, 1, slope=slope, run=less) == pytest.approx(0.8, abs=0.06)
    # What else the gain varies by is too much already, or none of it is of queries.
    assert queries_needed(measured(slope, 0.05**2, 1), 1e-6 * np.eye(7), 1000) is None
    assert queries_needed(gains, np.zeros((7, 7)), 1000) is None


def test_a_metric_may_be_judged_by_a_trend():
    one = points()
    result = judge_axis(task(one)._replace(laws={"rank_entropy": (LAWS["trend"],)}))
    assert result.rows[0]["law"] == "trend"
    assert result.rows[0]["misfit"] is not None
