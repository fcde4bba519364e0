"""Every contrast of a study: Rank-Entropy against the other metrics of an axis, a variant against the first.

A contrast asks whether the first realises more (better) or less (worse) of its own forecast than the second. Those of
one family, all of one axis, collection and variant, are adjusted together, by Holm's method.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from rankscale.laws.fit_tasks import Row, stream
from rankscale.laws.metric_ranking import REFERENCE
from rankscale.laws.verdicts.axis_verdicts import AxisVerdicts, number
from rankscale.laws.verdicts.contrasts import DRAWS, holm, share_differences
from rankscale.laws.verdicts.realised_gain import Gains
from rankscale.laws.verdicts.rule import LEVEL, POWER, PROVISIONAL, UNDECIDED, Verdicts, judge

BETTER, WORSE = "better", "worse"


def study_contrasts(axes: list[AxisVerdicts]) -> list[Row]:
    """Rank-Entropy against every other metric of an axis, and every variant of a study against its first one.

    `axes` are in the order of the study's variants.
    """
    rows = [row for axis in axes for row in _family(_between_metrics(axis))]

    def same(axis: AxisVerdicts) -> list:
        return [value for name, value in axis.task.key.items() if name != "variant"]

    for _, several in groupby(sorted(axes, key=same), key=same):
        first, *others = several
        for metric in first.gains:
            rows += _family(_between_variants(first, others, metric))
    return rows


def _between_metrics(axis: AxisVerdicts) -> Iterator[Row]:
    """Of one collection and variant; `metric` is empty, as two are compared."""
    for other in axis.gains if REFERENCE in axis.gains else ():
        if other != REFERENCE:
            names = {"kind": "metric", "metric": "", "first": REFERENCE, "second": other}
            yield _contrast({**axis.task.key, **names}, axis.gains[REFERENCE], axis.gains[other], axis.task.seed)


def _between_variants(first: AxisVerdicts, others: list[AxisVerdicts], metric: str) -> Iterator[Row]:
    """Of one metric; `variant` is empty, as two are compared. Only where both have the same cells and seeds."""
    for other in others:
        of_first, of_other = first.gains[metric], other.gains.get(metric)
        if of_other is None or other.task.cells.names != first.task.cells.names:
            continue
        if of_first.deviations.shape == of_other.deviations.shape:
            names = {"kind": "variant", "variant": "", "metric": metric}
            names |= {"first": first.task.key["variant"], "second": other.task.key["variant"]}
            yield _contrast({**first.task.key, **names}, of_first, of_other, first.task.seed)


def _contrast(key: Row, first: Gains, second: Gains, seed: int) -> Row:
    random = stream(seed, "contrast", key, *(str(key[name]) for name in ("variant", "kind", "first", "second")))
    result = share_differences(first, second, random, DRAWS)
    own, other = judge(first), judge(second)
    return {
        **key,
        "share_first": number(own.share[0]),
        "share_second": number(other.share[0]),
        **{name: number(getattr(result, name)[0]) for name in ("difference", "low", "high", "p")},
        "smallest_difference": number(result.smallest[0]),
        "bounded": bool(np.isfinite(result.low[0])),
        "provisional": own.provisional,
        "reason": _why_unbounded(key, own, other),
    }


def _why_unbounded(key: Row, *pair: Verdicts) -> str:
    """Which of the two has a share that the study does not bound; empty where both are bounded."""
    names = (key["first"], key["second"])
    open_ = [
        str(name) for name, one in zip(names, pair, strict=True) if not np.isfinite([one.low[0], one.high[0]]).all()
    ]
    return f"the realised share of {' and '.join(open_)} has no bound" if open_ else ""


def _family(rows: Iterator[Row]) -> list[Row]:
    """The contrasts of one family, with Holm's adjusted p and the answer that it gives."""
    family = list(rows)
    adjusted = holm([np.nan if row["p"] is None else row["p"] for row in family]) if family else np.empty(0)
    for row, p in zip(family, adjusted, strict=True):
        row["p_holm"], row["answer"] = number(p), UNDECIDED
        if p <= LEVEL:
            row["answer"] = BETTER if row["difference"] > 0 else WORSE
        elif row["bounded"]:
            row["reason"] = (
                f"a difference of {row['smallest_difference']:.2f} of the forecast would have been seen in {POWER:.0%} "
                "of such studies"
            )
        if row["provisional"]:
            row["reason"] = "; ".join(filter(None, (PROVISIONAL, row["reason"])))
    return family
