"""The bi-encoder: a transformer encoder, pooled, a linear head; scores are inner products."""

import torch

from rankscale.models.base import Ranker
from rankscale.models.kinds.pooling import pooled_states
from rankscale.models.packing import Packed


class BiEncoder(Ranker):
    """Encodes queries and passages alike: packed texts to vectors [n, dimension]."""

    kind = "bi_encoder"

    def forward(self, texts: Packed) -> torch.Tensor:
        """Vectors float [n, dimension] of the texts, in the order in which they were asked for."""
        return self.head(pooled_states(self.encoder, texts, self.pooling))

    def score(self, queries: torch.Tensor, passages: torch.Tensor, in_batch: bool) -> torch.Tensor:
        """Inner products of queries [b, d] and passages [b, k, d]."""
        if in_batch:
            return queries @ passages.flatten(0, 1).T
        return torch.einsum("bd,bkd->bk", queries, passages)
