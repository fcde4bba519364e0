"""The kinds of ranker by name: a new one is a file beside this one and a line here."""

from rankscale.models.base import Ranker
from rankscale.models.bi_encoder import BiEncoder

RANKERS: dict[str, type[Ranker]] = {
    "bi_encoder": BiEncoder,
}
