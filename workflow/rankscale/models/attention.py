"""Attention over packed texts: every token to its own text only, on a GPU by torch's variable-length kernel."""

from typing import cast

import torch
from torch.nn import functional

from rankscale.models.packing import Group, Packed

NAME = "rankscale"  # under which transformers finds it


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    texts: Packed,
    first: bool = False,
    scale: float | None = None,
    causal: bool = False,
    window: int | None = None,
) -> torch.Tensor:
    """Attention [tokens, heads, d] of `query` to `key` and `value`, each [tokens, heads, d] (fewer heads in the last).

    With `first` the queries are those of each text's first token. `causal` looks back only; `window` no further than
    so many tokens, its own included.
    """
    grouped = key.shape[1] < query.shape[1]
    fast = query.is_cuda and query.dtype != torch.float32 and query.shape[2] % 8 == 0
    if fast and texts.hidden is None:
        from torch.nn.attention.varlen import varlen_attn

        longest = int(texts.lengths[0])
        edges = torch.arange(len(query) + 1, dtype=torch.int32, device=query.device) if first else texts.edges
        reach = -1 if window is None else window - 1
        window_size = (reach, 0 if causal else reach)
        output = varlen_attn(
            query,
            key,
            value,
            edges,
            texts.edges,
            1 if first else longest,
            longest,
            scale=scale,
            window_size=window_size,
            enable_gqa=grouped,
        )
        return cast(torch.Tensor, output)  # a pair only where more is asked for, which torch's annotation leaves open
    outputs = []
    for group in texts.groups(query.shape[1] * query.shape[2]):
        queries = (query[group.texts, None] if first else group.pad(query[group.tokens])).transpose(1, 2)
        keys, values = (group.pad(part[group.tokens]).transpose(1, 2) for part in (key, value))
        mask = _visible(group, causal, window, query.device) if causal or window else group.mask
        output = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=scale, enable_gqa=grouped
        )
        output = output.transpose(1, 2)
        outputs.append(output[:, 0] if first else group.unpad(output))
    return torch.cat(outputs)


def _visible(group: Group, causal: bool, window: int | None, device: torch.device) -> torch.Tensor:
    """Which positions [n or 1, 1, width, width] of a group each position may look at."""
    position = torch.arange(group.shape[1], device=device)
    distance = position[:, None] - position
    visible = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    if window:
        visible &= distance.abs() < window
    return visible[None, None] if group.mask is None else visible & group.mask


def _for_transformers(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    *,
    texts: Packed,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """`attend` as transformers' attention interface calls it: [1, heads, tokens, d] in, [1, tokens, heads, d] out."""
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    return attend(q, k, v, texts, scale=scaling, causal=causal, window=sliding_window)[None], None


def register() -> None:
    """Make it known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _for_transformers)
