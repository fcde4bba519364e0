"""Rankings that nothing was trained for, beside a study's models: their names, and rows for the tables."""

import pandas as pd

from rankscale.core.metrics import SCALE_FREE
from rankscale.report.labels import name_of, searched_words
from rankscale.report.verdicts import on_headline_test

NAMES = {"bm25": "BM25", "miner": "the miner", "untrained": "untrained", "random": "random"}


def label_of(reference: str) -> str:
    """A reference in words; a run that was made elsewhere has a name of its own."""
    return NAMES.get(reference, reference)


def headline_rows(references: pd.DataFrame | None, metrics: pd.DataFrame) -> list[dict[str, str]]:
    """Rows for the headline's table, one a reference: what is measured of it."""
    if references is None or references.empty:
        return []
    rows = []
    for row in on_headline_test(references, metrics).to_dict("records"):
        cells = {"model": label_of(row["reference"]), "N": "-", "seed": "-"}
        cells |= {name_of(name): f"{row[name]:.3f}" for name in SCALE_FREE if pd.notna(row[name])}
        if pd.notna(row["ndcg_10"]):
            cells[f"nDCG@10, {searched_words(row['retrieval'])}"] = f"{row['ndcg_10']:.3f}"
        rows.append(cells)
    return rows


def reference_sentences(references: pd.DataFrame | None, metrics: pd.DataFrame) -> list[str]:
    """What each reference is, and how the best of the study's runs compares by MRR over the same candidates."""
    if references is None or references.empty:
        return []
    finals = on_headline_test(metrics[metrics.checkpoint == "final"], metrics)
    best = finals.loc[finals.mrr.idxmax()]
    own = f"{best.model} on {best.train_queries:,} queries, the best of the study, has {best.mrr:.3f}"
    sentences = []
    for row in on_headline_test(references, metrics).itertuples():
        text = f"{label_of(row.reference)} ({row.about})"
        if pd.notna(row.mrr):
            text += f": MRR {row.mrr:.3f} over the candidates; {own}"
        if pd.notna(row.ndcg_10):
            searched = finals.dropna(subset="ndcg_10")
            models = f"; of the study's models at most {searched.ndcg_10.max():.3f}" if len(searched) else ""
            text += f"; nDCG@10 {row.ndcg_10:.3f}{models}"
        sentences.append(text + ".")
    return sentences
