"""What a study of several variants shows, in words and tables: what each is worth, and how fast its laws fall."""

import pandas as pd

from rankscale.report.best_variant import contrast_sentences, has_teachers, with_teacher
from rankscale.report.labels import name_of
from rankscale.report.verdicts import on_headline_test

THINGS = {"compute": "the compute", "data": "the data", "parameters": "the parameters"}
NONE = "never gets there"


def variants_section(multipliers: pd.DataFrame, exponents: pd.DataFrame, metrics: pd.DataFrame) -> str:
    """The section of the summary, as Markdown with its heading; empty where there is nothing to compare."""
    multipliers, exponents = on_headline_test(multipliers, metrics), on_headline_test(exponents, metrics)
    if multipliers.empty:
        return ""
    first = multipliers["first"].iloc[0]
    sentences = "\n".join(f"- {sentence}" for sentence in multiplier_sentences(multipliers))
    parts = [
        f"""## Which way to train scales best

What another way is worth over {first}, from the laws of both, by {name_of(multipliers.metric.iloc[0])}:

{sentences}

A multiplier says how many times as much {first} needs for the value of the other's law at its best measured cell: \
compute at the same ratio of size to data, data at the same size, parameters on the same data. One form of law serves \
all, the one of the lowest AICc over all variants; intervals are of both laws in the same simulated studies (same \
queries, cells and seeds). "Reach" is how far beyond {first}'s largest its end lies: more than 1 is extrapolated. All \
tables and sentences elsewhere on this page are of {first}.

{multiplier_table(multipliers).to_markdown(index=False, disable_numparse=True)}"""
    ]
    if len(exponents):
        contrasts = "\n".join(f"- {sentence}" for sentence in contrast_sentences(exponents))
        parts.append(
            f"""How fast the laws of all cells fall, in parameters (alpha) and training queries (beta), and to which \
floor (delta); in brackets 95 % intervals, differences to {first} paired by simulated study.

{contrasts}

{exponent_table(exponents).to_markdown(index=False, disable_numparse=True)}"""
        )
    return "\n\n".join(parts) + "\n"


def multiplier_sentences(multipliers: pd.DataFrame) -> list[str]:
    """One sentence a variant, by the first metric there is, the one worth most first; of one test set."""
    if multipliers.empty:
        return []
    rows = multipliers[multipliers.metric == multipliers.metric.iloc[0]]
    worth = rows[rows.kind == "compute"].set_index("variant")
    # What the first never reaches is worth most; what has no law, least.
    order = (
        worth.multiplier.fillna(float("inf")).where(worth.own.notna(), -1.0).sort_values(ascending=False, kind="stable")
    )
    return [_sentence(rows[rows.variant == name].set_index("kind")) for name in order.index]


def _sentence(rows: pd.DataFrame) -> str:
    row = rows.loc["compute"]
    if pd.isna(row.own):
        return f"{row.variant}: cannot be told ({row.note})."
    goal = f"to be as good as {row.variant} at its best ({row.model} on {row.train_queries:,} queries)"
    parts = [f"{_times(rows.loc[kind], thing)}" for kind, thing in THINGS.items() if pd.notna(rows.multiplier[kind])]
    text = (
        f"{row['first']} needs {', '.join(parts)} {goal}"
        if parts
        else f"{row['first']} never gets as good as {row.variant} by its law"
    )
    unreached = [thing for kind, thing in THINGS.items() if pd.isna(rows.multiplier[kind])]
    if parts and unreached:
        text += f"; more of {' or '.join(unreached)} alone never gets it there"
    text += f". {_standing(row)}"
    if has_teachers(rows)["compute"]:
        text += f" With teachers' compute counted it is {with_teacher(row)} times."
    if row.out_of_reach > 0:
        text += f" In {row.out_of_reach:.0%} of simulated studies it never gets there."
    return text + (f" Beware: {row.note}." if row.note else "")


def _times(row: pd.Series, thing: str) -> str:
    return f"{row.multiplier:.3g} times {thing} {_bounds(row.low, row.high)}"


def _bounds(low: float, high: float) -> str:
    return "[" + ", ".join("no bound" if pd.isna(bound) else f"{bound:.3g}" for bound in (low, high)) + "]"


def _standing(row: pd.Series) -> str:
    """Whether compute tells the two apart, and whether that lies beyond what was measured."""
    low, high = (float("inf") if pd.isna(bound) else bound for bound in (row.low, row.high))
    if low > 1:
        text = "It is better"
    elif high < 1:
        text = "It is worse"
    else:
        text = "The two cannot be told apart"
    beyond = "an unknown number of" if pd.isna(row.reach) else f"{row.reach:.3g}"
    return text + (f"; this extrapolates, to {beyond} times the largest measured." if row.extrapolated else ".")


def multiplier_table(multipliers: pd.DataFrame) -> pd.DataFrame:
    """One row a metric, variant and kind."""
    rows = []
    for row in multipliers.itertuples():
        has_law = pd.notna(row.own)
        times = "-" if not has_law else NONE if pd.isna(row.multiplier) else f"{row.multiplier:.3g}"
        reach = "-" if not has_law else NONE if pd.isna(row.reach) else f"{row.reach:.3g}"
        shown = {
            "metric": name_of(row.metric),
            "variant": row.variant,
            "best cell": f"{row.model} on {row.train_queries:,}",
            "of": row.kind,
            "multiplier": f"{times} {_bounds(row.low, row.high)}" if has_law else times,
            "reach": reach,
            "law": row.law if has_law else f"none: {row.note}",
        }
        if has_teachers(multipliers).any():
            with_teacher = _bounds(row.with_teacher_low, row.with_teacher_high)
            shown["teachers counted"] = f"{row.with_teacher:.3g} {with_teacher}" if has_law else "-"
        rows.append(shown)
    return pd.DataFrame(rows)


def exponent_table(exponents: pd.DataFrame) -> pd.DataFrame:
    """One row a metric and variant: each parameter with its interval, and its difference to the first variant's."""
    rows = []
    for (metric, variant), own in exponents.groupby(["metric", "variant"], sort=False):
        row = {"metric": name_of(str(metric)), "variant": variant, "law": own.law.iloc[0]}
        for one in own.itertuples():
            row[one.parameter] = f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"
            if pd.notna(one.difference):
                bounds = f"[{one.difference_low:+.3f}, {one.difference_high:+.3f}]"
                row[f"{one.parameter}, difference"] = f"{one.difference:+.3f} {bounds}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")
