"""Which law is preferred: AICc decides, and between laws that it hardly tells apart that a metric has a bound."""

import numpy as np
import pytest

from rankscale.laws import fitting
from rankscale.laws.forms.registry import LAWS
from rankscale.laws.selection import by_aicc, preferred

CHANCE = np.log(65)
CEILING = LAWS["ceiling"].for_ceiling(CHANCE)


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ([10, 11.5, 12.5], [1, 0, 2]),  # the bounded one is within 2, the other bounded one is not
        ([10, 12.1, 11.9], [2, 0, 1]),
        ([10, 12.5, 13], [0, 1, 2]),
        ([12, 11, 10], [2, 1, 0]),
        ([-4, -3, -3.5], [2, 1, 0]),
        ([10, 10, 10], [1, 2, 0]),
    ],
)
def test_of_laws_within_2_of_the_lowest_bounded_ones_come_first(scores, order):
    assert by_aicc(scores, [LAWS["line"], CEILING, LAWS["ceiling_floor"]]) == order


def test_clear_evidence_for_a_power_law_beats_the_bound():
    x = 500.0 * 2.0 ** np.arange(9)
    random = np.random.default_rng(0)
    line = 4.1 * (x / x[0]) ** -0.2  # straight from just below chance, where no bounded law is
    bent = CHANCE / (1 + np.exp(0.6 * np.log(x) - 4.9))
    for truth, name in ((line, "line"), (bent, "ceiling")):
        y = truth * np.exp(0.005 * random.standard_normal(9))
        assert preferred(fitting.fit(law, x, y) for law in (LAWS["line"], CEILING)).law.name == name


def test_too_few_points_for_aicc_go_by_least_squares_of_the_fewest_parameters():
    x = 500.0 * 2.0 ** np.arange(4)
    bent = CHANCE / (1 + np.exp(0.6 * np.log(x) - 4.9))
    fits = [fitting.fit(law, x, bent) for law in (LAWS["line"], CEILING)]
    assert all(fit.converged and fit.quality()["aicc"] is None for fit in fits)
    assert preferred(fits).law.name == "ceiling"
    assert preferred(fits[:0]) is None
