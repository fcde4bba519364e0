"""How a study's findings stand on its other test sets: the laws' exponents, what is lost, and the verdicts there."""

import pandas as pd

from rankscale.core.metric import COMPLEMENT
from rankscale.core.metrics import CALIBRATED, metric_named
from rankscale.laws.axes import headline_slice
from rankscale.laws.transfer.transfer_laws import DROPS, NO_LAW
from rankscale.report.labels import name_of
from rankscale.report.verdicts import JUDGED, at_home, on_headline_test, verdict_words

SHOWN = ("rank_entropy", CALIBRATED, "1-mrr")
OVER = {"alpha": "model size", "beta": "training queries"}


def transfers_section(metrics: pd.DataFrame, verdicts: pd.DataFrame, transfers: pd.DataFrame | None) -> str:
    """The laws and verdicts of every other test set beside the headline's; empty where there is none."""
    if not others_evaluated(metrics):
        return ""
    words = transfer_sentences(transfers, metrics) if transfers is not None else []
    answer = "\n".join(f"- {sentence}" for sentence in words)
    shown = "" if transfers is None else transfer_table(transfers, metrics)
    verdict_rows = verdicts_by_test_set(metrics, verdicts).to_markdown(index=False, disable_numparse=True)
    return f"""## On other test sets

Nothing was trained on these. The same models are evaluated as on the study's own test set, against candidates of \
their own; laws, forecasts and verdicts are their own too. Exponents are those of one form of law for both, with \
intervals and differences from the same simulated studies. The drop is the share of MRR (over the candidates) or \
nDCG@10 that is missing beside the study's own test set, by the two laws; test sets differ in how hard they are, so \
its change says more than its size.

{answer}

{shown}{verdict_rows}

"""


def _of_headline(transfers: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first variant and the headline's kind of candidates, which some test sets may lack."""
    kind = on_headline_test(metrics, metrics).candidates.iloc[0]
    return transfers[(transfers.variant == metrics.variant.iloc[0]) & (transfers.candidates == kind)]


def transfer_sentences(transfers: pd.DataFrame, metrics: pd.DataFrame) -> list[str]:
    """Per test set: whether Rank-Entropy's law is as steep there, and whether the drop changes with size."""
    sentences = []
    rows = _of_headline(transfers, metrics)
    for (collection, split), own in rows.groupby(["collection", "split"], sort=False):
        where = f"On {collection} ({split})"
        entropy = own[own.metric == "rank_entropy"]
        if (entropy.parameter == NO_LAW).any():
            sentences.append(f"{where} no law of Rank-Entropy can be compared: {entropy.note.iloc[0]}.")
        else:
            parts = [_exponent_words(row) for _, row in entropy[entropy.parameter.isin(OVER)].iterrows()]
            if parts:
                beware = f" Beware: {entropy.note.iloc[0]}." if entropy.note.iloc[0] else ""
                home = f"{own.home_collection.iloc[0]} ({own.home_split.iloc[0]})"
                sentences.append(f"{where}, Rank-Entropy beside {home}: {'; '.join(parts)}.{beware}")
        for metric in dict.fromkeys(own.metric):
            drops = own[(own.metric == metric) & own.parameter.isin(DROPS)].set_index("parameter")
            if len(drops):
                sentences.append(f"{where}, {_drop_words(drops, str(metric))}.")
    return sentences


def _exponent_words(row: pd.Series) -> str:
    """An exponent on both, and what the difference is worth."""
    if row.difference_low > 0:
        answer = "it falls faster there"
    elif row.difference_high < 0:
        answer = "it falls more slowly there"
    else:
        answer = "the two cannot be told apart"
    return (
        f"over {OVER[row.parameter]} ({row.parameter}) {row.estimate:.3f} [{row.low:.3f}, {row.high:.3f}], at home "
        f"{row.home_estimate:.3f} [{row.home_low:.3f}, {row.home_high:.3f}]: {answer} (difference "
        f"{row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}])"
    )


def _drop_words(drops: pd.DataFrame, metric: str) -> str:
    small, large, change = (drops.loc[name] for name in DROPS)
    if change.high < 0:
        trend = "larger models with more data lose less of it"
    elif change.low > 0:
        trend = "larger models with more data lose more of it"
    else:
        trend = "no change with size can be told"
    name = metric_named(metric.removeprefix(COMPLEMENT)).label
    return (
        f"the drop of {name} goes from {_share(small)} at the smallest cell to {_share(large)} at the largest: {trend} "
        f"(change {change.estimate * 100:+.1f} [{change.low * 100:+.1f}, {change.high * 100:+.1f}] points)"
    )


def _share(row: pd.Series) -> str:
    return f"{row.estimate:.1%} [{row.low:.1%}, {row.high:.1%}]"


def transfer_table(transfers: pd.DataFrame, metrics: pd.DataFrame) -> str:
    """One row a test set, metric and exponent or floor, in Markdown; empty where no law could be compared."""
    rows = _of_headline(transfers, metrics)
    shown = [
        {
            "test set": f"{row.collection} ({row.split})",
            "metric": name_of(row.metric),
            "law": row.law,
            "parameter": row.parameter,
            "at home": f"{row.home_estimate:.3f} [{row.home_low:.3f}, {row.home_high:.3f}]",
            "there": f"{row.estimate:.3f} [{row.low:.3f}, {row.high:.3f}]",
            "difference": f"{row.difference:+.3f} [{row.difference_low:+.3f}, {row.difference_high:+.3f}]",
        }
        for row in rows[rows.difference.notna()].itertuples()
    ]
    return f"{pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True)}\n\n" if shown else ""


def verdicts_by_test_set(metrics: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row a judged axis, metric and test set, of the first variant, over hard candidates where there are any."""
    rows = []
    verdicts = verdicts[verdicts.variant == metrics.variant.iloc[0]]
    sets = metrics[["collection", "split"]].drop_duplicates()
    for axis in JUDGED:
        for metric in SHOWN:
            for collection, split in sets.itertuples(index=False):
                own = metrics[(metrics.collection == collection) & (metrics.split == split)]
                fixed = headline_slice(axis, on_headline_test(own, own).query("checkpoint == 'final'"))
                judged = verdicts[(verdicts.axis == axis) & (verdicts.metric == metric) & (verdicts.fixed == fixed)]
                rows += [_verdict_row(row) for _, row in on_headline_test(judged, own).iterrows()]
    return pd.DataFrame(rows)


def _verdict_row(row: pd.Series) -> dict[str, str]:
    is_judged = pd.notna(row.realised_gain)
    return {
        "axis": row.axis,
        "metric": name_of(row.metric),
        "test set": f"{row.collection} ({row.split}), {row.candidates}",
        "gain forecast": f"{row.predicted_gain:.3g}" if is_judged else "-",
        "gain realised": f"{row.realised_gain:.3g} [{row.gain_low:.3g}, {row.gain_high:.3g}]" if is_judged else "-",
        "verdict": verdict_words(row),
    }


def others_evaluated(metrics: pd.DataFrame) -> str:
    """The test sets beside the headline's, in words; empty where there are none."""
    home = at_home(metrics, metrics).collection.iloc[0]
    sets = metrics[["collection", "split"]].drop_duplicates()
    names = [r.split if r.collection == home else f"{r.collection} ({r.split})" for r in sets.iloc[1:].itertuples()]
    return ", ".join(names)
