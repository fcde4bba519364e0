"""A BERT encoder that computes no padding and imports in a blink; its weights are named as transformers names them.

The same function as `transformers.BertModel` without pooler and dropout (a test compares them), for a ladder of
hundreds of small runs: padding is left out of all but the attention, and query, key and value are one product.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from rankscale.models.attention import attend
from rankscale.models.encoder import Encoder
from rankscale.models.packing import Packed

STANDARD_DEVIATION = 0.02  # of a new weight, as in the BERT paper's code


class BertShape(NamedTuple):
    """What determines a BERT encoder's weights; the field names are those of a transformers config."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    model_type: str = "bert"


class Embeddings(nn.Module):
    """Sum of word, position and type embeddings, normalised."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.token_type_embeddings = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        """States [tokens, hidden] of token ids, positions and types [tokens]; without types all of the first."""
        of_types = self.token_type_embeddings
        of_type = of_types.weight[0] if types is None else of_types(types.clamp(max=of_types.num_embeddings - 1))
        return self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings(positions) + of_type)


class Output(nn.Module):
    """A linear map, then the residual and the normalisation."""

    def __init__(self, width: int, hidden: int, shape: BertShape) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=shape.layer_norm_eps)

    def forward(self, inside: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """States [tokens, hidden] of what is computed inside [tokens, width] and the states before it."""
        return self.LayerNorm(self.dense(inside) + states)


class Attention(nn.Module):
    """The weights of self-attention."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        h = shape.hidden_size
        self.self = nn.ModuleDict({name: nn.Linear(h, h) for name in ("query", "key", "value")})
        self.output = Output(h, h, shape)


class Layer(nn.Module):
    """Self-attention and feed-forward, each with a residual and a normalisation after it."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        h, inner = shape.hidden_size, shape.intermediate_size
        self.heads = shape.num_attention_heads
        self.attention = Attention(shape)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(h, inner)})
        self.output = Output(inner, h, shape)

    def forward(self, states: torch.Tensor, texts: Packed, first: bool = False) -> torch.Tensor:
        """States [tokens, hidden] to the next layer's; with `first`, only to those of each text's first token."""
        if first:
            key, value = self._projected(states, "key", "value")
            states = states.index_select(0, texts.starts)
            (query,) = self._projected(states, "query")
            attended = attend(query, key, value, texts, first=True)
        else:
            query, key, value = self._projected(states, "query", "key", "value")
            attended = attend(query, key, value, texts)
        states = self.attention.output(attended.flatten(1), states)
        inner = functional.gelu(self.intermediate["dense"](states))
        return self.output(inner, states)

    def _projected(self, states: torch.Tensor, *names: str) -> tuple[torch.Tensor, ...]:
        """Query, key or value [tokens, heads, hidden / heads] of states [tokens, hidden], in one product."""
        parts = [self.attention.self[name] for name in names]
        weight, bias = (torch.cat([getattr(p, kind) for p in parts]) for kind in ("weight", "bias"))
        return functional.linear(states, weight, bias).view(len(states), len(names), self.heads, -1).unbind(1)


class Layers(nn.Module):
    """All layers, the first one first."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))


class Bert(Encoder):
    """The encoder: packed texts to states [tokens, hidden]."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.config = shape
        self.checkpointing = False
        self.embeddings = Embeddings(shape)
        self.encoder = Layers(shape)
        self.apply(_initialise)

    def checkpoint(self) -> None:
        """Compute each layer's inside again in the backward pass, to hold less."""
        self.checkpointing = True

    def forward(self, texts: Packed) -> torch.Tensor:
        """States float [tokens, hidden]."""
        states = self.embeddings(texts.ids, texts.positions, texts.types)
        for layer in self.encoder.layer:
            if self.checkpointing:
                states = checkpoint(layer, states, texts, use_reentrant=False)
            else:
                states = layer(states, texts)
        return states

    def first(self, texts: Packed) -> torch.Tensor:
        """States float [n, hidden] of the first tokens: the last layer computes no others."""
        states = self.embeddings(texts.ids, texts.positions, texts.types)
        *lower, last = self.encoder.layer
        for layer in lower:
            states = layer(states, texts)
        return last(states, texts, first=True)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STANDARD_DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
