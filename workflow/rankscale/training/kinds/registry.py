"""How each kind of ranker is trained: a new one that encodes texts to one vector each needs no line here."""

from typing import NamedTuple

from rankscale.models.base import Ranker
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.training.batch_loader import BatchLoader
from rankscale.training.kinds.token_learner import TokenLearner
from rankscale.training.learner import Learner


class Way(NamedTuple):
    """What makes the batches of a kind of ranker, and what takes steps on them."""

    loader: type[BatchLoader] = BatchLoader
    learner: type[Learner] = Learner


WAYS: dict[str, Way] = {
    LateInteraction.kind: Way(learner=TokenLearner),
}


def way_of(model: Ranker) -> Way:
    """How a ranker is trained."""
    return WAYS.get(model.kind, Way())
