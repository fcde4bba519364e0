"""What the stages of the laws are told; imported by the workflow, so nothing heavy here."""

import argparse
import json
import math
from dataclasses import dataclass
from typing import NamedTuple

from rankscale.core.cli import at_least
from rankscale.core.errors import StudyError
from rankscale.core.metrics import TIES
from rankscale.core.options import option

# Tables of the stage fit that a study of one variant does not have.
OF_VARIANTS = ("multipliers", "exponents")
# And one that a study of one test set does not have.
OF_TEST_SETS = ("transfers",)
METRICS = [
    *("cross_entropy", "rank_entropy", "rank_score_alignment", "score_uncertainty", "calibrated_cross_entropy"),
    *("mean_log_rank", "1-mrr", "1-auc", "1-auc_global", "mean_rank", "1-ndcg_10"),
]


class Prices(NamedTuple):
    """In one currency: a device hour, a judged training query, and a thousand queries answered by the largest
    measured model (in proportion to size for others), of which so many are answered in a model's lifetime."""

    device_hour: float
    judged_query: float
    thousand_queries: float
    lifetime_queries: float


def read_prices(text: str) -> Prices:
    """Prices from JSON; those that are left out are 0."""
    try:
        prices = {name: at_least(0, float)(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"not a JSON object of numbers ({error})") from None
    unknown = set(prices) - set(Prices._fields)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: no price of these; there are {', '.join(Prices._fields)}"
        )
    return Prices(**{**dict.fromkeys(Prices._fields, 0.0), **prices})


@dataclass(frozen=True)
class Resampling:
    """How intervals are found: simulated studies behind each, the seed of their draws, and how ties count."""

    bootstrap: int = option(1000, help="draws behind each interval", read=at_least(100))
    seed: int = option(7, help="of the draws", read=at_least(0))
    ties: str = option("expected", choices=TIES, help="how queries whose positive ties with candidates count")


@dataclass(frozen=True)
class FitOptions(Resampling):
    """What is fitted, and what is forecast from the rest."""

    columns: list[str] = option(METRICS, help="metrics to fit; 1-x is what x lacks to 1")
    hold_out_models: int = option(2, help="largest sizes to forecast from the others", read=at_least(0))
    hold_out_train_queries: int = option(1, help="largest subsets to forecast", read=at_least(0))


@dataclass(frozen=True, kw_only=True)
class PlanOptions(Resampling):
    """What is planned for: a budget to be spent, or a target to be reached."""

    metric: str = option("rank_entropy", help="what to plan for; 1-x is what x lacks to 1")
    candidates: str | None = option(None, choices=["hard", "random"], help="hard where there are any")
    variant: str | None = option(None, help="which way to train is planned; the first where none is named")
    law: str = option("best", help="of two variables; best: the one that AICc prefers")
    budget: float | None = option(None, help="what may be spent, in the prices' currency", read=at_least(0, float))
    target: float | None = option(None, help="the value of the metric to reach", read=at_least(-math.inf, float))
    prices: Prices = option(help=f"JSON with {', '.join(Prices._fields)}", read=read_prices)
    extrapolate: float = option(3.0, help="look no further than so many times the largest", read=at_least(1, float))

    def __post_init__(self) -> None:
        if (self.budget is None) == (self.target is None):
            raise StudyError("give --budget or --target, one of them")
