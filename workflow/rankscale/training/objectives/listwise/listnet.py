"""ListNet: the softmax of the scores against that of the labels."""

import math
from dataclasses import dataclass

import torch

from rankscale.training.objectives.base import Objective, Targets


@dataclass(frozen=True)
class ListNet(Objective):
    """The cross-entropy of the softmax of a query's scores to the softmax of its labels.

    Labels are `scale` for the positive and 0 for all others: with a large scale it is InfoNCE, with a small one the
    softmax is nearly flat. Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (ICML 2007), the
    probability of the first place.
    """

    scale: float = 1.0

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        labels = torch.zeros_like(scores).scatter_(1, targets.positive[:, None], self.scale)
        if targets.ignore is not None:
            labels = labels.masked_fill(targets.ignore, -torch.inf)
        shares = labels.softmax(1)
        return -torch.where(shares > 0, shares * scores.log_softmax(1), 0.0).sum(1)

    def chance(self, columns: int) -> float:
        """log c."""
        return math.log(columns)
