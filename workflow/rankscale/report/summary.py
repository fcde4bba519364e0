"""What a study shows, as a text with tables."""

import pandas as pd

from rankscale.evaluation.calibration import SURE
from rankscale.evaluation.decomposition import MOST_THIN, THIN
from rankscale.evaluation.score_options import RERANKED
from rankscale.laws.axes import headline_subset, is_product
from rankscale.laws.verdicts.rule import CONFIRMED, NO_LONGER
from rankscale.report.answer import answer_sentences, confidence_sentences
from rankscale.report.best_variant import recipe_sentences
from rankscale.report.missing_runs import describe_missing_runs, progress_phrase
from rankscale.report.narrative import forecast_sentences, plan_sentence, scale_sentence
from rankscale.report.test_sets.references import reference_sentences
from rankscale.report.test_sets.slices import slices_section
from rankscale.report.test_sets.transfers import others_evaluated, transfers_section
from rankscale.report.text_tables import (
    contrast_table,
    headline_table,
    plan_table,
    ranking_table,
    scaling_table,
    verdict_table,
)
from rankscale.report.variants import variants_section
from rankscale.report.verdicts import at_home, headline_of, on_headline_test, scaling_findings

FIGURE = "figures/model_scale.svg"  # beside the summary


def warnings(metrics: pd.DataFrame, fits: pd.DataFrame, forecasts: pd.DataFrame, missing: list[dict]) -> list[str]:
    """What a reader must know before believing the rest."""
    cautions = [describe_missing_runs(missing) + "."] if missing else []
    lost = metrics[metrics.below_chance & (metrics.checkpoint == "final")]
    if len(lost):
        several = metrics.variant.nunique() > 1
        names = ", ".join(
            sorted({f"{f'{r.variant}: ' if several else ''}{r.model} on {r.train_queries}" for r in lost.itertuples()})
        )
        runs = len(lost.groupby(["variant", "model", "train_queries", "seed"]))
        cautions.append(
            f"{runs} runs do not rank above chance at their end ({len(lost)} rows, by kind of candidates); "
            f"their Rank-Entropy says little: {names}."
        )
    few = metrics[metrics.too_few_queries]
    if len(few):
        cautions.append(
            f"{len(few)} of {len(metrics)} rows owe over {MOST_THIN:.0%} of Score-Uncertainty's sum to ranks of fewer "
            f"than {THIN} queries; their intervals of Rank-Score-Alignment and Score-Uncertainty are off centre. More "
            "test queries, or `correction: local`, mend that."
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
        # Metrics and seeds of a cell are no independent cases.
        cells = (
            covered.astype({"covered": float})
            .groupby(["law", "axis", "variant", "model", "train_queries"])
            .covered.mean()
        )
        parts = [f"{part.mean():.0%} by the {law} law" for law, part in cells.groupby("law", sort=False)]
        count = len(cells.reset_index()[["axis", "variant", "model", "train_queries"]].drop_duplicates())
        cautions.append(
            f"Of the values in {count} held-out cells, 95 % prediction intervals hold {', '.join(parts)}; "
            "a law whose intervals hold few is not to be built on."
        )
    if (metrics.retrieval == "pooled").any():
        cautions.append(
            "Retrieval is pooled: runs search the judged and mined documents and a sample, not the whole collection. "
            "Its metrics come out higher than over all documents, and compare checkpoints of this study only."
        )
    reranked = sorted(set(metrics.variant[metrics.retrieval.str.startswith(RERANKED)]))
    if reranked:
        cautions.append(
            f"Retrieval of {', '.join(reranked)} reranks the miner's run: what that lacks is never found. "
            "Its metrics are no full retrieval's; those of rankers that search are not to be compared with them."
        )
    if metrics.seed.nunique() == 1:
        cautions.append(
            "One seed: nothing tells the noise of the held-out cells, so all verdicts are provisional. Where runs of "
            "larger models differ more, a metric that stopped is said to keep improving in up to 14 % of studies."
        )
    return cautions or ["None."]


def summary(
    metrics: pd.DataFrame,
    fits: pd.DataFrame,
    forecasts: pd.DataFrame,
    ranking: pd.DataFrame,
    verdicts: pd.DataFrame,
    contrasts: pd.DataFrame,
    plan: pd.DataFrame | None,
    missing: list[dict],
    multipliers: pd.DataFrame | None = None,
    exponents: pd.DataFrame | None = None,
    references: pd.DataFrame | None = None,
    transfers: pd.DataFrame | None = None,
    slices: pd.DataFrame | None = None,
) -> str:
    """The study's findings as Markdown; `multipliers` and `exponents` where it has several variants."""
    findings = scaling_findings(metrics, fits, forecasts, verdicts)
    beside = "".join(f"\n- {sentence}" for sentence in reference_sentences(references, metrics))
    beside = f"\nNothing was trained for these:\n{beside}\n" if beside else ""
    sliced = slices_section(slices, metrics)
    elsewhere = transfers_section(metrics, verdicts, transfers)
    verdicts, contrasts = headline_of(verdicts, metrics), headline_of(contrasts, metrics)
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    first = finals.iloc[0]
    answers = "\n".join(f"- {sentence}" for sentence in answer_sentences(verdicts, contrasts))
    compared, best = "", ""
    if multipliers is not None and exponents is not None:
        compared = variants_section(multipliers, exponents, metrics)
        recipe = recipe_sentences(on_headline_test(multipliers, metrics), on_headline_test(exponents, metrics))
        best = " ".join(recipe) + "\n\n" if recipe else ""
    sure = "\n".join(f"- {sentence}" for sentence in confidence_sentences(verdicts, contrasts))
    tables_too = "their rows stand in the tables beside this page"
    also = f" Evaluated too: {others}; {tables_too}." if (others := others_evaluated(metrics)) else ""
    tested = "\n".join(f"- {line}" for line in forecast_sentences(ranking, metrics)) or "Nothing was held out."
    planned = ""
    if plan is not None:
        shown = plan_table(plan)
        rows = "" if shown.empty else f"\n{shown.to_markdown(index=False, disable_numparse=True)}\n"
        planned = f"\n## What to train next\n\n{plan_sentence(plan)}\n{rows}"
    of_laws = at_home(fits, metrics), at_home(forecasts, metrics)
    cautions = "\n".join(f"- {line}" for line in warnings(at_home(metrics, metrics), *of_laws, missing))
    stands = progress_phrase(metrics, missing)
    subset = headline_subset(finals)
    which = "the largest subset" if subset == finals.train_queries.max() else "the subset with the most models"
    cells = "" if is_product(finals) else f" (cells: {len(finals.groupby(['model', 'train_queries']))})"
    chance = (
        "\n\n**No run ranks above chance at its end: nothing below is worth much.**"
        if finals.below_chance.all()
        else ""
    )
    return f"""# Study {first.study}: {first.collection}{f", {stands}" if stands else ""}

Models: {finals.model.nunique()}; subsets: {finals.train_queries.nunique()}{cells}; seeds: {finals.seed.nunique()}. \
{first.n_queries} {first.split} queries, each against {first.n_candidates} {first.candidates} candidates. \
Losses in nats, 95 % intervals in brackets.{also}{chance}

## The answer

{best}{answers}

![The cross-entropy and its parts over model size, with their laws]({FIGURE})

{sure}

{compared}## Verdicts

A law is fitted to the means over seeds of the cells that were not held out. The gain that it forecasts is its value \
at the largest of these less its mean forecast of the held-out cells; the gain realised sets the means found there \
in place of the forecast; the share is the second over the first. A metric *keeps improving* if the gain realised is \
above 0 (one-sided, 5 %); *as forecast* if the 95 % interval of the share excludes 0 and holds 1, its *amount \
uncertain* where the interval leaves {CONFIRMED[0]:g} to {CONFIRMED[1]:g}; *no longer* if the share is below \
{NO_LONGER:g}. All else is undecided: that is no finding that it stopped, and no difference to a metric that goes \
on. "Off its law" tests the misfit of cells against the spread between seeds. "The same": the verdict in studies \
simulated around this one, on each seed alone, without each cell. Simulated error rates stand in docs/benchmarks.md.

{verdict_table(verdicts).to_markdown(index=False, disable_numparse=True)}

Rank-Entropy's share realised less another metric's, paired by cell and seed, with Holm's adjustment over an axis; \
better: it realises more of its own forecast.

{contrast_table(contrasts).to_markdown(index=False, disable_numparse=True)}

## On {which} ({subset:,} training queries)

{headline_table(metrics, references).to_markdown(index=False, disable_numparse=True)}
{beside}
The calibrated cross-entropy takes each half of the queries at the inverse temperature that is best for the other \
half, so it does not depend on the scale of scores. {scale_sentence(metrics)}

## The laws

Slopes: metric ~ size^-alpha; for Score-Uncertainty, which may be negative, b nats per e-fold of size. Where the law \
falls from chance (ceiling) the exponent changes along the axis: local exponents are those at its smallest and its \
largest point. Errors are means over the held-out points, relative; "covered" says how many of these cells the law's \
95 % prediction intervals hold. On the compute axis nothing is held out, and its lower envelope keeps each metric's \
best cells, so it falls by construction: it is not judged, and no claim rests on it.

{scaling_table(findings).to_markdown(index=False, disable_numparse=True)}

{elsewhere}{sliced}## Which metric is forecast best

{tested}

Each metric by the law that AICc prefers on the points that are known, best skill first. Skill is the share of the \
error of "no change" that the law saves: 1 is a perfect forecast, below 0 no change would have been better; p is how \
often a metric that stopped would show as much. Errors are relative (of Score-Uncertainty, which may be negative, in \
nats); in brackets, what 95 % of studies would show whose laws are true, with the noise of queries, which all \
metrics share, and of runs. A difference is significant if it has one sign in these. A large skill is no verdict: \
see above for that.

{ranking_table(ranking, metrics).to_markdown(index=False, disable_numparse=True)}
{planned}
## Cautions

{cautions}
"""
