"""The kinds of ranker by name: a new one is a file beside this one and a line here."""

from rankscale.models.base import Ranker
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.dual_encoder import DualEncoder

RANKERS: dict[str, type[Ranker]] = {
    "bi_encoder": BiEncoder,
    "dual_encoder": DualEncoder,
}
