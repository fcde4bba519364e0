"""What a study shows of each metric on each axis: its slope, its laws, what they forecast, and its verdict in words."""

from typing import NamedTuple

import pandas as pd

from rankscale.core.metrics import PARTS
from rankscale.laws.axes import headline_slice
from rankscale.laws.bootstrap import LOCAL_EXPONENTS
from rankscale.laws.forms.base import Law
from rankscale.laws.forms.registry import NO_CHANGE, forecasting_laws
from rankscale.laws.selection import by_aicc
from rankscale.laws.verdicts.rule import KEEPS_IMPROVING, POWER, UNDECIDED
from rankscale.report.labels import name_of

AXES = ("model", "data", "compute")
PROVISIONAL = " (provisional: one seed)"
JUDGED = AXES[:2]  # the envelope over compute keeps each metric's best cells: nothing can be held out of it


Estimate = tuple[float | None, float | None, float | None]  # with the bounds of its interval


class ScalingFinding(NamedTuple):
    """One metric on one axis, at the largest subset, model, or along the compute envelope.

    `slope` is the exponent of the line law (of the trend, in nats per e-fold, where a metric may be negative), with
    its interval. `law` is the one that the metric is judged by, which AICc prefers on what was not held out; `r2` and
    `covered` (how many held-out cells its intervals hold, of how many) are that law's. `errors` maps each law to the
    mean absolute and the mean signed error of its forecasts: relative, in nats for a metric that may be negative.
    `floor` is that of the law with one that AICc prefers, with its interval.
    `exponents`, where the law bends, are the local ones at the smallest and the largest point, with their intervals.
    `verdict` is in words; empty where this slice is not judged.
    """

    metric: str
    axis: str
    fixed: str
    law: str
    slope: float | None
    low: float | None
    high: float | None
    r2: float | None
    floor: Estimate | None
    errors: dict[str, tuple[float, float]]
    covered: tuple[float, int]
    exponents: tuple[tuple[float, float, float], ...]
    verdict: str


def headline_of(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the headline: the first variant and test set, and hard candidates where there are any."""
    rows = on_headline_test(table, metrics)
    return rows[rows.variant == metrics.variant.iloc[0]]


def on_headline_test(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of all variants on the headline's test set and candidates."""
    table, metrics = at_home(table, metrics), at_home(metrics, metrics)
    split = metrics.split.iloc[0]
    kinds = metrics[metrics.split == split].candidates.unique()
    return table[(table.split == split) & (table.candidates == ("hard" if "hard" in kinds else kinds[0]))]


def at_home(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows on the study's own collection, which stands first among its metrics."""
    return table[table.collection == metrics.collection.iloc[0]]


def scaling_findings(
    metrics: pd.DataFrame,
    fits: pd.DataFrame,
    forecasts: pd.DataFrame,
    verdicts: pd.DataFrame,
    fixed: dict[str, str] | None = None,
) -> list[ScalingFinding]:
    """One finding per metric and axis of the headline; `fixed` says what another fit of an axis than its own holds."""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    fits, forecasts = headline_of(fits, metrics), headline_of(forecasts[forecasts.held_out], metrics)
    held = {axis: headline_slice(axis, finals) for axis in AXES} | (fixed or {})
    verdicts = headline_of(verdicts, metrics)
    return [_finding(metric, axis, held[axis], fits, forecasts, verdicts) for axis in AXES for metric in PARTS]


def _finding(
    metric: str, axis: str, fixed: str, fits: pd.DataFrame, forecasts: pd.DataFrame, verdicts: pd.DataFrame
) -> ScalingFinding:
    laws = forecasting_laws(metric)
    straight = laws[0]

    def of(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table.metric == metric) & (table.axis == axis) & (table.fixed == fixed)]

    rows, ahead, judged = of(fits), of(forecasts), of(verdicts)
    line = rows[(rows.law == straight.name) & (rows.parameter == straight.slope)]
    slope, low, high = _estimate(line)
    # The held-out points have no say in which law forecasts them.
    candidates = ahead[ahead.law != NO_CHANGE] if len(ahead) else rows[rows.law.isin([law.name for law in laws])]
    law = preferred_law(candidates, laws) or straight.name
    law = judged.law.iloc[0] if len(judged) and pd.notna(judged.law.iloc[0]) else law
    floors = {law.name: law.parameters[law.floor] for law in laws if law.floor is not None}
    delta = rows[rows.law.map(floors) == rows.parameter].sort_values("aicc", kind="stable")
    forecast = ahead[ahead.law == law].dropna(subset="covered").astype({"covered": float})
    covered = forecast.groupby(["model", "train_queries"]).covered.mean()
    # Relative to a metric that crosses 0, an error says nothing.
    error = ahead.predicted - ahead.observed if straight.signed else ahead.relative_error
    errors = {
        name: (float(part.abs().mean()), float(part.mean())) for name, part in error.astype(float).groupby(ahead.law)
    }
    r2 = _number(rows[rows.law == law].r2)
    return ScalingFinding(
        metric,
        axis,
        fixed,
        law,
        slope,
        low,
        high,
        r2,
        None if delta.empty else _estimate(delta),
        errors,
        (float(covered.sum()), len(covered)),
        _local_exponents(rows[rows.law == law]),
        verdict_words(judged.iloc[0]) if len(judged) else "",
    )


def preferred_law(rows: pd.DataFrame, laws: tuple[Law, ...]) -> str | None:
    """Of rows of fits or forecasts from the same points, the law of `laws` that AICc prefers; None if there is none.

    Where points are too few for any AICc, the one of least squares among those with the fewest parameters.
    """
    by_name = {law.name: law for law in laws}
    parameters = {law.name: len(law.parameters) for law in laws}
    rows = rows[rows.law.isin(parameters)].dropna(subset="rmse")
    scored = rows.dropna(subset="aicc").drop_duplicates("law")
    if len(scored):
        return str(scored.law.iloc[by_aicc(scored.aicc.tolist(), [by_name[name] for name in scored.law])[0]])
    rows = rows.assign(parameters=rows.law.map(parameters)).sort_values(["parameters", "rmse"], kind="stable")
    return rows.law.iloc[0] if len(rows) else None


def _local_exponents(rows: pd.DataFrame) -> tuple[tuple[float, float, float], ...]:
    """At the smallest and the largest point, where the rows of a law have them."""
    ends = (rows[rows.parameter == name] for name in LOCAL_EXPONENTS)
    return tuple(tuple(end[["estimate", "low", "high"]].iloc[0].astype(float)) for end in ends if len(end))


def _estimate(rows: pd.DataFrame) -> Estimate:
    return _number(rows.estimate), _number(rows.low), _number(rows.high)


def _number(column: pd.Series) -> float | None:
    return None if column.empty or pd.isna(column.iloc[0]) else float(column.iloc[0])


def slice_words(fixed: str) -> str:
    """What a verdict's axis holds fixed, in words."""
    name, _, value = fixed.partition("=")
    return f"on {int(value):,} training queries" if name == "train_queries" else f"of {value}"


def verdict_words(row: pd.Series) -> str:
    """A row of the table of verdicts in words."""
    words = [row.verdict]
    if row.verdict == KEEPS_IMPROVING:
        if row.as_forecast:
            words += ["as forecast"] if row.forecast == "confirmed" else ["as forecast", "amount uncertain"]
        elif row.forecast in ("less", "more"):
            words.append(f"{row.forecast} than forecast")
    provisional = row.provisional and row.verdict != UNDECIDED
    return ", ".join(words) + (PROVISIONAL if provisional else "")


CELLS = {"model": "sizes", "data": "subsets"}  # what the cells of an axis are called


def what_would_decide(row: pd.Series) -> str:
    """Why a row of the table of verdicts is undecided, the gain that would have been seen, and what would show more."""
    parts = [row.reason] if row.reason else []
    if pd.notna(row.predicted_gain) and row.predicted_gain > 0 and row.verdict != KEEPS_IMPROVING:
        # What is missing is the gain, not more of a study.
        if pd.notna(row.smallest_gain) and row.smallest_gain <= row.predicted_gain:
            parts.append(f"the gain forecast would have been seen in {POWER:.0%} of such studies: less was realised")
            return "; ".join(parts)
        if row.forecast == "unbounded":
            parts.append(
                f"a gain of {row.smallest_gain:.3g} would have been seen in {POWER:.0%} of such studies, "
                f"{row.predicted_gain:.3g} is forecast"
            )
        if row.seeds == 1:
            parts.append("a second seed would tell how far runs differ")
        elif pd.isna(row.seeds_needed):
            parts.append("cells are further off the law than any number of seeds would mend: more cells are needed")
        parts += [words for words in [_enough_to_show(row)] if words]
    return "; ".join(parts)


def why_undecided(row: pd.Series) -> str:
    """Why a row of the table of contrasts has no answer, with metrics by the names that people read."""
    return row.reason.replace(row.second, name_of(row.second)).replace(row["first"], name_of(row["first"]))


def _enough_to_show(row: pd.Series) -> str:
    """The numbers of seeds, cells and test queries that would each do alone; empty where none is known, or more."""
    cells = row.cells_known + row.cells_held_out
    ways = ((row.seeds_needed, row.seeds, "seeds"), (row.cells_needed, cells, CELLS[row.axis]))
    numbers = [f"{needed:,.0f} {name}" for needed, now, name in ways if pd.notna(needed) and needed > now]
    numbers += [f"{row.queries_needed:,.0f} test queries"] if pd.notna(row.queries_needed) else []
    if not numbers:
        return ""
    each = " in all would each" if len(numbers) > 1 else " in all would"
    several = ", ".join(numbers[:-1]) + " or " + numbers[-1] if len(numbers) > 1 else numbers[0]
    return f"{several}{each} show the forecast gain in {POWER:.0%} of such studies"
