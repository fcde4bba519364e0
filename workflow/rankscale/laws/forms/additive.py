"""A power law of each of two variables above a floor (Hoffmann et al., 2022)."""

from collections.abc import Iterator, Sequence

import numpy as np

from rankscale.laws.forms.base import Law, planes_above, power

SPLITS = (0.15, 0.5, 0.85)  # how much of what is above the floor is the size's, to start from
LEAST = 0.01  # exponent to start from


def _curve(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = power(theta[:, :1], theta[:, 1:2], u[:, 0])
    second = power(theta[:, 2:3], theta[:, 3:4], u[:, 1])
    slopes = (first, -u[:, 0] * first, second, -u[:, 1] * second, np.ones_like(first))
    return first + second + theta[:, 4:], np.stack(slopes, -1)


def _named(theta: np.ndarray) -> np.ndarray:
    return np.column_stack([np.exp(theta[:, 0]), theta[:, 1], np.exp(theta[:, 2]), theta[:, 3], theta[:, 4]])


def _starts(u: np.ndarray, target: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    starts = []
    for share in shares:
        floor, plane = planes_above(u, target, share)
        starts += [np.column_stack([powers, floor]) for powers in split_starts(plane)]
    return starts


def split_starts(plane: np.ndarray) -> Iterator[np.ndarray]:
    """Levels and exponents [b, 4] of two powers that are a plane [b, 3] together, at several splits between them."""
    level, alpha, beta = plane[:, 0], np.maximum(plane[:, 1], LEAST), np.maximum(plane[:, 2], LEAST)
    for split in SPLITS:
        yield np.column_stack([level + np.log(split), alpha / split, level + np.log1p(-split), beta / (1 - split)])


def recentre(theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Levels of two powers where sizes are not centred; what follows them stays."""
    theta = theta.copy()
    theta[:, 0] += theta[:, 1] * centre[0]
    theta[:, 2] += theta[:, 3] * centre[1]
    return theta


ADDITIVE = Law(
    name="additive",
    formula="y = delta + A/N^alpha + B/D^beta",
    variables=2,
    parameters=("A", "alpha", "B", "beta", "delta"),
    curve=_curve,
    slope="alpha",
    named=_named,
    starts=_starts,
    recentre=recentre,
    exponents=("alpha", "beta"),
    scales={"A": "alpha", "B": "beta"},
    floor=4,
    colour="#56B4E9",
    marker="P",
)
