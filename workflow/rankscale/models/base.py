"""What every kind of ranker is and does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from rankscale.models import model_size
from rankscale.models.encoder import Encoder
from rankscale.models.kinds.pairs import Joined
from rankscale.models.packing import Apart, Packed
from rankscale.text.token_store import TokenStore


class Ranker(nn.Module, ABC):
    """An encoder and what makes scores of its states.

    Made as `RANKERS[kind](encoder, dimension, pooling, **settings)`, a `dimension` of None leaving out the head.
    """

    kind: ClassVar[str]
    settings: Mapping[str, Any] = MappingProxyType({})  # what beside that it was made with; JSON holds it
    reads: Apart | Joined = Apart()  # a query and its passages
    is_built: ClassVar[bool] = True  # whether a training can begin with one, before its first step

    def __init__(self, encoder: Encoder, dimension: int | None, pooling: str = "mean") -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.head: nn.Module = nn.Linear(encoder.config.hidden_size, dimension) if dimension else nn.Identity()

    @classmethod
    def settings_of(cls, parameters: dict[str, Any], tokens: Path) -> dict[str, Any]:
        """What beside encoder and dimension one is made with, by the kind's own `parameters`, `pooling` among them.

        `tokens` is the folder of token ids, with their tokenizer. Raises StudyError for what that lacks.
        """
        return parameters

    @classmethod
    def longest_text(cls, query_length: int, passage_length: int) -> int:
        """Tokens of the longest text that it reads."""
        return max(query_length, passage_length)

    def as_read(self, queries: TokenStore, documents: TokenStore) -> tuple[TokenStore, TokenStore]:
        """Queries and documents with the special tokens that it reads with them."""
        return queries, documents

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
