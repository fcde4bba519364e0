"""Which way to train scales best, by how much, and how sure that is: the answer of a study of variants."""

import pandas as pd

from rankscale.report.labels import name_of

COMPUTE = "compute"
INFINITE = float("inf")  # what has no value in the table, where the variant has a law: the first never gets there
EXPONENTS = {"alpha": "parameters", "beta": "training queries"}


def recipe_sentences(multipliers: pd.DataFrame, exponents: pd.DataFrame) -> list[str]:
    """The answer in one or two sentences, of one test set, by the first metric there is; none for one variant.

    Of those whose interval lies above 1 the one worth most is best; those whose intervals reach its own are named, as
    the comparison with the first is all that was paired.
    """
    if multipliers.empty:
        return []
    metric, first = multipliers.metric.iloc[0], multipliers["first"].iloc[0]
    rows = _compute(multipliers, metric)
    known = rows[rows.own.notna()]
    unknown = _listed(rows.index.difference(known.index, sort=False))
    if known.empty:
        return [f"Which way to train scales best cannot be told by {name_of(metric)}: there are no laws to compare."]
    better, worse = known[known.low > 1], known[known.high < 1]
    best = (known if better.empty else better).multiplier.idxmax()
    row = known.loc[best]
    if better.empty:
        text = (
            f"By {name_of(metric)}, none of {len(rows)} other ways to train is told to be better than {first}: the best"
        )
        text += f" of them, {best}, is worth {_times(row)} times the compute"
    else:
        text = f"By {name_of(metric)}, {best} scales best of {len(rows) + 1} ways to train: {first} "
        needs = f"needs {_times(row)} times the compute to be as good as {best} on its best cell"
        text += needs if row.multiplier < INFINITE else f"never gets as good as {best} by its law"
    text += _beyond(row)
    text += f", teachers' compute counted {with_teacher(row)}" if has_teachers(known)[best] else ""
    text += f"; {_listed(worse.index)} {_is_are(worse)} worse than {first}" if len(worse) else ""
    text += f"; {unknown} cannot be told" if unknown else ""
    sure = _how_sure(multipliers, known, better, best, metric)
    if len(better):
        sure += _steepness(exponents, metric, best, first)
    return [f"{text}.", sure + _overtaking(exponents, metric, better.index, first)]


def contrast_sentences(exponents: pd.DataFrame) -> list[str]:
    """One sentence an exponent: which variants' differ from the first's, by the paired intervals of one metric."""
    if exponents.empty:
        return []
    first, sentences = exponents["first"].iloc[0], []
    rows = exponents[(exponents.metric == exponents.metric.iloc[0]) & exponents.difference.notna()]
    for parameter, of in EXPONENTS.items():
        own = rows[rows.parameter == parameter].set_index("variant")
        if own.empty:
            continue
        groups = {"steeper": own[own.difference_low > 0], "flatter": own[own.difference_high < 0]}
        parts = [
            f"{word} than {first}'s: " + ", ".join(f"{name} ({_difference(row)})" for name, row in group.iterrows())
            for word, group in groups.items()
            if len(group)
        ]
        alike = own.index.difference([name for group in groups.values() for name in group.index], sort=False)
        parts += [f"not told apart from {first}'s: {', '.join(alike)}"] if len(alike) else []
        sentences.append(f"Exponents of {of} ({parameter}), {'; '.join(parts)}.")
    return sentences


def _compute(multipliers: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of compute by variant, what is infinite as such."""
    rows = multipliers[(multipliers.metric == metric) & (multipliers.kind == COMPUTE)].set_index("variant")
    return rows.assign(**{name: rows[name].astype(float).fillna(INFINITE) for name in ("multiplier", "low", "high")})


def _how_sure(multipliers: pd.DataFrame, known: pd.DataFrame, better: pd.DataFrame, best: object, metric: str) -> str:
    """Whom it is not told apart from, what the interval leaves out, and what other metrics say."""
    text = "Each interval is of one comparison"
    if len(known) > 1:
        text += f", not of the choice among {len(known)}"
    if len(better):
        rivals = known.index[(known.high >= known.low[best]) & (known.index != best)]
        text += f"; the intervals of {_listed(rivals)} reach that of {best}" if len(rivals) else ""
    for other in multipliers.metric.unique():
        if other != metric:
            rows = _compute(multipliers, other)
            rows = rows[rows.own.notna()]
            above = rows[rows.low > 1]
            finding = "none is told to be better" if above.empty else f"it is {above.multiplier.idxmax()}"
            text += f"; by {name_of(other)} {finding}" if len(rows) else ""
    return f"{text}."


def _steepness(exponents: pd.DataFrame, metric: str, best: object, first: str) -> str:
    """Whether the best one's lead grows with size or data, as far as its exponents tell."""
    rows = exponents[(exponents.metric == metric) & (exponents.variant == best) & exponents.difference.notna()]
    rows = rows[rows.parameter.isin(EXPONENTS)].set_index("parameter")
    if rows.empty:
        return ""
    clear = rows[(rows.difference_low > 0) | (rows.difference_high < 0)]
    if clear.empty:
        return f" Whether its lead grows with size or data cannot be told: its exponents are not told from {first}'s."
    words = [
        f"{'steeper' if row.difference > 0 else 'flatter'} in {EXPONENTS[str(name)]} ({_difference(row)})"
        for name, row in clear.iterrows()
    ]
    return f" Its law is {' and '.join(words)} than {first}'s."


def _overtaking(exponents: pd.DataFrame, metric: str, better: pd.Index, first: str) -> str:
    """Which of those that are not told to be better have steeper laws."""
    rows = exponents[(exponents.metric == metric) & ~exponents.variant.isin(better) & (exponents.difference_low > 0)]
    parts = [
        f"{', '.join(own.variant)} in {of}"
        for parameter, of in EXPONENTS.items()
        if len(own := rows[rows.parameter == parameter])
    ]
    if not parts:
        return ""
    return (
        f" Steeper than {first}'s, though not told to be better on their best cells, are the laws of "
        f"{' and '.join(parts)}: whether these overtake it lies beyond what was measured."
    )


def _difference(row: pd.Series) -> str:
    return f"{row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}]"


def _times(row: pd.Series) -> str:
    return f"{row.multiplier:.3g} {_interval(row.low, row.high)}"


def _interval(low: float, high: float) -> str:
    return "[" + ", ".join("no bound" if bound == INFINITE else f"{bound:.3g}" for bound in (low, high)) + "]"


def _beyond(row: pd.Series) -> str:
    if not row.extrapolated or row.multiplier == INFINITE:
        return ""
    return f" (this extrapolates, to {row.reach:.3g} times the largest measured)"


def with_teacher(row: pd.Series) -> str:
    """The multiplier of a row of compute with its interval, teachers' compute counted."""
    names = ["with_teacher", "with_teacher_low", "with_teacher_high"]
    with_it, low, high = (float(value) for value in row[names].fillna(INFINITE))
    return "no bound" if with_it == INFINITE else f"{with_it:.3g} {_interval(low, high)}"


def has_teachers(rows: pd.DataFrame) -> pd.Series:
    """Which rows of multipliers a teacher changes: the variant's own, or the first's."""
    apart = (rows.with_teacher.astype(float) - rows.multiplier.astype(float)).abs()
    return (rows.teacher_flops > 0) | (apart > 1e-6 * rows.multiplier.astype(float))


def _listed(names: pd.Index) -> str:
    return ", ".join(map(str, names))


def _is_are(rows: pd.DataFrame) -> str:
    return "is" if len(rows) == 1 else "are"
