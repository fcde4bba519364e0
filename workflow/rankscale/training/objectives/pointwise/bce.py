"""Binary cross-entropy: each pair by itself."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from rankscale.training.objectives.base import Objective, Targets, positive_scores


@dataclass(frozen=True)
class BCE(Objective):
    """The mean over a query's columns of -log sigmoid(s) for the positive and -log sigmoid(-s) for negatives.

    The positive counts `positive_weight` times. Nogueira and Cho, Passage Re-ranking with BERT (arXiv
    1901.04085).
    """

    positive_weight: float = 1.0

    def __call__(self, scores: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss float32 [b] of scores float32 [b, c]."""
        negatives = targets.negatives(scores.shape[1])
        false = functional.softplus(scores).masked_fill(~negatives, 0.0).sum(1)
        true = self.positive_weight * functional.softplus(-positive_scores(scores, targets)[:, 0])
        return (true + false) / (1 + negatives.sum(1))

    def chance(self, columns: int) -> float:
        """(w + c - 1) / c log 2, w the positive's weight."""
        return (self.positive_weight + columns - 1) / columns * math.log(2)
