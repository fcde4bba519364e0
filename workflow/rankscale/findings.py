"""What a study shows: for each metric and axis whether it scales, by its laws and its held-out forecasts."""

from typing import NamedTuple

import pandas as pd

from rankscale.decomposition import PARTS
from rankscale.laws import NO_CHANGE

NAMES = dict(zip(PARTS, ("Cross-entropy", "Rank-Entropy", "Rank-Score-Alignment", "Score-Uncertainty"), strict=True))
AXES = ("model", "data", "compute")
FOLLOWS = 0.9  # R^2 from which a metric is said to follow a law


class Finding(NamedTuple):
    """One metric on one axis, at the largest subset, model, or along the compute envelope.

    `slope` is the exponent of the line law (of the trend, in nats per e-fold, where a metric may be negative), with
    its interval; `errors` maps a law to the mean absolute relative error of its held-out forecasts.
    """

    metric: str
    axis: str
    fixed: str
    law: str
    n_points: int
    slope: float | None
    low: float | None
    high: float | None
    r2: float | None
    floor: tuple[float, float | None, float | None] | None
    errors: dict[str, float]
    covered: tuple[int, int]
    verdict: str
    scales: bool


def headline_of(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the headline: the first test set, and hard candidates where there are any."""
    split = metrics.split.iloc[0]
    kinds = metrics[metrics.split == split].candidates.unique()
    return table[(table.split == split) & (table.candidates == ("hard" if "hard" in kinds else kinds[0]))]


def fixed_of(axis: str, finals: pd.DataFrame) -> str:
    """What the headline fit of an axis holds fixed."""
    if axis == "model":
        return f"train_queries={finals.train_queries.max()}"
    if axis == "data":
        return f"model={finals.loc[finals.encoder_parameters.idxmax(), 'model']}"
    return "lower envelope"


def findings(metrics: pd.DataFrame, fits: pd.DataFrame, forecasts: pd.DataFrame) -> list[Finding]:
    """One finding per metric and axis of the headline."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    fits, forecasts = headline_of(fits, metrics), headline_of(forecasts, metrics)
    return [_finding(metric, axis, fixed_of(axis, finals), fits, forecasts) for axis in AXES for metric in PARTS]


def _finding(metric: str, axis: str, fixed: str, fits: pd.DataFrame, forecasts: pd.DataFrame) -> Finding:
    law = "trend" if metric == "score_uncertainty" else "line"

    def of(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table.metric == metric) & (table.axis == axis) & (table.fixed == fixed)]

    rows = of(fits)
    line = rows[(rows.law == law) & (rows.parameter == ("b" if law == "trend" else "alpha"))]
    slope, low, high, r2 = (_number(line[c]) for c in ("estimate", "low", "high", "r2"))
    delta = rows[(rows.law == "floor") & (rows.parameter == "delta")]
    floor = None if delta.empty else tuple(_number(delta[c]) for c in ("estimate", "low", "high"))
    ahead = of(forecasts)
    errors = {name: float(part.relative_error.abs().mean()) for name, part in ahead.groupby("law")}
    told = ahead[ahead.law == law].covered.dropna()
    # In the line law a positive exponent falls; a trend falls with a negative slope.
    down = (lambda v: v is not None and v < 0) if law == "trend" else (lambda v: v is not None and v > 0)
    falls = low is not None and high is not None and down(low) and down(high)
    rises = low is not None and high is not None and not down(low) and not down(high)
    best = min((e for name, e in errors.items() if name != NO_CHANGE), default=None)
    useful = best is not None and best < errors[NO_CHANGE]
    fit = max((v for v in rows.r2.dropna()), default=0.0)
    if axis == "compute" and slope is None and len(rows) and rows.n_points.max() < 3:
        verdict = "does not scale: hardly any larger budget does better than the smallest"
    elif slope is None:
        note = rows.note.iloc[0] if len(rows) else "no fit"
        verdict = f"cannot be told: {note}"
    elif falls and fit < FOLLOWS:
        verdict = f"falls, but follows no law (R² {fit:.2f})"
    elif falls and useful:
        verdict = f"scales: falls, and a law forecasts what was held out within {best:.1%} (no change: "
        verdict += f"{errors[NO_CHANGE]:.1%})"
    elif falls and best is not None:
        verdict = f"falls, but no law forecasts better ({best:.1%}) than no change ({errors[NO_CHANGE]:.1%})"
    elif falls:
        verdict = "falls; not forecast on this axis"
    else:
        verdict = "does not scale: it rises" if rises else "does not scale: no clear direction"
    return Finding(
        metric,
        axis,
        fixed,
        law,
        int(rows.n_points.max()) if len(rows) else 0,
        slope,
        low,
        high,
        r2,
        floor,
        errors,
        (int(told.sum()), len(told)),
        verdict,
        bool(falls and fit >= FOLLOWS and (useful or best is None)),
    )


def _number(column: pd.Series) -> float | None:
    return None if column.empty or pd.isna(column.iloc[0]) else float(column.iloc[0])


def claim(found: list[Finding], axis: str) -> str:
    """Whether "only Rank-Entropy scales" shows on one axis, in a sentence."""
    of_axis = {f.metric: f for f in found if f.axis == axis}
    scaling = [m for m, f in of_axis.items() if f.scales]
    if any(f.verdict.startswith("cannot be told") for f in of_axis.values()):
        return "cannot be told: some metric has no fit"
    if scaling == ["rank_entropy"]:
        return "holds here: Rank-Entropy scales, the other two parts and the cross-entropy do not"
    if "rank_entropy" not in scaling:
        return "does not hold here: Rank-Entropy itself does not scale"
    others = ", ".join(m.replace("_", "-") for m in scaling if m != "rank_entropy")
    return f"does not hold here as stated: besides Rank-Entropy, {others} scales too by these checks"


def _interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    if value is None:
        return "-"
    ends = "" if low is None or high is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{ends}"


def headline_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """The end of training of each model on the largest subset: the four with their intervals, and MRR."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    finals = finals[finals.train_queries == finals.train_queries.max()].sort_values(["encoder_parameters", "seed"])
    rows = []
    for row in finals.to_dict("records"):
        cells = {"model": row["model"], "N": f"{row['encoder_parameters']:,}", "seed": row["seed"]}
        for name, title in (*NAMES.items(), ("mrr", "MRR")):
            cells[title] = _interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
        if pd.notna(row["ndcg_10"]):
            cells["nDCG@10, all documents"] = f"{row['ndcg_10']:.3f}"
        rows.append(cells)
    return pd.DataFrame(rows)


def scaling_table(found: list[Finding]) -> pd.DataFrame:
    """One row per axis and metric: the law's slope, its fit, and what it forecast."""
    rows = []
    for f in found:
        best = {law: f"{f.errors[law]:.1%}" for law in ("line", "floor", "trend", NO_CHANGE) if law in f.errors}
        rows.append(
            {
                "axis": f"{f.axis} ({f.fixed.replace('=', ' ')})",
                "metric": NAMES[f.metric],
                "slope": ("b " if f.law == "trend" else "alpha ") + _interval(f.slope, f.low, f.high),
                "R²": "-" if f.r2 is None else f"{f.r2:.3f}",
                "floor": "-" if f.floor is None else _interval(*f.floor, digits=2),
                "held-out error": ", ".join(f"{k} {v}" for k, v in best.items()) or "-",
                "verdict": f.verdict,
            }
        )
    return pd.DataFrame(rows)
