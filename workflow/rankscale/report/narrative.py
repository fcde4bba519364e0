"""What a study's forecasts are worth and what to do next, in words: the ranking of metrics, and the plan."""

import pandas as pd

from rankscale.core.layout import BASE
from rankscale.core.metrics import CALIBRATED
from rankscale.laws.axes import is_product
from rankscale.report.labels import name_of, share
from rankscale.report.text_tables import BOTH, headline_ranking
from rankscale.report.verdicts import headline_of

FEW = 3  # runs; with fewer a correlation says nothing


def forecast_sentences(ranking: pd.DataFrame, metrics: pd.DataFrame) -> list[str]:
    """The paper's claim as a tested statement, one sentence per axis."""
    sentences = []
    words = {
        "model": "the largest models",
        "data": "the largest subset",
        BOTH: "the largest models on the largest subset from smaller ones on less"
        if is_product(metrics[metrics.checkpoint == "final"])
        else "the largest cells of the grid from the others",
    }
    for axis, target in words.items():
        rows = headline_ranking(ranking, metrics, axis).set_index("metric")
        own, other = (rows.loc[m] if m in rows.index else None for m in ("rank_entropy", "cross_entropy"))
        if own is None:
            continue
        if pd.isna(own.error):
            sentences.append(f"Rank-Entropy: no law can be fitted to forecast {target}.")
            continue
        text = f"Rank-Entropy ({own.law}) forecasts {target} with a mean error of {_within(own)}"
        text += f", no change of {share(own.no_change)}"
        if other is None or pd.isna(other.error):
            sentences.append(f"{text}; no law can be fitted to cross-entropy there.")
            continue
        sentences.append(
            f"{text}; cross-entropy ({other.law}) of {_within(other)}, no change of {share(other.no_change)}. "
            f"Cross-entropy's error is {_apart(other)}."
        )
        if CALIBRATED in rows.index and pd.notna(rows.error[CALIBRATED]):
            fair = rows.loc[CALIBRATED]
            sentences[-1] += (
                f" {name_of(CALIBRATED)} ({fair.law}) has one of {_within(fair)}, no change of "
                f"{share(fair.no_change)}: {_apart(fair)}."
            )
        if (rows.skill.dropna() <= 0).all():
            sentences[-1] += " No metric is forecast better there than by no change."
    return sentences


def _within(row: pd.Series) -> str:
    return f"{share(row.error)} [{share(row.error_low)}, {share(row.error_high)}]"


def _apart(row: pd.Series) -> str:
    bounds = f"{share(row.difference_low)} to {share(row.difference_high)}"
    sure = f"is {'' if row.significant else 'not '}significant"
    return f"{row.difference * 100:+.1f} points away ({bounds}); that {sure}"


def scale_sentence(metrics: pd.DataFrame) -> str:
    """How much of what sets the cross-entropy apart from Rank-Entropy is the scale of scores; empty for few runs."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    if len(finals) < FEW or finals[CALIBRATED].isna().any():
        return ""
    raw, fair = (finals[m].corr(finals.rank_entropy, method="spearman") for m in ("cross_entropy", CALIBRATED))
    best = finals.best_inverse_temperature
    return (
        f"Over the ends of all {len(finals)} runs, Spearman's correlation with Rank-Entropy is {raw:.3f} for the "
        f"cross-entropy and {fair:.3f} for the calibrated one; the best inverse temperature is {best.min():.3g} to "
        f"{best.max():.3g} times raw scores."
    )


def plan_sentence(plan: pd.DataFrame) -> str:
    """What to train next, in a sentence or two."""
    row = plan[plan.chosen].iloc[0]
    metric = name_of(row.metric)
    goal = f"For a budget of {row.budget:g}" if pd.notna(row.budget) else f"To reach {metric} {row.target:g}"
    if row.variant != BASE:
        goal += f", trained as {row.variant}"
    if pd.isna(row.encoder_parameters):
        return f"{goal} there is no plan: {row.note}."
    size, data = (_about(row, *names) for names in (("encoder_parameters", "parameters"), ("train_queries", "queries")))
    text = (
        f"{goal}: {size} encoder parameters on {data} training queries, for {row.cost:.4g} "
        f"(training {row.cost_training:.3g}, {row.device_hours:.3g} device hours; judging {row.cost_judging:.3g}; "
        f"serving {row.cost_serving:.3g}). The {row.law} law says {metric} {row.predicted:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}] there."
    )
    if row.extrapolation > 1:
        text += f" This extrapolates: {row.extrapolation:.1f} times the largest that was measured."
    return text + (f" Beware: {row.note}." if row.note else "")


def _about(row: pd.Series, name: str, spread: str) -> str:
    low, high = row[f"{spread}_low"], row[f"{spread}_high"]
    interval = " [open]" if pd.isna(low) else f" [{low:,.0f}, {high:,.0f}]"
    return f"{row[name]:,.0f}{interval}"
