"""The logistic fall from a known ceiling C, the metric at chance: a power law far from it, flat near it.

After Alabdulmohsin, Neyshabur and Zhai, Revisiting Neural Scaling Laws in Language and Vision (2022), whose M4 bends
into chance as this does. Of one variable it is C h / (1 + h) with h = (A/x)^alpha.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import expit

from rankscale.laws.forms.base import STEEPEST, Law, above_floor, planes_between, shift_level

CAPS = (0.9, 0.99, 0.999)  # how far up a value may count, to start from


def _curve(theta: np.ndarray, u: np.ndarray, ceiling: float) -> tuple[np.ndarray, np.ndarray]:
    v = u.shape[1]
    up = expit(np.clip(theta[:, :1] - theta[:, 1 : 1 + v] @ u.T, -STEEPEST, STEEPEST))
    slope = ceiling * up * (1 - up)
    return ceiling * up, np.stack([slope, *(-u[:, i] * slope for i in range(v))], -1)


def _starts(u: np.ndarray, target: np.ndarray, shares: Sequence[float], ceiling: float) -> list[np.ndarray]:
    return [planes_between(u, target, 0.0, ceiling, cap)[1] for cap in CAPS]


def _starts_above(u: np.ndarray, target: np.ndarray, shares: Sequence[float], ceiling: float) -> list[np.ndarray]:
    planes = [planes_between(u, target, share, ceiling, cap) for share in shares for cap in CAPS[1:]]
    return [np.column_stack([plane, floor]) for floor, plane in planes]


CEILING = Law(
    name="ceiling",
    formula="y = C / (1 + exp(-(a - alpha log x)))",
    variables=1,
    parameters=("a", "alpha"),
    curve=_curve,
    slope="alpha",
    starts=_starts,
    recentre=shift_level,
    exponents=("alpha",),
    bounded=True,
    colour="#882255",
    line_style="-.",
    marker="v",
)
CEILING_FLOOR = replace(
    CEILING,
    name="ceiling_floor",
    formula="y = delta + (C - delta) / (1 + exp(-(a - alpha log x)))",
    parameters=("a", "alpha", "delta"),
    curve=partial(above_floor, _curve),
    starts=_starts_above,
    floor=2,
    colour="#332288",
    line_style=":",
    marker="p",
)
CEILING_PLANE = replace(
    CEILING,
    name="ceiling_plane",
    formula="y = C / (1 + exp(-(a - alpha log N - beta log D)))",
    variables=2,
    parameters=("a", "alpha", "beta"),
    exponents=("alpha", "beta"),
)
CEILING_PLANE_FLOOR = replace(
    CEILING_FLOOR,
    name="ceiling_plane_floor",
    formula="y = delta + (C - delta) / (1 + exp(-(a - alpha log N - beta log D)))",
    variables=2,
    parameters=("a", "alpha", "beta", "delta"),
    exponents=("alpha", "beta"),
    floor=3,
)
