"""What every kind of ranker is and does."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from rankscale.models import model_size
from rankscale.models.encoder import Encoder
from rankscale.models.packing import Packed


class Ranker(nn.Module, ABC):
    """An encoder and what makes scores of its states.

    Made as `RANKERS[kind](encoder, dimension, pooling)`, a `dimension` of None leaving out the head.
    """

    kind: ClassVar[str]
    is_built: ClassVar[bool] = True  # whether a training can begin with one, before its first step

    def __init__(self, encoder: Encoder, dimension: int | None, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head = nn.Linear(encoder.config.hidden_size, dimension) if dimension else nn.Identity()

    @abstractmethod
    def forward(self, texts: Packed) -> torch.Tensor:
        """The n texts encoded, float [n, ...], in the order in which they were asked for."""

    @abstractmethod
    def score(self, queries: torch.Tensor, passages: torch.Tensor, in_batch: bool) -> torch.Tensor:
        """Scores of encoded queries [b, ...] against encoded passages [b, k, ...]: each query's own, or all.

        Float [b, k] or, with `in_batch`, [b, b k].
        """

    @property
    def query_side(self) -> "Ranker":
        """What encodes queries."""
        return self

    @property
    def passage_side(self) -> "Ranker":
        """What encodes passages: the same, but where the two have weights of their own."""
        return self

    @cached_property
    def parameters_by_part(self) -> dict[str, int]:
        """How many parameters its encoder, head and embeddings have."""
        return model_size.parameters_by_part(self)

    @property
    def shape(self) -> tuple[int, int]:
        """Layers (0 where the encoder does not say) and hidden size."""
        config = self.encoder.config
        return getattr(config, "num_hidden_layers", 0), config.hidden_size

    def training_flops(self, lengths: np.ndarray) -> float:
        """FLOPs of training on texts of `lengths` tokens, int64 [n]."""
        return model_size.training_flops(lengths, self.parameters_by_part, *self.shape)
