"""What scores for each kind of ranker: a new one that gives a text one vector needs no line here."""

import numpy as np

from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.search.scorers.base import Scorer, Texts
from rankscale.search.scorers.pairs import PairScorer
from rankscale.search.scorers.tokens import TokenScorer
from rankscale.search.scorers.vectors import VectorScorer

SCORERS: dict[str, type[Scorer]] = {
    LateInteraction.kind: TokenScorer,
    CrossEncoder.kind: PairScorer,
}


def make_scorer(texts: Texts, rows: np.ndarray) -> Scorer:
    """The scorer of a model, of the queries at `rows` int64 [q]."""
    return SCORERS.get(texts.model.kind, VectorScorer)(texts, rows)


def searches(kind: str) -> bool:
    """Whether a kind of ranker can search; it reranks where it cannot."""
    return SCORERS.get(kind, VectorScorer).searches
