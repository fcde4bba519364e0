"""A power law of each of two variables, bent below a known ceiling C, the metric at chance (arXiv 2605.09189)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rankscale.laws.forms.additive import recentre, split_starts
from rankscale.laws.forms.base import Law, above_floor, planes_between, power
from rankscale.laws.forms.ceiling import CAPS


def _curve(theta: np.ndarray, u: np.ndarray, ceiling: float) -> tuple[np.ndarray, np.ndarray]:
    first = power(theta[:, :1], theta[:, 1:2], u[:, 0])
    second = power(theta[:, 2:3], theta[:, 3:4], u[:, 1])
    rest = 1 / (1 + first + second)
    up = (first + second) * rest
    # Each by itself: the square of what is far beyond 1 would be infinite.
    first, second = (ceiling * (one * rest) * rest for one in (first, second))
    return ceiling * up, np.stack([first, -u[:, 0] * first, second, -u[:, 1] * second], -1)


def _named(theta: np.ndarray) -> np.ndarray:
    a, b = np.exp(theta[:, 0] / theta[:, 1]), np.exp(theta[:, 2] / theta[:, 3])
    return np.column_stack([a, theta[:, 1], b, theta[:, 3:]])


def _starts_above(u: np.ndarray, target: np.ndarray, shares: Sequence[float], ceiling: float) -> list[np.ndarray]:
    starts = []
    for share in shares:
        floor, plane = planes_between(u, target, share, ceiling, CAPS[1])
        starts += [np.column_stack([powers, floor]) for powers in split_starts(plane)]
    return starts


def _starts(u: np.ndarray, target: np.ndarray, shares: Sequence[float], ceiling: float) -> list[np.ndarray]:
    return [theta[:, :-1] for theta in _starts_above(u, target, (0.0,), ceiling)]


BOUNDED = Law(
    name="bounded",
    formula="y = C h / (1 + h), h = (A/N)^alpha + (B/D)^beta",
    variables=2,
    parameters=("A", "alpha", "B", "beta"),
    curve=_curve,
    slope="alpha",
    named=_named,
    starts=_starts,
    recentre=recentre,
    exponents=("alpha", "beta"),
    scales={"A": "alpha", "B": "beta"},
    bounded=True,
    colour="#117733",
    line_style="--",
    marker="d",
)
BOUNDED_FLOOR = replace(
    BOUNDED,
    name="bounded_floor",
    formula="y = delta + (C - delta) h / (1 + h), h = (A/N)^alpha + (B/D)^beta",
    parameters=("A", "alpha", "B", "beta", "delta"),
    curve=partial(above_floor, _curve),
    starts=_starts_above,
    floor=4,
    colour="#AA4499",
    line_style=":",
    marker="H",
)
