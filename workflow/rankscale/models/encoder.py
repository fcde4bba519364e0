"""What every encoder is to a ranker, whoever made it."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn


class Encoder(nn.Module, ABC):
    """Called on packed texts, gives states float [tokens, hidden].

    `config` is what determines its weights: `BertShape`, or a transformers config, whose classes have fields of their
    own; both have `hidden_size` and `vocab_size`.
    """

    config: Any

    @abstractmethod
    def checkpoint(self) -> None:
        """Compute each layer's inside again in the backward pass, to hold less."""
