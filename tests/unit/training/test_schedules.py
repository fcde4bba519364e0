"""The learning rate of each step, by hand."""

import pytest

from rankscale.training.schedules import learning_rate


def test_schedules():
    def rates(schedule, warmup):
        return [learning_rate(1.0, schedule, warmup, step, 10) for step in range(1, 11)]

    assert rates("constant", 0) == [1.0] * 10
    assert rates("linear", 0.2) == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert rates("cosine", 0)[5] == pytest.approx(0.5)
