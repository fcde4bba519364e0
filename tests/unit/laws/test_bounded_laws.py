"""Laws that fall from a known value at chance: recovery, intervals, forecasts, and what AICc makes of them."""

import numpy as np
import pandas as pd
import pytest

from rankscale.core.errors import StudyError
from rankscale.laws import bootstrap, fitting, study_fit
from rankscale.laws.forms.registry import LAWS, laws_for
from rankscale.laws.options import FitOptions
from rankscale.laws.query_covariance import ceiling_of, values_of
from rankscale.storage import tables
from rankscale.tools import fit_table
from tests.benchmarks import laws as benchmark
from tests.unit.synthetic import CANDIDATES, write_study

C = np.log(65)
SIZES, SUBSETS = np.geomspace(5e3, 4e5, 7), np.array([500.0, 1000, 2000, 4000, 8000])
ONE = SUBSETS[:, None]
TWO = np.array([(n, d) for n in SIZES for d in SUBSETS])
CASES = [
    ("ceiling", np.geomspace(500, 32_000, 7)[:, None], (5.0, 0.6)),
    ("ceiling_floor", np.geomspace(500, 512_000, 11)[:, None], (7.0, 0.9, 0.8)),
    ("ceiling_plane", TWO, (8.8, 0.07, 0.78)),
    ("ceiling_plane_floor", TWO, (8.8, 0.07, 0.9, 0.6)),
    ("bounded", TWO, (6000, 1.2, 25_000, 0.8)),
    ("bounded_floor", TWO, (4000, 1.1, 9000, 0.9, 0.7)),
]


@pytest.mark.parametrize(("name", "x", "true"), CASES, ids=[case[0] for case in CASES])
def test_a_bounded_law_is_recovered_without_noise(name, x, true):
    y = benchmark.truth(name, true, x, C)
    fit = fitting.fit(LAWS[name].for_ceiling(C), x, y)
    assert fit.converged
    assert fit.predict(x) == pytest.approx(y, rel=1e-6)
    assert list(fit.named().values()) == pytest.approx(true, rel=1e-3)


@pytest.mark.parametrize(("name", "x", "true"), CASES, ids=[case[0] for case in CASES])
def test_slopes_of_a_bounded_law_are_its_derivatives(name, x, true):
    law, u = LAWS[name].for_ceiling(C), np.log(x) - np.log(x).mean(0)
    theta = fitting.fit(law, x, benchmark.truth(name, true, x, C)).theta[None]
    theta = law.recentre(theta, -np.log(x).mean(0))
    step = 1e-6 * np.eye(theta.shape[1])
    peer = (law.curve(theta + step, u)[0] - law.curve(theta - step, u)[0]) / 2e-6
    assert law.curve(theta, u)[1][0] == pytest.approx(peer.T, rel=1e-5, abs=1e-8)


def test_values_beyond_chance_are_fitted():
    """A cross-fitted metric at chance lies above it in most samples: no logit of such a value exists."""
    random = np.random.default_rng(0)
    x = np.geomspace(100, 16_000, 9)[:, None]
    y = benchmark.truth("ceiling", (5.0, 0.6), x, C) * np.exp(0.01 * random.standard_normal(9))
    y[:3] = C * 1.01
    for law in laws_for("rank_entropy", 1, C):
        fit = fitting.fit(law, x, y)
        assert fit.converged, law.name
        drawn = bootstrap.simulate(fit, np.eye(9) * 1e-5, 100, random)
        assert np.isfinite(drawn.theta).all(), law.name
        predicted, low, high = bootstrap.forecast(fit, np.array([[32_000.0]]), np.eye(10) * 1e-5, 100, random)
        assert low[0] < predicted[0] < high[0]


def test_all_points_at_chance_are_no_decay():
    for law in laws_for("rank_entropy", 1, C):
        if law.bounded:
            fit = fitting.fit(law, np.geomspace(100, 3200, 6), C * np.exp([0.01, 0.012, 0.01, 0.013, 0.011, 0.01]))
            assert not fit.converged, law.name
            assert fit.note


@pytest.mark.parametrize("seed", range(40))
def test_a_law_with_a_floor_never_has_the_larger_sum_of_squares(seed):
    """It contains the one without: AICc may then compare them. Noise of every size, outliers, points at chance."""
    random = np.random.default_rng(seed)
    n = int(random.integers(6, 12))
    x = np.geomspace(1, random.choice([20, 300, 1e4]), n)
    y = np.minimum(random.uniform(0, 1) + 3 * x ** -random.uniform(0.02, 0.8), C)
    y *= np.exp(random.choice([1e-4, 0.01, 0.2]) * random.standard_normal(n))
    y[random.integers(n)] *= np.exp(random.choice([0, 0.5]))
    squares = {}
    for law in laws_for("rank_entropy", 1, C):
        fit = fitting.fit(law, x, y)
        if fit.converged:
            squares[law.name] = n * fit.quality()["rmse"] ** 2
    for name, bare in (("floor", "line"), ("ceiling_floor", "ceiling")):
        if name in squares and bare in squares:
            assert squares[name] <= squares[bare] * (1 + 1e-6) + 1e-12


def test_as_few_points_carry_the_ceiling_law_as_the_line():
    """Both have two parameters: a ceiling that is known costs none."""
    x = SUBSETS[:3]
    y = benchmark.truth("ceiling", (5.0, 0.6), x[:, None], C) * np.exp([0.001, -0.002, 0.001])
    assert fitting.fit(LAWS["line"], x, y).converged
    assert fitting.fit(LAWS["ceiling"].for_ceiling(C), x, y).converged
    more = np.geomspace(500, 8000, 6)
    y = benchmark.truth("ceiling", (5.0, 0.6), more[:, None], C) * np.exp(0.001 * np.array([1, -2, 1, 1, -2, 1]))
    line, ceiling = (fitting.fit(law, more, y) for law in (LAWS["line"], LAWS["ceiling"].for_ceiling(C)))
    gap = 6 * np.log(line.quality()["rmse"] ** 2 / ceiling.quality()["rmse"] ** 2)
    assert line.quality()["aicc"] - ceiling.quality()["aicc"] == pytest.approx(gap)
    assert gap > 0


def test_local_exponents_are_those_of_the_formula():
    """Of C / (1 + exp(-z)) with z = a - alpha log x: alpha times what is missing to the ceiling."""
    x = np.geomspace(500, 32_000, 7)
    y = benchmark.truth("ceiling", (5.0, 0.6), x[:, None], C)
    fit = fitting.fit(LAWS["ceiling"].for_ceiling(C), x, y * np.exp(0.001 * np.sin(np.arange(7))))
    alpha = fit.named()["alpha"]
    drawn = bootstrap.simulate(fit, np.eye(7) * 1e-5, 200, np.random.default_rng(0))
    exponents = bootstrap.local_exponents(fit, drawn)
    for name, point in (("exponent_first", 0), ("exponent_last", -1)):
        estimate, low, high = exponents[name]
        assert estimate == pytest.approx(alpha * (1 - fit.predict(fit.x)[point] / C), rel=1e-4)
        assert low < estimate < high


def test_intervals_and_forecasts_of_bounded_laws_cover():
    """Simulated studies with noise of queries, of seeds that all sizes of one share, of runs, and a misfit."""
    for name, studies in (("ceiling, 7 sizes", 60), ("ceiling plane, 7 x 4", 30)):
        results = [benchmark.bounded_study(name, seed, draws=120) for seed in range(studies)]
        shares = np.array([result for result in results if result is not None]).mean(0)
        assert (shares > 0.8).all(), (name, shares)
        assert shares.mean() > 0.87, (name, shares)


@pytest.fixture(scope="module")
def at_chance(tmp_path_factory):
    """A study whose smallest subset leaves models near chance."""
    folder = tmp_path_factory.mktemp("at_chance")
    write_study(folder, np.geomspace(1e4, 1e6, 4), (60, 180, 500, 1500, 4000), queries=400)
    return folder, tables.read("metrics", folder / "metrics.parquet").to_pandas()


def fitted(at_chance, *columns, **options):
    folder, metrics = at_chance
    chosen = FitOptions(bootstrap=100, columns=list(columns), hold_out_models=1, **options)
    return {name: pd.DataFrame(rows) for name, rows in study_fit.fit_all(metrics, folder, chosen, workers=2).items()}


def test_metrics_get_bounded_laws_where_chance_is_known(at_chance):
    results = fitted(at_chance, "rank_entropy", "1-auc", "mean_rank")
    fits, forecasts = results["fits"], results["forecasts"]
    bounded = {law.name for law in LAWS.values() if law.bounded}
    for metric in ("rank_entropy", "1-auc", "mean_rank"):
        assert bounded <= set(fits[fits.metric == metric].law), metric
    assert {"ceiling", "ceiling_plane", "bounded"} <= set(forecasts.law)
    rows = fits[(fits.law == "ceiling") & (fits.axis == "data") & (fits.metric == "rank_entropy") & fits.converged]
    first, last = (rows[rows.parameter == name].estimate for name in ("exponent_first", "exponent_last"))
    assert (first.to_numpy() < last.to_numpy()).all()
    # The mean rank and 1-AUC are one number in two units.
    ranking = results["ranking"].set_index(["axis", "metric"])
    for axis in ("model", "data", "grid"):
        one, other = (ranking.loc[(axis, metric)] for metric in ("1-auc", "mean_rank"))
        assert one.law == other.law
        assert one.error == pytest.approx(other.error, rel=1e-4)


def test_where_ties_count_for_the_model_nothing_has_a_ceiling(at_chance):
    results = fitted(at_chance, "rank_entropy", ties="optimistic")
    assert not {law.name for law in LAWS.values() if law.bounded} & set(results["fits"].law)


@pytest.mark.parametrize(
    ("metric", "chance"),
    [
        ("rank_entropy", np.log(CANDIDATES + 1)),
        ("1-mrr", 1 - sum(1 / r for r in range(1, CANDIDATES + 2)) / (CANDIDATES + 1)),
        ("1-auc", 0.5),
        ("mean_rank", CANDIDATES / 2),
        ("cross_entropy", None),
        ("score_uncertainty", None),
        ("mrr", None),
        ("median_rank", None),
        ("1-ndcg_10", None),
    ],
)
def test_ceilings_are_the_values_of_random_scores(at_chance, metric, chance):
    rows = at_chance[1]
    assert ceiling_of(rows, metric, "expected") == (None if chance is None else pytest.approx(chance))
    assert ceiling_of(rows, metric, "optimistic") is None
    if chance is not None:
        assert 0.75 * chance < values_of(rows, metric).max() < 1.02 * chance


def test_a_table_of_ones_own_takes_a_ceiling(tmp_path, capsys):
    y = benchmark.truth("bounded", (6000, 1.2, 25_000, 0.8), TWO, C)
    pd.DataFrame({"N": TWO[:, 0], "D": TWO[:, 1], "loss": y}).to_csv(tmp_path / "r.csv", index=False)
    arguments = [str(tmp_path / "r.csv"), "--metric", "loss", "--size", "N", "--data", "D", "--law", "bounded"]
    with pytest.raises(StudyError, match="--law bounded needs --ceiling"):
        fit_table.main(fit_table.arguments().parse_args(arguments))
    arguments += ["--ceiling", str(C), "--bootstrap", "100", "--hold-out-size", "1"]
    fit_table.main(fit_table.arguments().parse_args(arguments))
    assert "y = C h / (1 + h), h = (A/N)^alpha + (B/D)^beta, loss: 35 runs, R² 1.0000" in capsys.readouterr().out
