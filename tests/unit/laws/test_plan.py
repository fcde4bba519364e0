"""The plan against costs and optima worked out by hand."""

import json
import shutil

import numpy as np
import pytest

from rankscale.core.errors import StudyError
from rankscale.laws import allocation, fitting, plan
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.options import Prices
from rankscale.storage import schemas, tables
from tests.conftest import stage
from tests.unit.synthetic import write_study

PRICES = Prices(2.0, 0.1, 0.5, 10_000)


def costs():
    """Two sizes: 600 FLOPs a parameter and query, 1e6 and 4e6 FLOP/s."""
    return allocation.CostModel(np.array([1e4, 1e6]), np.array([6e6, 6e8]), np.array([1e6, 4e6]), PRICES)


def test_a_cost_is_training_judging_and_serving():
    parts = costs().parts(np.array([1e6]), np.array([600.0]))
    assert parts["cost_training"][0] == pytest.approx(2 * 600 * 6e8 / 4e6 / 3600)
    assert parts["cost_judging"][0] == pytest.approx(60)
    assert parts["cost_serving"][0] == pytest.approx(0.5 * 10)
    smaller = costs().parts(np.array([1e5]), np.array([600.0]))  # half-way in logarithms
    assert smaller["cost_training"][0] == pytest.approx(2 * 600 * 6e7 / 2e6 / 3600)
    assert smaller["cost_serving"][0] == pytest.approx(0.5)
    larger = costs().hours(np.array([2e6]), np.array([600.0]))  # FLOPs grow with size, FLOP/s stay
    assert larger[0] == pytest.approx(600 * 1.2e9 / 4e6 / 3600)


def test_runs_of_equal_steps_cost_the_same_whatever_their_data():
    by_steps = allocation.CostModel(np.array([1e4, 1e6]), np.array([6e9, 6e11]), np.array([1e6, 4e6]), PRICES, True)
    hours = by_steps.hours(np.array([1e6, 1e6]), np.array([600.0, 60_000.0]))
    assert hours == pytest.approx([6e11 / 4e6 / 3600] * 2)


def test_a_budget_and_a_target_are_met_where_all_cells_say_so():
    """The choice against the best cell of a fine grid."""
    theta = np.array([np.log(482), 0.348, np.log(2085), 0.366, 1.82])[None]
    n, d = np.geomspace(1e4, 1e6, 160), np.geomspace(1e3, 1e6, 160)
    fine = np.array([(a, b) for a in np.geomspace(1e4, 1e6, 400) for b in np.geomspace(1e3, 1e6, 400)])
    value = 1.82 + 482 / fine[:, 0] ** 0.348 + 2085 / fine[:, 1] ** 0.366
    paid = costs().total(*fine.T)
    spent = allocation.optimal_allocation(LAWS["additive"], theta[0], costs(), n, d, 20_000.0, None)
    assert costs().total(np.array([spent.n]), np.array([spent.d]))[0] == pytest.approx(20_000, rel=1e-3)
    best = value[paid <= 20_000].min()
    predicted = 1.82 + 482 / spent.n**0.348 + 2085 / spent.d**0.366
    assert predicted == pytest.approx(best, rel=2e-3)
    reached = allocation.optimal_allocation(LAWS["additive"], theta[0], costs(), n, d, None, best)
    least = paid[value <= best].min()
    assert costs().total(np.array([reached.n]), np.array([reached.d]))[0] == pytest.approx(least, rel=0.02)


def test_what_cannot_be_had_is_said_with_the_best_there_is():
    theta = np.array([np.log(482), 0.348, np.log(2085), 0.366, 1.82])
    n, d = np.geomspace(1e4, 1e6, 50), np.geomspace(1e3, 1e6, 50)
    none = allocation.optimal_allocation(LAWS["additive"], theta, costs(), n, d, None, 1.0)
    assert np.isnan(none.n)
    assert "reaches 1: the best is" in none.note
    poor = allocation.optimal_allocation(LAWS["additive"], theta, costs(), n, d, 1.0, None)
    assert "pays for nothing that was measured: the least costs" in poor.note
    rich = allocation.optimal_allocation(LAWS["additive"], theta, costs(), n, d, 1e12, None)
    assert "limited in size and data" in rich.note


def test_a_choice_is_warned_of_where_a_cheaper_run_was_measured_to_be_as_good():
    """Only runs that cost no more count: a dearer one that is better says nothing against a small budget."""
    x = np.array([(n, d) for n in (1e4, 1e5, 1e6) for d in (1e3, 1e4, 1e5)])
    y = 1.82 + 482 / x[:, 0] ** 0.348 + 2085 / x[:, 1] ** 0.366
    fit = fitting.fit(LAWS["additive"], x, y)
    assert plan.already_measured(fit, costs(), 2e4, 2e3) == []
    assert plan.already_measured(fit, costs(), 2e6, 2e5) == []
    lucky = fitting.LawFit(
        LAWS["additive"], x, np.append(1.9, y[1:]), True, "", fit.theta
    )  # the smallest is better than its law
    assert "but 1.900 was measured at no more cost" in plan.already_measured(lucky, costs(), 2e4, 2e3)[0]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    sizes, subsets = np.geomspace(1e4, 1e7, 6), (500, 1000, 2000, 4000)
    write_study(folder, sizes, subsets, queries=400)
    write_forecasts(folder)
    for size in sizes:
        keys = {"variant": "base", "model": f"N{int(size)}", "train_queries": 4000, "seed": 42}
        steps = {"step": np.arange(1, 101), "seconds": [size / 1e7] * 100, "memory_mb": 100.0}
        tables.write("training_times", {**keys, **steps}, folder / f"models/base/N{int(size)}/4000/42/times.parquet")
    return folder


def write_forecasts(folder, **covered):
    """A table of forecasts of two held-out cells; `covered` says of laws which of the two their intervals held."""
    metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas()
    columns = dict.fromkeys(schemas.SCHEMAS["forecasts"].names)
    columns |= {"metric": "rank_entropy", "axis": "grid", "fixed": "all cells", "held_out": True, "known": 9}
    columns |= metrics.iloc[0][["collection", "variant", "split", "candidates", "train_queries", "seed"]].to_dict()
    columns |= {"x": 1.0, "observed": 1.0}
    models = list(metrics.model.unique()[-2:])
    rows = [
        {**columns, "law": law, "model": model, "covered": inside}
        for law, insides in covered.items()
        for model, inside in zip(models, insides, strict=True)
    ]
    table = {name: [row[name] for row in rows] for name in columns}
    tables.write("forecasts", table, folder / "forecasts.parquet")


def planned(folder, out, *options, prices=None, check=True):
    prices = json.dumps(prices or {"device_hour": 3, "judged_query": 0.01})
    outputs = ("--plan", out / "plan.parquet", "--grid", out / "grid.parquet")
    where = ("--metrics", folder / "metrics.parquet", "--study", folder, "--bootstrap", 100)
    where += ("--forecasts", folder / "forecasts.parquet")
    return stage("plan", *where, "--prices", prices, *options, *outputs, check=check)


def test_a_plan_spends_the_budget_and_marks_what_it_extrapolates(synthetic, tmp_path):
    planned(synthetic, tmp_path, "--budget", 100)
    rows = tables.read("plan", tmp_path / "plan.parquet").to_pandas()
    choice = rows[rows.chosen].iloc[0]
    assert choice.cost == pytest.approx(100, rel=1e-3)
    assert choice.cost == pytest.approx(choice.cost_training + choice.cost_judging + choice.cost_serving)
    assert choice.cost_training == pytest.approx(3 * choice.device_hours)
    assert choice.extrapolation == pytest.approx(max(choice.encoder_parameters / 1e7, choice.train_queries / 4000, 1))
    assert choice.extrapolation <= 3 + 1e-9
    assert choice.low < choice.predicted < choice.high
    assert choice.parameters_low <= choice.parameters_high
    others = rows[~rows.chosen]
    assert set(others.model) == {f"N{int(s)}" for s in np.geomspace(1e4, 1e7, 6)}
    # No alternative within the budget is expected to be better.
    assert (others.predicted >= choice.predicted - 1e-6).all()
    grid = tables.read("plan_grid", tmp_path / "grid.parquet").to_pandas()
    assert grid.encoder_parameters.max() == pytest.approx(3e7)
    assert grid.train_queries.max() == pytest.approx(12_000)


def test_the_interval_of_the_choice_reaches_as_far_as_the_choice(synthetic, tmp_path):
    planned(synthetic, tmp_path, "--budget", 1e9, "--extrapolate", 1)
    row = tables.read("plan", tmp_path / "plan.parquet").to_pandas().iloc[0]
    assert row.parameters_low <= row.encoder_parameters <= row.parameters_high * (1 + 1e-9)
    assert row.queries_low <= row.train_queries <= row.queries_high * (1 + 1e-9)


def test_a_plan_goes_no_further_than_it_is_told(synthetic, tmp_path):
    planned(synthetic, tmp_path, "--budget", 1e9)
    near = tables.read("plan", tmp_path / "plan.parquet").to_pandas().iloc[0]
    assert near.extrapolation == pytest.approx(3)
    assert "limited in size and data by how far the plan may extrapolate" in near.note
    planned(synthetic, tmp_path, "--budget", 1e9, "--extrapolate", 10)
    assert tables.read("plan", tmp_path / "plan.parquet").to_pandas().iloc[0].extrapolation == pytest.approx(10)


@pytest.mark.parametrize(
    ("options", "prices", "message"),
    [
        (("--budget", 5, "--metric", "ndcg_10"), None, "plan.metric: ndcg_10 was not measured of every run"),
        (("--budget", 5, "--candidates", "random"), None, "plan.candidates: random was not evaluated"),
        (("--budget", 5), {"gpu": 3}, "gpu: no price of these; there are device_hour"),
        (("--budget", 5), {"device_hour": -3}, "-3: takes a number, 0 or more"),
        (("--budget", 5), {"device_hour": "x"}, "x: takes a number, 0 or more"),
        (("--budget", 5, "--extrapolate", 0.5), None, "0.5: takes a number, 1 or more"),
        (("--target", "nan"), None, "nan: takes a number"),
        (("--budget", 5, "--metric", "model"), None, "'model' is no metric"),
        (("--budget", 5, "--target", 1), None, "give --budget or --target, one of them"),
        ((), None, "give --budget or --target, one of them"),
        (("--budget", 5, "--law", "line"), None, "plan.law: 'line' is no law of two variables"),
        (
            ("--budget", 5, "--law", "bounded", "--ties", "optimistic"),
            None,
            "bounded is for metrics with a known value",
        ),
        (("--budget", 5, "--law", "bounded", "--metric", "cross_entropy"), None, "cross_entropy has none here"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(synthetic, tmp_path, options, prices, message):
    done = planned(synthetic, tmp_path, *options, prices=prices, check=False)
    assert done.returncode
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_too_small_a_study_gets_a_plan_that_says_why_there_is_none(tmp_path):
    write_study(tmp_path, (1e4, 1e5), (500, 1000), queries=100)
    write_forecasts(tmp_path)
    for size in (10_000, 100_000):
        keys = {
            "variant": "base",
            "model": f"N{size}",
            "train_queries": 1000,
            "seed": 42,
            "step": [1],
            "memory_mb": 1.0,
        }
        tables.write(
            "training_times", {**keys, "seconds": 1.0}, tmp_path / f"models/base/N{size}/1000/42/times.parquet"
        )
    planned(tmp_path, tmp_path, "--budget", 5)
    rows = tables.read("plan", tmp_path / "plan.parquet").to_pandas()
    assert len(rows) == 1
    assert rows.note[0].startswith("no law to plan by: too few points")


def test_a_study_without_the_first_test_sets_runs_is_refused(tmp_path):
    with pytest.raises(StudyError, match="no such file"):
        allocation.cost_model_of_runs(tables.read("metrics", _study(tmp_path)).to_pandas(), tmp_path, PRICES)


def _study(folder):
    write_study(folder, (1e4, 1e5), (500,), queries=50)
    return folder / "metrics.parquet"


def test_a_law_whose_forecasts_failed_is_not_built_on(synthetic, tmp_path):
    """AICc chooses among the laws that held-out cells did not refute; where they refuted all, there is no plan."""
    names = [law.name for law in LAWS.values() if law.variables == 2]
    folder = shutil.copytree(synthetic, tmp_path / "study")
    planned(folder, tmp_path, "--budget", 100)
    preferred = tables.read("plan", tmp_path / "plan.parquet").to_pandas().law.iloc[0]
    write_forecasts(folder, **{name: (True, name != preferred) for name in names})
    planned(folder, tmp_path, "--budget", 100)  # half of them is enough
    assert tables.read("plan", tmp_path / "plan.parquet").to_pandas().law.iloc[0] == preferred
    write_forecasts(folder, **{name: (name != preferred,) * 2 for name in names})
    planned(folder, tmp_path, "--budget", 100)
    row = tables.read("plan", tmp_path / "plan.parquet").to_pandas().iloc[0]
    assert row.law != preferred
    assert row.note.startswith(f"not by {preferred}, whose intervals held 0% of the held-out cells")
    write_forecasts(folder, **{name: (False, False) for name in names})
    for law in ("best", preferred):
        planned(folder, tmp_path, "--budget", 100, "--law", law)
        rows = tables.read("plan", tmp_path / "plan.parquet").to_pandas()
        assert len(rows) == 1
        assert rows.note[0].startswith(f"no law to plan by: none but {preferred}, whose intervals held 0%")
