"""What a scaling law is: its shape, its parameters, how it is sought, and its look in figures.

A law lives in working parameters theta [b, p], of many fits at once, and in the logarithms u [n, v] of its variables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

STEEPEST = 350  # of an exponent's argument: beyond it there are only 0 and infinity


def as_named(theta: np.ndarray) -> np.ndarray:
    """For laws whose working parameters are the named ones."""
    return theta


@dataclass(frozen=True)
class Law:
    """A law of `variables` sizes, with the names of its parameters and what makes it.

    A straight law has a `design`, by which its values in its own space are linear in theta, and is fitted by ordinary
    least squares. Any other is sought from `starts`, on centred sizes, so it says by `recentre` what theta becomes for
    sizes that are not: by a robust loss where it has a floor, else by least squares. Noise is additive in the law's own
    space: log y, but y itself where `signed`.

    A `bounded` law falls from a ceiling that is known and no parameter: what a model shows that has learnt nothing. Its
    `curve` and `starts` take the keyword `ceiling`, which `for_ceiling` gives them.
    """

    name: str
    formula: str
    variables: int
    parameters: tuple[str, ...]
    curve: Callable  # theta [b, p] and u [n, v] to values [b, n] and their slopes [b, n, p]
    slope: str  # the parameter that tells how fast the metric falls
    named: Callable = as_named  # theta to the parameters of `parameters`, both [b, p]
    design: Callable | None = None  # u to [n, p]
    starts: Callable | None = None  # u, targets [b, n] and floors (shares of the least value) to a list of theta [b, p]
    recentre: Callable | None = None  # theta for u - centre, and centre [v], to theta for u
    exponents: tuple[str, ...] = ()  # which are positive where the metric falls
    scales: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  # each with the exponent that gives it a meaning
    floor: int | None = None  # which parameter, named and working alike, is a floor of 0 or more
    signed: bool = False  # for metrics that may be negative
    bounded: bool = False  # falls from a known ceiling
    ceiling: float = np.inf  # the metric's value at chance, once a bounded law is given it
    colour: str = "#000000"
    line_style: str = "-"
    marker: str = "o"

    def __post_init__(self) -> None:
        if (self.design is None) == (self.starts is None or self.recentre is None):
            raise TypeError(f"law {self.name}: has a design, or both starts and recentre")

    @property
    def straight(self) -> bool:
        """Whether it is fitted by ordinary least squares."""
        return self.design is not None

    @property
    def robust(self) -> bool:
        """Whether it is fitted by a robust loss: a floor hangs on few points, the largest."""
        return self.floor is not None

    @property
    def may_rise(self) -> bool:
        """Whether it is a law with exponents of 0 or less too: it has no floor or scale that means nothing then."""
        return self.floor is None and not self.scales

    def for_ceiling(self, ceiling: float) -> "Law":
        """A bounded law for metrics whose value at chance is `ceiling`."""
        assert self.starts is not None, "a bounded law is sought"
        curve, starts = partial(self.curve, ceiling=ceiling), partial(self.starts, ceiling=ceiling)
        return replace(self, ceiling=ceiling, curve=curve, starts=starts)

    def link(self, y: np.ndarray) -> np.ndarray:
        """Values in the law's own space."""
        return y if self.signed else np.log(y)

    def unlink(self, values: np.ndarray) -> np.ndarray:
        """Values from the law's own space."""
        return values if self.signed else np.exp(values)

    def evaluate(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values [b, m] at `x` [m] or [m, v]."""
        return self.curve(theta, np.log(as_columns(x)))[0]

    def named_parameters(self, theta: np.ndarray) -> np.ndarray:
        """Working parameters [b, p] as those of the law's names."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return self.named(theta) if len(theta) else theta


def as_columns(x: np.ndarray) -> np.ndarray:
    """Points [n] of one variable as [n, 1]."""
    return x[:, None] if x.ndim == 1 else x


def power(level: np.ndarray, exponent: np.ndarray, u: np.ndarray) -> np.ndarray:
    """exp(level - exponent u), [b, n] of [b, 1], [b, 1] and [n]."""
    return np.exp(np.clip(level - exponent * u, -STEEPEST, STEEPEST))


def shift_level(theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """`recentre` of laws whose theta begins with the level and one exponent per variable."""
    theta = theta.copy()
    theta[:, 0] += theta[:, 1 : 1 + len(centre)] @ centre
    return theta


def above_floor(curve: Callable, theta: np.ndarray, u: np.ndarray, ceiling: float) -> tuple[np.ndarray, np.ndarray]:
    """A bounded law's curve that falls to a floor, the last of theta, instead of to 0."""
    up, slopes = curve(theta[:, :-1], u, 1.0)
    room = ceiling - theta[:, -1:]
    return theta[:, -1:] + room * up, np.concatenate([room[:, :, None] * slopes, (1 - up)[:, :, None]], -1)


def planes_above(u: np.ndarray, target: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A floor [b] at a share of the least value, and level and exponents [b, 1 + v] of the power law above it.

    For a given floor a law is nearly linear in the logarithms: a good place to start from.
    """
    design = np.column_stack([np.ones(len(u)), -u])
    floor = share * np.exp(target.min(1))
    above = np.log(np.exp(target) - (floor * (1 - 1e-9))[:, None]) if share else target
    return floor, np.linalg.lstsq(design, above.T, rcond=None)[0].T


def planes_between(
    u: np.ndarray, target: np.ndarray, share: float, ceiling: float, cap: float
) -> tuple[np.ndarray, np.ndarray]:
    """A floor [b] at a share of the least value; level and exponents [b, 1 + v] of the odds between it and a ceiling.

    Only to start from: values count as `cap` of the way up at most, for at chance they lie beyond the ceiling too.
    """
    design = np.column_stack([np.ones(len(u)), -u])
    value = np.exp(np.minimum(target, np.log(ceiling)))
    floor = share * value.min(1)
    below = (floor * (1 - 1e-9))[:, None]
    up = (value - below) / (ceiling - below)
    odds = np.log(np.minimum(up, cap)) - np.log1p(-np.minimum(up, cap))
    return floor, np.linalg.lstsq(design, odds.T, rcond=None)[0].T
