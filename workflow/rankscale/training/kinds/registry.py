"""What takes steps on each kind of ranker: a new one that encodes texts to one vector each needs no line here."""

from rankscale.models.base import Ranker
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.late_interaction import LateInteraction
from rankscale.training.kinds.pair_learner import PairLearner
from rankscale.training.kinds.token_learner import TokenLearner
from rankscale.training.learner import Learner

LEARNERS: dict[str, type[Learner]] = {
    LateInteraction.kind: TokenLearner,
    CrossEncoder.kind: PairLearner,
}


def learner_of(model: Ranker) -> type[Learner]:
    """What takes steps on a ranker."""
    return LEARNERS.get(model.kind, Learner)
