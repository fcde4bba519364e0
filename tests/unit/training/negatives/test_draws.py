"""Which mined negatives are drawn: the laws of chance they follow."""

import numpy as np
import pytest

from rankscale.training.negatives import draws


def test_annealed_draws_follow_the_softmax_of_the_scores():
    scores = np.tile([0.9, 0.8, 0.5, 0.1], (40000, 1))
    drawn = draws.annealed_picks(np.random.default_rng(0), scores, 1, 0.5)[:, 0]
    shares = np.exp(scores[0] / 0.5) / np.exp(scores[0] / 0.5).sum()
    assert np.bincount(drawn, minlength=4) / len(drawn) == pytest.approx(shares, abs=0.01)


def test_several_are_drawn_without_repetition_each_by_the_softmax_of_those_left():
    scores = np.tile([1.0, 0.0, 0.5], (40000, 1))
    drawn = draws.annealed_picks(np.random.default_rng(1), scores, 2, 1.0)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    after_first = drawn[drawn[:, 0] == 0, 1]
    left = np.exp([0.0, 0.5]) / np.exp([0.0, 0.5]).sum()
    assert np.bincount(after_first, minlength=3)[1:] / len(after_first) == pytest.approx(left, abs=0.015)


def test_a_low_temperature_takes_the_hardest():
    scores = np.random.default_rng(2).normal(size=(50, 20))
    drawn = draws.annealed_picks(np.random.default_rng(3), scores, 3, 1e-6)
    assert np.array_equal(drawn, np.argsort(-scores, axis=1)[:, :3])


def test_the_temperature_falls_by_equal_factors():
    assert [draws.temperature(1.0, 0.01, share) for share in (0, 0.5, 1)] == pytest.approx([1, 0.1, 0.01])


def test_uniform_draws_do_not_repeat():
    drawn = draws.uniform_picks(np.random.default_rng(0), (100, 5), 5)
    assert (np.sort(drawn, axis=1) == np.arange(5)).all()
