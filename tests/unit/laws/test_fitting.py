"""Laws against the published ones, other implementations, and laws we drew the data from."""

import numpy as np
import pytest
from scipy import stats

from rankscale.laws import bootstrap, fit_tasks, fitting
from rankscale.laws.fit_tasks import rise_together
from rankscale.laws.forms.registry import LAWS

SIZES = np.array(
    [L * (12 * H * H + 13 * H) for L in (2, 4, 6, 8, 10, 12) for H in (128, 256, 512, 768)] + [302_309_376.0]
)
# Published floor laws in N (A, alpha, delta), and what a floorless line makes of noiseless points on them:
# R^2 over all sizes, R^2 below 30M, and how far too low that line predicts the largest.
PUBLISHED = [((3.22e4, 0.53, 0.04), (0.9614, 0.9891, 0.425)), ((9.89e6, 0.53, 0.14), (0.9952, 0.9993, 0.275))]


@pytest.mark.parametrize(("law", "expected"), PUBLISHED)
def test_what_a_line_makes_of_a_floor(law, expected):
    scale, alpha, delta = law
    y = delta + (scale / SIZES) ** alpha
    assert fitting.fit(LAWS["line"], SIZES, y).quality()["r2"] == pytest.approx(expected[0], abs=5e-5)
    small = fitting.fit(LAWS["line"], SIZES[SIZES < 30e6], y[SIZES < 30e6])
    assert small.quality()["r2"] == pytest.approx(expected[1], abs=5e-5)
    assert 1 - small.predict(SIZES[-1:])[0] / y[-1] == pytest.approx(expected[2], abs=5e-4)


@pytest.mark.parametrize(("law", "_"), PUBLISHED)
@pytest.mark.parametrize("sizes", [SIZES, np.sort(SIZES)[[0, 5, 10, 14, 19, 23]]], ids=["25 sizes", "6 sizes"])
def test_a_floor_law_is_recovered_without_noise(law, _, sizes):
    scale, alpha, delta = law
    fit = fitting.fit(LAWS["floor"], sizes, delta + (scale / sizes) ** alpha)
    assert fit.converged
    assert list(fit.named().values()) == pytest.approx(law, rel=1e-6)


def joint(x, a, alpha, b, beta, delta):
    return delta + ((a / x[:, 0]) ** (alpha / beta) + b / x[:, 1]) ** beta


def additive(x, a, alpha, b, beta, delta):
    return delta + a / x[:, 0] ** alpha + b / x[:, 1] ** beta


SUBSETS = (1000, 3000, 6000, 10000, 30000, 60000, 100000, 502939)
GRIDS = {
    "25 x 8": np.array([(n, d) for n in SIZES for d in SUBSETS]),
    "4 x 4": np.array([(n, d) for n in np.sort(SIZES)[[0, 8, 16, 24]] for d in SUBSETS[1::2]]),
}


@pytest.mark.parametrize("points", GRIDS)
@pytest.mark.parametrize(
    ("law", "curve", "true"),
    [
        ("joint", joint, (3.6e4, 0.56, 7.1e3, 1.31, 0.03)),  # MS MARCO, as published
        ("joint", joint, (9.89e6, 0.53, 6.04e4, 0.50, 0.14)),
        ("additive", additive, (482, 0.348, 2085, 0.366, 1.82)),
    ],
)
def test_laws_of_two_variables_are_recovered_without_noise(points, law, curve, true):
    x = GRIDS[points]
    fit = fitting.fit(LAWS[law], x, curve(x, *true))
    assert fit.converged
    assert list(fit.named().values()) == pytest.approx(true, rel=0.01)


def test_the_chinchilla_law_is_recovered_from_240_noisy_points():
    """Drawn from E 1.82, alpha .348, beta .366, A 482, B 2085, with 1 % noise, along iso-FLOP lines."""
    random = np.random.default_rng(0)
    size = np.exp(random.uniform(np.log(4e7), np.log(1.6e10), 240))
    tokens = np.exp(random.uniform(np.log(6e18), np.log(3e21), 240)) / (6 * size)
    x, true = np.column_stack([size, tokens]), (482, 0.348, 2085, 0.366, 1.82)
    y = additive(x, *true) * np.exp(0.01 * random.standard_normal(240))
    fit = fitting.fit(LAWS["additive"], x, y)
    parameters = bootstrap.parameters(fit, bootstrap.simulate(fit, np.zeros((240, 240)), 400, random))
    assert fit.converged
    for value, (name, (estimate, low, high)) in zip(true, parameters.items(), strict=True):
        # Five 95 % intervals miss now and then; three standard errors hardly ever.
        assert abs(estimate - value) < 3 * (high - low) / 3.92, name
        assert estimate == pytest.approx(value, rel=0.05 if name in ("alpha", "beta", "delta") else 0.3)


def test_missing_cells_change_a_joint_law_little():
    x = GRIDS["25 x 8"]
    kept = np.random.default_rng(1).random(len(x)) > 0.3
    true = (3.6e4, 0.56, 7.1e3, 1.31, 0.03)
    fit = fitting.fit(LAWS["joint"], x[kept], joint(x[kept], *true))
    assert list(fit.named().values()) == pytest.approx(true, rel=0.01)


def test_line_and_trend_are_least_squares():
    random = np.random.default_rng(0)
    y = (1e4 / SIZES) ** 0.3 * np.exp(random.normal(0, 0.05, len(SIZES)))
    slope, intercept = np.polyfit(np.log(SIZES), np.log(y), 1)
    estimates = fitting.fit(LAWS["line"], SIZES, y).named()
    assert (estimates["a"], estimates["alpha"]) == pytest.approx((intercept, -slope), abs=1e-10)
    slope, intercept = np.polyfit(np.log(SIZES), y - 1, 1)
    estimates = fitting.fit(LAWS["trend"], SIZES, y - 1).named()  # some values are negative
    assert (estimates["a"], estimates["b"]) == pytest.approx((intercept, slope), abs=1e-10)


def test_quality_equals_statsmodels():
    import statsmodels.api as sm

    random = np.random.default_rng(1)
    y = (1e4 / SIZES) ** 0.3 * np.exp(random.normal(0, 0.05, len(SIZES)))
    peer = sm.OLS(np.log(y), sm.add_constant(np.log(SIZES))).fit()
    assert fitting.fit(LAWS["line"], SIZES, y).quality()["r2"] == pytest.approx(peer.rsquared, abs=1e-12)


def test_an_outlier_moves_a_floor_law_little():
    y = 0.5 + (1e5 / SIZES) ** 0.5
    y[3] *= 1.3
    assert fitting.fit(LAWS["floor"], SIZES, y).named()["delta"] == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("law", "x", "y", "message"),
    [
        ("line", [1, 2], [2, 1], "too few points"),
        ("floor", [1, 2, 4, 8, 16], [5, 4, 3.5, 3.2, 3.1], "too few points"),
        ("line", [3, 3, 3], [1, 2, 3], "one size"),
        ("line", [1, 2, 3], [1, 0, 2], "positive values"),
        ("line", [1, 2, 3], [1, np.nan, 2], "not finite"),
        ("line", [0, 2, 3], [1, 1, 2], "size is not positive"),
        ("floor", [1, 2, 4, 8, 16, 32], [1, 2, 3, 4, 5, 6], "rises with size"),
        ("joint", [[n, 5] for n in range(1, 12)], range(12, 1, -1), "one size"),
        ("joint", [[n, d] for n in (1, 2, 3) for d in (1, 2)], range(6, 0, -1), "too few points"),
        ("additive", [[n, d] for n in (1, 2, 3) for d in (1, 2, 3)], [3, 2, 1, 4, 3, 2, 5, 4, 3], "rises with size"),
    ],
)
def test_what_cannot_be_fitted_says_why(law, x, y, message):
    fit = fitting.fit(LAWS[law], np.array(x, float), np.array(y, float))
    assert not fit.converged
    assert message in fit.note


SIZE_AND_DATA = np.column_stack([np.geomspace(1e4, 1e7, 8), np.geomspace(1e3, 1e6, 8)])
SPREAD = np.exp(np.random.default_rng(0).normal(0, 0.2, (8, 1)) * [[0, 1]])


def true_joint(x):
    return 0.7 + ((3e4 / x[:, 0]) ** 0.75 + 2e3 / x[:, 1]) ** 0.4


def true_additive(x):
    return 0.7 + 20 * x[:, 0] ** -0.3 + 8 * x[:, 1] ** -0.25


@pytest.mark.parametrize(
    ("law", "truth", "expected", "x"),
    [
        (
            "joint",
            true_joint,
            {"alpha": 0.3, "beta": 0.4, "A": 3e4, "B": 2e3},
            [(n, d) for n in (2e4, 3e6) for d in SIZE_AND_DATA[:, 1]],
        ),
        ("joint", true_joint, {"alpha": 0.3, "beta": 0.4, "A": 3e4, "B": 2e3}, SIZE_AND_DATA * SPREAD),
        ("additive", true_additive, {"alpha": 0.3, "beta": 0.25, "A": 20, "B": 8}, SIZE_AND_DATA * SPREAD),
    ],
)
def test_two_sizes_only_and_sizes_that_rise_together_are_fitted_where_they_tell_the_law(law, truth, expected, x):
    """The plane through such points may rise with one of the sizes: no reason to refuse the law that they follow."""
    fit = fitting.fit(LAWS[law], np.array(x), truth(np.array(x)))
    assert fit.converged, fit.note
    values = fit.named()
    assert [values[name] for name in expected] == pytest.approx(list(expected.values()), rel=0.02)


@pytest.mark.parametrize(
    ("law", "x", "y", "names"),
    [
        # Of two sizes any floor will do, with another scale and exponent.
        ("additive", [(n, d) for n in (2e4, 3e6) for d in SIZE_AND_DATA[:, 1]], true_additive, "A, alpha, delta"),
        # Only the sum of both exponents shows.
        ("ceiling_plane", SIZE_AND_DATA, true_additive, "a, alpha, beta"),
    ],
)
def test_what_the_points_leave_open_is_named(law, x, y, names):
    law = LAWS[law].for_ceiling(6.0) if LAWS[law].bounded else LAWS[law]
    fit = fitting.fit(law, np.array(x), y(np.array(x)))
    assert not fit.converged
    assert fit.note == f"{names} cannot be told from these points"


def test_exponents_of_sizes_that_only_rise_together_may_be_exchanged():
    assert rise_together(SIZE_AND_DATA) and not rise_together(SIZE_AND_DATA * SPREAD)


def test_intervals_and_forecasts_cover_a_known_line():
    """400 drawn studies of 7 sizes: the slope's interval and the forecast of a larger size hold about 95 %."""
    x, ahead = np.geomspace(5e3, 4e5, 7), np.array([1.6e6])
    shared, run = 0.02, 0.01  # noise common to all points, as of one set of queries, and each point's own
    noise = np.full((8, 8), shared**2)
    slope = forecast = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        log_y = 1.5 - 0.1 * np.log(np.append(x, ahead)) + shared * random.normal() + run * random.normal(size=8)
        fit = fitting.fit(LAWS["line"], x, np.exp(log_y[:7]))
        _, low, high = bootstrap.forecast(fit, ahead, noise, 300, random)
        forecast += low[0] <= np.exp(log_y[7]) <= high[0]
        drawn = bootstrap.simulate(fit, noise[:7, :7], 300, random)
        _, low, high = bootstrap.parameters(fit, drawn)["alpha"]
        slope += low <= 0.1 <= high
    assert 0.92 <= slope / 400 <= 0.98
    assert 0.92 <= forecast / 400 <= 0.98


@pytest.mark.parametrize("seed", range(12))
def test_a_flat_metric_has_no_floor_law_and_nothing_infinite(seed):
    random = np.random.default_rng(seed)
    fit = fitting.fit(LAWS["floor"], np.geomspace(5e3, 4e5, 8), 3.9 * np.exp(random.normal(0, 0.001, 8)))
    if fit.converged:
        assert np.isfinite(list(fit.named().values())).all()
    else:
        assert fit.note


def test_run_noise_comes_from_repeats_where_seeds_repeat():
    """A law that does not fit is no run-to-run noise: three seeds at each size tell the two apart."""
    x = np.repeat(np.geomspace(1e4, 1e6, 5), 3)
    random = np.random.default_rng(0)
    curved = 1 + (1e4 / x) ** 2  # no line, and only .1 % noise
    fit = fitting.fit(LAWS["line"], x, curved * np.exp(0.001 * random.normal(size=15)))
    errors = bootstrap.simulate(fit, np.zeros((15, 15)), 500, random).errors.reshape(500, 5, 3)
    assert 0.0005 < (errors - errors.mean(2, keepdims=True)).std() < 0.002
    # What the law is off by is what the runs of a size share.
    off = fit.residuals().reshape(5, 3).mean(1)
    assert np.median(errors.mean(2).std(1)) == pytest.approx(np.sqrt((off**2).sum() / 3), rel=0.35)
    once = fitting.fit(LAWS["line"], x[::3], fit.y[::3])
    errors = bootstrap.simulate(once, np.zeros((5, 5)), 500, random).errors
    assert errors.std() > 0.05


def test_means_of_sizes_have_the_spread_that_they_show_and_runs_that_of_repeats():
    """Seeds that shift all sizes by .05 leave the means on the law: only a run ahead, not the law, is unsure by it."""
    x, shift = np.repeat(np.geomspace(1e4, 1e6, 5), 3), np.tile([-0.05, 0, 0.05], 5)
    off = np.repeat([0.001, -0.001, 0, 0.001, -0.001], 3)
    exact = fitting.fit(LAWS["line"], x, np.exp(1 - 0.1 * np.log(x) + off + shift))
    points = np.append(x, 4e6)[:, None]
    errors = bootstrap.own_errors(exact, None, points, 4000, np.random.default_rng(0))
    runs, ahead = errors[:, :15].reshape(-1, 5, 3), errors[:, 15]
    means = runs.mean(2)
    assert np.median(np.abs(means)) < 0.001
    assert np.sqrt(np.median((runs - means[:, :, None]).var(2, ddof=1))) == pytest.approx(0.05, rel=0.2)
    # Of a run's variance of .05^2 the mean of three keeps a third, which the level of the law has too.
    assert np.median(np.abs(ahead)) == pytest.approx(0.6745 * 0.05 * np.sqrt(2 / 3), rel=0.1)


@pytest.mark.parametrize("misfit", [0.0, 0.01])
def test_forecasts_of_several_seeds_cover_sizes_that_are_off_the_law(misfit):
    """300 drawn studies of 7 sizes and 3 seeds, each size off the line by a draw of its own: 95 % of new runs."""
    x, ahead, covered = np.geomspace(5e3, 4e5, 7), np.array([1.6e6]), 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        log_y = 1.5 - 0.1 * np.log(np.append(x, ahead)) + misfit * random.normal(size=8)
        runs = log_y[:, None] + 0.005 * random.normal(size=(8, 3))
        fit = fitting.fit(LAWS["line"], np.repeat(x, 3), np.exp(runs[:7].ravel()))
        _, low, high = bootstrap.forecast(fit, ahead, None, 300, random)
        covered += low[0] <= np.exp(runs[7, 0]) <= high[0]
    assert 0.92 <= covered / 300 <= 0.985


def test_equal_seeds_give_equal_draws():
    x = np.geomspace(5e3, 4e5, 7)
    draws = []
    for _ in range(2):
        fit = fitting.fit(LAWS["floor"], x, 2 + (1e4 / x) ** 0.4 + 0.01 * np.sin(x))
        draws.append(bootstrap.simulate(fit, np.eye(7) * 1e-4, 100, np.random.default_rng(5)).theta)
    assert np.array_equal(*draws)


def test_a_floor_that_the_data_cannot_tell_is_open():
    x = np.geomspace(1e4, 1e5, 7)
    fit = fitting.fit(LAWS["floor"], x, (1e4 / x) ** 0.3 * np.exp(np.random.default_rng(0).normal(0, 0.02, 7)))
    drawn = bootstrap.simulate(fit, np.eye(7) * 1e-4, 300, np.random.default_rng(0))
    assert bootstrap.parameters(fit, drawn)["delta"][1] is None


def test_the_profile_of_a_clear_floor_is_closed_and_holds_it():
    x = np.geomspace(1e4, 1e9, 15)
    fit = fitting.fit(LAWS["floor"], x, (0.5 + (1e5 / x) ** 0.5) * np.exp(np.random.default_rng(0).normal(0, 0.01, 15)))
    drawn = bootstrap.simulate(fit, np.zeros((15, 15)), 300, np.random.default_rng(0))
    estimate, low, high = bootstrap.parameters(fit, drawn)["delta"]
    assert low < 0.5 < high
    assert low < estimate < high
    assert high - low < 0.05


@pytest.mark.parametrize(("points", "noise", "top"), [(12, 0.0005, 1e9), (60, 0.02, 1e13)])
def test_the_profile_holds_the_floor_where_it_is_told_well_or_lies_above_some_points(points, noise, top):
    """Floors told to a thousandth, and floors above the smallest value: 40 studies each, about 95 % held."""
    x, held, widths = np.geomspace(1e5, top, points), 0, []
    for seed in range(40):
        random = np.random.default_rng([seed, points])
        fit = fitting.fit(LAWS["floor"], x, (1.8 + (1e5 / x) ** 0.5) * np.exp(noise * random.standard_normal(points)))
        low, high = bootstrap.floor_interval(fit, bootstrap.simulate(fit, None, 150, random))
        held += low <= 1.8 <= high
        widths.append(high - low)
    assert held >= 34
    assert min(widths) > 0


def test_a_joint_law_does_not_depend_on_the_units_of_its_metric():
    x, random = GRIDS["4 x 4"], np.random.default_rng(2)
    y = joint(x, 3.6e4, 0.56, 7.1e3, 1.31, 0.03) * np.exp(0.02 * random.standard_normal(len(x)))
    exponents = []
    for scale in (1, 1e6):
        fit = fitting.fit(LAWS["joint"], x, scale * y)
        drawn = bootstrap.simulate(fit, None, 200, np.random.default_rng(0))
        exponents.append([value for n in ("alpha", "beta") for value in bootstrap.parameters(fit, drawn)[n]])
    assert exponents[0] == pytest.approx(exponents[1], rel=0.02)


def test_a_scale_without_a_sure_decay_is_open():
    random = np.random.default_rng(3)
    fit = fitting.fit(
        LAWS["floor"], np.geomspace(1e4, 1e5, 7), 2 * np.exp(random.normal(0, 0.02, 7)) - np.arange(7) * 0.01
    )
    if fit.converged:
        drawn = bootstrap.simulate(fit, np.zeros((7, 7)), 300, random)
        assert bootstrap.parameters(fit, drawn)["A"][1:] == (None, None)


def test_hc3_intervals_are_statsmodels_and_wider_than_nothing():
    """HC3 by its formula: each residual over one less its leverage, squared, in the sandwich."""
    random = np.random.default_rng(4)
    x = np.geomspace(1e4, 1e7, 9)
    fit = fitting.fit(LAWS["line"], x, 5 * x**-0.2 * np.exp(random.normal(0, 0.03, 9)))
    design = np.column_stack([np.ones(9), -np.log(x)])
    bread = np.linalg.inv(design.T @ design)
    leverage = np.diag(design @ bread @ design.T)
    meat = design.T @ np.diag((fit.residuals() / (1 - leverage)) ** 2) @ design
    error = np.sqrt(np.diag(bread @ meat @ bread))[1]
    quantile = stats.t.ppf(0.975, 7)
    alpha = fit.named()["alpha"]
    assert fit_tasks.hc3(fit)["alpha"] == pytest.approx((alpha - quantile * error, alpha + quantile * error), rel=1e-9)
