"""Say what to train next: the size and the data for a budget or a target, from the joint law and a study's own logs."""

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rankscale import intervals, laws
from rankscale.axes import TWO, sizes
from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.seeding import generator
from rankscale.evaluation.decomposition import TIES
from rankscale.noise import Noise, numeric, values_of
from rankscale.planning import STEPS, Costs, Prices, best_data, choose, throughput
from rankscale.storage import schemas, tables
from rankscale.work import Row, cautions, fitted, scaled

COARSE = 41
LINES = 60  # of the figure's grid, each way


class Question(NamedTuple):
    """What is asked: a `budget` to spend or a `target` to reach, of sizes `n` and data `d`, at these costs."""

    budget: float | None
    target: float | None
    n: np.ndarray
    d: np.ndarray
    costs: Costs


def chosen_rows(metrics: pd.DataFrame, metric: str, candidates: str | None) -> pd.DataFrame:
    """The finished runs to plan by, on the first test set. Raises StudyError where the metric cannot be planned by."""
    finals = metrics[(metrics.checkpoint == "final") & (metrics.status == "finished")]
    if finals.empty:
        raise StudyError("no finished run, nothing to plan by")
    finals = finals[finals.split == finals.split.iloc[0]]
    kinds = list(finals.candidates.unique())
    kind = candidates or ("hard" if "hard" in kinds else kinds[0])
    if kind not in kinds:
        raise StudyError(f"plan.candidates: {kind} was not evaluated")
    finals = finals[finals.candidates == kind]
    if not numeric(metric):
        raise StudyError(f"plan.metric: {metric!r} is no metric of metrics.parquet, nor 1- and one")
    if not np.isfinite(values_of(finals, metric)).all():
        raise StudyError(f"plan.metric: {metric} was not measured of every run")
    return finals


def law_of(name: str, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> laws.Fit:
    """The law to plan by: the one named, or of the two the one that AICc prefers; its note says why there is none."""
    fits = [fitted(law, x, y, noise) for law in (TWO if name == "best" else (name,))]
    good = [made for made in fits if made.converged and made.quality()["aicc"] is not None]
    return min(good, key=lambda made: made.quality()["aicc"]) if good else fits[0]


def already(made: laws.Fit, costs: Costs, n: float, d: float) -> list[str]:
    """A warning if a run no dearer than size `n` on `d` queries was measured to be as good as the law expects it."""
    spent, paid = (costs.total(*cells.T) for cells in (np.array([[n, d]]), made.x))
    best = made.y[paid <= spent[0]].min(initial=np.inf)
    expected = made.predict(np.array([[n, d]]))[0]
    if best > expected:
        return []
    return [f"the law expects {expected:.3f}, but {best:.3f} was measured at no more cost: do not buy by it"]


def answers(made: laws.Fit, noise: np.ndarray, asked: Question, models: dict[str, float], args) -> list[Row]:  # noqa: ANN001
    """The choice first, then the best of each size of the ladder, with costs, predictions and intervals."""
    how = {"budget": asked.budget, "target": asked.target}
    choice = choose(made.law, made.theta, asked.costs, asked.n, asked.d, **how)
    if not np.isfinite(choice.n):
        return [{"chosen": True, "note": choice.note}]
    rows: list[Row] = [{"chosen": True, "note": choice.note}]
    cells = [(choice.n, choice.d)]
    for model, size in models.items():
        data = best_data(made.law, made.theta, asked.costs, size, asked.d, **how)
        if data is not None:
            cells.append((size, data))
            rows.append({"chosen": False, "model": model, "note": ""})
    random = generator(args.seed, "plan", args.metric)
    drawn = intervals.simulate(made, noise, args.bootstrap, random)
    # What the law itself leaves open, and whether it is worth following at all.
    told = list(cautions(made, intervals.parameters(made, drawn)))
    told += already(made, asked.costs, choice.n, choice.d)
    rows[0]["note"] = "; ".join([*([choice.note] if choice.note else []), *told])
    # Coarser steps do for the spread of the choice; the ends stay.
    n, d = (values[np.linspace(0, len(values) - 1, COARSE).round().astype(int)] for values in (asked.n, asked.d))
    others = [choose(made.law, theta, asked.costs, n, d, **how) for theta in drawn.theta]
    for name, values in (("parameters", [o.n for o in others]), ("queries", [o.d for o in others])):
        if np.isfinite(values).mean() > 0.975:
            rows[0][f"{name}_low"], rows[0][f"{name}_high"] = np.nanquantile(values, intervals.ENDS)
    at = np.array(cells)
    # What a run of its own would show: the law is not sure, and runs differ.
    padded = np.pad(noise, (0, len(at)))
    predicted, low, high = intervals.forecast(made, at, padded, args.bootstrap, random)
    parts, hours = asked.costs.parts(*at.T), asked.costs.hours(*at.T)
    beyond = np.maximum(at / made.x.max(0), 1).max(1)
    for i, row in enumerate(rows):
        row |= {"encoder_parameters": at[i, 0], "train_queries": at[i, 1], "device_hours": hours[i]}
        row |= {name: values[i] for name, values in parts.items()}
        row |= {"cost": sum(values[i] for values in parts.values()), "extrapolation": beyond[i]}
        row |= {"predicted": predicted[i], "low": low[i], "high": high[i]}
    return rows


def main(args: argparse.Namespace) -> None:
    """Write the choice with its alternatives, and the grid of costs and predictions that the figure draws."""
    finals = chosen_rows(tables.read("metrics", args.metrics).to_pandas(), args.metric, args.candidates)
    costs = throughput(finals, args.study, Prices(**args.prices))
    x, y = sizes(finals, "grid"), values_of(finals, args.metric)
    noise = Noise(finals, [args.metric], args.study, args.ties).of(finals, [args.metric])
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
        rows = answers(made, scaled(made.law, y, noise), asked, models, args)
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
    made = cli.stage_parser("plan", __doc__)
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


if __name__ == "__main__":
    cli.run_stage(main, arguments())
