"""The answer of a study in sentences to quote, from its verdicts and contrasts."""

import pandas as pd

from rankscale.core.metrics import CALIBRATED, PARTS
from rankscale.laws.metric_ranking import REFERENCE
from rankscale.laws.verdicts.rule import KEEPS_IMPROVING, UNDECIDED
from rankscale.laws.verdicts.study_contrasts import BETTER
from rankscale.report.labels import name_of
from rankscale.report.verdicts import JUDGED, PROVISIONAL, slice_words, verdict_words, what_would_decide, why_undecided

OVER = {"model": "model size", "data": "training queries"}
RIVALS = (PARTS[0], CALIBRATED)  # whom the claim is tested against
# What the claim says does not scale.
OTHERS = (*RIVALS, *(part for part in PARTS[1:] if part != REFERENCE))
QUOTED = (*RIVALS, "1-mrr")  # whose verdicts stand beside Rank-Entropy's in the answer


def answer_sentences(verdicts: pd.DataFrame, contrasts: pd.DataFrame) -> list[str]:
    """Three sentences to quote on the headline's rows: one an axis, and what becomes of the claim."""
    sentences = [_axis_sentence(verdicts[verdicts.axis == axis], OVER[axis]) for axis in JUDGED]
    claims = {axis: claim_sentence(verdicts, contrasts, axis) for axis in JUDGED}
    if len(set(claims.values())) == 1:
        return [*sentences, f'The claim "only Rank-Entropy scales", on both axes: {claims["model"]}.']
    by_axis = "; ".join(f"over {OVER[axis]}, {claim}" for axis, claim in claims.items())
    return [*sentences, f'The claim "only Rank-Entropy scales": {by_axis}.']


def _axis_sentence(rows: pd.DataFrame, over: str) -> str:
    if rows.empty:
        return f"Over {over} no metric was judged."
    first, by_metric = rows.iloc[0], rows.set_index("metric")
    ahead = "one held out" if first.cells_held_out == 1 else f"{first.cells_held_out} held out"
    seeds = "one seed" if first.seeds == 1 else f"{first.seeds} seeds"
    text = f"Over {over} ({slice_words(first.fixed)}; {first.cells_known} cells known, {ahead}, {seeds})"
    if REFERENCE in by_metric.index:
        own = by_metric.loc[REFERENCE]
        text += f", Rank-Entropy: {verdict_words(own)}{_gain_words(own)}"
    groups: dict[str, list[str]] = {}
    for metric in QUOTED:
        if metric in by_metric.index:
            row = by_metric.loc[metric]
            groups.setdefault(row.verdict + (PROVISIONAL if row.provisional else ""), []).append(name_of(metric))
    return "; ".join([text, *(f"{words}: {', '.join(names)}" for words, names in groups.items())]) + "."


def _gain_words(row: pd.Series) -> str:
    if pd.isna(row.realised_gain):
        return ""
    spread = "" if pd.isna(row.gain_low) else f" [{row.gain_low:.3g}, {row.gain_high:.3g}]"
    forecast = "" if pd.isna(row.predicted_gain) else f", {row.predicted_gain:.3g} forecast"
    # The interval has two sides, the verdict one: it may hold 0 where the gain is above it.
    above = "" if pd.isna(row.p_improving) else f"; one-sided p {row.p_improving:.2g}"
    return f" (gain {row.realised_gain:.3g}{spread} nats{forecast}{above})"


def confidence_sentences(verdicts: pd.DataFrame, contrasts: pd.DataFrame) -> list[str]:
    """How sure the answer is, a sentence an axis: Rank-Entropy's verdict made otherwise, and beside its rivals'."""
    sentences = []
    for axis in JUDGED:
        own = verdicts[(verdicts.axis == axis) & (verdicts.metric == REFERENCE)].dropna(subset="same")
        rivals = _rival_rows(contrasts, axis)
        parts = [f"Rank-Entropy's verdict is {stability_words(own.iloc[0])}"] if len(own) else []
        if rivals:
            parts.append(f"of how much of its own forecast it realises, it {_rivals_words(rivals)}")
        if parts:
            sentences.append(f"Over {OVER[axis]}, {'; '.join(parts)}.")
    return sentences


def open_verdicts(verdicts: pd.DataFrame) -> list[str]:
    """What would decide each undecided verdict of the headline's rows, a sentence each."""
    rows = verdicts[(verdicts.verdict == UNDECIDED) & verdicts.axis.isin(JUDGED)]
    return [
        f"{name_of(row.metric)} over {OVER[row.axis]} ({slice_words(row.fixed)}): {what_would_decide(row)}."
        for _, row in rows.iterrows()
    ]


def stability_words(row: pd.Series) -> str:
    """How far a verdict would have come out otherwise; empty where nothing tells."""
    if pd.isna(row.same):
        return ""
    text = f"the same in {row.same:.0%} of studies simulated around this one"
    if pd.notna(row.seeds_agreeing):
        text += f", on {row.seeds_agreeing:.0f} of {row.seeds} seeds alone"
    text += f", without one cell in {row.cells_left_out_agreeing:.0f} of {row.cells_left_out:.0f} cases"
    return text + (f" (another without {row.turned_by})" if row.turned_by else "")


def _rival_rows(contrasts: pd.DataFrame, axis: str) -> list[pd.Series]:
    rows = contrasts[(contrasts.axis == axis) & (contrasts["first"] == REFERENCE)]
    return [rows[rows.second == rival].iloc[0] for rival in RIVALS if (rows.second == rival).any()]


def _rivals_words(rows: list[pd.Series]) -> str:
    if not any(row.bounded for row in rows):
        names = " and ".join(name_of(row.second) for row in rows)
        return f"cannot be compared with {names}, for want of shares with a bound"
    return " and ".join(_contrast_words(row) for row in rows)


def _contrast_words(row: pd.Series) -> str:
    other = name_of(row.second)
    if not row.bounded:
        why = why_undecided(row).rpartition("; ")[2]
        return f"cannot be compared with {other} ({why})"
    numbers = f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}], adjusted p {row.p_holm:.2g}"
    if row.answer == UNDECIDED:
        numbers += f"; {row.smallest_difference:.2f} would have been seen"
        return f"cannot be told from {other} ({numbers})"
    return f"realises {'more' if row.answer == BETTER else 'less'} of it than {other} does of its own ({numbers})"


def claim_sentence(verdicts: pd.DataFrame, contrasts: pd.DataFrame, axis: str) -> str:
    """Whether "only Rank-Entropy scales" shows on one axis of the headline, in a sentence.

    It is refuted by another metric that keeps improving, and supported only by contrasts: that one verdict is a yes and
    another undecided is no difference between the two.
    """
    rows = verdicts[verdicts.axis == axis].set_index("metric")
    if REFERENCE not in rows.index:
        return "undecided: Rank-Entropy was not judged"
    own = rows.loc[REFERENCE]
    if own.verdict != KEEPS_IMPROVING:
        why = f": {own.reason}" if own.reason else ""
        return (
            f"{UNDECIDED}{why}" if own.verdict == UNDECIDED else "does not hold here: Rank-Entropy no longer improves"
        )
    provisional = PROVISIONAL if own.provisional else ""
    others = [metric for metric in OTHERS if metric in rows.index]
    going = [name_of(metric) for metric in others if rows.verdict[metric] == KEEPS_IMPROVING]
    if going:
        keep = "keeps" if len(going) == 1 else "keep"
        return f"does not hold here: {' and '.join(going)} {keep} improving too{provisional}"
    answers = contrasts[(contrasts.axis == axis) & (contrasts["first"] == REFERENCE)].set_index("second").answer
    alike = [name_of(metric) for metric in others if answers.get(metric) != BETTER]
    if alike:
        return f"undecided: Rank-Entropy keeps improving, but is not told apart from {', '.join(alike)}{provisional}"
    return f"holds here: Rank-Entropy realises more of its forecast than all others{provisional}"
