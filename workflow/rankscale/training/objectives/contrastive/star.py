"""STAR: pairs of a positive with every other passage of the batch, each pair alike."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets, positive_scores


@dataclass(frozen=True)
class STAR(Objective):
    """The mean of log(1 + e^(s_j - s+)) over all pairs of a batch: query and any passage that is not judged for it.

    Those are the other queries' positives and everyone's mined negatives, so that the two kinds weigh as there are
    pairs of them. Zhan et al., Optimizing Dense Retrieval Model Training with Hard Negatives (arXiv 2104.08051).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"in_batch", "whole_batch"})

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]: a query's share, whose mean is that of the pairs."""
        negatives = targets.negatives(scores.shape[1])
        pairs = functional.softplus(scores - positive_scores(scores, targets)).masked_fill(~negatives, 0.0)
        return pairs.sum(1) * len(scores) / negatives.sum().clamp(min=1)

    def chance(self, columns: int) -> float:
        """log 2."""
        return math.log(2)
