"""How far a verdict would have come out otherwise: on each seed alone, without each cell, and in simulated studies."""

from typing import NamedTuple

import numpy as np

from rankscale.laws.verdicts.realised_gain import AxisLaw, Gains, realised_gain
from rankscale.laws.verdicts.rule import judge

STUDIES = 1000


class Stability(NamedTuple):
    """`same` is the share of simulated studies, drawn around what was found, with the verdict of the study itself.

    The study's own statement of power: `improving_if_law_holds` is the share that keeps improving where the law is
    true beyond the known cells, `improving_if_it_stopped` where nothing improves beyond them (5 % were right).
    """

    verdict: str
    by_seed: list[str]  # [s], empty with one seed
    without_cell: list[str]  # [n], "" where nothing held out would be left
    same: float
    improving_if_law_holds: float
    improving_if_it_stopped: float


def stability(
    x: np.ndarray,
    held_out: np.ndarray,
    y: np.ndarray,
    law: AxisLaw,
    random: np.random.Generator,
    studies: int = STUDIES,
) -> Stability:
    """Of the verdict on cells at `x` [n] with values `y` [n, s]."""
    n, s = y.shape

    def verdict(cells: np.ndarray, values: np.ndarray) -> str:
        return str(judge(realised_gain(x[cells], held_out[cells], values[None], law)).verdict[0])

    every = np.arange(n)
    by_seed = [verdict(every, y[:, [i]]) for i in range(s)] if s > 1 else []
    rest = [np.delete(every, i) for i in range(n)]
    without_cell = [verdict(cells, y[cells]) if held_out[cells].any() else "" for cells in rest]
    gains = realised_gain(x, held_out, y[None], law)
    own = judge(gains)
    if gains.note or not np.isfinite(own.p_improving[0]):
        return Stability(str(own.verdict[0]), by_seed, without_cell, np.nan, np.nan, np.nan)

    def simulated(share: float) -> tuple[float, float]:
        """Shares of studies with the study's own verdict, and that keep improving, where `share` is realised."""
        values = simulate(x, held_out, y, law, gains, share, random, studies)
        judged = judge(realised_gain(x, held_out, values, law, like=gains))
        return float((judged.verdict == own.verdict[0]).mean()), float(judged.keeps_improving.mean())

    predicted = float(gains.predicted[0])
    same = simulated(float(gains.realised[0]) / predicted if predicted else 0.0)[0]
    return Stability(str(own.verdict[0]), by_seed, without_cell, same, simulated(1.0)[1], simulated(0.0)[1])


def simulate(
    x: np.ndarray,
    held_out: np.ndarray,
    y: np.ndarray,
    law: AxisLaw,
    gains: Gains,
    share: float,
    random: np.random.Generator,
    studies: int,
) -> np.ndarray:
    """Values [studies, n, s] around the fitted law, of whose forecast gain `share` is realised in the held-out cells.

    Noise is added once, to fitted values: the variance of a mean is the verdict's own, what seeds differ by within a
    cell is a part of it.
    """
    n, s = y.shape
    known = ~held_out
    fitted = law.predict(x[known], y[known].mean(1)[None], x)[0]
    last = fitted[known][x[known].argmax()]
    centre = np.where(held_out, last - share * (last - fitted), fitted)
    between = np.where(held_out, np.maximum(gains.known_variance[0], gains.pure_variance[0]), gains.known_variance[0])
    within = np.zeros(n)
    if s > 1:
        values = np.log(y) if law.log else y
        for cells in (known, held_out):
            within[cells] = values[cells].var(1, ddof=1).mean()
    within = np.minimum(within, between * s)
    noise = np.sqrt(between - within / s)[:, None] * random.standard_normal((studies, n, 1))
    noise = noise + np.sqrt(within)[:, None] * random.standard_normal((studies, n, s))
    return centre[:, None] * np.exp(noise) if law.log else centre[:, None] + noise
