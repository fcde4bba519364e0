"""What a better way to train is worth: how much more of everything the first way needs for the same quality.

For one cell of the second way (size N, data D) with the value y that its law has there, the first way's law is
followed from that cell until it has y too: over N and D together, at the same ratio of the two (compute), over D at the
same size (data), over N on the same data (parameters). The multiplier is what the first then takes over what the second
took.
"""

from typing import NamedTuple

import numpy as np

from rankscale.laws.forms.base import Law

# Which of N and D grow on the way to the same quality.
WAYS = {"compute": (1.0, 1.0), "data": (0.0, 1.0), "parameters": (1.0, 0.0)}
FURTHEST = np.log(1e6)  # of a factor: what needs more is out of reach
STEPS = 2401
WITH_TEACHER = ("with_teacher", "with_teacher_low", "with_teacher_high")
QUANTILES_95 = (0.025, 0.975)


class Side(NamedTuple):
    """One way to train: its points `x` [n, 2] (parameters, queries), FLOPs [n] of training each and of its teacher, the
    working parameters of its law as fitted [p], and in simulated studies [b, p]."""

    x: np.ndarray
    flops: np.ndarray
    teacher: np.ndarray
    theta: np.ndarray
    drawn: np.ndarray


class Multiplier(NamedTuple):
    """How many times as much the first way needs, with its 95 % interval; infinite where its law never gets there.

    `own` is what the second took at its cell, in FLOPs, queries or parameters, `needed` what the first takes; `reach`
    is how many times the largest that the first was measured at lies at its end (more than 1: extrapolated), and
    `out_of_reach` the share of simulated studies where it never gets there. `with_teacher` counts the FLOPs of each
    one's teacher, if it has one, as its own; of compute alone.
    """

    kind: str
    own: float
    needed: float
    multiplier: float
    low: float
    high: float
    with_teacher: float
    with_teacher_low: float
    with_teacher_high: float
    reach: float
    out_of_reach: float


def factor_needed(
    law: Law, theta: np.ndarray, cell: np.ndarray, way: tuple[float, ...], goal: np.ndarray
) -> np.ndarray:
    """The logarithm [b] of the factor on a `cell` [2] at which laws `theta` [b, p] fall to `goal` [b].

    `way` says which of the cell's sizes are multiplied. Infinite where a law never falls so far within FURTHEST, minus
    infinity where it is there from the start.
    """
    steps = np.linspace(-FURTHEST, FURTHEST, STEPS)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        values = np.log(law.evaluate(theta, cell * np.exp(steps[:, None] * np.array(way))))
        goal = np.log(goal)
    there = values <= goal[:, None]
    first = there.argmax(1)
    each = np.arange(len(values))
    before, after = values[each, first - 1], values[each, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = steps[first - 1] + (before - goal) / (before - after) * (steps[1] - steps[0])
    between = np.where(first == 0, -np.inf, between)
    # A simulated law that rises along the way: it is there already, or never.
    falls = values[:, -1] < values[:, 0]
    return np.where(there.any(1) & (falls | (first == 0)), between, np.inf)


def growth_of_compute(x: np.ndarray, flops: np.ndarray) -> np.ndarray:
    """The exponents [2] of training FLOPs [n] in parameters and queries `x` [n, 2], by least squares of logarithms."""
    design = np.column_stack([np.ones(len(x)), np.log(x)])
    return np.linalg.lstsq(design, np.log(flops), rcond=None)[0][1:]


def flops_at(side: Side, cell: np.ndarray) -> float:
    """Training FLOPs of a cell [2]: the mean of the runs there, or where there are none by their growth."""
    near = (side.x == cell).all(1)
    if near.any():
        return float(side.flops[near].mean())
    powers = growth_of_compute(side.x, side.flops)
    return float(np.exp((np.log(side.flops) + (np.log(cell) - np.log(side.x)) @ powers).mean()))


def teacher_flops_at(side: Side, queries: np.ndarray) -> np.ndarray:
    """FLOPs [n] of a side's teacher for so many training queries [n]: a sum once, and as much for each query.

    Where one number of queries was measured, all of it counts for each query.
    """
    if not side.teacher.any():
        return np.zeros_like(queries)
    measured = np.unique(side.x[:, 1])
    columns = [side.x[:, 1]] if len(measured) < 2 else [side.x[:, 1], np.ones(len(side.x))]
    weights = np.linalg.lstsq(np.column_stack(columns), side.teacher, rcond=None)[0]
    return np.maximum(weights[0], 0) * queries + (max(weights[1], 0) if len(weights) > 1 else 0)


def multipliers(law: Law, first: Side, second: Side, cell: np.ndarray) -> list[Multiplier]:
    """One of each kind, at a cell [2] of the second way; both laws are `law`, and their draws are of the same studies.

    The intervals are percentiles over the simulated studies.
    """
    powers = growth_of_compute(first.x, first.flops)
    largest = first.x.max(0)
    rows = []
    for kind, way in WAYS.items():
        thetas = zip((first.theta[None], first.drawn), (second.theta[None], second.drawn), strict=True)
        estimate, drawn = (
            factor_needed(law, ours, cell, way, law.evaluate(theirs, cell[None])[:, 0]) for ours, theirs in thetas
        )
        factors = np.array([estimate[0], *np.quantile(drawn, QUANTILES_95, method="nearest")])
        own_teacher, teachers = 0.0, np.zeros(3)
        if kind == "compute":
            own, start, power = flops_at(second, cell), flops_at(first, cell), float(powers @ way)
            own_teacher = float(teacher_flops_at(second, cell[1:])[0])
            teachers = teacher_flops_at(first, cell[1] * np.exp(factors))
        else:
            own, power = float(cell @ way), 1.0
            start = own
        needed = start * np.exp(power * factors)
        reach = (cell * np.exp(np.where(way, estimate[0], 0.0)) / largest).max()
        alone, both = (needed / own).tolist(), ((needed + teachers) / (own + own_teacher)).tolist()
        rows.append(
            Multiplier(
                kind,
                own,
                needed=float(needed[0]),
                **dict(zip(("multiplier", "low", "high"), alone, strict=True)),
                **dict(zip(WITH_TEACHER, both, strict=True)),
                reach=float(reach),
                out_of_reach=float(np.isposinf(drawn).mean()),
            )
        )
    return rows
