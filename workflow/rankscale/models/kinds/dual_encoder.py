"""The bi-encoder whose passages have weights of their own: queries were trained on, passages were not."""

from copy import deepcopy

from rankscale.models.base import Ranker
from rankscale.models.bi_encoder import BiEncoder
from rankscale.models.encoder import Encoder


class DualEncoder(BiEncoder):
    """Two bi-encoders of one shape, itself for queries and `passages` for passages; scores are inner products.

    Its size is that of one of them: a text goes through one.
    """

    kind = "dual_encoder"
    is_built = False  # it is what a training leaves that goes on with the queries alone

    def __init__(
        self, encoder: Encoder, dimension: int | None, pooling: str = "mean", passages: BiEncoder | None = None
    ) -> None:
        super().__init__(encoder, dimension, pooling)
        self.passages = passages or BiEncoder(deepcopy(encoder), dimension, pooling)

    @classmethod
    def of(cls, queries: Ranker, passages: BiEncoder) -> "DualEncoder":
        """That of two bi-encoders of one shape, whose weights it shares."""
        dual = cls(queries.encoder, None, queries.pooling, passages)
        dual.head = queries.head
        return dual

    @property
    def passage_side(self) -> Ranker:
        """The bi-encoder of passages."""
        return self.passages
