"""The straight power law."""

import numpy as np

from rankscale.laws.forms.base import Law, power


def _curve(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value = power(theta[:, :1], theta[:, 1:2], u[:, 0])
    return value, np.stack([value, -value * u[:, 0]], -1)


def _design(u: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(u)), -u[:, 0]])


LINE = Law(
    name="line",
    formula="log y = a - alpha log x",
    variables=1,
    parameters=("a", "alpha"),
    curve=_curve,
    slope="alpha",
    design=_design,
    exponents=("alpha",),
    colour="#0072B2",
    line_style="--",
    marker="o",
)
