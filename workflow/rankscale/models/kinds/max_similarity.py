"""The score of late interaction: each query token's largest similarity to a passage's tokens, summed."""

from typing import NamedTuple

import torch


class TokenVectors(NamedTuple):
    """Token vectors of texts, padded to the longest: float [.., tokens, d], and which of them count, bool [.., tokens].

    Each text has one that counts.
    """

    vectors: torch.Tensor
    counted: torch.Tensor


def own_scores(queries: TokenVectors, passages: TokenVectors) -> torch.Tensor:
    """Scores [b, k] of queries [b, s, d] with passages [b, k, t, d] of their own."""
    b, k, t, d = passages.vectors.shape
    similarities = queries.vectors @ passages.vectors.reshape(b, k * t, d).transpose(1, 2)  # [b, s, k t]
    return _summed(similarities.view(b, -1, k, t), passages.counted[:, None], queries.counted)


def all_scores(queries: TokenVectors, passages: TokenVectors) -> torch.Tensor:
    """Scores [b, n] of queries [b, s, d] with each of the passages [n, t, d]."""
    b, s, d = queries.vectors.shape
    n, t, _ = passages.vectors.shape
    similarities = queries.vectors.reshape(b * s, d) @ passages.vectors.reshape(n * t, d).T
    return _summed(similarities.view(b, s, n, t), passages.counted[None, None], queries.counted)


def _summed(similarities: torch.Tensor, counted: torch.Tensor, in_query: torch.Tensor) -> torch.Tensor:
    """Scores [b, n] of similarities [b, s, n, t], of the passages' tokens that count, and the query's [b, s]."""
    best = similarities.masked_fill(~counted, -torch.inf).max(-1).values  # [b, s, n]
    return best.masked_fill(~in_query[:, :, None], 0.0).sum(1)


def pad_tokens(flat: torch.Tensor, places: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Token vectors [tokens, d] at their `places` int64 [tokens] of an array [n, width, d], zero elsewhere."""
    n, width = shape
    return flat.new_zeros(n * width, flat.shape[1]).index_copy(0, places, flat).view(n, width, -1)
