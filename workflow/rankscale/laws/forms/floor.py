"""The power law above a floor."""

from collections.abc import Sequence

import numpy as np

from rankscale.laws.forms.base import Law, planes_above, power, shift_level


def _curve(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    above = power(theta[:, :1], theta[:, 1:2], u[:, 0])
    return above + theta[:, 2:], np.stack([above, -u[:, 0] * above, np.ones_like(above)], -1)


def _named(theta: np.ndarray) -> np.ndarray:
    return np.column_stack([np.exp(theta[:, 0] / theta[:, 1]), theta[:, 1], theta[:, 2]])


def _starts(u: np.ndarray, target: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    starts = []
    for share in shares:
        floor, plane = planes_above(u, target, share)
        starts.append(np.column_stack([plane, floor]))
    return starts


FLOOR = Law(
    name="floor",
    formula="y = delta + (A/x)^alpha",
    variables=1,
    parameters=("A", "alpha", "delta"),
    curve=_curve,
    slope="alpha",
    named=_named,
    starts=_starts,
    recentre=shift_level,
    exponents=("alpha",),
    scales={"A": "alpha"},
    floor=2,
    colour="#D55E00",
    marker="s",
)
