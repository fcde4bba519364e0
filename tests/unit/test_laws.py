"""Laws against the published ones, other implementations, and laws we drew the data from."""

import numpy as np
import pytest

from rankscale import laws

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
    assert laws.fit("line", SIZES, y).quality()["r2"] == pytest.approx(expected[0], abs=5e-5)
    small = laws.fit("line", SIZES[SIZES < 30e6], y[SIZES < 30e6])
    assert small.quality()["r2"] == pytest.approx(expected[1], abs=5e-5)
    assert 1 - small.predict(SIZES[-1:])[0] / y[-1] == pytest.approx(expected[2], abs=5e-4)


@pytest.mark.parametrize(("law", "_"), PUBLISHED)
def test_a_floor_law_is_recovered_without_noise(law, _):
    scale, alpha, delta = law
    made = laws.fit("floor", SIZES, delta + (scale / SIZES) ** alpha)
    assert made.converged
    assert [v[0] for v in made.parameters().values()] == pytest.approx(law, rel=1e-6)


def test_line_and_trend_are_least_squares():
    random = np.random.default_rng(0)
    y = (1e4 / SIZES) ** 0.3 * np.exp(random.normal(0, 0.05, len(SIZES)))
    slope, intercept = np.polyfit(np.log(SIZES), np.log(y), 1)
    found = laws.fit("line", SIZES, y).parameters()
    assert (found["a"][0], found["alpha"][0]) == pytest.approx((intercept, -slope), abs=1e-10)
    slope, intercept = np.polyfit(np.log(SIZES), y - 1, 1)
    found = laws.fit("trend", SIZES, y - 1).parameters()  # some values are negative
    assert (found["a"][0], found["b"][0]) == pytest.approx((intercept, slope), abs=1e-10)


def test_quality_equals_statsmodels():
    import statsmodels.api as sm

    random = np.random.default_rng(1)
    y = (1e4 / SIZES) ** 0.3 * np.exp(random.normal(0, 0.05, len(SIZES)))
    peer = sm.OLS(np.log(y), sm.add_constant(np.log(SIZES))).fit()
    assert laws.fit("line", SIZES, y).quality()["r2"] == pytest.approx(peer.rsquared, abs=1e-12)


def test_an_outlier_moves_a_floor_law_little():
    y = 0.5 + (1e5 / SIZES) ** 0.5
    y[3] *= 1.3
    assert laws.fit("floor", SIZES, y).parameters()["delta"][0] == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize(
    ("law", "x", "y", "said"),
    [
        ("line", [1, 2], [2, 1], "too few points"),
        ("floor", [1, 2, 4, 8, 16], [5, 4, 3.5, 3.2, 3.1], "too few points"),
        ("line", [3, 3, 3], [1, 2, 3], "one size"),
        ("line", [1, 2, 3], [1, 0, 2], "positive values"),
        ("line", [1, 2, 3], [1, np.nan, 2], "not finite"),
        ("line", [0, 2, 3], [1, 1, 2], "size is not positive"),
        ("floor", [1, 2, 4, 8, 16, 32], [1, 2, 3, 4, 5, 6], "rises with size"),
    ],
)
def test_what_cannot_be_fitted_says_why(law, x, y, said):
    made = laws.fit(law, np.array(x, float), np.array(y, float))
    assert not made.converged
    assert said in made.note


def test_intervals_and_forecasts_cover_a_known_line():
    """400 drawn studies of 7 sizes: the slope's interval and the forecast of a larger size hold about 95 %."""
    x, ahead = np.geomspace(5e3, 4e5, 7), np.array([1.6e6])
    shared, run = 0.02, 0.01  # noise common to all points, as of one set of queries, and each point's own
    noise = np.full((8, 8), shared**2)
    slope = told = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        log_y = 1.5 - 0.1 * np.log(np.append(x, ahead)) + shared * random.normal() + run * random.normal(size=8)
        made = laws.fit("line", x, np.exp(log_y[:7]))
        _, low, high = laws.forecast(made, ahead, noise, 300, random)
        told += low[0] <= np.exp(log_y[7]) <= high[0]
        _, low, high = made.parameters()["alpha"]
        slope += low <= 0.1 <= high
    assert 0.92 <= slope / 400 <= 0.98
    assert 0.92 <= told / 400 <= 0.98


@pytest.mark.parametrize("seed", range(12))
def test_a_flat_metric_has_no_floor_law_and_nothing_infinite(seed):
    random = np.random.default_rng(seed)
    made = laws.fit("floor", np.geomspace(5e3, 4e5, 8), 3.9 * np.exp(random.normal(0, 0.001, 8)))
    if made.converged:
        assert all(np.isfinite(value[0]) for value in made.parameters().values())
    else:
        assert made.note


def test_run_noise_comes_from_repeats_where_seeds_repeat():
    """A law that does not fit is no run-to-run noise: three seeds at each size tell the two apart."""
    x = np.repeat(np.geomspace(1e4, 1e6, 5), 3)
    random = np.random.default_rng(0)
    curved = 1 + (1e4 / x) ** 2  # no line, and only .1 % noise
    made = laws.fit("line", x, curved * np.exp(0.001 * random.normal(size=15)))
    errors, _ = laws.simulate(made, np.zeros((15, 15)), 500, random)
    assert 0.0005 < errors.std() < 0.002
    once = laws.fit("line", x[::3], made.y[::3])
    errors, _ = laws.simulate(once, np.zeros((5, 5)), 500, random)
    assert errors.std() > 0.05


def test_equal_seeds_give_equal_draws():
    x = np.geomspace(5e3, 4e5, 7)
    draws = []
    for _ in range(2):
        made = laws.fit("floor", x, 2 + (1e4 / x) ** 0.4 + 0.01 * np.sin(x))
        laws.simulate(made, np.eye(7) * 1e-4, 100, np.random.default_rng(5))
        draws.append(made.draws)
    assert np.array_equal(*draws)


def test_a_floor_that_the_data_cannot_tell_is_open_at_zero():
    x = np.geomspace(1e4, 1e5, 7)
    made = laws.fit("floor", x, (1e4 / x) ** 0.3 * np.exp(np.random.default_rng(0).normal(0, 0.02, 7)))
    laws.simulate(made, np.eye(7) * 1e-4, 300, np.random.default_rng(0))
    assert made.parameters()["delta"][1] == pytest.approx(0, abs=1e-6)
