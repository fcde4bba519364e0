"""The cross-encoder: a query and a passage as one text, pooled, and one score.

Nogueira and Cho, Passage Re-ranking with BERT (arXiv 1901.04085).
"""

from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from rankscale.models.base import Ranker
from rankscale.models.encoder import Encoder
from rankscale.models.kinds import vocabulary
from rankscale.models.kinds.pairs import Joined, PairFrame
from rankscale.models.kinds.pooling import pooled_states
from rankscale.models.packing import Packed


class CrossEncoder(Ranker):
    """Scores pairs, joined as `frame` says (fields of PairFrame by name).

    The score is a linear map of the pooled state or, with `hidden_head`, of tanh of another as wide as the encoder, as
    BERT's pooler and classifier are. `dimension` is other kinds'.
    """

    kind = "cross_encoder"

    def __init__(
        self,
        encoder: Encoder,
        dimension: int | None,
        pooling: str = "cls",
        *,
        frame: dict[str, Any],
        hidden_head: bool = False,
    ) -> None:
        super().__init__(encoder, None, pooling)
        width = encoder.config.hidden_size
        score = nn.Linear(width, 1)
        self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh(), score) if hidden_head else score
        self.settings = {"frame": frame, "hidden_head": hidden_head}
        self.frame = PairFrame(**frame)
        self.reads = Joined(self.frame)

    @classmethod
    def settings_of(cls, parameters: dict[str, Any], tokens: Path) -> dict[str, Any]:
        """What one is made with: how the tokenizer joins two texts, too."""
        return {**parameters, "frame": vocabulary.pair_frame(tokens)}

    @classmethod
    def longest_text(cls, query_length: int, passage_length: int) -> int:
        """Tokens of the longest pair; some fewer where the two share their special tokens."""
        return query_length + passage_length

    def forward(self, texts: Packed) -> torch.Tensor:
        """Scores float [n, 1] of pairs, in the order in which they were given."""
        return self.head(pooled_states(self.encoder, texts, self.pooling))

    def score(self, queries: torch.Tensor, passages: torch.Tensor, in_batch: bool) -> NoReturn:
        """There is nothing between a pair and its score."""
        raise TypeError("a cross-encoder has no queries and passages apart from each other")
