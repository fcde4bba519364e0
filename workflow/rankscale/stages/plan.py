"""Say what to train next: the size and the data for a budget or a target, from the joint law and a study's own logs."""

import argparse
import json
import math
from pathlib import Path

import numpy as np

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.evaluation.decomposition import TIES
from rankscale.laws.allocation import STEPS, Prices, cost_model_of_runs
from rankscale.laws.axes import TWO, coordinates
from rankscale.laws.fit_tasks import covariance_in_law_space
from rankscale.laws.plan import Question, answers, chosen_rows, law_of
from rankscale.laws.query_covariance import QueryCovariance, values_of
from rankscale.storage import schemas, tables

LINES = 60  # of the figure's grid, each way


def main(args: argparse.Namespace) -> None:
    """Write the choice with its alternatives, and the grid of costs and predictions that the figure draws."""
    finals = chosen_rows(tables.read("metrics", args.metrics).to_pandas(), args.metric, args.candidates)
    costs = cost_model_of_runs(finals, args.study, Prices(**args.prices))
    x, y = coordinates(finals, "grid"), values_of(finals, args.metric)
    noise = QueryCovariance(finals, [args.metric], args.study, args.ties).of(finals, [args.metric])
    made = law_of(args.law, x, y, noise)
    shared = {"metric": args.metric, "split": finals.split.iloc[0], "candidates": finals.candidates.iloc[0]}
    shared |= {"law": made.law, "budget": args.budget, "target": args.target}
    grid: dict[str, list] = {name: [] for name in schemas.SCHEMAS["plan_grid"].names}
    if made.converged:
        low, high = x.min(0), x.max(0) * args.extrapolate
        n, d = (np.geomspace(a, b, STEPS) for a, b in zip(low, high, strict=True))
        log.info(
            "planning by the %s law of %s, no further than %g times what was measured",
            *(made.law, args.metric, args.extrapolate),
        )
        models = finals.groupby("model").encoder_parameters.first().sort_values().astype(float).to_dict()
        asked = Question(args.budget, args.target, n, d, costs)
        rows = answers(made, covariance_in_law_space(made.law, y, noise), asked, models, args)
        at = np.array([(a, b) for a in np.geomspace(n[0], n[-1], LINES) for b in np.geomspace(d[0], d[-1], LINES)])
        grid |= {"encoder_parameters": at[:, 0], "train_queries": at[:, 1]}
        grid |= {"cost": costs.total(*at.T), "predicted": made.predict(at)}
    else:
        rows = [{"chosen": True, "note": f"no law to plan by: {made.note}"}]
    if rows[0]["note"]:
        log.warning("plan: %s", rows[0]["note"])
    names = schemas.SCHEMAS["plan"].names
    tables.write("plan", {name: [{**shared, **row}.get(name) for row in rows] for name in names}, args.plan)
    tables.write("plan_grid", grid, args.grid)


def prices(text: str) -> dict[str, float]:
    """Prices from JSON; those that are left out are 0."""
    try:
        given = {name: cli.at_least(0, float)(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"not a JSON object of numbers ({error})") from None
    odd = set(given) - set(Prices._fields)
    if odd:
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(odd))}: no price of these; there are {', '.join(Prices._fields)}"
        )
    return {**dict.fromkeys(Prices._fields, 0.0), **given}


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    made = cli.command_parser("plan", __doc__)
    made.add_argument("--metrics", type=Path, required=True, help="the study's metrics")
    made.add_argument("--study", type=Path, required=True, help="the study's folder: observations, models' times")
    made.add_argument("--metric", default="rank_entropy", help="what to plan for; 1-x is what x lacks to 1")
    made.add_argument("--candidates", choices=["hard", "random"], help="hard where there are any")
    made.add_argument("--law", choices=["best", *TWO], default="best", help="best: the one that AICc prefers")
    asked = made.add_mutually_exclusive_group(required=True)
    asked.add_argument("--budget", type=cli.at_least(0, float), help="what may be spent, in the prices' currency")
    asked.add_argument("--target", type=cli.at_least(-math.inf, float), help="the value of the metric to reach")
    made.add_argument("--prices", type=prices, required=True, help=f"JSON with {', '.join(Prices._fields)}")
    made.add_argument(
        "--extrapolate",
        type=cli.at_least(1, float),
        default=3,
        help="look no further than so many times the largest",
    )
    made.add_argument("--bootstrap", type=cli.at_least(100), default=1000, help="draws behind each interval")
    made.add_argument("--seed", type=cli.at_least(0), default=7)
    made.add_argument("--ties", choices=TIES, default="expected")
    made.add_argument("--plan", type=Path, required=True, help="output: the choice and its alternatives")
    made.add_argument("--grid", type=Path, required=True, help="output: costs and predictions, for the figure")
    return made
