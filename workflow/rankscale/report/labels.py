"""Names and numbers in words."""

import pandas as pd

from rankscale.evaluation.decomposition import PARTS

NAMES = dict(zip(PARTS, ("Cross-entropy", "Rank-Entropy", "Rank-Score-Alignment", "Score-Uncertainty"), strict=True))


# What the run of a checkpoint searched, in words.
SEARCHED = {"full": "all documents", "pooled": "pooled documents"}


def error_text(law: str, error: float, sign: str = "") -> str:
    """An error in words; a trend's is in nats."""
    return f"{error:{sign}.3f} nats" if law == "trend" else f"{error:{sign}.1%}"


# Other metrics, in words; what is not here keeps its column's name.
OTHER_NAMES = {
    "1-mrr": "1 - MRR",
    "1-auc": "1 - AUC",
    "mean_rank": "mean rank",
    "1-ndcg_10": "1 - nDCG@10",
    "1-accuracy_1": "1 - accuracy at 1",
}


def name_of(metric: str) -> str:
    """A metric in words."""
    return NAMES.get(metric) or OTHER_NAMES.get(metric, metric)


def share(value: float | None) -> str:
    """A relative error in per cent; open where it is beyond all bounds."""
    return "open" if value is None or pd.isna(value) else f"{value:.1%}"
