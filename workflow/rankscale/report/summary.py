"""What a study shows, as a text with tables."""

import pandas as pd

from rankscale.evaluation.calibration import SURE
from rankscale.evaluation.decomposition import ENOUGH
from rankscale.laws.axes import headline_slice
from rankscale.report.narrative import (
    describe_missing_runs,
    forecast_sentences,
    plan_sentence,
    progress_phrase,
    scale_sentence,
)
from rankscale.report.text_tables import headline_table, plan_table, ranking_table, scaling_table
from rankscale.report.verdicts import AXES, FOLLOWS, claim_sentence, headline_of, scaling_verdicts


def warnings(metrics: pd.DataFrame, fits: pd.DataFrame, forecasts: pd.DataFrame, missing: list[dict]) -> list[str]:
    """What a reader must know before believing the rest."""
    cautions = [describe_missing_runs(missing) + "."] if missing else []
    lost = metrics[metrics.below_chance & (metrics.checkpoint == "final")]
    if len(lost):
        names = ", ".join(sorted({f"{r.model} on {r.train_queries}" for r in lost.itertuples()}))
        runs = len(lost.groupby(["model", "train_queries", "seed"]))
        cautions.append(
            f"{runs} runs do not rank above chance at their end ({len(lost)} rows, by kind of candidates); "
            f"their Rank-Entropy says little: {names}."
        )
    few = metrics[metrics.too_few_queries]
    if len(few):
        cautions.append(
            f"{len(few)} of {len(metrics)} rows have fewer than {ENOUGH} queries per observed rank; "
            "their intervals of Rank-Score-Alignment and Score-Uncertainty are too narrow."
        )
    uncertain = metrics[metrics.calibration_uncertain]
    if len(uncertain):
        cautions.append(
            f"In {len(uncertain)} of {len(metrics)} rows the best inverse temperature is less than {SURE} of its "
            "standard errors from 0 (a model near chance, or few queries); their intervals of the calibrated "
            "cross-entropy are too narrow."
        )
    capped = metrics[metrics.calibration_at_cap]
    if len(capped):
        cautions.append(
            f"In {len(capped)} of {len(metrics)} rows half of the queries or all are ranked without a mistake: there "
            "is no best inverse temperature, and the calibrated cross-entropy is taken at the cap."
        )
    failed = fits[~fits.converged]
    if len(failed):
        reasons = failed.note.str.split(":").str[0].value_counts()
        cautions.append("Fits without a result: " + "; ".join(f"{n} {reason}" for reason, n in reasons.items()) + ".")
    covered = forecasts[forecasts.held_out].dropna(subset="covered")
    if len(covered):
        parts = [
            f"{part.covered.astype(bool).mean():.0%} of {len(part)} by the {law} law"
            for law, part in covered.groupby("law", sort=False)
        ]
        cautions.append(
            f"Of the held-out values of all metrics and candidates, 95 % prediction intervals hold {', '.join(parts)}; "
            "a law whose intervals hold few is not to be built on."
        )
    if (metrics.retrieval == "pooled").any():
        cautions.append(
            "Retrieval is pooled: runs search the judged and mined documents and a sample, not the whole collection. "
            "Its metrics come out higher than over all documents, and compare checkpoints of this study only."
        )
    if metrics.seed.nunique() == 1:
        cautions.append(
            "One seed: run-to-run noise is judged from the residuals of the fits alone, and another seed may turn a "
            "verdict."
        )
    return cautions or ["None."]


def summary(
    metrics: pd.DataFrame,
    fits: pd.DataFrame,
    forecasts: pd.DataFrame,
    ranking: pd.DataFrame,
    plan: pd.DataFrame | None,
    missing: list[dict],
) -> str:
    """The study's findings as Markdown."""
    verdicts = scaling_verdicts(metrics, fits, forecasts)
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    first = finals.iloc[0]
    claims = "\n".join(
        f"- {axis} axis ({headline_slice(axis, finals)}): {claim_sentence(verdicts, axis)}." for axis in AXES
    )
    others = [name for name in metrics.split.unique() if name != first.split]
    tables_too = "their rows stand in metrics.parquet, fits.parquet and forecasts.parquet"
    also = f" Evaluated too: {', '.join(others)}; {tables_too}." if others else ""
    tested = "\n".join(f"- {line}" for line in forecast_sentences(ranking, metrics)) or "Nothing was held out."
    planned = ""
    if plan is not None:
        shown = plan_table(plan)
        rows = "" if shown.empty else f"\n{shown.to_markdown(index=False, disable_numparse=True)}\n"
        planned = f"\n## What to train next\n\n{plan_sentence(plan)}\n{rows}"
    cautions = "\n".join(f"- {line}" for line in warnings(metrics, fits, forecasts, missing))
    stands = progress_phrase(metrics, missing)
    chance = (
        "\n\n**No run ranks above chance at its end: nothing below is worth much.**"
        if finals.below_chance.all()
        else ""
    )
    return f"""# Study {first.study}: {first.collection}{f", {stands}" if stands else ""}

Models: {finals.model.nunique()}; subsets: {finals.train_queries.nunique()}; seeds: {finals.seed.nunique()}. \
{first.n_queries} {first.split} queries, each against {first.n_candidates} {first.candidates} candidates. \
Losses in nats, 95 % intervals in brackets.{also}{chance}

## On the largest subset ({finals.train_queries.max():,} training queries)

{headline_table(metrics).to_markdown(index=False, disable_numparse=True)}

The calibrated cross-entropy takes each half of the queries at the inverse temperature that is best for the other \
half, so it does not depend on the scale of scores. {scale_sentence(metrics)}

## Which metric scales

A metric scales here if its slope falls beyond the interval, the law that AICc prefers follows it (R² of {FOLLOWS} \
or more), and that law, fitted to the smaller sizes, forecasts the held-out largest ones with less error than \
assuming no change. Slopes: metric ~ size^-alpha; for Score-Uncertainty, which may be negative, b nats per e-fold of \
size. Where the preferred law falls from chance (ceiling) the exponent changes along the axis: local exponents are \
those at its smallest and its largest point. Errors are means over the held-out points, relative; "covered" says how \
many of them the law's 95 % prediction intervals hold. On the compute axis nothing is held out, and its lower envelope \
keeps each metric's best cells, so it falls by construction: no claim rests on it.

{scaling_table(verdicts).to_markdown(index=False, disable_numparse=True)}

The claim "only Rank-Entropy scales":

{claims}

## Which metric is forecast best

{tested}

Each metric by the law that AICc prefers on the points that are known, best skill first. Skill is the share of the \
error of "no change" that the law saves: 1 is a perfect forecast, below 0 no change would have been better; in \
brackets, in how many simulated studies the law was better. Errors are relative (of Score-Uncertainty, which may be \
negative, in nats). Studies are simulated around the observed values, with the noise of queries, which all metrics \
share, and of runs; they count that noise twice, so intervals are wider than need be.

{ranking_table(ranking, metrics).to_markdown(index=False, disable_numparse=True)}
{planned}
## Cautions

{cautions}
"""
