"""Names and numbers in words."""

import pandas as pd

from rankscale.core.metrics import metric_named
from rankscale.evaluation.score_options import RERANKED


def searched_words(retrieval: str) -> str:
    """What the run of a checkpoint searched, in words."""
    if retrieval.startswith(RERANKED):
        return f"the miner's first {retrieval.removeprefix(RERANKED)} reranked"
    return {"full": "all documents", "pooled": "pooled documents"}[retrieval]


def name_of(metric: str) -> str:
    """A metric in words."""
    return metric_named(metric).label


def in_figure(text: str) -> str:
    """A text as figures print it: between two dollar signs they would read mathematics."""
    return text.replace("$", r"\$")


def error_text(signed: bool, error: float, sign: str = "") -> str:
    """An error in words; that of a metric that may be negative is in nats."""
    return f"{error:{sign}.3f} nats" if signed else f"{error:{sign}.1%}"


def share(value: float | None) -> str:
    """A relative error in per cent; open where it is beyond all bounds."""
    return "open" if value is None or pd.isna(value) else f"{value:.1%}"
