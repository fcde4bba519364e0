"""Slices of the queries in a table: whether what larger models gain, they gain on novel and on long queries too."""

import pandas as pd

from rankscale.laws.axes import headline_subset
from rankscale.report.labels import name_of
from rankscale.report.verdicts import headline_of

NAMES = {
    "all": "all queries",
    "length": "words of the query",
    "novelty": "likeness to training queries",
    "novelty_positive": "likeness of the positive to training positives",
    "near_duplicates": "positive nearly repeats a training positive",
}
SHOWN = ("rank_entropy", "mrr", "worst_tenth", "spread")
LABELS = {"worst_tenth": "MRR of the worst tenth", "spread": "spread of 1/rank"}


def slices_section(slices: pd.DataFrame | None, metrics: pd.DataFrame) -> str:
    """The smallest and the largest model on the headline's subset, slice by slice; empty without slices."""
    if slices is None or slices.empty:
        return ""
    finals = headline_of(metrics[metrics.checkpoint == "final"], metrics)
    finals = finals[finals.train_queries == headline_subset(finals)]
    ends = [finals.loc[getattr(finals.encoder_parameters, which)()].model for which in ("idxmin", "idxmax")]
    rows = headline_of(slices, metrics)
    rows = rows[(rows.train_queries == headline_subset(finals)) & rows.model.isin(ends)]
    table = []
    for (slicing, name), part in rows.groupby(["slicing", "slice"], sort=False):
        means = part.groupby("model")[list(SHOWN)].mean()
        cells = {"by": NAMES[slicing], "slice": name, "queries": f"{part.n_queries.iloc[0]:,}"}
        for metric in SHOWN:
            values = [means[metric].get(model) for model in dict.fromkeys(ends)]
            cells[LABELS.get(metric) or name_of(metric)] = " to ".join(f"{value:.3f}" for value in values)
        table.append(cells)
    shown = pd.DataFrame(table).to_markdown(index=False, disable_numparse=True)
    return f"""## Slices of the queries

From {ends[0]} to {ends[1]} on the largest subset, means over seeds. Thirds of the queries by each feature; likeness \
is the largest TF-IDF cosine to any training query or positive.

{shown}

"""
