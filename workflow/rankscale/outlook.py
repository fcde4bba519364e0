"""What a study's forecasts are worth and what to do next, in words: the ranking of metrics, and the plan."""

import pandas as pd

from rankscale.findings import AXES, NAMES, headline_of
from rankscale.laws.axes import headline_slice

# Other metrics, in words; what is not here keeps its column's name.
MORE = {
    "1-mrr": "1 - MRR",
    "1-auc": "1 - AUC",
    "mean_rank": "mean rank",
    "1-ndcg_10": "1 - nDCG@10",
    "1-accuracy_1": "1 - accuracy at 1",
}
BOTH = "grid"


def name_of(metric: str) -> str:
    """A metric in words."""
    return NAMES.get(metric) or MORE.get(metric, metric)


def share(value: float | None) -> str:
    """A relative error in per cent; open where it is beyond all bounds."""
    return "open" if value is None or pd.isna(value) else f"{value:.1%}"


def _headline(ranking: pd.DataFrame, metrics: pd.DataFrame, axis: str) -> pd.DataFrame:
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    rows = headline_of(ranking, metrics)
    return rows[(rows.axis == axis) & (rows.fixed == headline_slice(axis, finals))].sort_values("position")


def ranking_table(ranking: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per axis and metric, best forecast first."""
    rows = []
    for axis in (*AXES, BOTH):
        of_axis = _headline(ranking, metrics, axis)
        for row in of_axis.to_dict("records") if of_axis.skill.notna().any() else []:
            told = pd.notna(row["skill"])
            signed = row["law"] == "trend"
            error = f"{row['error']:.3g}" if signed else share(row["error"])
            plain = f"{row['no_change']:.3g}" if signed else share(row["no_change"])
            skill = "-"
            if told:
                skill = f"{row['skill']:.2f} ({row['beats_no_change']:.0%})"
            away = "-"
            if pd.notna(row["difference"]):
                sure = "significant" if row["significant"] else "not significant"
                ends = f"{share(row['difference_low'])}, {share(row['difference_high'])}"
                away = f"{row['difference']:+.1%} [{ends}], {sure}"
            rows.append(
                {
                    "axis": "both" if axis == BOTH else axis,
                    "metric": name_of(row["metric"]),
                    "law": row["law"],
                    "error": error if told else "-",
                    "no change": plain if told else "-",
                    "skill (better than no change)": skill,
                    "error less Rank-Entropy's": away,
                }
            )
    return pd.DataFrame(rows)


def race(ranking: pd.DataFrame, metrics: pd.DataFrame) -> list[str]:
    """The paper's claim as a tested statement, one sentence per axis."""
    said = []
    words = {
        "model": "the largest models",
        "data": "the largest subset",
        BOTH: "the largest models on the largest subset from smaller ones on less",
    }
    for axis, what in words.items():
        rows = _headline(ranking, metrics, axis).set_index("metric")
        own, other = (rows.loc[m] if m in rows.index else None for m in ("rank_entropy", "cross_entropy"))
        if own is None:
            continue
        if pd.isna(own.error):
            said.append(f"Rank-Entropy: no law can be fitted to forecast {what}.")
            continue
        text = f"Rank-Entropy ({own.law}) forecasts {what} with a mean error of {_within(own)}"
        text += f", no change of {share(own.no_change)}"
        if other is None or pd.isna(other.error):
            said.append(f"{text}; no law can be fitted to cross-entropy there.")
            continue
        sure = f"is {'' if other.significant else 'not '}significant"
        ends = f"{share(other.difference_low)} to {share(other.difference_high)}"
        said.append(
            f"{text}; cross-entropy ({other.law}) of {_within(other)}, no change of {share(other.no_change)}. "
            f"Cross-entropy's error is {other.difference * 100:+.1f} points away ({ends}); that {sure}."
        )
        if (rows.skill.dropna() <= 0).all():
            said[-1] += " No metric is forecast better there than by no change."
    return said


def _within(row: pd.Series) -> str:
    return f"{share(row.error)} [{share(row.error_low)}, {share(row.error_high)}]"


def plan_said(plan: pd.DataFrame) -> str:
    """What to train next, in a sentence or two."""
    row = plan[plan.chosen].iloc[0]
    metric = name_of(row.metric)
    asked = f"For a budget of {row.budget:g}" if pd.notna(row.budget) else f"To reach {metric} {row.target:g}"
    if pd.isna(row.encoder_parameters):
        return f"{asked} there is no plan: {row.note}."
    size, data = (_about(row, *names) for names in (("encoder_parameters", "parameters"), ("train_queries", "queries")))
    text = (
        f"{asked}: {size} encoder parameters on {data} training queries, for {row.cost:.4g} "
        f"(training {row.cost_training:.3g}, {row.device_hours:.3g} device hours; judging {row.cost_judging:.3g}; "
        f"serving {row.cost_serving:.3g}). The {row.law} law says {metric} {row.predicted:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}] there."
    )
    if row.extrapolation > 1:
        text += f" This extrapolates: {row.extrapolation:.1f} times the largest that was measured."
    return text + (f" Beware: {row.note}." if row.note else "")


def _about(row: pd.Series, name: str, spread: str) -> str:
    low, high = row[f"{spread}_low"], row[f"{spread}_high"]
    ends = " [open]" if pd.isna(low) else f" [{low:,.0f}, {high:,.0f}]"
    return f"{row[name]:,.0f}{ends}"


def plan_table(plan: pd.DataFrame) -> pd.DataFrame:
    """The choice and, for each size of the ladder, the best data."""
    rows = []
    for row in plan.dropna(subset="encoder_parameters").itertuples():
        rows.append(
            {
                "": "chosen" if row.chosen else row.model,
                "N": f"{row.encoder_parameters:,.0f}",
                "training queries": f"{row.train_queries:,.0f}",
                "cost": f"{row.cost:.4g}",
                "device hours": f"{row.device_hours:.3g}",
                name_of(row.metric): f"{row.predicted:.3f} [{row.low:.3f}, {row.high:.3f}]",
                "extrapolates": f"{row.extrapolation:.1f} times" if row.extrapolation > 1 else "-",
            }
        )
    return pd.DataFrame(rows)
