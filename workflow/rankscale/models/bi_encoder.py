"""The ranking model: a transformer encoder, pooled, a linear head; scores are inner products."""

import torch
from torch import nn

from rankscale.models.bert import Bert
from rankscale.models.packing import Packed


class BiEncoder(nn.Module):
    """Encodes queries and passages alike: packed texts to vectors [n, dimension]."""

    def __init__(self, encoder: nn.Module, dimension: int | None, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head = nn.Linear(encoder.config.hidden_size, dimension) if dimension else nn.Identity()

    def forward(self, texts: Packed) -> torch.Tensor:
        """Vectors of the texts, in the order in which they were asked for."""
        if self.pooling == "mean":
            pooled = texts.mean(self.encoder(texts))
        elif isinstance(self.encoder, Bert):
            pooled = self.encoder.first(texts)
        else:
            pooled = self.encoder(texts)[texts.starts]
        return self.head(pooled.index_select(0, texts.back))
