"""The kinds of ranker by name: a new one is a file and a line here."""

from rankscale.models.base import Ranker
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.kinds.cross_encoder import CrossEncoder
from rankscale.models.kinds.dual_encoder import DualEncoder
from rankscale.models.kinds.late_interaction import LateInteraction

RANKERS: dict[str, type[Ranker]] = {
    "bi_encoder": BiEncoder,
    "dual_encoder": DualEncoder,
    "late_interaction": LateInteraction,
    "cross_encoder": CrossEncoder,
}
