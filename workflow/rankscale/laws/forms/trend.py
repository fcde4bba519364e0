"""The trend of a metric that may be negative, in its own unit per e-fold of size."""

import numpy as np

from rankscale.laws.forms.base import Law


def _curve(theta: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value = theta[:, :1] + theta[:, 1:] * u[:, 0]
    slopes = np.broadcast_to(_design(u), (*value.shape, 2))
    return value, slopes


def _design(u: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(u)), u[:, 0]])


TREND = Law(
    name="trend",
    formula="y = a + b log x",
    variables=1,
    parameters=("a", "b"),
    curve=_curve,
    slope="b",
    design=_design,
    signed=True,
    colour="#009E73",
    marker="D",
)
