"""The tables that people read: the headline, the laws, the ranking of metrics, the plan."""

import pandas as pd

from rankscale.core.metrics import CALIBRATED, PARTS, metric_named
from rankscale.laws.axes import ENVELOPE, headline_slice, headline_subset
from rankscale.laws.forms.registry import LAWS, NO_CHANGE, forecasting_laws
from rankscale.report.labels import error_text, name_of, searched_words, share
from rankscale.report.test_sets.references import headline_rows
from rankscale.report.verdicts import AXES, ScalingFinding, headline_of, verdict_words, what_would_decide, why_undecided


def _interval(
    value: float | None, low: float | None, high: float | None, digits: int = 3, open_bounds: bool = False
) -> str:
    if value is None:
        return "-"
    low, high = (None if pd.isna(bound) else bound for bound in (low, high))
    if low is None and high is None and not open_bounds:
        return f"{value:.{digits}f}"
    bounds = ["open" if bound is None else f"{bound:.{digits}f}" for bound in (low, high)]
    return f"{value:.{digits}f} [{', '.join(bounds)}]"


def _inverse_temperature(row: dict) -> str:
    """The best inverse temperature of a row of the metrics table; scores have any unit, so three digits of it."""
    value, low, high = (row[f"best_inverse_temperature{bound}"] for bound in ("", "_low", "_high"))
    interval = "" if pd.isna(low) else f" [{low:.3g}, {high:.3g}]"
    return f"{value:.3g}{interval}{', at the cap' if row['calibration_at_cap'] else ''}"


def headline_table(metrics: pd.DataFrame, references: pd.DataFrame | None = None) -> pd.DataFrame:
    """The end of training of each model on the headline's subset: the four, also calibrated, ranks, intervals.

    `references`, where there are any, stand below the models.
    """
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    finals = finals[finals.train_queries == headline_subset(finals)].sort_values(["encoder_parameters", "seed"])
    rows = []
    for row in finals.to_dict("records"):
        cells = {"model": row["model"], "N": f"{row['encoder_parameters']:,}", "seed": row["seed"]}
        # Of results that came without scores nothing can be calibrated.
        scored = pd.notna(row[CALIBRATED])
        for name in (PARTS[0], *((CALIBRATED,) if scored else ()), *PARTS[1:], "mrr"):
            cells[name_of(name)] = _interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
        if scored:
            cells[name_of("best_inverse_temperature")] = _inverse_temperature(row)
        for name in ("mean_log_rank", *(("auc_global",) if scored else ())):
            cells[name_of(name)] = f"{row[name]:.3f}"
        if pd.notna(row["ndcg_10"]):
            cells[f"nDCG@10, {searched_words(row['retrieval'])}"] = f"{row['ndcg_10']:.3f}"
        rows.append(cells)
    return pd.DataFrame([*rows, *_known(headline_rows(references, metrics), rows)]).fillna("-")


def _known(references: list[dict[str, str]], models: list[dict]) -> list[dict[str, str]]:
    """The references' cells of columns that some model has."""
    columns = {column for row in models for column in row}
    return [{name: cell for name, cell in row.items() if name in columns} for row in references]


def scaling_table(findings: list[ScalingFinding]) -> pd.DataFrame:
    """One row per axis and metric: the slope, the law that AICc prefers, and what each law forecast."""
    rows = []
    names = [law.name for law in LAWS.values() if law.variables == 1]
    for f in findings:
        signed = metric_named(f.metric).signed
        errors = [
            f"{law} {error_text(signed, error)} (bias {error_text(signed, bias, '+')})"
            for law in (*names, NO_CHANGE)
            if law in f.errors
            for error, bias in [f.errors[law]]
        ]
        rows.append(
            {
                "axis": f"{f.axis} ({f.fixed.replace('=', ' ')})",
                "metric": name_of(f.metric),
                "slope": f"{forecasting_laws(f.metric)[0].slope} {_interval(f.slope, f.low, f.high)}",
                "local exponents": " to ".join(_interval(*exponent) for exponent in f.exponents) or "-",
                "law": f.law if f.r2 is None else f"{f.law}, R² {f.r2:.3f}",
                "floor": "-" if f.floor is None else _interval(*f.floor, digits=2, open_bounds=f.fixed != ENVELOPE),
                "held-out error": ", ".join(errors) or "-",
                "covered": f"{f.covered[0]:g} of {f.covered[1]}" if f.covered[1] else "-",
                "verdict": f.verdict or "not judged",
            }
        )
    return pd.DataFrame(rows)


def verdict_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per judged axis and metric of the headline: what was forecast, what came, and what would decide more."""
    rows = []
    for _, row in verdicts.iterrows():
        known = pd.notna(row.realised_gain)
        lack = "-" if pd.isna(row.lack_of_fit_p) else f"p {row.lack_of_fit_p:.2g}, {share(row.misfit)} a cell"
        low, high = (None if pd.isna(bound) else bound for bound in (row.share_low, row.share_high))
        rows.append(
            {
                "axis": row.axis,
                "metric": name_of(row.metric),
                "law": "none" if pd.isna(row.law) else row.law,
                "gain forecast": f"{row.predicted_gain:.3g}" if known else "-",
                "gain realised": f"{row.realised_gain:.3g} [{row.gain_low:.3g}, {row.gain_high:.3g}]" if known else "-",
                "p": f"{row.p_improving:.2g}" if known else "-",
                "share realised": "-"
                if pd.isna(row.share)
                else _interval(row.share, low, high, digits=2, open_bounds=True),
                "verdict": verdict_words(row),
                "off its law": "-" if metric_named(row.metric).signed else lack,
                "the same": _stability(row),
                "what would decide": what_would_decide(row) or "-",
            }
        )
    return pd.DataFrame(rows)


def _stability(row: pd.Series) -> str:
    """In how many simulated studies, on which of the seeds, and without which of the cells a verdict is the same."""
    if pd.isna(row.same):
        return "-"
    seeds = f", seeds {row.seeds_agreeing:.0f} of {row.seeds}" if pd.notna(row.seeds_agreeing) else ""
    cells = f", cells {row.cells_left_out_agreeing:.0f} of {row.cells_left_out:.0f}"
    return f"{row.same:.0%}{seeds}{cells}" + (f" (not without {row.turned_by})" if row.turned_by else "")


def contrast_table(contrasts: pd.DataFrame) -> pd.DataFrame:
    """One row per contrast of the headline between metrics."""
    rows = []
    for _, row in contrasts[contrasts.kind == "metric"].iterrows():
        difference = "-"
        if row.bounded:
            difference = f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
        rows.append(
            {
                "axis": row.axis,
                "Rank-Entropy against": name_of(row.second),
                "shares realised": " and ".join(
                    "-" if pd.isna(value) else f"{value:.2f}" for value in (row.share_first, row.share_second)
                ),
                "difference": difference,
                "adjusted p": "-" if pd.isna(row.p_holm) else f"{row.p_holm:.2g}",
                "answer": row.answer + (" (provisional: one seed)" if row.provisional else ""),
                "why": why_undecided(row) or "-",
            }
        )
    return pd.DataFrame(rows)


BOTH = "grid"


def headline_ranking(ranking: pd.DataFrame, metrics: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The rows of the ranking on the headline's points of one axis, best first."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    rows = headline_of(ranking, metrics)
    return rows[(rows.axis == axis) & (rows.fixed == headline_slice(axis, finals))].sort_values("position")


def ranking_table(ranking: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per axis and metric, best forecast first."""
    rows = []
    for axis in (*AXES, BOTH):
        of_axis = headline_ranking(ranking, metrics, axis)
        for row in of_axis.to_dict("records") if of_axis.skill.notna().any() else []:
            ranked = pd.notna(row["skill"])
            signed = metric_named(row["metric"]).signed
            error = f"{row['error']:.3g}" if signed else share(row["error"])
            plain = f"{row['no_change']:.3g}" if signed else share(row["no_change"])
            skill = "-"
            if ranked:
                skill = f"{row['skill']:.2f} (p {row['p_no_change']:.2g})"
            difference = "-"
            if pd.notna(row["difference"]):
                sure = "significant" if row["significant"] else "not significant"
                bounds = f"{share(row['difference_low'])}, {share(row['difference_high'])}"
                difference = f"{row['difference']:+.1%} [{bounds}], {sure}"
            rows.append(
                {
                    "axis": "both" if axis == BOTH else axis,
                    "metric": name_of(row["metric"]),
                    "law": row["law"],
                    "error": error if ranked else "-",
                    "no change": plain if ranked else "-",
                    "skill": skill,
                    "error less Rank-Entropy's": difference,
                }
            )
    return pd.DataFrame(rows)


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
