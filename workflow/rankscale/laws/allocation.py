"""What a size and a number of training queries cost, and which to choose for a budget or a target."""

from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale.core.errors import StudyError
from rankscale.core.layout import run_folder, run_of
from rankscale.laws.forms.base import Law
from rankscale.laws.options import Prices
from rankscale.storage import tables
from rankscale.storage.schemas import RUN_KEY

STEPS = 160  # sizes, and numbers of data, that are looked at


class CostModel:
    """The cost of training and serving a model, from what a study's own runs took.

    FLOPs a training query (a run, where `by_steps`: all runs take as many steps, whatever their data) and FLOP/s are
    interpolated between the measured sizes [m] (in logarithms); beyond the largest, FLOPs grow in proportion to size
    and FLOP/s stay.
    """

    def __init__(
        self, sizes: np.ndarray, flops: np.ndarray, rates: np.ndarray, prices: Prices, by_steps: bool = False
    ) -> None:
        order = np.argsort(sizes)
        self.sizes, self.flops, self.rates = sizes[order], flops[order], rates[order]
        self.prices, self.by_steps = prices, by_steps

    def hours(self, n: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Device hours to train size `n` on `d` queries."""
        log_n, measured = np.log(n), np.log(self.sizes)
        beyond = np.maximum(log_n - measured[-1], 0) + np.minimum(log_n - measured[0], 0)
        flops = np.exp(np.interp(log_n, measured, np.log(self.flops)) + beyond)
        runs = np.ones_like(d, float) if self.by_steps else d
        return runs * flops / np.exp(np.interp(log_n, measured, np.log(self.rates))) / 3600

    def parts(self, n: np.ndarray, d: np.ndarray) -> dict[str, np.ndarray]:
        """What training, judging and serving cost."""
        served = self.prices.thousand_queries * self.prices.lifetime_queries / 1000
        return {
            "cost_training": self.hours(n, d) * self.prices.device_hour,
            "cost_judging": d * self.prices.judged_query + 0 * n,
            "cost_serving": served * n / self.sizes[-1] + 0 * d,
        }

    def total(self, n: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Their sum; it falls with neither."""
        return reduce(np.add, self.parts(n, d).values())


def cost_model_of_runs(finals: pd.DataFrame, study: Path, prices: Prices) -> CostModel:
    """Costs by the FLOPs and seconds of each size's runs on the largest subset that it has, of these the fastest."""
    measured: dict[float, tuple[float, float]] = {}
    by_steps = finals.step.nunique() == 1 < finals.train_queries.nunique()
    largest = finals.groupby("encoder_parameters").train_queries.transform("max")
    for row in finals[finals.train_queries == largest].itertuples():
        path = f"{run_folder(study, run_of(row))}/times.parquet"
        times = tables.read("training_times", path, keys={name: getattr(row, name) for name in RUN_KEY})
        seconds = float(np.sum(times["seconds"].to_numpy()))
        if not seconds > 0:
            raise StudyError(f"{path}: no time was recorded")
        run = (row.train_flops / (1 if by_steps else row.train_queries), row.train_flops / seconds)
        measured[row.encoder_parameters] = max(run, measured.get(row.encoder_parameters, run), key=lambda r: r[1])
    flops, rates = np.array(list(measured.values())).T
    return CostModel(np.array(list(measured), float), flops, rates, prices, by_steps)


class Choice(NamedTuple):
    """A size and a number of data, and why there is none."""

    n: float
    d: float
    note: str = ""


def best_data(
    law: Law, theta: np.ndarray, costs: CostModel, n: float, d: np.ndarray, budget: float | None, target: float | None
) -> float | None:
    """For one size: the most data that the budget pays for, or the least that reaches the target; None if none does.

    `d` are the numbers of data looked at, ascending; between them it is interpolated in logarithms.
    """
    if budget is not None:
        paid = costs.total(np.full(len(d), n), d)
        return _crossing(d, paid, budget) if paid[0] <= budget else None
    assert target is not None, "a budget or a target is given"
    values = law.evaluate(theta[None], np.column_stack([np.full(len(d), n), d]))[0]
    if values[-1] > target:
        return None
    return d[0] if values[0] <= target else _crossing(d[::-1], values[::-1], target)


def _crossing(d: np.ndarray, values: np.ndarray, level: float) -> float:
    """The last `d` before `values`, rising, pass `level`."""
    inside = int(np.flatnonzero(values <= level)[-1])
    if inside == len(d) - 1:
        return float(d[-1])
    share = (level - values[inside]) / (values[inside + 1] - values[inside])
    return float(np.exp(np.log(d[inside]) + share * (np.log(d[inside + 1]) - np.log(d[inside]))))


def optimal_allocation(
    law: Law,
    theta: np.ndarray,
    costs: CostModel,
    n: np.ndarray,
    d: np.ndarray,
    budget: float | None,
    target: float | None,
) -> Choice:
    """Among sizes `n` and data `d`: the best metric within the budget, or the cheapest that reaches the target."""
    best, value = None, np.inf
    for size in n:
        data = best_data(law, theta, costs, size, d, budget, target)
        if data is None:
            continue
        cell = np.array([[size, data]])
        worth = costs.total(cell[:, 0], cell[:, 1]) if budget is None else law.evaluate(theta[None], cell)[0]
        if worth[0] < value:
            best, value = (float(size), data), float(worth[0])
    if best is None:
        if target is None:
            least = costs.total(n[:1], d[:1])[0]
            why = f"the budget of {budget:g} pays for nothing that was measured: the least costs {least:.3g}"
        else:
            reached = law.evaluate(theta[None], np.array([[n[-1], d[-1]]]))[0, 0]
            bounds = f"no size up to {n[-1]:,.0f} on up to {d[-1]:,.0f} queries"
            why = f"{bounds} reaches {target:g}: the best is {reached:.4g}"
        return Choice(np.nan, np.nan, why)
    limits = [name for name, one, all_ in (("size", best[0], n), ("data", best[1], d)) if one >= all_[-1] * (1 - 1e-9)]
    note = f"limited in {' and '.join(limits)} by how far the plan may extrapolate" if limits else ""
    return Choice(*best, note)
