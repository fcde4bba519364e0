"""Variants side by side: multipliers against closed forms, and what a study of two says of a known difference."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from rankscale.laws import fitting, study_fit
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.options import OF_VARIANTS, FitOptions
from rankscale.laws.variants import joint_draws, multipliers, variant_laws
from rankscale.storage import schemas, tables
from tests.unit.synthetic import write_study

SIZES, SUBSETS = np.geomspace(5e3, 4e5, 4), np.array([500.0, 2000.0, 8000.0])
X = np.array([(n, d) for n in SIZES for d in SUBSETS])
ADDITIVE = LAWS["additive"]


def additive(a, b, floor, alpha=0.5, beta=0.6):
    """Working parameters of y = floor + a / N^alpha + b / D^beta."""
    return np.array([np.log(a), alpha, np.log(b), beta, floor])


def side(theta, per_cell=6.0, once=0.0, per_query=0.0):
    teacher = once + per_query * X[:, 1]
    return multipliers.Side(X, per_cell * X[:, 0] * X[:, 1], teacher, theta, np.stack([theta] * 3))


def by_kind(first, second, cell=X[-1]):
    return {one.kind: one for one in multipliers.multipliers(ADDITIVE, first, second, cell)}


def test_working_parameters_are_those_of_the_formula():
    theta = additive(30.0, 40.0, 0.2)
    expected = 0.2 + 30 / X[:, 0] ** 0.5 + 40 / X[:, 1] ** 0.6
    np.testing.assert_allclose(ADDITIVE.evaluate(theta[None], X)[0], expected)


def test_each_kind_is_what_the_law_solved_by_hand_says():
    k = 1.2
    first, second = (side(additive(300.0, 40.0, 0.2)), side(additive(300.0 / k**0.5, 40.0 / k**0.6, 0.2)))
    n, d = X[-1]
    goal = 0.2 + 300 / (k * n) ** 0.5 + 40 / (k * d) ** 0.6
    worth = by_kind(first, second)
    assert worth["compute"].multiplier == pytest.approx(k * k, rel=1e-3)  # both sizes k times, so k^2 FLOPs
    assert worth["compute"].needed == pytest.approx(k * k * 6 * n * d, rel=1e-3)
    data = brentq(lambda more: 0.2 + 300 / n**0.5 + 40 / more**0.6 - goal, d, 1e6 * d)
    assert worth["data"].multiplier == pytest.approx(data / d, rel=1e-3)
    size = brentq(lambda more: 0.2 + 300 / more**0.5 + 40 / d**0.6 - goal, n, 1e3 * n)
    assert worth["parameters"].multiplier == pytest.approx(size / n, rel=1e-3)
    assert worth["compute"].reach == pytest.approx(k, rel=1e-3)
    assert worth["data"].low == worth["data"].multiplier == worth["data"].high


def test_it_is_infinite_below_the_first_one_s_floor():
    worth = by_kind(side(additive(30.0, 40.0, 0.2)), side(additive(3.0, 4.0, 0.01)))
    for one in worth.values():
        assert np.isinf([one.multiplier, one.low, one.high, one.needed, one.reach]).all()
        assert one.out_of_reach == 1


def test_equal_ways_are_worth_one_and_a_dearer_one_less():
    same, dearer = side(additive(30.0, 40.0, 0.2)), side(additive(30.0, 40.0, 0.2), per_cell=12.0)
    assert by_kind(same, same)["compute"].multiplier == pytest.approx(1)
    assert by_kind(same, same)["compute"].reach == pytest.approx(1)
    assert by_kind(same, dearer)["compute"].multiplier == pytest.approx(0.5)
    assert by_kind(same, dearer)["data"].multiplier == pytest.approx(1)


def test_a_teacher_counts_as_the_second_s_own_compute():
    theta, own = additive(30.0, 40.0, 0.2), 6 * X[-1, 0] * X[-1, 1]
    same, taught = side(theta), side(theta, once=own / 2, per_query=own / 2 / X[-1, 1])
    worth = by_kind(same, taught)
    assert worth["compute"].multiplier == pytest.approx(1)
    assert worth["compute"].with_teacher == pytest.approx(0.5)
    assert worth["data"].with_teacher == pytest.approx(1)
    assert by_kind(taught, same)["compute"].with_teacher == pytest.approx(2)
    assert by_kind(taught, taught)["compute"].with_teacher == pytest.approx(1)


def test_the_first_s_teacher_scores_as_many_queries_as_it_needs():
    """Twice both sizes are 4 times the FLOPs, but twice the queries only for the teacher to score."""
    k, own = 2.0, 6 * X[-1, 0] * X[-1, 1]
    first = side(additive(300.0, 40.0, 0.2), per_query=own / X[-1, 1])
    worth = by_kind(first, side(additive(300.0 / k**0.5, 40.0 / k**0.6, 0.2)))["compute"]
    assert worth.multiplier == pytest.approx(4, rel=1e-3)
    assert worth.with_teacher == pytest.approx(4 + 2, rel=1e-3)


def test_what_cells_share_is_seen_as_shared():
    random = np.random.default_rng(1)
    x = np.array([(n, d) for n in np.geomspace(1e4, 1e6, 15) for d in np.geomspace(1e3, 1e5, 15)])
    true = ADDITIVE.evaluate(additive(30.0, 40.0, 0.2)[None], x)[0]
    common, own = random.standard_normal(len(x)), random.standard_normal((2, len(x)))
    fits = [fitting.fit(ADDITIVE, x, true * np.exp(0.01 * (np.sqrt(0.6) * common + np.sqrt(0.4) * e))) for e in own]
    pairs = np.column_stack([np.arange(len(x))] * 2)
    none = np.zeros((2 * len(x), 2 * len(x)))
    assert joint_draws.correlation(*fits, pairs, none) == pytest.approx(0.6, abs=0.12)
    # What queries explain is no likeness of runs: of .6 that are shared and .4 that are not, they explain .5 here.
    explained = 0.01**2 * 0.5 * np.kron(np.ones((2, 2)), np.eye(len(x)))
    assert joint_draws.correlation(*fits, pairs, explained) == pytest.approx(0.2, abs=0.2)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A study of two variants; the second's runs are those of a first that saw 1.5 times the data, so it is better."""
    folder = tmp_path_factory.mktemp("two")
    sizes, subsets = np.geomspace(1e4, 1e6, 4), (500, 1000, 2000, 4000)
    write_study(folder, sizes, subsets, queries=300, variants={"zero": 1.0, "better": 1.5})
    metrics = tables.read("metrics", folder / "metrics.parquet").to_pandas()
    options = FitOptions(bootstrap=100, columns=["rank_entropy", "cross_entropy"], hold_out_models=1)
    return metrics, study_fit.fit_all(metrics, folder, options)


def test_every_table_has_each_variant_s_own_laws(two):
    _, rows = two
    for name in study_fit.OUTPUTS:
        if name != "contrasts":
            by_variant = pd.DataFrame(rows[name]).groupby("variant").size()
            assert set(by_variant.index) == {"zero", "better"}, name


def test_variants_are_compared_with_the_first_of_the_study_not_of_the_alphabet(two):
    _, rows = two
    contrasts = pd.DataFrame(rows["contrasts"])
    between = contrasts[contrasts.kind == "variant"]
    assert set(zip(between["first"], between.second, strict=True)) == {("zero", "better")}
    assert {row["first"] for name in OF_VARIANTS for row in rows[name]} == {"zero"}
    assert {row["variant"] for row in rows["multipliers"]} == {"better"}


def test_a_known_difference_is_found(two):
    _, rows = two
    worth = pd.DataFrame(rows["multipliers"]).query("metric == 'calibrated_cross_entropy'").set_index("kind")
    data = worth.loc["data"]
    assert data.low < 1.5 < data.high
    assert data.low > 1
    assert data.extrapolated
    assert (worth.model == "N1000000").all()
    assert (worth.train_queries == 4000).all()


def test_exponents_of_both_and_their_differences(two):
    _, rows = two
    exponents = pd.DataFrame(rows["exponents"])
    own = exponents[(exponents.metric == "rank_entropy") & (exponents.parameter == "alpha")].set_index("variant")
    assert pd.isna(own.difference["zero"])
    assert own.difference["better"] == pytest.approx(own.estimate["better"] - own.estimate["zero"])
    assert own.difference_low["better"] < 0 < own.difference_high["better"]  # more data is no other exponent
    separate = np.hypot(*(own.high - own.low))
    assert own.difference_high["better"] - own.difference_low["better"] < separate


def test_the_tables_take_the_rows(two, tmp_path):
    _, rows = two
    for name in OF_VARIANTS:
        columns = {n: [row.get(n) for row in rows[name]] for n in schemas.SCHEMAS[name].names}
        tables.write(name, columns, tmp_path / f"{name}.parquet")
        assert len(tables.read(name, tmp_path / f"{name}.parquet")) == len(rows[name])


def test_a_study_of_one_variant_has_none_of_it(two, tmp_path):
    metrics, _ = two
    assert list(variant_laws.variant_tasks(metrics[metrics.variant == "zero"], tmp_path, FitOptions())) == []
    assert variant_laws.VariantRows._fields == OF_VARIANTS
