"""Say what to train next: the size and the data for a budget or a target, from a study's laws and logs."""

import argparse
from pathlib import Path

import numpy as np

from rankscale.core import cli
from rankscale.core.cli import log
from rankscale.core.options import add_options, parsed
from rankscale.laws.allocation import STEPS, cost_model_of_runs
from rankscale.laws.axes import coordinates
from rankscale.laws.fit_tasks import covariance_in_law_space
from rankscale.laws.options import PlanOptions
from rankscale.laws.plan import Question, answers, candidate_laws, chosen_rows, held_out_coverage, law_of
from rankscale.laws.query_covariance import QueryCovariance, ceiling_of, values_of
from rankscale.laws.seed_shifts import shared_noise
from rankscale.laws.study_fit import TEST_SET
from rankscale.storage import schemas, tables
from rankscale.storage.identity import add_study_name

LINES = 60  # of the figure's grid, each way


def main(args: argparse.Namespace) -> None:
    """Write the choice with its alternatives, and the grid of costs and predictions that the figure draws."""
    options = parsed(PlanOptions, args)
    metric = options.metric
    read = tables.read_study({"metrics": args.metrics, "forecasts": args.forecasts}, args.study_name)
    finals = chosen_rows(read["metrics"].to_pandas(), metric, options.candidates, options.variant)
    costs = cost_model_of_runs(finals, args.study, options.prices)
    x, y = coordinates(finals, "grid"), values_of(finals, metric)
    noise = shared_noise(QueryCovariance.read(finals, [metric], args.study, options.ties), finals, [metric])
    laws = candidate_laws(options.law, metric, ceiling_of(finals, metric, options.ties))
    fit, refuted = law_of(laws, x, y, noise, held_out_coverage(read["forecasts"].to_pandas(), finals, metric))
    key = {"metric": metric, **{name: finals[name].iloc[0] for name in TEST_SET}}
    key |= {"law": fit.law.name, "budget": options.budget, "target": options.target}
    grid: dict[str, list | np.ndarray] = {name: [] for name in schemas.SCHEMAS["plan_grid"].names}
    if fit.converged:
        low, high = x.min(0), x.max(0) * options.extrapolate
        n, d = (np.geomspace(a, b, STEPS) for a, b in zip(low, high, strict=True))
        log.info(
            "planning by the %s law of %s, no further than %g times what was measured",
            *(fit.law.name, metric, options.extrapolate),
        )
        models = finals.groupby("model").encoder_parameters.first().sort_values().astype(float).to_dict()
        question = Question(options.budget, options.target, n, d, costs)
        rows = answers(fit, covariance_in_law_space(fit.law, y, noise), question, models, metric, options)
        cells = np.array([(a, b) for a in np.geomspace(n[0], n[-1], LINES) for b in np.geomspace(d[0], d[-1], LINES)])
        grid |= {"encoder_parameters": cells[:, 0], "train_queries": cells[:, 1]}
        grid |= {"cost": costs.total(*cells.T), "predicted": fit.predict(cells)}
        rows[0]["note"] = "; ".join(filter(None, (refuted, rows[0]["note"])))
    else:
        rows = [{"chosen": True, "note": f"no law to plan by: {fit.note}"}]
    if rows[0]["note"]:
        log.warning("plan: %s", rows[0]["note"])
    names = schemas.SCHEMAS["plan"].names
    study = finals.study.iloc[0]
    tables.write("plan", {name: [{**key, **row}.get(name) for row in rows] for name in names}, args.plan, study=study)
    tables.write("plan_grid", grid, args.grid, study=study)


def arguments() -> argparse.ArgumentParser:
    """The stage's command line."""
    parser = cli.command_parser("plan", __doc__)
    parser.add_argument("--metrics", type=Path, required=True, help="the study's metrics")
    parser.add_argument("--forecasts", type=Path, required=True, help="the study's: a law that they refute is left out")
    parser.add_argument("--study", type=Path, required=True, help="the study's folder: observations, models' times")
    parser.add_argument("--plan", type=Path, required=True, help="output: the choice and its alternatives")
    parser.add_argument("--grid", type=Path, required=True, help="output: costs and predictions, for the figure")
    add_study_name(parser)
    add_options(parser, PlanOptions)
    return parser
