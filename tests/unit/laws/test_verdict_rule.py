"""Verdicts: small cases by hand, the interval by inversion, what must not matter, error rates on simulated studies."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from rankscale.laws.verdicts.contrasts import holm, share_differences
from rankscale.laws.verdicts.lack_of_fit import lack_of_fit
from rankscale.laws.verdicts.realised_gain import AxisLaw, fieller, realised_gain
from rankscale.laws.verdicts.rule import judge
from rankscale.laws.verdicts.stability import stability
from tests.benchmarks import verdicts as benchmark
from tests.benchmarks.verdicts import EMBEDDED, LINE, TREND, Noise, draws, gains_of, values

FOUR = np.exp([-1.0, 0, 1, 2])
LAST = np.arange(4) == 3


def study(seeds=3, seed=0, **setting):
    """One simulated study [1, n, s] around a law."""
    return values(setting.pop("truth", "law"), draws((1, 7, seeds), np.random.default_rng(seed)), **setting)


def by_hand():
    """A trend through (5, 3.7, 3) at log x of -1, 0, 1 is 3.9 - log x: residuals .1, -.2, .1, a forecast of 1.9."""
    return realised_gain(FOUR, LAST, np.array([5, 3.7, 3, 2])[None, :, None], TREND)


def test_gains_and_their_variances_by_hand():
    gains = by_hand()
    assert (gains.predicted[0], gains.realised[0]) == pytest.approx((2.9 - 1.9, 2.9 - 2.0))
    assert gains.known_variance[0] == pytest.approx(0.06 / 1)
    # The fitted value at log x = 1 is the sum of (1/3 + u/2) y, the forecast at 2 that of (1/3 + u) y.
    assert gains.realised_by_known[0] == pytest.approx([-1 / 6, 1 / 3, 5 / 6])
    assert gains.predicted_by_known[0] == pytest.approx([1 / 2, 0, -1 / 2])
    assert gains.realised_by_held_out[0] == pytest.approx([-1])
    realised, covariance, predicted = (v[0] for v in gains.variances)
    assert (realised, covariance, predicted) == pytest.approx((0.06 * (30 / 36 + 1), 0.06 * (-1 / 2), 0.06 / 2))
    # R - G is the forecast less the value found: its variance is that of a new value about the line.
    assert realised - 2 * covariance + predicted == pytest.approx(0.06 * (1 / 3 + 4 / 2 + 1))


def test_the_verdict_by_hand():
    verdicts = judge(by_hand())
    assert verdicts.share[0] == pytest.approx(0.9)
    # t with one degree of freedom is Cauchy's.
    assert verdicts.p_improving[0] == pytest.approx(0.5 - np.arctan(0.9 / np.sqrt(0.11)) / np.pi)
    assert verdicts.p_forecast[0] == pytest.approx(1 - 2 * np.arctan(0.1 / np.sqrt(0.2)) / np.pi)
    # 12.7^2 x .03 is beyond G^2 = 1.
    assert (verdicts.verdict[0], verdicts.forecast[0]) == ("undecided", "unbounded")
    assert (verdicts.low[0], verdicts.high[0]) == (-np.inf, np.inf)
    assert verdicts.gain_high[0] - 0.9 == pytest.approx(np.tan(0.475 * np.pi) * np.sqrt(0.11))


@pytest.mark.parametrize(
    ("predicted", "realised", "shape"), [(3.0, 2.0, "interval"), (0.5, 3.0, "outside"), (0.5, 0.1, "all")]
)
def test_fieller_s_set_is_all_shares_that_are_not_rejected(predicted, realised, shape):
    variances, critical = (0.4, -0.05, 0.1), 2.5
    fieller_set = fieller(*(np.array([v]) for v in (realised, predicted, *variances)), critical)
    low, high, bounded = (a[0] for a in fieller_set)
    share = np.linspace(-80, 80, 100_001)
    inside = (realised - share * predicted) ** 2 <= critical**2 * (0.4 + 0.1 * share + 0.1 * share**2)
    between = (low <= share) & (share <= high)
    assert bounded == (shape == "interval")
    expected = {"interval": between, "outside": ~between, "all": np.ones_like(inside)}[shape]
    assert np.isnan(low) == (shape == "all")
    assert inside.any()
    assert (inside != expected).sum() <= 2  # an end may lie on the grid


FLOOR = 1.5


def above_a_floor(x_known, y, x):
    return FLOOR + benchmark.straight(x_known, y - FLOOR, x, log=True)


@pytest.mark.parametrize("law", [LINE, AxisLaw(2, True, above_a_floor)], ids=["line", "above a floor"])
def test_variances_are_those_of_refitted_studies(law):
    x, held_out, random = EMBEDDED.x, EMBEDDED.held_out, np.random.default_rng(3)
    truth = 1.5 * (law is not LINE) + 3 * (x / x[0]) ** -0.2
    y = truth[:, None] * np.exp(0.005 * random.standard_normal((20_000, 7, 1)))
    gains = realised_gain(x, held_out, y, law)
    simulated = np.cov(gains.realised, gains.predicted)[[0, 0, 1], [0, 1, 1]]
    assert np.mean(gains.variances, axis=1) == pytest.approx(simulated, rel=0.06)


def test_slopes_of_a_study_near_by_serve():
    y = values("law", draws((200, 7, 2), np.random.default_rng(8)))
    own, taken = judge(gains_of(y)), judge(realised_gain(*EMBEDDED, y, LINE, like=gains_of(y[:1])))
    assert taken.share == pytest.approx(own.share)
    assert taken.p_improving == pytest.approx(own.p_improving, rel=0.05)


def test_the_unit_of_a_metric_does_not_matter_nor_its_zero_where_the_law_is_a_trend():
    """1-AUC and the mean rank from 0 are multiples of each other; the rank from 1 is only an affine image."""
    y = study(misfit=0.01)
    own = judge(gains_of(y))
    for law, image in ((LINE, 64 * y), (TREND, 64 * y + 1)):
        first, second = (judge(realised_gain(*EMBEDDED, v, law)) for v in (y, image))
        assert (first.verdict, first.forecast) == (second.verdict, second.forecast)
        for name in ("share", "low", "high", "p_improving", "p_forecast", "smallest_share"):
            assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-5)
        assert second.smallest_gain == pytest.approx(64 * first.smallest_gain)
    moved = judge(gains_of(y + 10))
    assert moved.share != pytest.approx(own.share, rel=1e-5)


def test_what_all_sizes_of_a_seed_share_does_not_matter():
    y = study(misfit=0.01)
    first, second = (judge(realised_gain(*EMBEDDED, v, TREND)) for v in (y, y + np.array([0.3, 0, -0.2])))
    assert second.p_improving == pytest.approx(first.p_improving)
    assert (second.low, second.high) == (pytest.approx(first.low), pytest.approx(first.high))


def test_held_out_cells_have_the_larger_of_residual_variance_and_pure_error():
    noise = draws((1, 7, 2), np.random.default_rng(2))
    apart = noise.run.copy()
    apart[:, 5:] += 30 * np.array([[-1, 1], [1, -1]])
    for run, misfit, larger in ((noise.run, 0.1, "known_variance"), (apart, 0.0, "pure_variance")):
        gains = gains_of(values("law", Noise(noise.size, noise.seed, run), misfit=misfit))
        by_known, by_held_out = (gains.realised_by_known**2).sum(1), (gains.realised_by_held_out**2).sum(1)
        expected = gains.known_variance * by_known + getattr(gains, larger) * by_held_out
        assert gains.variances[0] == pytest.approx(expected)
    # Two cells of two seeds tell the pure error by two degrees of freedom, the residuals of five cells have three.
    assert gains.repeats == 2
    assert 2 <= gains.effective_freedom[0] < gains.freedom == 3


def test_pure_error_is_the_variance_of_a_mean():
    noise = draws((4000, 7, 3), np.random.default_rng(4))
    gains = gains_of(values("law", noise, run=0.02, seed=0.05))
    assert gains.pure_variance.mean() == pytest.approx(0.02**2 / 3, rel=0.05)


def test_one_seed_is_provisional():
    verdicts = judge(gains_of(study(seeds=1)))
    assert verdicts.provisional
    assert "one seed" in verdicts.reason()
    assert not judge(gains_of(study(seeds=2))).provisional


@pytest.mark.parametrize(
    ("cells", "held_out", "reason"),
    [(3, 1, "2 known cells and 2 parameters"), (5, 0, "nothing was held out"), (7, 2, "could not be fitted")],
)
def test_too_little_to_judge_by_is_undecided_and_says_why(cells, held_out, reason):
    y = study()[:, :cells] * (-1 if "fitted" in reason else 1)
    verdicts = judge(realised_gain(EMBEDDED.x[:cells], np.arange(cells) >= cells - held_out, y, LINE))
    assert verdicts.verdict[0] == "undecided"
    assert np.isnan(verdicts.p_improving[0])
    assert reason in verdicts.reason()
    result = stability(EMBEDDED.x[:cells], np.arange(cells) >= cells - held_out, y[0], LINE, np.random.default_rng(0))
    assert result.verdict == "undecided"
    assert np.isnan(result.same)


def precise(truth, share=1.0, slope=0.1):
    """A study that tells nearly all; `share` scales what the held-out sizes gain."""
    y = study(run=0.0005, slope=slope, truth=truth)
    u = np.log(EMBEDDED.x / EMBEDDED.x[4])
    y *= np.exp(np.where(EMBEDDED.held_out, slope * (1 - share) * u, 0))[:, None]
    return y


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, ("keeps improving", "confirmed")),
        (0.3, ("keeps improving", "less")),
        (-0.1, ("no longer", "less")),
        (-1.0, ("no longer", "less")),
        (3.0, ("keeps improving", "more")),
    ],
)
def test_what_is_clear_is_said(share, expected):
    verdicts = judge(gains_of(precise("law", share)))
    assert (verdicts.verdict[0], verdicts.forecast[0]) == expected
    assert verdicts.as_forecast[0] == (share == 1)


def test_a_law_that_forecasts_no_gain_has_no_share():
    verdicts = judge(gains_of(precise("law", slope=-0.1)))
    assert (verdicts.verdict[0], verdicts.forecast[0]) == ("undecided", "none")
    assert np.isnan(verdicts.share[0])
    assert "forecasts no gain" in verdicts.reason()


def test_the_smallest_gain_is_seen_in_80_per_cent_of_studies():
    noise = draws((4000, 7, 2), np.random.default_rng(6))
    # With the noise of held-out and known cells alike, the rule is t's.
    smallest = np.median(judge(gains_of(values("law", noise))).smallest_gain)
    level = np.exp(1.2) * (EMBEDDED.x[4] / EMBEDDED.x[0]) ** -0.022
    slope = minimize_scalar(lambda b: (_gain(b) * level - smallest) ** 2, (0.01, 0.1)).x
    assert judge(gains_of(values("law", noise, slope=slope))).keeps_improving.mean() == pytest.approx(0.8, abs=0.07)


def _gain(slope):
    return 1 - ((EMBEDDED.x[5:] / EMBEDDED.x[4]) ** -slope).mean()


def test_a_difference_to_a_metric_without_noise_is_fieller_s_interval():
    first, exact = gains_of(study(run=0.004)), gains_of(study(run=1e-9))
    result = share_differences(first, exact, np.random.default_rng(0), draws=200_000)
    interval = first.share()
    assert result.difference[0] == pytest.approx(first.realised[0] / first.predicted[0] - 1, abs=1e-5)
    assert [result.low[0], result.high[0]] == pytest.approx([interval.low[0] - 1, interval.high[0] - 1], rel=0.03)


def test_differences_are_paired_and_undecided_without_a_bound():
    first, second = (gains_of(values("law", draws((20, 7, 2), np.random.default_rng(s)), run=0.005)) for s in (1, 2))
    same = share_differences(first, first, np.random.default_rng(0), draws=500)
    assert np.abs([same.difference, same.low, same.high]).max() < 1e-6
    there, back = (
        share_differences(*two, np.random.default_rng(0), 20_000) for two in ((first, second), (second, first))
    )
    assert there.difference == pytest.approx(-back.difference)
    assert there.low == pytest.approx(-back.high, abs=0.1, rel=0.1)
    flat = gains_of(values("flat", draws((20, 7, 2), np.random.default_rng(3))))
    open_ones = ~flat.share().bounded
    undecided = share_differences(first, flat, np.random.default_rng(0), draws=500)
    assert open_ones.any()
    assert np.isnan([undecided.low[open_ones], undecided.p[open_ones]]).all()
    with pytest.raises(ValueError, match="same cells and seeds"):
        share_differences(first, gains_of(study(seeds=3)), np.random.default_rng(0))


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.02, np.nan, 0.5])
    assert adjusted[[0, 2]] == pytest.approx([0.06, 1.0])
    assert np.isnan(adjusted[1])


def test_lack_of_fit_is_the_f_test_of_nested_regressions():
    y = study(seeds=3, misfit=0.01, seed=7)[0]
    result = lack_of_fit(EMBEDDED.x, y, LINE)
    n, s = y.shape
    # The geometric mean is what a regression on logs sees; the difference to the log of the mean is of second order.
    z, u = np.log(y).reshape(-1), np.repeat(np.log(EMBEDDED.x), s)
    seeds, cells = np.tile(np.eye(s), (n, 1)), np.repeat(np.eye(n), s, axis=0)

    def squares(*columns):
        design = np.column_stack(columns)
        return ((z - design @ np.linalg.lstsq(design, z, rcond=None)[0]) ** 2).sum()

    narrow, full = squares(seeds, u), squares(seeds, cells)
    f = (narrow - full) / 5 / (full / 12)
    assert result.freedom == (5, 12)
    assert result.f == pytest.approx(f, rel=0.01)
    assert result.p == pytest.approx(stats.f.sf(f, 5, 12), rel=0.03)


def test_the_bend_is_how_far_the_ends_lie_above_the_middle():
    u = np.linspace(-2, 2, 9)
    y = np.exp(1 - 0.1 * u + 0.01 * u**2)[:, None] * np.exp(0.0005 * np.random.default_rng(1).standard_normal((9, 2)))
    result = lack_of_fit(np.exp(u), y, LINE)
    assert result.bend == pytest.approx(0.04, abs=0.001)
    assert 0 < result.bend_low < result.bend < result.bend_high
    assert result.p < 1e-6
    # Spread of a parabola about its line over nine even points.
    assert result.misfit == pytest.approx(np.sqrt(((u**2 - (u**2).mean()) ** 2).sum() / 7) * 0.01, rel=0.05)


def test_without_repeats_lack_of_fit_cannot_be_tested():
    result = lack_of_fit(EMBEDDED.x, study(seeds=1)[0], LINE)
    assert np.isnan([result.f, result.p, result.misfit]).all()
    assert result.bend_low < result.bend < result.bend_high


def test_a_clear_verdict_is_stable_and_its_power_is_stated():
    result = stability(*EMBEDDED, precise("law")[0], LINE, np.random.default_rng(0), studies=400)
    assert result.verdict == "keeps improving"
    assert result.by_seed == ["keeps improving"] * 3
    assert result.without_cell == ["keeps improving"] * 7
    assert result.same == 1
    assert result.improving_if_law_holds == 1
    assert result.improving_if_it_stopped < 0.09


def test_an_unclear_verdict_is_not():
    y = study(seeds=2, seed=3)[0]
    result = stability(*EMBEDDED, y, LINE, np.random.default_rng(0), studies=400)
    assert 0.05 < result.same < 0.98
    again = stability(*EMBEDDED, y, LINE, np.random.default_rng(0), studies=400)
    assert again == result


def test_error_rates():
    """The embedded study of two seeds, as in `tests/benchmarks/verdicts.py`: 4,000 studies have an error of .003."""
    rates = benchmark.rates(4000, 2, np.random.default_rng(11), misfit=0.004, growth=4, seed=0.0149)
    assert 0.02 < rates["improving: stops"] < 0.06
    assert 0.02 < rates["improving: flat"] < 0.06
    assert rates["improving: law"] > 0.45
    assert 0.94 < rates["covered: law"] < 0.99
    assert rates["no longer: law"] < 0.01


def test_error_rates_of_differences():
    equal = benchmark.pair("like cross-entropy", ("law", "law"), 3, 600, np.random.default_rng(12), misfit=0.004)
    assert equal["either"] < 0.06
    stopped = benchmark.pair("steep, noisy", ("law", "stops"), 3, 600, np.random.default_rng(13))
    assert stopped["better"] > 0.5
    assert stopped["worse"] == 0
