"""RankNet: pairs of the positive with each negative of its query."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets, mean_over, positive_scores


@dataclass(frozen=True)
class RankNet(Objective):
    """The mean over a query's negatives of log(1 + e^(s_j - s+)).

    Burges et al., Learning to Rank using Gradient Descent (ICML 2005), for pairs whose order is certain.
    """

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        pairs = functional.softplus(scores - positive_scores(scores, targets))
        return mean_over(pairs, targets.negatives(scores.shape[1]))

    def chance(self, columns: int) -> float:
        """log 2."""
        return math.log(2)
