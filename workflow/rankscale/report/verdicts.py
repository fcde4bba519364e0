"""What a study shows: for each metric and axis whether it scales, by its laws and its held-out forecasts."""

from typing import NamedTuple

import pandas as pd

from rankscale.core.metrics import PARTS
from rankscale.laws.axes import headline_slice
from rankscale.laws.bootstrap import LOCAL_EXPONENTS
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import NO_CHANGE, forecasting_laws
from rankscale.report.labels import error_text, name_of

AXES = ("model", "data", "compute")
FEW = 5  # points; with fewer nothing is claimed either way
FOLLOWS = 0.9  # R^2 from which a metric is said to follow a law


class ScalingVerdict(NamedTuple):
    """One metric on one axis, at the largest subset, model, or along the compute envelope.

    `slope` is the exponent of the line law (of the trend, in nats per e-fold, where a metric may be negative), with
    its interval. `law` is the one that AICc prefers, on the points that were not held out where some were; `r2` and
    `covered` (how many held-out points its intervals hold, of how many) are that law's. `errors` maps each law to the
    mean absolute and the mean signed error of its forecasts: relative, in nats for a metric that may be negative.
    `floor` is that of the law with one that AICc prefers, with its interval.
    `exponents`, where the law bends, are the local ones at the smallest and the largest point, with their intervals.
    """

    metric: str
    axis: str
    fixed: str
    law: str
    slope: float | None
    low: float | None
    high: float | None
    r2: float | None
    floor: tuple[float, float | None, float | None] | None
    errors: dict[str, tuple[float, float]]
    covered: tuple[int, int]
    verdict: str
    scales: bool | None
    exponents: tuple[tuple[float, float, float], ...] = ()


def headline_of(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the headline: the first test set, and hard candidates where there are any."""
    split = metrics.split.iloc[0]
    kinds = metrics[metrics.split == split].candidates.unique()
    return table[(table.split == split) & (table.candidates == ("hard" if "hard" in kinds else kinds[0]))]


def scaling_verdicts(
    metrics: pd.DataFrame, fits: pd.DataFrame, forecasts: pd.DataFrame, fixed: dict[str, str] | None = None
) -> list[ScalingVerdict]:
    """One finding per metric and axis of the headline; `fixed` says what another fit of an axis than its own holds."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    fits, forecasts = headline_of(fits, metrics), headline_of(forecasts[forecasts.held_out], metrics)
    held = {axis: headline_slice(axis, finals) for axis in AXES} | (fixed or {})
    return [_verdict_of(metric, axis, held[axis], fits, forecasts) for axis in AXES for metric in PARTS]


def _verdict_of(metric: str, axis: str, fixed: str, fits: pd.DataFrame, forecasts: pd.DataFrame) -> ScalingVerdict:
    laws = forecasting_laws(metric)
    straight = laws[0]

    def of(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table.metric == metric) & (table.axis == axis) & (table.fixed == fixed)]

    rows, ahead = of(fits), of(forecasts)
    line = rows[(rows.law == straight.name) & (rows.parameter == straight.slope)]
    slope, low, high = (_number(line[c]) for c in ("estimate", "low", "high"))
    # The held-out points have no say in which law forecasts them.
    candidates = ahead[ahead.law != NO_CHANGE] if len(ahead) else rows[rows.law.isin([law.name for law in laws])]
    law = preferred_law(candidates, laws) or straight.name
    floors = {law.name: law.parameters[law.floor] for law in laws if law.floor is not None}
    delta = rows[rows.law.map(floors) == rows.parameter].sort_values("aicc", kind="stable")
    covered = ahead[ahead.law == law].covered.dropna()
    # Relative to a metric that crosses 0, an error says nothing.
    error = ahead.predicted - ahead.observed if straight.signed else ahead.relative_error
    errors = {
        name: (float(part.abs().mean()), float(part.mean())) for name, part in error.astype(float).groupby(ahead.law)
    }
    r2 = _number(rows[rows.law == law].r2)
    verdict, scales = _verdict(straight, (slope, low, high), r2, law, errors, rows)
    return ScalingVerdict(
        metric,
        axis,
        fixed,
        law,
        slope,
        low,
        high,
        r2,
        None if delta.empty else tuple(_number(delta[c]) for c in ("estimate", "low", "high")),
        errors,
        (int(covered.sum()), len(covered)),
        verdict,
        scales,
        _local_exponents(rows[rows.law == law]),
    )


def preferred_law(rows: pd.DataFrame, laws: tuple[Law, ...]) -> str | None:
    """Of rows of fits or forecasts from the same points, the law of `laws` that AICc prefers; None if there is none.

    Where points are too few for any AICc, the one of least squares among those with the fewest parameters.
    """
    parameters = {law.name: len(law.parameters) for law in laws}
    rows = rows[rows.law.isin(parameters)].dropna(subset="rmse")
    scored = rows.dropna(subset="aicc")
    if len(scored):
        return scored.sort_values("aicc", kind="stable").law.iloc[0]
    rows = rows.assign(parameters=rows.law.map(parameters)).sort_values(["parameters", "rmse"], kind="stable")
    return rows.law.iloc[0] if len(rows) else None


def _local_exponents(rows: pd.DataFrame) -> tuple[tuple[float, float, float], ...]:
    """At the smallest and the largest point, where the rows of a law have them."""
    ends = (rows[rows.parameter == name] for name in LOCAL_EXPONENTS)
    return tuple(tuple(end[["estimate", "low", "high"]].iloc[0].astype(float)) for end in ends if len(end))


def _verdict(
    straight: Law, slope: tuple, r2: float | None, law: str, errors: dict[str, tuple[float, float]], rows: pd.DataFrame
) -> tuple[str, bool | None]:
    """In words, and as yes, no, or None where it cannot be told."""
    if slope[0] is None or slope[1] is None or slope[2] is None:
        note = rows[rows.law == straight.name].note.iloc[0] if len(rows) else "no fit"
        return f"cannot be told: {note or 'no interval'}", None
    if rows.n_points.max() < FEW:
        return f"cannot be told: {rows.n_points.max()} points are too few for a verdict", None
    # In the line law a positive exponent falls; a trend falls with a negative slope.
    falling = [end < 0 if straight.signed else end > 0 for end in slope[1:]]
    if not any(falling):
        return "does not scale: it rises", False
    if not all(falling):
        return "does not scale: no clear direction", False if errors else None
    if r2 is None or r2 < FOLLOWS:
        return f"falls, but follows no law ({law} R² {r2 or 0:.2f})", False if errors else None
    if law not in errors:
        return f"falls after a law ({law} R² {r2:.2f}); no forecast tests it", None
    error, same = errors[law][0], errors[NO_CHANGE][0]
    if error >= same:
        worse = f"no better ({error_text(straight.signed, error)}) than no change ({error_text(straight.signed, same)})"
        return f"falls, but the {law} forecasts what was held out {worse}", False
    within = f"within {error_text(straight.signed, error)} (no change: {error_text(straight.signed, same)})"
    return f"scales: the {law} forecasts what was held out {within}", True


def _number(column: pd.Series) -> float | None:
    return None if column.empty or pd.isna(column.iloc[0]) else float(column.iloc[0])


def claim_sentence(verdicts: list[ScalingVerdict], axis: str) -> str:
    """Whether "only Rank-Entropy scales" shows on one axis, in a sentence."""
    of_axis = {f.metric: f for f in verdicts if f.axis == axis}
    if not any(f.errors for f in of_axis.values()):
        return "cannot be told: nothing was held out on this axis, or too little was left to forecast it from"
    open_ = [m for m, f in of_axis.items() if f.scales is None]
    scaling = [m for m, f in of_axis.items() if f.scales]
    own = of_axis["rank_entropy"].scales
    if own is False:
        return "does not hold here: Rank-Entropy itself does not scale"
    if open_:
        return f"cannot be told: too little is known for a fit or a forecast of {', '.join(name_of(m) for m in open_)}"
    if scaling == ["rank_entropy"]:
        return "holds here: Rank-Entropy scales, the other two parts and the cross-entropy do not"
    others = " and ".join(name_of(m) for m in scaling if m != "rank_entropy")
    return f"does not hold here as stated: besides Rank-Entropy, {others} scales by the same checks"
