"""A BERT encoder that computes no padding and imports in a blink; its weights are named as transformers names them.

The same function as `transformers.BertModel` without pooler and dropout (a test compares them), for a ladder of
hundreds of small runs: padding is left out of all but the attention, and query, key and value are one product.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

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

    def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """States [tokens, hidden] of token ids and positions [tokens]; all of the first type."""
        summed = self.word_embeddings(ids) + self.position_embeddings(positions) + self.token_type_embeddings.weight[0]
        return self.LayerNorm(summed)


class Layer(nn.Module):
    """Self-attention and feed-forward, each with a residual and a normalisation after it."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        h, inner = shape.hidden_size, shape.intermediate_size
        self.heads = shape.num_attention_heads
        linear = {name: nn.Linear(h, h) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(linear), "output": _output(h, h, shape)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(h, inner)})
        self.output = _output(inner, h, shape)

    def forward(self, states: torch.Tensor, packing: "Packing", first: bool = False) -> torch.Tensor:
        """States [tokens, hidden] to the next layer's; with `first`, only to those of each text's first token."""
        out = self.attention["output"]
        if first:
            key, value = self._projected(states, "key", "value", packing=packing)
            states = states.index_select(0, packing.starts)
            (query,) = self._projected(states[:, None], "query")
        else:
            query, key, value = self._projected(states, "query", "key", "value", packing=packing)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=packing.mask)
        mixed = mixed.transpose(1, 2).flatten(2)
        mixed = mixed[:, 0] if first else packing.pack(mixed)
        states = out["LayerNorm"](out["dense"](mixed) + states)
        inner = functional.gelu(self.intermediate["dense"](states))
        return self.output["LayerNorm"](self.output["dense"](inner) + states)

    def _projected(
        self, states: torch.Tensor, *names: str, packing: "Packing | None" = None
    ) -> tuple[torch.Tensor, ...]:
        """Query, key or value [n, heads, width, hidden / heads] of states, in one product; packed ones are unpacked."""
        parts = [self.attention["self"][name] for name in names]
        weight, bias = (torch.cat([getattr(p, kind) for p in parts]) for kind in ("weight", "bias"))
        joint = functional.linear(states, weight, bias)
        joint = packing.unpack(joint) if packing else joint
        n, width = joint.shape[:2]
        return joint.view(n, width, len(names), self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


class Packing:
    """Where the tokens of a padded batch lie when the padding is left out."""

    def __init__(self, lengths: torch.Tensor, width: int) -> None:
        self.inside = torch.arange(width, device=lengths.device) < lengths[:, None]
        self.shape = self.inside.shape
        self.full = bool(self.inside.all())
        self.starts = lengths.cumsum(0) - lengths  # where each text's first token lies
        # A mask costs attention its fastest path, so there is one only where something is masked.
        self.mask = None if self.full else self.inside[:, None, None, :]
        self.places = None if self.full else self.inside.reshape(-1).nonzero()[:, 0]

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """[n, width, ...] to [tokens, ...]."""
        flat = padded.reshape(-1, *padded.shape[2:])
        return flat if self.full else flat.index_select(0, self.places)

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """[tokens, ...] to [n, width, ...], zero where there is no token."""
        if not self.full:
            empty = packed.new_zeros(self.shape.numel(), *packed.shape[1:])
            packed = empty.index_copy(0, self.places, packed)
        return packed.view(*self.shape, *packed.shape[1:])


class Bert(nn.Module):
    """The encoder: padded ids [n, width] and lengths [n] to states [n, width, hidden], zero at padding."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.config = shape
        self.embeddings = Embeddings(shape)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))})
        self.apply(_initialise)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """States float [n, width, hidden] of ids int64 [n, width]."""
        packing = Packing(lengths, ids.shape[1])
        states = self._embedded(ids, packing)
        for layer in self.encoder["layer"]:
            states = layer(states, packing)
        return packing.unpack(states)

    def first(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """States float [n, hidden] of the first tokens: the last layer computes no others."""
        packing = Packing(lengths, ids.shape[1])
        states = self._embedded(ids, packing)
        *lower, last = self.encoder["layer"]
        for layer in lower:
            states = layer(states, packing)
        return last(states, packing, first=True)

    def _embedded(self, ids: torch.Tensor, packing: Packing) -> torch.Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        return self.embeddings(packing.pack(ids), packing.pack(positions))


def _output(width: int, hidden: int, shape: BertShape) -> nn.ModuleDict:
    norm = nn.LayerNorm(hidden, eps=shape.layer_norm_eps)
    return nn.ModuleDict({"dense": nn.Linear(width, hidden), "LayerNorm": norm})


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STANDARD_DEVIATION)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
