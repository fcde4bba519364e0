"""Negatives that the model itself finds: the nearest passages of its queries as they are at this step."""

from typing import NamedTuple

import numpy as np
import torch

BLOCK = 1 << 24  # scores taken at once
LOW = 0xFFFFFFFF  # where the row stands in a key


class Wanted(NamedTuple):
    """A step's b queries, whose negatives are found once they are encoded, on the device unless it says otherwise.

    `positives` int64 [b] are rows of documents. Of the m pairs that are never negatives `excluded_queries` int64 [m]
    are positions in the batch, `excluded` int64 [m] rows of documents, ascending, `excluded_here` the same in NumPy.
    `examples` int64 [b], in NumPy, are positions in the subset; `epoch` and `position` are of the step.
    """

    examples: np.ndarray
    positives: torch.Tensor
    excluded_queries: torch.Tensor
    excluded: torch.Tensor
    excluded_here: np.ndarray
    epoch: int
    position: int


def nearest(queries: torch.Tensor, passages: torch.Tensor, wanted: Wanted, depth: int) -> torch.Tensor:
    """Rows int64 [b, depth] of the passages [n, d] with the greatest inner products with queries [b, d], best first.

    By exact search, ties by row; without the pairs that are never negatives, which leave each query `depth` at least.
    """
    b, n = len(queries), len(passages)
    width = max(BLOCK // b, depth)
    best = torch.empty(b, 0, dtype=torch.int64, device=queries.device)
    for start in range(0, n, width):
        scores = queries @ passages[start : start + width].T
        first, last = np.searchsorted(wanted.excluded_here, (start, start + width))
        scores[wanted.excluded_queries[first:last], wanted.excluded[first:last] - start] = -torch.inf
        both = torch.cat([best, _keys(scores, start)], dim=1)
        best = both.topk(min(depth, both.shape[1]), dim=1, largest=False).values
    return best.sort(dim=1).values & LOW


def _keys(scores: torch.Tensor, start: int) -> torch.Tensor:
    """int64 [b, n] that sort by falling score float32 [b, n], then by rising row, the first of which is `start`."""
    bits = (scores + 0.0).view(torch.int32)  # + 0 makes -0 a plain 0
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    rows = torch.arange(start, start + scores.shape[1], device=scores.device)
    return (~rising).long() << 32 | rows
