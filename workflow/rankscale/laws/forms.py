"""The shapes of scaling laws, and their parameters.

    line      log y = a - alpha log x
    trend     y = a + b log x                                    y may be negative
    floor     y = delta + (A/x)^alpha
    joint     y = delta + ((A/N)^(alpha/beta) + B/D)^beta        (Scaling Laws for Dense Retrieval, 2024)
    additive  y = delta + A/N^alpha + B/D^beta                   (Hoffmann et al., 2022)

delta >= 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit


class Law(NamedTuple):
    """A law's variables, the names of its parameters, and the functions that make it."""

    variables: int
    parameters: tuple[str, ...]
    curve: Callable  # working parameters [b, p] and log x [n, v] to values [b, n] and their slopes [b, n, p]
    named: Callable  # working parameters to named ones
    robust: bool  # Huber loss on log residuals, with a floor as the last parameter


def _line(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * u[:, 0], -350, 350))
    return value, np.stack([value, -value * u[:, 0]], -1)


def _trend(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value = theta[:, :1] + theta[:, 1:] * u[:, 0]
    slopes = np.broadcast_to(np.column_stack([np.ones(len(u)), u[:, 0]]), (*value.shape, 2))
    return value, slopes


def _floor(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    power = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * u[:, 0], -350, 350))
    return power + theta[:, 2:], np.stack([power, -u[:, 0] * power, np.ones_like(power)], -1)


def _additive(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = np.exp(np.clip(theta[:, :1] - theta[:, 1:2] * u[:, 0], -350, 350))
    second = np.exp(np.clip(theta[:, 2:3] - theta[:, 3:4] * u[:, 1], -350, 350))
    slopes = (first, -u[:, 0] * first, second, -u[:, 1] * second, np.ones_like(first))
    return first + second + theta[:, 4:], np.stack(slopes, -1)


def _joint(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # The level at u = 0 above the floor (log), the size's exponent alpha / beta, how much of the sum the size is there
    # (logit), beta, delta: in these the fit does not depend on units.
    level, slope, share, beta = (theta[:, i : i + 1] for i in range(4))
    first, second = -np.logaddexp(0, -share) - slope * u[:, 0], -np.logaddexp(0, share) - u[:, 1]
    both = np.logaddexp(first, second)
    power = np.exp(np.clip(level + beta * both, -350, 350))
    a, b = (power * beta * np.exp(np.minimum(part - both, 0)) for part in (first, second))
    odds = a * expit(-share) - b * expit(share)
    return power + theta[:, 4:], np.stack([power, -u[:, 0] * a, odds, power * both, np.ones_like(power)], -1)


def _same(theta: np.ndarray) -> np.ndarray:
    return theta


def _named_floor(theta: np.ndarray) -> np.ndarray:
    return np.column_stack([np.exp(theta[:, 0] / theta[:, 1]), theta[:, 1], theta[:, 2]])


def _named_additive(theta: np.ndarray) -> np.ndarray:
    return np.column_stack([np.exp(theta[:, 0]), theta[:, 1], np.exp(theta[:, 2]), theta[:, 3], theta[:, 4]])


def _named_joint(theta: np.ndarray) -> np.ndarray:
    level, slope, share, beta, delta = theta.T
    a, b = level / beta - np.logaddexp(0, -share), level / beta - np.logaddexp(0, share)
    return np.column_stack([np.exp(a / slope), slope * beta, np.exp(b), beta, delta])


LAWS = {
    "line": Law(1, ("a", "alpha"), _line, _same, False),
    "trend": Law(1, ("a", "b"), _trend, _same, False),
    "floor": Law(1, ("A", "alpha", "delta"), _floor, _named_floor, True),
    "joint": Law(2, ("A", "alpha", "B", "beta", "delta"), _joint, _named_joint, True),
    "additive": Law(2, ("A", "alpha", "B", "beta", "delta"), _additive, _named_additive, True),
}
FORMULAS = {
    "line": "log y = a - alpha log x",
    "trend": "y = a + b log x",
    "floor": "y = delta + (A/x)^alpha",
    "joint": "y = delta + ((A/N)^(alpha/beta) + B/D)^beta",
    "additive": "y = delta + A/N^alpha + B/D^beta",
}
NO_CHANGE = "no change"  # the forecast that a law must beat: the largest size that was fitted, again


def link(law: str, y: np.ndarray) -> np.ndarray:
    """The space in which a law's noise is taken to be additive."""
    return y if law == "trend" else np.log(y)


def evaluate(law: str, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values [b, m] of a law with working parameters `theta` [b, p] at `x` [m] or [m, v]."""
    return LAWS[law].curve(theta, np.log(as_columns(x)))[0]


def named_parameters(law: str, theta: np.ndarray) -> np.ndarray:
    """Working parameters [b, p] as those of the law's names."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return LAWS[law].named(theta) if len(theta) else theta


def as_columns(x: np.ndarray) -> np.ndarray:
    """Points [n] of one variable as [n, 1]."""
    return x[:, None] if x.ndim == 1 else x
